"""Avro files, as a batch and as a stream: types, columns that differ, options, damage."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import finish, next_ms, rows, until


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields.items()]}


def logical(base: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": kind, **more}


def land(path: Path, schema: Any, values: list[dict[str, Any]], codec: str = "deflate") -> Path:
    """An Avro file that is younger than any before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as sink:
        fastavro.writer(sink, fastavro.parse_schema(schema), values, codec=codec)
    os.utime(unfinished, ns=(next_ms() * 1_000_000,) * 2)
    return unfinished.rename(path)


def stream(spark: SparkSession, folder: Path, schema: str, **options: Any) -> DataFrame:
    return spark.readStream.format("avro").schema(schema).options(**options).load(str(folder))


def run(frame: DataFrame, name: str = "seen") -> list[tuple[Any, ...]]:
    finish(frame.writeStream.format("memory").queryName(name).trigger(availableNow=True).start())
    return rows(frame.sparkSession.table(name))


MOMENT = datetime(2024, 3, 10, 4, 30, 15, 123456, tzinfo=UTC)
COMMON = {
    "i": "int", "l": "long", "f": "float", "d": "double", "b": "boolean", "y": "bytes", "s": "string",
    "o": ["null", "string"], "a": logical("int", "date"), "t": logical("long", "timestamp-micros"),
    "m": logical("bytes", "decimal", precision=10, scale=2), "r": {"type": "array", "items": ["null", "int"]},
    "p": {"type": "map", "values": "long"}, "c": record("inner", x="int", y=["null", "string"]),
}  # fmt: skip
ODD = {
    "e": {"type": "enum", "name": "colour", "symbols": ["RED", "BLUE"]},
    "u": ["null", "int", "string"],
    "n": ["int", "long"],
    "id": logical("string", "uuid"),
}
VALUES: dict[str, Any] = {
    "i": 1, "l": 1 << 40, "f": 1.5, "d": 2.5, "b": True, "y": b"\xff", "s": "é", "o": None, "a": date(1500, 1, 2),
    "t": MOMENT, "m": Decimal("-1.25"), "r": [1, None], "p": {"k": 7}, "c": {"x": 1, "y": None},
    "e": "BLUE", "u": "text", "n": 1 << 40, "id": "123e4567-e89b-12d3-a456-426614174000",
}  # fmt: skip


@pytest.mark.parametrize("fields", [COMMON, {**COMMON, **ODD}], ids=["common", "odd"])
def test_every_type_has_its_own(spark: SparkSession, tmp_path: Path, fields: dict[str, Any]) -> None:
    values = {name: VALUES[name] for name in fields}
    land(tmp_path / "in" / "1.avro", record("top", **fields), [values, values])
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    spark.conf.set("spark.sql.streaming.schemaInference", "true")
    batch = spark.read.format("avro").load(str(tmp_path / "in"))
    streamed = spark.readStream.format("avro").load(str(tmp_path / "in"))
    assert batch.schema.simpleString() == streamed.schema.simpleString()
    shown = [F.col(c) if c != "t" else F.unix_micros(c).alias(c) for c in batch.columns]
    found = rows(batch.select(*shown))
    assert found == run(streamed.select(*shown))
    row = dict(zip(batch.columns, found[0], strict=True))
    micros = int(MOMENT.timestamp()) * 1_000_000 + 123456
    expected = {**values, "t": micros, "c": (1, None)} | ({"u": (None, "text")} if "u" in fields else {})
    assert {name: tuple(v) if hasattr(v, "asDict") else v for name, v in row.items()} == expected
    assert rows(spark.sql(f"SELECT i, s FROM avro.`{tmp_path}/in` WHERE i = 1")) == [(1, "é")] * 2


def test_columns_may_differ_from_the_schema(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    land(folder / "k=1" / "1.avro", record("top", a="int", B=["null", "string"]), [{"a": 1, "B": "x"}] * 3)
    land(folder / "k=2" / "2.avro", record("other", a="long", c="float"), [{"a": 2, "c": 1.5}], "bzip2")
    schema = "c DOUBLE, A BIGINT, b STRING"
    expected = sorted([(None, 1, "x", 1)] * 3 + [(1.5, 2, None, 2)], key=repr)
    streamed = stream(spark, folder, schema)
    assert streamed.columns == ["c", "A", "b", "k"]
    assert run(streamed) == expected
    assert rows(spark.read.format("avro").schema(schema).load(str(folder))) == expected
    assert run(streamed.select("k", "_metadata.file_name").distinct(), "names") == [(1, "1.avro"), (2, "2.avro")]
    assert run(streamed.select("k"), "keys") == [(1,), (1,), (1,), (2,)]
    query = stream(spark, folder, "a DATE, c INT").writeStream.format("memory").queryName("bad").start()
    with pytest.raises(PySparkException, match="FAILED_READ_FILE"):
        until(query, lambda: False)


def test_options(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    land(folder / "1.avro", record("top", a="int", b=["null", "string"]), [{"a": 1, "b": "x"}])
    newer = record("top", b=["null", "string"], a="double")
    newer["fields"].append({"name": "n", "type": "int", "default": 7})
    evolved = {"avroSchema": json.dumps(newer)}
    assert rows(spark.read.format("avro").options(**evolved).load(str(folder))) == [("x", 1.0, 7)]
    assert run(stream(spark, folder, "b STRING, a DOUBLE, n INT", **evolved)) == [("x", 1.0, 7)]
    positional = {"positionalFieldMatching": "true"}
    assert run(stream(spark, folder, "x INT, y STRING, z INT", **positional), "placed") == [(1, "x", None)]
    (folder / "1.avro").rename(folder / "1.data")
    assert run(stream(spark, folder, "a INT"), "any_name") == [(1,)]
    assert run(stream(spark, folder, "a INT", ignoreExtension="false"), "own_name") == []
    node = record("node", id="int", next=["null", "node"])
    land(tmp_path / "self" / "1.avro", node, [{"id": 1, "next": {"id": 2, "next": None}}])
    deep = spark.read.format("avro").option("recursiveFieldMaxDepth", "2").load(str(tmp_path / "self"))
    assert deep.select("id", "next.id").collect() == [(1, 2)]


def test_damaged_files(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    whole = land(folder / "1.avro", record("top", a="long"), [{"a": 1}, {"a": 2}])
    (folder / "2.avro").write_bytes(whole.read_bytes()[:-10])
    (folder / "3.avro").write_bytes(b"no Avro at all")
    (folder / "4.avro").write_bytes(b"")
    query = stream(spark, folder, "a BIGINT").writeStream.format("memory").queryName("bad").start()
    with pytest.raises(PySparkException, match="FAILED_READ_FILE"):
        until(query, lambda: False)
    assert run(stream(spark, folder, "a BIGINT", ignoreCorruptFiles="true")) == [(1,), (2,)]
    spark.conf.set("spark.sql.files.ignoreCorruptFiles", "true")
    assert rows(spark.read.format("avro").schema("a BIGINT").load(str(folder))) == [(1,), (2,)]
