"""Silver: what is wrong is set aside, what is right gets its types, and every access is there once."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from riacho import pipelines as dp

CHANGE_FEED = {"delta.enableChangeDataFeed": "true"}
DEVICES = ("TV", "smartphone", "desktop", "tablet", "console")
CONTENT_TYPES = ("movie", "series", "documentary")

ACCESS = """
    event_id STRING COMMENT 'UUID of the event',
    user_id STRING COMMENT 'User',
    accessed_at TIMESTAMP COMMENT 'When the access happened',
    device STRING COMMENT 'TV, smartphone, desktop, tablet or console',
    content_type STRING COMMENT 'movie, series or documentary',
    country STRING COMMENT 'Country',
    city STRING COMMENT 'City',
    arrived_at TIMESTAMP COMMENT 'When the event arrived'
"""
COLUMNS = [line.split()[0] for line in ACCESS.strip().splitlines()]

RULES = {
    "has_event_id": "event_id IS NOT NULL",
    "has_user": "user_id IS NOT NULL AND user_id <> ''",
    "readable_time": "accessed_at IS NOT NULL",
    # Clocks differ a little.
    "not_in_the_future": "accessed_at IS NULL OR accessed_at <= arrived_at + INTERVAL 1 MINUTE",
    "known_device": f"device IN {DEVICES}",
    "known_content_type": f"content_type IN {CONTENT_TYPES}",
    "has_country": "country IS NOT NULL",
}
"""What an access must meet. A row that breaks one of these goes to silver.valid_accesses_quarantine."""


@dp.table(
    name="silver.valid_accesses",
    comment="Accesses that meet every rule, as they arrive; one that was sent twice is here twice",
    schema=ACCESS,
    table_properties=CHANGE_FEED,
)
@dp.expect_all_or_quarantine(RULES)
def valid_accesses() -> DataFrame:
    return spark.readStream.table("bronze.accesses").select(
        F.col("_id").alias("event_id"),
        F.col("id").alias("user_id"),
        F.col("access_timestamp").try_cast("timestamp").alias("accessed_at"),
        F.col("device"),
        F.col("content_type"),
        F.col("location.country").alias("country"),
        F.col("location.city").alias("city"),
        F.col("arrived_at"),
    )


def each_once() -> DataFrame:
    """As a stream, with two minutes of lateness: what it remembers does not grow."""
    valid = spark.readStream.table("silver.valid_accesses")
    return valid.withWatermark("accessed_at", "2 minutes").dropDuplicatesWithinWatermark(["event_id"])


def each_once_of_all() -> DataFrame:
    """The same from all accesses together. Apache Spark 4.2 takes no watermark on a table of the same pipeline."""
    copy = F.row_number().over(Window.partitionBy("event_id").orderBy("arrived_at"))
    valid = spark.read.table("silver.valid_accesses")
    return valid.withColumn("copy", copy).where("copy = 1").select(*COLUMNS)


if spark.conf.get("access.deduplication") == "stream":
    define, query = dp.table, each_once
else:
    define, query = dp.materialized_view, each_once_of_all

define(
    name="silver.accesses",
    comment="Accesses, each once. One that comes more than two minutes late is left out",
    schema=ACCESS,
    table_properties=CHANGE_FEED,
)(query)
