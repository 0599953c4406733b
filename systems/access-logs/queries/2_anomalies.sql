-- 2. Minutes out of line
-- By the limit, and beside the same hour of the last days (see riacho.quality.anomalies).
SELECT
  date_format(minute, 'HH:mm') AS minute,
  rule,
  accesses,
  round(expected) AS expected,
  score,
  concat(countries[0].country, ': ', format_number(countries[0].accesses, 0)) AS most_from
FROM gold.anomalies
ORDER BY gold.anomalies.minute DESC, rule
LIMIT 10;
