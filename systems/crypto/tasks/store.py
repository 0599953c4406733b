"""`load_data`: candles of gold into MongoDB, by coin, length and start. One that is written again is replaced."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DATABASE: Final = "crypto"
COLLECTION: Final = "candles"
RECENT_MINUTES: Final = 60
"""Candles older than that do not change any more: a quote comes at most fifteen minutes late."""


@dataclass(frozen=True)
class MongoDB:
    """Where to write."""

    uri: str
    database: str = DATABASE
    collection: str = COLLECTION

    @classmethod
    def of_environment(cls) -> MongoDB:
        """MONGODB_URI. Raises KeyError."""
        return cls(os.environ["MONGODB_URI"])


def load_data(
    warehouse: str, mongodb: MongoDB | None = None, *, remote: str | None = None, everything: bool = False
) -> int:
    """Write candles to MongoDB: those of the last hour of data, or `everything`. How many. Safe to call again."""
    from riacho.cli.session import session

    mongodb = mongodb or MongoDB.of_environment()
    with ExitStack() as stack:
        spark = stack.enter_context(session(Path(warehouse), remote))
        return write(spark, mongodb, everything=everything)


def write(spark: SparkSession, mongodb: MongoDB, *, everything: bool = False) -> int:
    """The same in a session that is there."""
    from pyspark.sql import functions as F

    candles = spark.table("gold.candles")
    if not everything:
        newest = candles.agg(F.max("start").alias("newest"))
        recent = F.col("start") >= F.col("newest") - F.expr(f"INTERVAL {RECENT_MINUTES} MINUTES")
        candles = candles.join(newest).where(recent).select(candles.columns)
    key = F.concat_ws("/", "coin", F.col("minutes").cast("string"), F.date_format("start", "yyyy-MM-dd'T'HH:mm"))
    documents = candles.withColumn("_id", key)
    (
        documents.write.format("mongodb")
        .mode("append")
        .option("connection.uri", mongodb.uri)
        .option("database", mongodb.database)
        .option("collection", mongodb.collection)
        .option("operationType", "replace")
        .save()
    )
    return documents.count()
