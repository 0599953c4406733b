"""Bronze: messages as they came, from the embedded queue, Kafka or the API itself, with the same columns."""

import json
import os

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from riacho import pipelines as dp
from riacho.connectors import register

COMMENTS = {
    "key": "Key of the message: the coin",
    "value": "The message: JSON, or Avro in Confluent's wire format",
    "topic": "Where it was read",
    "partition": "Partition of the topic",
    "offset": "Position in the partition",
    "timestamp": "When the message was taken",
}


def from_queue() -> DataFrame:
    """What was sent to the embedded queue."""
    reader = spark.readStream.format("ingest").option("endpoint", "quotes").option("includeHeaders", "false")
    if folder := spark.conf.get("crypto.queue.path"):
        reader = reader.option("path", folder)
    return reader.load()


def from_kafka() -> DataFrame:
    """What is in the topic, from its beginning."""
    reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", os.environ["KAFKA_BOOTSTRAP_SERVERS"])
    return reader.option("subscribe", spark.conf.get("crypto.topic")).option("startingOffsets", "earliest").load()


def from_api() -> DataFrame:
    """What CoinGecko says at each look, without a queue between: of the same coins as the collector asks for."""
    env = os.environ
    currency = env.get("CRYPTO_CURRENCY") or "usd"
    parameters = {"vs_currency": currency, "order": "market_cap_desc"}
    if coins := env.get("CRYPTO_COINS"):
        parameters["ids"] = coins
    reader = spark.readStream.format("rest").option("url", f"{env.get('COINGECKO_URL') or PUBLIC}/coins/markets")
    reader = reader.option("parameters", json.dumps(parameters)).option("paging", "page").option("paging.size", 250)
    if env.get("COINGECKO_KEY"):  # filled in where the request is made: it stands in no plan and no checkpoint
        reader = (
            reader.option("auth", "header").option("auth.name", KEY_HEADER).option("auth.value", "${COINGECKO_KEY}")
        )
    quotes = reader.option("paging.pages", env.get("CRYPTO_PAGES") or "1").schema(MARKET).load()
    fields = F.struct(
        F.col("id").alias("coin"),
        "symbol",
        "name",
        F.lit(currency).alias("currency"),
        F.col("current_price").alias("price"),
        "market_cap",
        F.col("total_volume").alias("volume_24h"),
        "last_updated",
    )
    return quotes.select(
        F.col("id").cast("binary").alias("key"),
        F.to_json(fields).cast("binary").alias("value"),
        F.lit("coingecko").alias("topic"),
        F.lit(0).alias("partition"),
        F.lit(None).cast("bigint").alias("offset"),
        F.current_timestamp().alias("timestamp"),
    )


MARKET = (
    "id STRING, symbol STRING, name STRING, current_price DOUBLE, market_cap DOUBLE, total_volume DOUBLE, "
    "last_updated STRING"
)
PUBLIC = "https://api.coingecko.com/api/v3"
KEY_HEADER = "x-cg-demo-api-key"
SOURCES = {"queue": from_queue, "kafka": from_kafka, "rest": from_api}

# A Spark cluster learns the connectors here; riacho knows them.
register(spark, "ingest", "rest")


@dp.table(
    name="bronze.quotes",
    comment="Messages with quotes, as they came",
    table_properties={"delta.enableChangeDataFeed": "true"},
)
def quotes() -> DataFrame:
    messages = SOURCES[spark.conf.get("crypto.source")]()
    for name, comment in COMMENTS.items():
        messages = messages.withMetadata(name, {"comment": comment})
    return messages.select(*COMMENTS)
