-- 3. Bandwidth in use now
SELECT b.server, s.place, b.open_connections, b.bandwidth_mbps
FROM gold.bandwidth_in_use AS b
LEFT JOIN silver.servers AS s ON b.server = s.server
ORDER BY CASE WHEN b.server = 'TOTAL' THEN 1 ELSE 0 END, b.bandwidth_mbps DESC;
