"""ORC files, as a batch and as a stream: types, columns that differ, partitions, damage."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import orc
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import finish, next_ms, rows, until


def land(path: Path, table: pa.Table, **options: Any) -> Path:
    """An ORC file that is younger than any before."""
    import os

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    orc.write_table(table, str(unfinished), **options)
    os.utime(unfinished, ns=(next_ms() * 1_000_000,) * 2)
    return unfinished.rename(path)


def stream(spark: SparkSession, folder: Path, schema: str, **options: Any) -> DataFrame:
    return spark.readStream.format("orc").schema(schema).options(**options).load(str(folder))


def run(frame: DataFrame, name: str = "seen") -> list[tuple[Any, ...]]:
    finish(frame.writeStream.format("memory").queryName(name).trigger(availableNow=True).start())
    return rows(frame.sparkSession.table(name))


MOMENT = datetime(2024, 3, 10, 4, 30, 15, 123456)  # noqa: DTZ001 - ORC keeps what the clock shows
TYPES = (
    "b BOOLEAN, t TINYINT, s SMALLINT, i INT, l BIGINT, f FLOAT, d DOUBLE, m DECIMAL(12,2), w DECIMAL(38,10), "
    "x STRING, y BINARY, a DATE, ts TIMESTAMP, tz TIMESTAMP, li ARRAY<INT>, st STRUCT<p: INT, q: STRING>, "
    "ma MAP<STRING, BIGINT>, de ARRAY<STRUCT<u: MAP<STRING, ARRAY<DATE>>>>"
)


def every_type() -> pa.Table:
    value = {
        "b": True, "t": -1, "s": 300, "i": 70000, "l": 1 << 40, "f": 1.5, "d": 1e300, "m": Decimal("1.25"),
        "w": Decimal("-12345678901234567890.0123456789"), "x": "é", "y": b"\xff", "a": date(1969, 12, 31),
        "ts": MOMENT, "tz": MOMENT.replace(tzinfo=UTC), "li": [1, None], "st": {"p": 1, "q": None},
        "ma": [("k", None)], "de": [{"u": [("k", [date(2024, 1, 2), None])]}, None],
    }  # fmt: skip
    kinds = {
        "b": pa.bool_(), "t": pa.int8(), "s": pa.int16(), "i": pa.int32(), "l": pa.int64(), "f": pa.float32(),
        "d": pa.float64(), "m": pa.decimal128(12, 2), "w": pa.decimal128(38, 10), "x": pa.string(), "y": pa.binary(),
        "a": pa.date32(), "ts": pa.timestamp("us"), "tz": pa.timestamp("us", tz="UTC"), "li": pa.list_(pa.int32()),
        "st": pa.struct([("p", pa.int32()), ("q", pa.string())]), "ma": pa.map_(pa.string(), pa.int64()),
        "de": pa.list_(pa.struct([("u", pa.map_(pa.string(), pa.list_(pa.date32())))])),
    }  # fmt: skip
    return pa.table({name: pa.array([value[name], None], kind) for name, kind in kinds.items()})


def test_every_type_has_its_own(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path / "in" / "1.orc", every_type())
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    batch = spark.read.orc(str(tmp_path / "in"))
    streamed = stream(spark, tmp_path / "in", TYPES)
    assert batch.schema.simpleString() == streamed.schema.simpleString()
    shown = [F.col(c) if c not in ("ts", "tz") else F.unix_micros(c).alias(c) for c in batch.columns]
    found = rows(batch.select(*shown))
    assert found == run(streamed.select(*shown))
    (full,) = [row for row in found if row[0]]
    micros = int(MOMENT.replace(tzinfo=UTC).timestamp()) * 1_000_000 + 123456
    assert full[:14] == (
        True, -1, 300, 70000, 1 << 40, 1.5, 1e300, Decimal("1.25"), Decimal("-12345678901234567890.0123456789"), "é",
        b"\xff", date(1969, 12, 31), micros, micros,
    )  # fmt: skip
    assert full[14] == [1, None]
    assert full[15].asDict() == {"p": 1, "q": None}
    assert full[16] == {"k": None}
    assert full[17][0].u == {"k": [date(2024, 1, 2), None]}
    assert full[17][1] is None
    # In SQL, and as a table.
    assert rows(spark.sql(f"SELECT i, m FROM orc.`{tmp_path}/in` WHERE i > 1")) == [(70000, Decimal("1.25"))]


def test_a_table_of_orc_files(spark: SparkSession, database: str, tmp_path: Path) -> None:
    land(tmp_path / "in" / "1.orc", pa.table({"id": [1, 2], "name": ["a", None]}))
    spark.sql(f"CREATE TABLE {database}.t (id BIGINT, name STRING) USING orc LOCATION '{tmp_path}/in'")
    assert rows(spark.table(f"{database}.t")) == [(1, "a"), (2, None)]
    assert rows(spark.sql(f"SELECT t.id FROM {database}.t WHERE name IS NOT NULL")) == [(1,)]
    assert run(spark.readStream.table(f"{database}.t")) == [(1, "a"), (2, None)]


def test_what_spark_writes_is_read(spark: SparkSession, tmp_path: Path) -> None:
    query = "SELECT TIMESTAMP_NTZ'2024-01-02 03:04:05.5' n, 1 AS i, ARRAY('x') AS a"
    table = pa.table(
        {
            "n": pa.array([1_704_164_645_500_000], pa.int64()),
            "i": pa.array([1], pa.int32()),
            "a": pa.array([["x"]], pa.list_(pa.string())),
        }
    )
    land(tmp_path / "in" / "1.orc", table)
    assert rows(spark.read.schema("n TIMESTAMP_NTZ, i INT, a ARRAY<STRING>").orc(str(tmp_path / "in"))) == rows(
        spark.sql(query)
    )


def test_columns_may_differ_from_the_schema(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    land(folder / "k=1" / "1.orc", pa.table({"a": pa.array([1, 300], pa.int64()), "B": ["x", None]}))
    land(folder / "k=2" / "2.orc", pa.table({"a": pa.array([2], pa.int32()), "c": [1.5]}), compression="zstd")
    schema = "c DOUBLE, A TINYINT, b STRING"
    expected = sorted([(None, 1, "x", 1), (None, None, None, 1), (1.5, 2, None, 2)], key=repr)
    streamed = stream(spark, folder, schema)
    assert streamed.columns == ["c", "A", "b", "k"]
    assert run(streamed) == expected
    assert rows(spark.read.schema(schema).orc(str(folder))) == expected
    assert run(streamed.select("k", "_metadata.file_name"), "names") == [(1, "1.orc"), (1, "1.orc"), (2, "2.orc")]
    assert run(streamed.select("k"), "keys") == [(1,), (1,), (2,)]
    merged = spark.read.option("mergeSchema", "true").orc([str(folder / "k=1"), str(folder / "k=1")])
    assert merged.columns == ["a", "B"]
    assert spark.read.orc(str(folder)).select("k").distinct().count() == 2
    assert rows(spark.read.orc(str(folder)).where("k = 2").select("a")) == [(2,)]


def test_a_column_of_another_type_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path / "in" / "1.orc", pa.table({"a": pa.array([[1]], pa.list_(pa.int64())), "b": [1]}))
    assert run(stream(spark, tmp_path / "in", "a INT, b BIGINT").select("b")) == [(1,)]
    query = stream(spark, tmp_path / "in", "a INT, b BIGINT").writeStream.format("memory").queryName("bad").start()
    with pytest.raises(PySparkException, match="FAILED_READ_FILE"):
        until(query, lambda: False)
    with pytest.raises(PySparkException, match="FAILED_READ_FILE"):
        spark.read.schema("a INT").orc(str(tmp_path / "in")).collect()


def test_damaged_files(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    whole = land(folder / "1.orc", pa.table({"a": [1, 2]}))
    (folder / "2.orc").write_bytes(whole.read_bytes()[:-30])
    (folder / "3.orc").write_bytes(b"no ORC at all")
    (folder / "4.orc").write_bytes(b"")
    query = stream(spark, folder, "a BIGINT").writeStream.format("memory").queryName("bad").start()
    with pytest.raises(PySparkException, match="FAILED_READ_FILE"):
        until(query, lambda: False)
    assert run(stream(spark, folder, "a BIGINT", ignoreCorruptFiles="true")) == [(1,), (2,)]
    spark.conf.set("spark.sql.files.ignoreCorruptFiles", "true")
    assert run(stream(spark, folder, "a BIGINT"), "by_conf") == [(1,), (2,)]
    assert rows(spark.read.orc(str(folder))) == [(1,), (2,)]


def test_inference(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(AnalysisException, match="UNABLE_TO_INFER_SCHEMA"):
        _ = spark.read.orc(str(tmp_path / "in")).schema
    assert spark.read.schema("a INT").orc(str(tmp_path / "in")).count() == 0
    land(tmp_path / "in" / "1.orc", pa.table({"a": [1]}))
    land(tmp_path / "in" / "2.orc", pa.table({"a": [1], "b": ["x"]}))
    assert set(spark.read.option("mergeSchema", "true").orc(str(tmp_path / "in")).columns) == {"a", "b"}
    spark.conf.set("spark.sql.streaming.schemaInference", "true")
    merged = spark.readStream.option("mergeSchema", "true").orc(str(tmp_path / "in"))
    assert set(merged.columns) == {"a", "b"}
    assert run(merged.select("a", "b")) == [(1, "x"), (1, None)]
