-- 1. The market now
SELECT symbol, name, CASE WHEN price >= 1 THEN format_string('%.2f', CAST(price AS DOUBLE)) ELSE format_string('%.8f', CAST(price AS DOUBLE)) END AS price_usd, CAST(round(market_cap / 1e9, 1) AS DECIMAL(18,1)) AS market_cap_bn
FROM gold.market
ORDER BY market_cap DESC
LIMIT 8;
