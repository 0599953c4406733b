"""What a plan wants of a Python data source: filters as Spark pushes them, and only the rows that meet them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    EqualNullSafe,
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    InputPartition,
    IsNotNull,
    IsNull,
    LessThan,
    LessThanOrEqual,
    Not,
    StringContains,
    StringEndsWith,
    StringStartsWith,
)

from tests.spec.support import rows
from tests.spec.user_sources import by_value, log, logged

by_value(__name__)

SCHEMA = (
    "i int, l bigint, s string, d date, t timestamp, n timestamp_ntz, b boolean, `dec` decimal(10, 2), db double, "
    "st struct<a: int, c: struct<e: string>>, `q.r` int, Up int, ti tinyint"
)
I, L, S, D, T, B = (IsNotNull((name,)) for name in "ilsdtb")  # noqa: E741
UTC = ZoneInfo("UTC")


class Reader(DataSourceReader):
    """Notes its filters and gives no rows. `leaves`: the names of filters that it does not do."""

    def __init__(self, options: Any) -> None:
        self.options = options

    def pushFilters(self, filters: list[Filter]) -> Iterator[Filter]:
        log(self.options["folder"], list(filters))
        for each in filters:
            if self.options.get("leaves", "all") in ("all", type(each).__name__):
                yield each
        if self.options.get("leaves") == "others":
            yield EqualTo(("i",), 1)

    def read(self, partition: InputPartition) -> Iterator[Any]:
        yield from ()


class Wide(DataSource):
    @classmethod
    def name(cls) -> str:
        return "wide"

    def schema(self) -> str:
        return SCHEMA

    def reader(self, schema: Any) -> DataSourceReader:
        return Reader(self.options)


@pytest.fixture
def wide(spark: SparkSession, tmp_path: Path) -> DataFrame:
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    spark.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    spark.dataSource.register(Wide)
    return spark.read.format("wide").option("folder", str(tmp_path)).load()


def day(number: int) -> dt.date:
    return dt.date(2024, 1, number)


PUSHED: dict[str, list[Filter]] = {
    "i = 1": [I, EqualTo(("i",), 1)],
    "1 < I": [I, GreaterThan(("i",), 1)],
    "i <=> 1": [EqualNullSafe(("i",), 1)],
    "i <=> null": [IsNull(("i",))],
    "i != 1": [I, Not(EqualTo(("i",), 1))],
    "not (i > 1)": [I, LessThanOrEqual(("i",), 1)],
    "i between 1 and 3": [I, GreaterThanOrEqual(("i",), 1), LessThanOrEqual(("i",), 3)],
    "i = 1 and l = 2": [I, L, EqualTo(("i",), 1), EqualTo(("l",), 2)],
    "not (i = 1 or l = 2)": [I, L, Not(EqualTo(("i",), 1)), Not(EqualTo(("l",), 2))],
    "i = 1 and (l = 2 or l = 3)": [I, EqualTo(("i",), 1)],
    "i > 1 and rand() > 0.5": [I, GreaterThan(("i",), 1)],
    "i > -2147483648": [I, GreaterThan(("i",), -2147483648)],
    "l > 2147483648": [L, GreaterThan(("l",), 2147483648)],
    "ti = 1": [IsNotNull(("ti",)), EqualTo(("ti",), 1)],
    "cast(i as bigint) = 1": [I, EqualTo(("i",), 1)],
    "i is null": [IsNull(("i",))],
    "not (i is null)": [I],
    "i in (1, 2)": [In(("i",), [1, 2])],  # type: ignore[arg-type]
    "i in (1)": [I, EqualTo(("i",), 1)],
    "i in (1, null)": [In(("i",), [1, None])],  # type: ignore[arg-type]
    "i not in (1, 2)": [Not(In(("i",), [1, 2]))],  # type: ignore[arg-type]
    "s = 'a'": [S, EqualTo(("s",), "a")],
    "s like 'a%'": [S, StringStartsWith(("s",), "a")],
    "s like '%a'": [S, StringEndsWith(("s",), "a")],
    "s like '%a%'": [S, StringContains(("s",), "a")],
    "s like 'a%b'": [S, StringStartsWith(("s",), "a"), StringEndsWith(("s",), "b")],
    "s like 'a'": [S, EqualTo(("s",), "a")],
    "s not like 'a%'": [S, Not(StringStartsWith(("s",), "a"))],
    "startswith(s, 'a') and not contains(s, 'b')": [S, StringStartsWith(("s",), "a"), Not(StringContains(("s",), "b"))],
    "d = date'2024-01-01'": [D, EqualTo(("d",), day(1))],
    "d > '2024-01-02'": [D, GreaterThan(("d",), day(2))],
    "d in (date'2024-01-01', date'2024-01-02')": [In(("d",), [day(1), day(2)])],  # type: ignore[arg-type]
    "t > timestamp'2024-01-01 00:00:00.5'": [T, GreaterThan(("t",), dt.datetime(2024, 1, 1, 3, 0, 0, 500000, UTC))],
    "t > '2024-01-01'": [T, GreaterThan(("t",), dt.datetime(2024, 1, 1, 3, tzinfo=UTC))],
    "n > timestamp_ntz'2024-01-01 00:00:00'": [
        IsNotNull(("n",)), GreaterThan(("n",), dt.datetime(2024, 1, 1))  # noqa: DTZ001
    ],
    "b": [B, EqualTo(("b",), True)],
    "not b": [B, Not(EqualTo(("b",), True))],
    "b = false": [B, Not(EqualTo(("b",), True))],
    "dec > 1.5": [IsNotNull(("dec",)), GreaterThan(("dec",), Decimal("1.50"))],
    "db > 1": [IsNotNull(("db",)), GreaterThan(("db",), 1.0)],
    "db > 0.1": [IsNotNull(("db",)), GreaterThan(("db",), 0.1)],
    "st.a = 1": [IsNotNull(("st", "a")), EqualTo(("st", "a"), 1)],
    "ST.C.E = 'x'": [IsNotNull(("st", "c", "e")), EqualTo(("st", "c", "e"), "x")],
    "`q.r` = 1": [IsNotNull(("q.r",)), EqualTo(("q.r",), 1)],
    "up = 1": [IsNotNull(("Up",)), EqualTo(("Up",), 1)],
}  # fmt: skip
NOT_PUSHED = [
    "true", "i = null", "i = 1 or i = 2", "i > 2147483648", "coalesce(i, 1) = 1", "not (i = 1 and l = 2)",
    "case when i > 1 then true else false end",
]  # fmt: skip


def test_conditions_as_filters(wide: DataFrame, tmp_path: Path) -> None:
    for text, filters in PUSHED.items():
        (tmp_path / "log").unlink(missing_ok=True)
        wide.where(text).collect()
        assert logged(tmp_path) == [str(filters)], text
    (tmp_path / "log").unlink()
    for text in NOT_PUSHED:
        wide.where(text).collect()
        assert logged(tmp_path) == [], text


COLUMNS: dict[str, tuple[Callable[[DataFrame], DataFrame], list[Filter]]] = {
    "messages": (
        lambda wide: wide.where((F.col("i") > 1) & F.col("s").isin("a", "b") & ~F.col("s").startswith("a")),
        [I, S, GreaterThan(("i",), 1), In(("s",), ["a", "b"]), Not(StringStartsWith(("s",), "a"))],  # type: ignore[arg-type]
    ),
    "two filters": (
        lambda wide: wide.where("i > 1").where("l < 2"),
        [I, L, GreaterThan(("i",), 1), LessThan(("l",), 2)],
    ),
    "an alias": (lambda wide: wide.selectExpr("i AS x", "l AS i").where("x > 1"), [I, GreaterThan(("i",), 1)]),
    "another's name": (lambda wide: wide.selectExpr("i AS x", "l AS i").where("i > 1"), [L, GreaterThan(("l",), 1)]),
    "a computed one": (
        lambda wide: wide.withColumn("i", F.coalesce("i", F.lit(1))).where("i = 1 and l = 1"),
        [L, EqualTo(("l",), 1)],
    ),
    "a renamed one": (lambda wide: wide.withColumnRenamed("i", "x").drop("l").where("x = 1"), [I, EqualTo(("i",), 1)]),
    "a field": (
        lambda wide: wide.selectExpr("st.a AS x").where("x = 1"),
        [IsNotNull(("st", "a")), EqualTo(("st", "a"), 1)],
    ),
    "toDF": (lambda wide: wide.select("i", "l").toDF("l", "i").where("l = 1"), [I, EqualTo(("i",), 1)]),
    "a qualified name": (lambda wide: wide.alias("w").where("w.i = 1").select("w.*"), [I, EqualTo(("i",), 1)]),
    "its own column": (lambda wide: wide.where(wide.i == 1), [I, EqualTo(("i",), 1)]),
    "below a sort": (lambda wide: wide.sort("l").where("i = 1"), [I, EqualTo(("i",), 1)]),
    "below a group": (lambda wide: wide.where("i = 1").groupBy("l").count(), [I, EqualTo(("i",), 1)]),
}  # fmt: skip
FROM_TEXT: dict[str, list[Filter]] = {
    "SELECT l FROM wide WHERE i = 1": [I, EqualTo(("i",), 1)],
    "SELECT w.l, count(*) FROM wide w WHERE w.i = 1 GROUP BY 1": [I, EqualTo(("i",), 1)],
    "SELECT * FROM (SELECT i AS x, l FROM wide) WHERE x = 1 AND l IN (1, 2)": [
        I, EqualTo(("i",), 1), In(("l",), [1, 2]),  # type: ignore[arg-type]
    ],
    "WITH w AS (SELECT * FROM wide WHERE i = 1) SELECT * FROM w ORDER BY l LIMIT 3": [I, EqualTo(("i",), 1)],
}  # fmt: skip


def test_filters_through_projections(spark: SparkSession, wide: DataFrame, tmp_path: Path) -> None:
    for what, (plan, filters) in COLUMNS.items():
        (tmp_path / "log").unlink(missing_ok=True)
        plan(wide).collect()
        assert logged(tmp_path) == [str(filters)], what
    wide.createOrReplaceTempView("wide")
    for text, filters in FROM_TEXT.items():
        (tmp_path / "log").unlink(missing_ok=True)
        spark.sql(text).collect()
        assert logged(tmp_path) == [str(filters)], text


def test_what_must_not_pass(wide: DataFrame, tmp_path: Path) -> None:
    """Filters above what looks at other rows are not those of its input."""
    double = F.udf(lambda x: None if x is None else x * 2, "int")
    wide.limit(3).where("i = 1").collect()
    wide.selectExpr("i", "row_number() OVER (ORDER BY l) AS r").where("i = 1").collect()
    wide.selectExpr("i", "rand() AS r").where("i = 1").collect()
    wide.where(double("i") == 2).collect()
    wide.sample(0.5, seed=1).where("i = 1").collect()
    assert [each for each in logged(tmp_path) if "EqualTo" in each] == []


class SomeReader(DataSourceReader):
    """Two rows, whatever the filters; it says that it does those that compare."""

    def pushFilters(self, filters: list[Filter]) -> Iterator[Filter]:
        yield from (each for each in filters if not isinstance(each, EqualTo))

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array([1, 2, None], pa.int32())], names=["x"])


class Some(DataSource):
    @classmethod
    def name(cls) -> str:
        return "some"

    def schema(self) -> str:
        return "x int"

    def reader(self, schema: Any) -> DataSourceReader:
        return SomeReader()


def test_a_filter_that_a_reader_does_is_not_done_again(spark: SparkSession) -> None:
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    spark.dataSource.register(Some)
    some = spark.read.format("some").load()
    assert rows(some.where("x = 2")) == [(1,), (2,)]  # it says so, but does not do it
    assert rows(some.where("x > 1")) == [(2,)]
    filtered = some.where("x = 2")
    assert rows(filtered.select(filtered.x)) == [(1,), (2,)]


def test_a_reader_gives_back_what_it_was_given(wide: DataFrame, spark: SparkSession, tmp_path: Path) -> None:
    bad = spark.read.format("wide").option("folder", str(tmp_path)).option("leaves", "others").load()
    with pytest.raises(PySparkException, match="DATA_SOURCE_EXTRANEOUS_FILTERS"):
        bad.where("i = 1").collect()
