-- 2. Devices that connected in the last ten minutes
SELECT
  dispositivo_de_acesso AS device,
  count(*) AS devices,
  sum(connections) AS connections,
  date_format(max(last_connected_at), 'HH:mm:ss') AS last_at
FROM gold.recently_connected
GROUP BY dispositivo_de_acesso
ORDER BY device;

-- The latest five
SELECT date_format(last_connected_at, 'HH:mm:ss') AS at, nome AS customer, ip, dispositivo_de_acesso AS device
FROM gold.recently_connected
ORDER BY last_connected_at DESC, ip
LIMIT 5;
