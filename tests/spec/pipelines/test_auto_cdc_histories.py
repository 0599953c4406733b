"""AUTO CDC over fixed random histories: a flow makes of them what Spark's steps make of them.

Spark 4.2 runs no AUTO CDC flow into a Delta table, so here its steps (`Scd1BatchProcessor`) are written out as queries
and MERGE statements, which both servers run. What they give is compared with a few lines of Python, and so is what the
flow gives on riacho.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from riacho import pipelines as dp
from tests.spec.pipelines.support import Project

Event = tuple[Any, Any, str, str]
"""Key, place in the sequence, D to delete, value."""


@dataclass(frozen=True)
class Kind:
    """Types of keys and sequences, and values in ascending order."""

    key: str
    keys: tuple[Any, ...]
    sequence: str
    ascending: tuple[Any, ...]

    @property
    def schema(self) -> str:
        return f"k {self.key}, s {self.sequence}, op STRING, v STRING"


KINDS = {
    "integers": Kind("BIGINT", tuple(range(5)), "INT", tuple(range(-4, 12))),
    "texts": Kind("STRING", ("", "a", "A", "é", "a "), "STRING", ("", "A", "Z", "a", "aa", "b", "é", "\U0001f600")),
    "decimals": Kind(
        "DATE", ("2024-02-29", "1900-01-01"), "DECIMAL(30,3)", tuple(Decimal(n) / 8 for n in range(-8, 8))
    ),
    "doubles": Kind(
        "STRUCT<a: INT, b: STRING>",
        ((None, "x"), (1, None), (1, "x")),
        "DOUBLE",
        (float("-inf"), -1.5, 0.0, 1e-300, 2.0, float("inf"), float("nan")),
    ),
    "structs": Kind(
        "BOOLEAN",
        (True, False),
        "STRUCT<t: TIMESTAMP, n: INT>",
        tuple((t, n) for t in (None, "2024-01-01 00:00:00", "2024-01-01 00:00:00.000001") for n in (None, -1, 5)),
    ),
}


def history(kind: Kind, seed: int) -> list[list[Event]]:
    """Batches of events; within a batch no two events of a key are at the same place, for there Spark takes any."""
    draw = random.Random(seed)
    batches = []
    for _ in range(3):
        places = [(k, s) for k in range(len(kind.keys)) for s in range(len(kind.ascending))]
        chosen = draw.sample(places, min(len(places), 9))
        batches.append([(k, s, draw.choice("UUD"), f"v{draw.randrange(100)}") for k, s in chosen])
    batches.append(batches[1])  # a repetition
    return batches


def expected(batches: Iterable[list[Event]]) -> list[tuple[int, int, str]]:
    newest: dict[int, Event] = {}
    for event in (event for batch in batches for event in batch):
        old = newest.get(event[0])
        if old is None or (event[1], event[2] != "D") >= (old[1], old[2] != "D"):
            newest[event[0]] = event
    return sorted((k, s, v) for k, s, op, v in newest.values() if op != "D")


def frame(spark: SparkSession, kind: Kind, batch: list[Event]) -> DataFrame:
    """The events, times and dates and decimals from their texts."""

    def text(value: Any) -> Any:
        return str(value) if isinstance(value, Decimal) else value

    plain = kind.schema.replace("TIMESTAMP", "STRING").replace("DATE", "STRING").replace("DECIMAL(30,3)", "STRING")
    rows = [(kind.keys[k], text(kind.ascending[s]), op, v) for k, s, op, v in batch]
    raw = spark.createDataFrame(rows, plain)
    return raw.select(F.col("k").cast(kind.key), F.col("s").cast(kind.sequence), "op", "v")


def placed(rows: DataFrame, spark: SparkSession, kind: Kind) -> list[tuple[int, int, str]]:
    """Rows by the numbers of their keys and places."""
    every = [(k, s, "", f"{k} {s}") for k in range(len(kind.keys)) for s in range(len(kind.ascending))]
    names = {tuple(map(repr, row[:2])): row[2] for row in frame(spark, kind, every).select("k", "s", "v").collect()}
    found = []
    for key, place, value in rows.collect():
        k, s = names[repr(key), repr(place)].split()
        found.append((int(k), int(s), value))
    return sorted(found)


def step_by_step(spark: SparkSession, database: str, kind: Kind, batch: DataFrame) -> None:
    """One batch, as Spark's `Scd1BatchProcessor` applies it, to `target` and `aux`."""

    deletes = F.col("op") == "D"
    none = F.lit(None).cast(kind.sequence)
    newest = batch.groupBy("k").agg(F.max_by(F.struct("k", "s", "op", "v"), F.col("s")).alias("w")).select("w.*")
    metadata = F.struct(
        F.when(deletes, F.col("s")).otherwise(none).alias("d"), F.when(~deletes, F.col("s")).otherwise(none).alias("u")
    )
    events = newest.withColumn("m", metadata).select("k", "v", "m").alias("e")
    aux = spark.table(f"{database}.aux").alias("a")
    buried = F.coalesce(F.col("e.m.d"), F.col("e.m.u")) < F.col("a.m.d")
    rows = events.join(aux, (F.col("e.k") == F.col("a.k")) & buried, "left_anti").collect()
    schema = f"k {kind.key}, v STRING, m STRUCT<d: {kind.sequence}, u: {kind.sequence}>"
    spark.createDataFrame(rows, schema).createOrReplaceTempView("e")
    spark.sql(
        f"""MERGE INTO {database}.aux a USING e ON e.k = a.k
        WHEN MATCHED AND e.m.d IS NOT NULL AND e.m.d > a.m.d THEN UPDATE SET a.m = e.m
        WHEN MATCHED AND e.m.d IS NULL AND e.m.u >= a.m.d THEN DELETE
        WHEN NOT MATCHED AND e.m.d IS NOT NULL THEN INSERT (k, m) VALUES (e.k, e.m)"""
    )
    spark.sql(
        f"""MERGE INTO {database}.target t USING e ON e.k = t.k
        WHEN MATCHED AND e.m.d IS NOT NULL AND e.m.d > t.m.u THEN DELETE
        WHEN MATCHED AND e.m.u IS NOT NULL AND e.m.u >= t.m.u THEN UPDATE SET t.v = e.v, t.m = e.m
        WHEN NOT MATCHED AND e.m.d IS NULL THEN INSERT (k, v, m) VALUES (e.k, e.v, e.m)"""
    )


@pytest.mark.parametrize("name", list(KINDS))
def test_the_steps_of_spark(spark: SparkSession, database: str, name: str) -> None:
    kind = KINDS[name]
    metadata = f"m STRUCT<d: {kind.sequence}, u: {kind.sequence}>"
    spark.sql(f"CREATE TABLE {database}.target (k {kind.key}, v STRING, {metadata}) USING delta")
    spark.sql(f"CREATE TABLE {database}.aux (k {kind.key}, {metadata}) USING delta")
    batches = history(kind, seed=len(name))
    for batch in batches:
        step_by_step(spark, database, kind, frame(spark, kind, batch))
    rows = spark.table(f"{database}.target").select("k", "m.u", "v")
    assert placed(rows, spark, kind) == expected(batches)


@pytest.mark.riacho_only
@pytest.mark.parametrize("name", list(KINDS))
def test_a_flow_gives_the_same(spark: SparkSession, project: Project, tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    for number, batch in enumerate(batches := history(kind, seed=len(name))):
        rows = frame(spark, kind, batch)
        rows.coalesce(1).write.mode("append" if number else "overwrite").parquet(str(tmp_path / "events"))

    def define() -> None:
        @dp.temporary_view
        def feed() -> DataFrame:
            reader = spark.readStream.schema(kind.schema).option("maxFilesPerTrigger", 1)
            return reader.parquet(str(tmp_path / "events"))

        dp.create_streaming_table("t")
        dp.create_auto_cdc_flow("t", "feed", ["k"], "s", "op = 'D'", except_column_list=["op", "s"])

    outcome = project.run(define)
    assert outcome.completed, outcome
    rows = spark.table(f"{project.database}.t").selectExpr("k", "__spark_autocdc_metadata.upsertSequence", "v")
    assert placed(rows, spark, kind) == expected(batches)
