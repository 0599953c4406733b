-- Gold: counts while the stream runs, and the three reports. A minute that is not over yet is there, too.

CREATE MATERIALIZED VIEW gold.accesses_per_minute (
  minute TIMESTAMP COMMENT 'Start of the minute',
  accesses BIGINT COMMENT 'Accesses in that minute'
)
COMMENT 'Accesses per minute'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT date_trunc('MINUTE', accessed_at) AS minute, count(*) AS accesses
FROM silver.accesses
GROUP BY date_trunc('MINUTE', accessed_at);

CREATE MATERIALIZED VIEW gold.peak_minutes (
  minute TIMESTAMP COMMENT 'Start of the minute',
  accesses BIGINT COMMENT 'Accesses in that minute',
  day_median DOUBLE COMMENT 'Median of the minutes of that day with accesses'
)
COMMENT 'Minutes with at least twice the accesses of the median minute of their day (UTC)'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH days AS (
  SELECT date(minute) AS day, percentile(accesses, 0.5) AS day_median
  FROM gold.accesses_per_minute
  GROUP BY date(minute)
)
SELECT m.minute, m.accesses, d.day_median
FROM gold.accesses_per_minute AS m
JOIN days AS d ON date(m.minute) = d.day
WHERE m.accesses >= 2 * d.day_median;

CREATE MATERIALIZED VIEW gold.audience_per_minute (
  minute TIMESTAMP COMMENT 'Start of the minute',
  device STRING COMMENT 'TV, smartphone, desktop, tablet or console',
  content_type STRING COMMENT 'movie, series or documentary',
  accesses BIGINT COMMENT 'Accesses in that minute'
)
COMMENT 'Accesses by device and content type, per minute'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT date_trunc('MINUTE', accessed_at) AS minute, device, content_type, count(*) AS accesses
FROM silver.accesses
GROUP BY date_trunc('MINUTE', accessed_at), device, content_type;

CREATE MATERIALIZED VIEW gold.audience_total (
  device STRING COMMENT 'TV, smartphone, desktop, tablet or console',
  content_type STRING COMMENT 'movie, series or documentary',
  accesses BIGINT COMMENT 'Accesses so far'
)
COMMENT 'Accesses by device and content type, in total'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT device, content_type, count(*) AS accesses
FROM silver.accesses
GROUP BY device, content_type;

CREATE MATERIALIZED VIEW gold.places_per_minute (
  minute TIMESTAMP COMMENT 'Start of the minute',
  country STRING COMMENT 'Country',
  city STRING COMMENT 'City',
  accesses BIGINT COMMENT 'Accesses in that minute'
)
COMMENT 'Accesses by country and city, per minute'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT date_trunc('MINUTE', accessed_at) AS minute, country, city, count(*) AS accesses
FROM silver.accesses
GROUP BY date_trunc('MINUTE', accessed_at), country, city;

CREATE MATERIALIZED VIEW gold.places_total (
  country STRING COMMENT 'Country',
  city STRING COMMENT 'City',
  accesses BIGINT COMMENT 'Accesses so far'
)
COMMENT 'Accesses by country and city, in total'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT country, city, count(*) AS accesses
FROM silver.accesses
GROUP BY country, city;

-- Report 1: the hours of the day with the most accesses.
CREATE MATERIALIZED VIEW gold.report_peak_hours (
  hour INT COMMENT 'Hour of the day (UTC)',
  accesses BIGINT COMMENT 'Accesses in that hour, of all days',
  minutes BIGINT COMMENT 'Minutes of that hour with accesses',
  per_minute DOUBLE COMMENT 'Accesses per minute',
  position INT COMMENT '1: the busiest hour'
)
COMMENT 'Report: peak hours of access'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH hours AS (
  SELECT hour(minute) AS hour, sum(accesses) AS accesses, count(*) AS minutes
  FROM gold.accesses_per_minute
  GROUP BY hour(minute)
)
SELECT
  hour,
  accesses,
  minutes,
  round(accesses / minutes, 2) AS per_minute,
  rank() OVER (ORDER BY accesses / minutes DESC) AS position
FROM hours;

-- Report 2: the devices most used.
CREATE MATERIALIZED VIEW gold.report_devices (
  device STRING COMMENT 'TV, smartphone, desktop, tablet or console',
  accesses BIGINT COMMENT 'Accesses so far',
  share DOUBLE COMMENT 'Share of all accesses, in percent',
  position INT COMMENT '1: the device most used'
)
COMMENT 'Report: the devices most used'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH devices AS (
  SELECT device, sum(accesses) AS accesses FROM gold.audience_total GROUP BY device
)
SELECT
  device,
  accesses,
  round(100 * accesses / sum(accesses) OVER (), 1) AS share,
  rank() OVER (ORDER BY accesses DESC) AS position
FROM devices;

-- Report 3: the content type most watched in each region.
CREATE MATERIALIZED VIEW gold.report_content_by_region (
  country STRING COMMENT 'Country',
  content_type STRING COMMENT 'The content type most watched there; of several, the first by name',
  accesses BIGINT COMMENT 'Accesses to it',
  share DOUBLE COMMENT 'Its share of the accesses from that country, in percent'
)
COMMENT 'Report: the content type most watched in each country'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH counted AS (
  SELECT country, content_type, count(*) AS accesses
  FROM silver.accesses
  GROUP BY country, content_type
),
ranked AS (
  SELECT
    *,
    sum(accesses) OVER (PARTITION BY country) AS in_all,
    row_number() OVER (PARTITION BY country ORDER BY accesses DESC, content_type) AS position
  FROM counted
)
SELECT country, content_type, accesses, round(100 * accesses / in_all, 1) AS share
FROM ranked
WHERE position = 1;
