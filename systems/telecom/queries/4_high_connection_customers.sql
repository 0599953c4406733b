-- 4. High-connection customers
SELECT connected_customers, high_customers, CAST(100 * rate AS DECIMAL(4, 1)) AS rate_percent
FROM gold.high_connection_rate;

-- Far above the rest
-- More than the median use and five times the median absolute deviation from it. The ten heaviest.
SELECT nome AS customer, open_connections, bandwidth_mbps, limit_mbps
FROM gold.heavy_customers
ORDER BY bandwidth_mbps DESC, customer
LIMIT 10;
