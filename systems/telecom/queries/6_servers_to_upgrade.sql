-- 6. Servers close to or over capacity
-- From 80 % of the bandwidth or of the devices on: candidates for an upgrade.
SELECT
  server,
  place,
  situation,
  CAST(100 * bandwidth_used AS INT) AS mbps_pct,
  concat(bandwidth_mbps, ' of ', capacity_mbps) AS mbps,
  CAST(100 * devices_used AS INT) AS devices_pct,
  concat(devices, ' of ', capacity_devices) AS devices
FROM gold.servers_to_upgrade
ORDER BY greatest(bandwidth_used, devices_used) DESC, server;
