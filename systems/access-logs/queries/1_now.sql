-- 1. Accesses per minute, the last ten minutes
SELECT date_format(m.minute, 'HH:mm') AS minute, m.accesses, CASE WHEN p.minute IS NOT NULL THEN 'peak' END AS peak
FROM gold.accesses_per_minute AS m
LEFT JOIN gold.peak_minutes AS p ON m.minute = p.minute
ORDER BY m.minute DESC
LIMIT 10;
