-- The databases that the pipeline writes to. A pipeline cannot make them itself: `riacho run` does it first,
-- and for the stock command you do it once, on any Spark Connect server.
CREATE DATABASE IF NOT EXISTS bronze COMMENT 'telecom: what landed, as it landed';
CREATE DATABASE IF NOT EXISTS silver COMMENT 'telecom: typed, cleaned, joined';
CREATE DATABASE IF NOT EXISTS gold COMMENT 'telecom: the answers';
