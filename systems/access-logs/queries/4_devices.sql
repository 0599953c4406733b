-- 4. Devices most used
SELECT device, accesses, share AS share_percent
FROM gold.report_devices
ORDER BY position, device;
