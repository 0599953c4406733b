-- 3. Who moved most in the last hour
SELECT position, coin, CAST(change_percent AS DECIMAL(9,2)) AS change_percent, CASE WHEN price >= 1 THEN format_string('%.2f', CAST(price AS DOUBLE)) ELSE format_string('%.8f', CAST(price AS DOUBLE)) END AS price_usd
FROM gold.movers
WHERE position <= 6
ORDER BY position;
