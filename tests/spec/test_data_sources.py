"""Python data sources read in batches: `spark.dataSource.register`, then `spark.read.format(name)`."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import IntegerType, StructField, StructType

from tests.spec.conftest import NewSession
from tests.spec.support import rows
from tests.spec.user_sources import by_value, reader

by_value(__name__)


def some(_: Any, __: InputPartition) -> Iterator[Any]:
    """Every kind of row there is."""
    yield (1,)
    yield Row(x=2)
    yield [None]


def test_rows_of_every_kind(spark: SparkSession) -> None:
    spark.dataSource.register(reader("Some", some))
    read = spark.read.format("sOME").load()
    assert [row.x for row in read.collect()] == [1, 2, None]
    assert read.schema == StructType([StructField("x", IntegerType())])
    assert spark.read.format("some").schema("x string").load().collect() == [Row(x="1"), Row(x="2"), Row(x=None)]
    assert read.where("x > 1").selectExpr("x + 1 AS y").collect() == [Row(y=3)]
    assert rows(read.join(read, "x")) == [(1,), (2,)]

    def batches(_: Any, __: Any) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1, 2], pa.int32())], names=["x"])
        yield pa.record_batch([pa.array([3], pa.int32())], names=["x"])

    spark.dataSource.register(reader("arrow_rows", batches))
    assert [row.x for row in spark.read.format("arrow_rows").load().collect()] == [1, 2, 3]
    # A name that is registered again means the new class.
    spark.dataSource.register(reader("some", batches))
    assert [row.x for row in spark.read.format("some").load().collect()] == [1, 2, 3]


def test_values_of_every_type(spark: SparkSession) -> None:
    schema = (
        "a timestamp, b timestamp_ntz, c date, d decimal(10, 2), e binary, f map<string, int>, "
        "g struct<p: int, q: string>, h array<double>, i boolean, j tinyint, k string"
    )
    moment = dt.datetime(2024, 1, 2, 3, 4, 5, 678)  # noqa: DTZ001 - as the user's code would write it
    values = (
        moment.replace(tzinfo=dt.UTC), moment, moment.date(), Decimal("1.5"), b"ab", {"a": 1}, {"p": 1, "q": "z"},
        [1.0, None], True, 5, 7,
    )  # fmt: skip

    def read(_: Any, __: Any) -> Iterator[Any]:
        yield values
        yield (None,) * 11
        yield (*values[:6], (2, None), *values[7:10], [1])

    spark.dataSource.register(reader("typed", read, schema))
    first, nothing, third = spark.read.format("typed").load().collect()
    assert (first.b, first.c, first.d, first.e) == (moment, moment.date(), Decimal("1.50"), b"ab")
    assert (first.f, first.g, first.h, first.i, first.j, first.k) == (
        {"a": 1},
        Row(p=1, q="z"),
        [1.0, None],
        True,
        5,
        "7",
    )
    assert tuple(nothing) == (None,) * 11
    assert (third.g, third.k) == (Row(p=2, q=None), "[1]")


def test_schemas(spark: SparkSession) -> None:
    def one(_: Any, __: Any) -> Iterator[Any]:
        yield (1, [2])

    spark.dataSource.register(reader("ddl", one, "x int not null, y array<int>"))
    assert spark.read.format("ddl").load().schema.simpleString() == "struct<x:int,y:array<int>>"
    assert [field.nullable for field in spark.read.format("ddl").load().schema] == [False, True]
    given = StructType([StructField("x", IntegerType(), nullable=False)])
    spark.dataSource.register(reader("object", some, given))
    assert spark.read.format("object").load().schema == given
    with pytest.raises(PySparkException, match="Value at index is null"):
        spark.read.format("object").load().collect()
    spark.dataSource.register(reader("by_option", some, lambda self: f"{self.options['COLUMN']} int"))
    assert spark.read.format("by_option").option("column", "z").load().columns == ["z"]


def test_options(spark: SparkSession) -> None:
    def read(self: Any, _: Any) -> Iterator[Any]:
        yield (str(sorted(self.options.items())), self.options.get("ABC"))

    spark.dataSource.register(reader("opts", read, "all string, abc string"))
    load = spark.read.format("opts").option("aBc", "1").option("D", 2).load
    assert load().first() == Row(all="[('abc', '1'), ('d', '2')]", abc="1")
    assert load("/a").first().all == "[('abc', '1'), ('d', '2'), ('path', '/a')]"  # type: ignore[union-attr]
    assert load(["/a", "/b"]).first().all.endswith("""('paths', '["/a","/b"]')]""")  # type: ignore[union-attr]
    with pytest.raises(AnalysisException, match="'path' or 'paths' option set and load"):
        spark.read.format("opts").option("path", "/q").load("/a").collect()


def test_partitions_are_read_side_by_side_and_shown_in_order(spark: SparkSession, tmp_path: Path) -> None:
    def read(self: Any, partition: InputPartition) -> Iterator[Any]:
        yield (partition.value, os.getpid())
        folder = Path(self.options["folder"])
        (folder / str(partition.value)).touch()
        deadline = time.monotonic() + 60
        while partition.value < 2 and not ((folder / "0").exists() and (folder / "1").exists()):
            if time.monotonic() > deadline:
                raise TimeoutError("the other partition is not read")
            time.sleep(0.01)
        yield (partition.value, os.getpid())

    spark.dataSource.register(reader("many", read, "x int, pid int", lambda _: [InputPartition(n) for n in range(5)]))
    found = spark.read.format("many").option("folder", str(tmp_path)).load().collect()
    assert [row.x for row in found] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert found[0].pid == found[1].pid
    assert found[1].pid != found[2].pid
    spark.dataSource.register(reader("none", lambda _, p: iter([(p.value,)]), partitions=lambda _: []))
    assert spark.read.format("none").load().collect() == [Row(x=None)]


def test_many_rows_of_several_partitions(spark: SparkSession) -> None:
    def read(_: Any, partition: InputPartition) -> Iterator[Any]:
        text = "x" * 100
        for number in range(partition.value * 100_000, partition.value * 100_000 + 100_000, 10_000):
            column = pa.array(range(number, number + 10_000), pa.int64())
            yield pa.record_batch([column, pa.array([text] * 10_000)], names=["n", "t"])

    spark.dataSource.register(
        reader("large", read, "n bigint, t string", lambda _: [InputPartition(n) for n in range(2)])
    )
    large = spark.read.format("large").load()
    for frame in (large, large.select("n")):
        assert frame.toArrow()["n"].to_pylist() == list(range(200_000))  # in the order of the partitions


def bad(name: str, **members: Any) -> type[DataSource]:
    members.setdefault("read", some)
    return reader(name, **members)


def raising(*_: Any, **__: Any) -> Any:
    raise ValueError("thrown by the user")


def late(_: Any, __: Any) -> Iterator[Any]:
    yield (1,)
    raise ValueError("thrown by the user")


def pushing(_: Any, schema: StructType) -> DataSourceReader:
    class Pushing(DataSourceReader):
        def pushFilters(self, filters: Any) -> Any:
            return filters

        def read(self, _: InputPartition) -> Iterator[Any]:
            return iter([(1,)])

    return Pushing()


def arrow(**columns: pa.Array) -> Iterator[Any]:
    return iter([pa.record_batch(list(columns.values()), names=list(columns))])


NOT_MADE = {
    "schema": (bad("bad", schema=raising), "create", "instance", "thrown by the user"),
    "no schema": (bad("bad", schema=DataSource.schema), "create", "instance", "schema is not implemented"),
    "reader": (bad("bad", reader=raising), "initialize", "reader", "thrown by the user"),
    "no reader": (bad("bad", reader=DataSource.reader), "initialize", "reader", "reader is not implemented"),
    "no such reader": (
        bad("bad", reader=lambda self, schema: 5),
        "initialize",
        "reader",
        "Expected an instance of DataSourceReader, but got 'int'",
    ),
    "partitions": (bad("bad", partitions=raising), "generate", "read partitions", "thrown by the user"),
    "a tuple": (
        bad("bad", partitions=lambda _: (InputPartition(1),)),
        "generate",
        "read partitions",
        "Expected 'partitions' to return a list, but got 'tuple'",
    ),
    "numbers": (
        bad("bad", partitions=lambda _: [1, 2]),
        "generate",
        "read partitions",
        "Expected elements in 'partitions' to be of type 'InputPartition', but got 'int', 'int'",
    ),
    "filters": (bad("bad", reader=pushing), "initialize", "reader", "DATA_SOURCE_PUSHDOWN_DISABLED"),
}
NOT_READ: dict[str, tuple[Any, str]] = {
    "late": (late, "thrown by the user"),
    "too long": (lambda *_: iter([(1, 2)]), "DATA_SOURCE_RETURN_SCHEMA_MISMATCH.*Expected: 1 columns, Found: 2"),
    "no row": (lambda *_: iter([5]), "DATA_SOURCE_INVALID_RETURN_TYPE.*type \\('int'\\) from Python data source 'bad'"),
    "no iterator": (lambda *_: [(1,)], "DATA_SOURCE_INVALID_RETURN_TYPE.*Expected types: iterator"),
    "nothing": (lambda *_: None, "DATA_SOURCE_INVALID_RETURN_TYPE.*NoneType"),
    "other names": (lambda *_: iter([Row(y=1)]), "DATA_SOURCE_RETURN_SCHEMA_MISMATCH.*Found: \\['y'\\] columns"),
    "no number": (lambda *_: iter([("abc",)]), "Could not convert 'abc' with type str: tried to convert to int32"),
    "too large": (lambda *_: iter([(2**40,)]), "Value 1099511627776 too large to fit in C integer type"),
    "arrow type": (lambda *_: arrow(x=pa.array([1], pa.int64())), "Expected: x: int32 columns, Found: x: int64"),
    "arrow name": (lambda *_: arrow(y=pa.array([1], pa.int32())), "Expected: \\['x'\\] columns, Found: \\['y'\\]"),
    "arrow columns": (
        lambda *_: arrow(x=pa.array([1], pa.int32()), y=pa.array([1], pa.int32())),
        "Expected: 1 columns, Found: 2 columns",
    ),
    "arrow later": (
        lambda *_: iter([*arrow(x=pa.array([1], pa.int32())), *arrow(x=pa.array([1], pa.int64()))]),
        "Tried to write record batch with different schema",
    ),
}  # fmt: skip


def test_what_cannot_be_made(spark: SparkSession) -> None:
    for what, (cls, action, kind, text) in NOT_MADE.items():
        spark.dataSource.register(cls)
        with pytest.raises(
            AnalysisException, match=f"(?s)Failed to {action} Python data source {kind}: .*{text}"
        ) as caught:
            spark.read.format("bad").load().collect()
        assert caught.value.getCondition() == "PYTHON_DATA_SOURCE_ERROR", what
        assert caught.value.getSqlState() == "38000", what


def test_what_cannot_be_read(spark: SparkSession) -> None:
    for what, (read, text) in NOT_READ.items():
        spark.dataSource.register(reader("bad", read))
        frame = spark.read.format("bad").load()
        assert frame.columns == ["x"], what  # which is known without reading
        with pytest.raises(PySparkException, match=f"(?s)exception was thrown from the Python worker.*{text}"):
            frame.collect()


def test_names(spark: SparkSession, new_session: NewSession) -> None:
    for name in ("delta", "JSON", "kafka", "rate", "noop"):
        with pytest.raises(AnalysisException, match=f"Data source '{name}' already exists") as caught:
            spark.dataSource.register(reader(name, some))
        assert caught.value.getCondition() == "DATA_SOURCE_ALREADY_EXISTS"
    spark.dataSource.register(reader("a.b", some))
    assert spark.read.format("a.b").load().count() == 3
    # What a session registered, another does not know.
    for session, name in ((new_session(), "a.b"), (spark, "nobodys")):
        with pytest.raises(PySparkException, match=f"Failed to find the data source: {name}") as missing:
            session.read.format(name).load().collect()
        assert missing.value.getCondition() == "DATA_SOURCE_NOT_FOUND"
        with pytest.raises(PySparkException, match=f"Failed to find the data source: {name}") as missing:
            session.range(1).write.format(name).mode("append").save()
        assert missing.value.getCondition() == "DATA_SOURCE_NOT_FOUND"
        assert not isinstance(missing.value, AnalysisException)  # for Spark, it is a class that is not found


def test_views_and_sql(spark: SparkSession) -> None:
    spark.dataSource.register(reader("some", some))
    spark.read.format("some").load().createOrReplaceTempView("some_rows")
    assert rows(spark.sql("SELECT x + 1 FROM some_rows WHERE x IS NOT NULL")) == [(2,), (3,)]
    assert spark.sql("SELECT count(*) FROM some_rows a JOIN some_rows b ON a.x = b.x").first() == (2,)
    with pytest.raises(AnalysisException, match="_metadata"):
        spark.read.format("some").load().select("_metadata").collect()


def test_a_read_can_be_interrupted(spark: SparkSession, tmp_path: Path) -> None:
    def read(self: Any, _: InputPartition) -> Iterator[Any]:
        yield (os.getpid(),)
        (Path(self.options["folder"]) / self.options["name"]).touch()
        time.sleep(600)

    spark.dataSource.register(reader("slow", read))
    for name, interrupt in (
        ("all", spark.interruptAll),
        ("tag", lambda: spark.interruptTag("mine")),
    ):
        frame = spark.read.format("slow").option("folder", str(tmp_path)).option("name", name).load()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run_tagged, spark, frame)
            deadline = time.monotonic() + 60
            while not (tmp_path / name).exists():
                assert time.monotonic() < deadline, "nothing is read"
                time.sleep(0.01)
            assert len(interrupt()) == 1
            with pytest.raises(PySparkException, match="OPERATION_CANCELED"):
                running.result(60)


def run_tagged(spark: SparkSession, frame: DataFrame) -> list[Row]:
    spark.addTag("mine")  # tags are a thread's
    return frame.collect()


def test_views_in_subqueries(spark: SparkSession, database: str) -> None:
    """Of expressions of DataFrames, which are text."""
    spark.dataSource.register(reader("some", some))
    spark.read.format("some").load().createOrReplaceTempView("some_rows")
    spark.sql(f"CREATE TABLE {database}.t USING delta AS SELECT id FROM range(5)")
    table = spark.table(f"{database}.t")
    assert rows(table.where("id IN (SELECT x FROM some_rows)").select("id")) == [(1,), (2,)]
    picked = table.selectExpr("id", "(SELECT max(x) FROM Some_Rows) AS m").where("id = m")
    assert rows(picked) == [(2, 2)]
