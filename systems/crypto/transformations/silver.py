"""Silver: messages become quotes, what is wrong is set aside, and every quote is there once."""

import os

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from riacho import pipelines as dp
from riacho.functions import from_confluent

CHANGE_FEED = {"delta.enableChangeDataFeed": "true"}
LATENESS = "15 minutes"
MESSAGE = (
    "coin STRING, symbol STRING, name STRING, currency STRING, price DECIMAL(28,14), market_cap DOUBLE, "
    "volume_24h DOUBLE, last_updated STRING"
)
QUOTE = """
    coin STRING COMMENT 'Id of the coin, such as bitcoin',
    symbol STRING COMMENT 'Ticker symbol, such as btc',
    name STRING COMMENT 'Name for people',
    currency STRING COMMENT 'What the numbers are in, such as usd',
    price DECIMAL(28,14) COMMENT 'Price of a coin',
    market_cap DOUBLE COMMENT 'Price times coins in circulation',
    volume_24h DOUBLE COMMENT 'What was traded in the last 24 hours',
    last_updated TIMESTAMP COMMENT 'When the quote was made',
    received_at TIMESTAMP COMMENT 'When the message was taken'
"""
COLUMNS = [line.split()[0] for line in QUOTE.strip().splitlines()]
RULES = {
    "readable": "coin IS NOT NULL AND currency IS NOT NULL",
    "has_price": "price > 0",
    "volume_not_negative": "volume_24h IS NULL OR volume_24h >= 0",
    "readable_time": "last_updated IS NOT NULL",
    "not_in_the_future": "last_updated IS NULL OR last_updated <= received_at + INTERVAL 2 MINUTES",
}
"""What a quote must meet. A message that breaks one of these goes to silver.valid_quotes_quarantine."""


def message() -> Column:
    """The fields of a message: Avro from Kafka, JSON from the embedded queue. What cannot be read is null."""
    if spark.conf.get("crypto.source") == "kafka":
        topic, registry = spark.conf.get("crypto.topic"), os.environ["SCHEMA_REGISTRY_URL"]
        return from_confluent("value", registry, topic=topic, options={"mode": "PERMISSIVE"})
    return F.from_json(F.col("value").cast("string"), MESSAGE)


@dp.table(
    name="silver.valid_quotes",
    comment="Quotes that meet every rule, as they come; one that was sent twice is here twice",
    schema=QUOTE,
    table_properties=CHANGE_FEED,
)
@dp.expect_all_or_quarantine(RULES)
def valid_quotes() -> DataFrame:
    read = spark.readStream.table("bronze.quotes").select(message().alias("quote"), "timestamp")
    return read.select(
        *[F.col(f"quote.{name}").alias(name) for name in ("coin", "symbol", "name", "currency")],
        F.col("quote.price").cast("decimal(28,14)").alias("price"),
        F.col("quote.market_cap").alias("market_cap"),
        F.col("quote.volume_24h").alias("volume_24h"),
        F.col("quote.last_updated").try_cast("timestamp").alias("last_updated"),
        F.col("timestamp").alias("received_at"),
    )


def each_once() -> DataFrame:
    """As a stream, with a quarter of an hour of lateness: what it remembers does not grow."""
    valid = spark.readStream.table("silver.valid_quotes").withWatermark("last_updated", LATENESS)
    return valid.dropDuplicatesWithinWatermark(["coin", "currency", "last_updated"])


def each_once_of_all() -> DataFrame:
    """The same from all quotes together. Apache Spark 4.2 takes no watermark on a table of the same pipeline."""
    same = Window.partitionBy("coin", "currency", "last_updated").orderBy("received_at")
    copies = spark.read.table("silver.valid_quotes").withColumn("copy", F.row_number().over(same))
    return copies.where("copy = 1").select(*COLUMNS)


if spark.conf.get("crypto.deduplication") == "stream":
    define, query = dp.table, each_once
else:
    define, query = dp.materialized_view, each_once_of_all

define(
    name="silver.quotes",
    comment="Quotes, each once by coin, currency and time; one that comes a quarter of an hour late is left out",
    schema=QUOTE,
    table_properties=CHANGE_FEED,
)(query)
