-- 4. The most volatile coins now
-- Standard deviation of the change from minute to minute, over twenty minutes.
WITH newest AS (SELECT coin, max(start) AS start FROM gold.indicators GROUP BY coin)
SELECT i.coin, CAST(i.volatility_20 AS DECIMAL(9,3)) AS volatility_percent
FROM gold.indicators AS i
JOIN newest AS n ON i.coin = n.coin AND i.start = n.start
ORDER BY i.volatility_20 DESC NULLS LAST
LIMIT 5;
