-- Gold: the market now, candles, indicators and movers.

CREATE MATERIALIZED VIEW gold.market (
  coin STRING COMMENT 'Id of the coin',
  symbol STRING COMMENT 'Ticker symbol',
  name STRING COMMENT 'Name for people',
  currency STRING COMMENT 'What the numbers are in',
  price DECIMAL(28,14) COMMENT 'Last price',
  market_cap DOUBLE COMMENT 'Price times coins in circulation',
  volume_24h DOUBLE COMMENT 'What was traded in the last 24 hours',
  last_updated TIMESTAMP COMMENT 'When the quote was made'
)
COMMENT 'The newest quote of each coin'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH ranked AS (
  SELECT *, row_number() OVER (PARTITION BY coin, currency ORDER BY last_updated DESC) AS position
  FROM silver.quotes
)
SELECT coin, symbol, name, currency, price, market_cap, volume_24h, last_updated
FROM ranked
WHERE position = 1;

CREATE MATERIALIZED VIEW gold.candles (
  coin STRING COMMENT 'Id of the coin',
  currency STRING COMMENT 'What the prices are in',
  minutes INT COMMENT 'Length of the candle: 1, 5 or 15 minutes',
  start TIMESTAMP COMMENT 'Start of the candle',
  open DECIMAL(28,14) COMMENT 'First price',
  high DECIMAL(28,14) COMMENT 'Highest price',
  low DECIMAL(28,14) COMMENT 'Lowest price',
  close DECIMAL(28,14) COMMENT 'Last price',
  volume_24h DOUBLE COMMENT 'What was traded in the 24 hours before the last quote',
  quotes BIGINT COMMENT 'Quotes in the candle'
)
COMMENT 'Candles of 1, 5 and 15 minutes; the one that is not over yet is there, too'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT
  q.coin,
  q.currency,
  l.minutes,
  timestamp_seconds(floor(unix_seconds(q.last_updated) / (60 * l.minutes)) * 60 * l.minutes) AS start,
  min_by(q.price, q.last_updated) AS open,
  max(q.price) AS high,
  min(q.price) AS low,
  max_by(q.price, q.last_updated) AS close,
  max_by(q.volume_24h, q.last_updated) AS volume_24h,
  count(*) AS quotes
FROM silver.quotes AS q
CROSS JOIN (SELECT 1 AS minutes UNION ALL SELECT 5 UNION ALL SELECT 15) AS l
GROUP BY
  q.coin,
  q.currency,
  l.minutes,
  timestamp_seconds(floor(unix_seconds(q.last_updated) / (60 * l.minutes)) * 60 * l.minutes);

CREATE MATERIALIZED VIEW gold.indicators (
  coin STRING COMMENT 'Id of the coin',
  currency STRING COMMENT 'What the prices are in',
  start TIMESTAMP COMMENT 'Start of the minute',
  close DECIMAL(28,14) COMMENT 'Last price of the minute',
  change_percent DECIMAL(18,6) COMMENT 'Change from the candle before, in percent; null for the first',
  average_5 DECIMAL(28,14) COMMENT 'Mean of the last five closes',
  average_20 DECIMAL(28,14) COMMENT 'Mean of the last twenty closes',
  volatility_20 DOUBLE COMMENT 'Standard deviation of the changes of the last twenty candles, in percent'
)
COMMENT 'By coin and minute: moving averages, change and volatility'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH changes AS (
  SELECT
    coin,
    currency,
    start,
    close,
    lag(close) OVER (PARTITION BY coin, currency ORDER BY start) AS before
  FROM gold.candles
  WHERE minutes = 1
),
percents AS (
  SELECT *, CAST(100 * (close - before) / before AS DECIMAL(18,6)) AS change_percent FROM changes
)
SELECT
  coin,
  currency,
  start,
  close,
  change_percent,
  CAST(avg(close) OVER (PARTITION BY coin, currency ORDER BY start ROWS BETWEEN 4 PRECEDING AND CURRENT ROW) AS DECIMAL(28,14)) AS average_5,
  CAST(avg(close) OVER (PARTITION BY coin, currency ORDER BY start ROWS BETWEEN 19 PRECEDING AND CURRENT ROW) AS DECIMAL(28,14)) AS average_20,
  round(
    stddev(CAST(change_percent AS DOUBLE)) OVER (
      PARTITION BY coin, currency ORDER BY start ROWS BETWEEN 19 PRECEDING AND CURRENT ROW
    ),
    6
  ) AS volatility_20
FROM percents;

CREATE MATERIALIZED VIEW gold.movers (
  coin STRING COMMENT 'Id of the coin',
  currency STRING COMMENT 'What the prices are in',
  price DECIMAL(28,14) COMMENT 'Last price',
  before DECIMAL(28,14) COMMENT 'First price of the last hour of data',
  change_percent DECIMAL(18,6) COMMENT 'Change in that hour, in percent',
  position INT COMMENT '1: moved most, up or down'
)
COMMENT 'Coins by how much they moved in the last hour of data'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH newest AS (
  SELECT max(last_updated) AS as_of FROM silver.quotes
),
hour AS (
  SELECT
    q.coin,
    q.currency,
    max_by(q.price, q.last_updated) AS price,
    min_by(q.price, q.last_updated) AS before
  FROM silver.quotes AS q
  CROSS JOIN newest AS n
  WHERE q.last_updated > n.as_of - INTERVAL 1 HOUR
  GROUP BY q.coin, q.currency
),
moved AS (
  SELECT *, CAST(100 * (price - before) / before AS DECIMAL(18,6)) AS change_percent FROM hour
)
SELECT
  coin,
  currency,
  price,
  before,
  change_percent,
  CAST(row_number() OVER (ORDER BY abs(change_percent) DESC, coin, currency) AS INT) AS position
FROM moved;
