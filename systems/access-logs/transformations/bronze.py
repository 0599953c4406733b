"""Bronze: accesses as they arrived, from the embedded endpoint or from MongoDB; the same columns from both.

Every field is text, so that nothing that arrives is lost or changed. What is wrong with it is judged in silver.
"""

import os

from pyspark import pipelines as dp
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from riacho.connectors import register

EVENT = (
    "_id STRING, id STRING, access_timestamp STRING, device STRING, content_type STRING, "
    "location STRUCT<country: STRING, city: STRING>"
)
COMMENTS = {
    "_id": "UUID of the event",
    "id": "User",
    "access_timestamp": "When the access happened, ISO 8601 in UTC, as the source wrote it",
    "device": "TV, smartphone, desktop, tablet or console",
    "content_type": "movie, series or documentary",
    "location": "Country and city",
    "arrived_at": "When the event arrived",
}


def from_ingest() -> DataFrame:
    """Events that were posted to the endpoint."""
    reader = spark.readStream.format("ingest").option("endpoint", spark.conf.get("access.endpoint"))
    if folder := spark.conf.get("access.ingest.path"):
        reader = reader.option("path", folder)
    return reader.schema(f"{EVENT}, _timestamp TIMESTAMP").load().withColumnRenamed("_timestamp", "arrived_at")


def from_mongodb() -> DataFrame:
    """Documents that were inserted into the collection, from its change stream."""
    reader = spark.readStream.format("mongodb").option("connection.uri", os.environ["MONGODB_URI"])
    for name in ("database", "collection"):
        reader = reader.option(name, spark.conf.get(f"access.mongodb.{name}"))
    documents = reader.option("change.stream.publish.full.document.only", "true").schema(EVENT).load()
    return documents.withColumn("arrived_at", F.current_timestamp())


SOURCES = {"ingest": from_ingest, "mongodb": from_mongodb}

register(spark, "ingest")  # a Spark cluster learns the connector here; riacho knows it


@dp.table(
    name="bronze.accesses",
    comment="Accesses as they arrived; one that was sent twice is here twice",
    table_properties={"delta.enableChangeDataFeed": "true"},
)
def accesses() -> DataFrame:
    arrived = SOURCES[spark.conf.get("access.source")]()
    for name, comment in COMMENTS.items():
        arrived = arrived.withMetadata(name, {"comment": comment})
    return arrived.select(*COMMENTS)
