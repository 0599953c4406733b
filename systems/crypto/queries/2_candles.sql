-- 2. Candles of a quarter of an hour, bitcoin
SELECT date_format(start, 'HH:mm') AS start, round(open, 1) AS open, round(high, 1) AS high, round(low, 1) AS low, round(close, 1) AS close, quotes
FROM gold.candles
WHERE coin = 'bitcoin' AND minutes = 15
ORDER BY gold.candles.start DESC
LIMIT 6;
