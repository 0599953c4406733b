"""MongoDB read and written in batches, on riacho and on Apache Spark with MongoDB's own connector.

    python -m bench.mongodb [DOCUMENTS]

A collection of DOCUMENTS (50,000) flat documents, and one of as many with arrays and nested documents, are read whole,
and rows are inserted, and replaced by `_id`. The server is the one of the tests, which is not MongoDB: it takes part of
the time of both. `server alone` is what it needs to send or to take the same documents with nobody who looks at them:
no client can be faster than that.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database
from pyspark.sql import SparkSession

from riacho.testing.mongo import MongoServer
from riacho.testing.servers import Server, riacho_server, spark_server

ROOT = Path(__file__).resolve().parents[1]
ORACLE, MONGO = ROOT / ".oracle", ROOT / ".services" / "mongo"
DOCUMENTS = 50_000
AT = datetime(2026, 1, 1, tzinfo=UTC)
PASSES = 3


def flat(number: int) -> dict[str, Any]:
    return {"n": number, "amount": number / 7, "user": f"user-{number % 1000}", "open": number % 2 == 0, "at": AT}


def nested(number: int) -> dict[str, Any]:
    return {**flat(number), "items": [{"sku": f"s{i}", "count": i} for i in range(3)], "place": {"city": "x", "zip": 7}}


def timed(call: Callable[[], object]) -> float:
    """The seconds of the fastest of some passes."""
    found = []
    for _ in range(PASSES):
        began = time.monotonic()
        call()
        found.append(time.monotonic() - began)
    return min(found)


def alone(database: Database[dict[str, Any]], documents: int) -> dict[str, float]:
    """Documents a second that the server sends and takes."""

    def drain(name: str) -> None:
        for _ in database[name].find_raw_batches(batch_size=20_000):
            pass

    raw = [RawBSONDocument(encode({"_id": number, **flat(number)})) for number in range(documents)]

    def fill() -> None:
        database["alone"].drop()
        database["alone"].insert_many(raw)

    times = {"read flat": timed(lambda: drain("flat")), "read nested": timed(lambda: drain("nested"))}
    times["insert"] = timed(fill)
    return {name: documents / seconds for name, seconds in times.items()}


def measure(
    server: Server, options: Mapping[str, str], database: Database[dict[str, Any]], documents: int
) -> dict[str, float]:
    """Documents a second."""
    spark = SparkSession.builder.remote(server.url).create()
    schemas = {
        name: spark.read.format("mongodb").options(**options).option("collection", name).load().schema
        for name in ("flat", "nested")
    }

    def read(name: str) -> None:
        frame = spark.read.format("mongodb").options(**options).option("collection", name).schema(schemas[name]).load()
        frame.write.format("noop").mode("overwrite").save()

    rows = spark.range(documents).selectExpr(
        "id AS _id", "CAST(id AS INT) AS n", "id / 7 AS amount", "concat('user-', id % 1000) AS user",
        "id % 2 = 0 AS open", "TIMESTAMP'2026-01-01 00:00:00' AS at",
    )  # fmt: skip

    def write(operation: str) -> None:
        if operation == "insert":
            database["out"].drop()
        writer = rows.write.format("mongodb").mode("append").options(**options).option("collection", "out")
        writer.option("operationType", operation).save()

    times = {
        "read flat": timed(lambda: read("flat")),
        "read nested": timed(lambda: read("nested")),
        "insert": timed(lambda: write("insert")),
        "replace": timed(lambda: write("replace")),
    }
    assert database["out"].count_documents({}) == documents
    spark.stop()
    return {name: documents / seconds for name, seconds in times.items()}


def main(documents: int) -> None:
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as name, MongoServer(MONGO, Path(name) / "mongo") as mongo:
        folder = Path(name)
        database = MongoClient[dict[str, Any]](mongo.uri)["bench"]
        for kind, make in (("flat", flat), ("nested", nested)):
            database[kind].insert_many([make(number) for number in range(documents)])
        # Java's driver does not understand how this server answers monitors that wait.
        options = {"connection.uri": f"{mongo.uri}/?serverMonitoringMode=poll", "database": "bench"}
        bound = alone(database, documents)
        with riacho_server(folder / "riacho") as server:
            ours = measure(server, options, database, documents)
        with spark_server(ORACLE, folder / "spark") as server:
            sparks = measure(server, options, database, documents)
    print(f"{'documents a second':20} {'riacho':>10} {'Spark':>10} {'ratio':>6} {'server alone':>13}")
    for what, rate in ours.items():
        limit = f"{bound[what]:,.0f}" if what in bound else ""
        print(f"{what:20} {rate:10,.0f} {sparks[what]:10,.0f} {rate / sparks[what]:6.1f} {limit:>13}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS)
