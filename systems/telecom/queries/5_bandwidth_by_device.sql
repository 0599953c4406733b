-- 5. Bandwidth by device type, side by side
SELECT server, celular_mbps, computador_mbps, celular_connections, computador_connections
FROM gold.bandwidth_by_device
ORDER BY CASE WHEN server = 'TOTAL' THEN 1 ELSE 0 END, celular_mbps + computador_mbps DESC;
