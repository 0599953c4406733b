-- 3. Peak hours of access
SELECT hour, per_minute, accesses
FROM gold.report_peak_hours
WHERE position <= 5
ORDER BY position, hour;
