-- 2. Minutes out of line
-- By the limit, and beside the same hour of the last days (see riacho.quality.anomalies).
SELECT
  date_format(minute, 'HH:mm') AS minute,
  rule,
  accesses,
  round(expected) AS expected,
  score,
  countries[0].country AS most_from,
  countries[0].accesses AS from_there,
  size(users) AS users_named
FROM gold.anomalies
ORDER BY gold.anomalies.minute DESC, rule
LIMIT 10;
