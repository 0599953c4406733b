"""Whatever is pushed to what riacho reads itself, the rows are the same: random plans, with it and without."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.datasource import DataSource, DataSourceReader, Filter, InputPartition, Not

from tests.spec.support import rows
from tests.spec.user_sources import by_value, log, logged

by_value(__name__)

pytestmark = pytest.mark.riacho_only

SCHEMA = "k int, a int, s string, Cap bigint, p struct<a: int, q: struct<s: string>>, `x.y` int"
ROWS: list[tuple[Any, ...]] = [
    (
        n % 4,
        n % 7 if n % 5 else None,
        "abcab"[n % 5 :] if n % 6 != 5 else None,
        n,
        (n if n % 3 else None, ("s" * (n % 3),)),
        n % 2,
    )
    for n in range(24)
]

HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "EqualTo": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
    "In": lambda value, values: value in values,
    "StringStartsWith": str.startswith,
    "StringEndsWith": str.endswith,
    "StringContains": operator.contains,
}


def holds(each: Any, row: dict[str, Any]) -> bool:
    """Whether a row meets a filter, as SQL has it: what is null is not met."""
    if isinstance(each, Not):
        child: Any = each.child
        value = value_of(row, child.attribute)
        return value is not None and not holds(child, row)
    name, value = type(each).__name__, value_of(row, each.attribute)
    if name in ("IsNull", "IsNotNull"):
        return (value is None) == (name == "IsNull")
    return value is not None and HOLDS[name](value, each.value)


def value_of(row: dict[str, Any], path: Sequence[str]) -> Any:
    value = row[path[0]]
    for name in path[1:]:
        value = None if value is None else value[{"a": 0, "q": 1, "s": 0}[name]]
    return value


class Reader(DataSourceReader):
    """Filters and prunes. Of filters it does those that the option says, by their number's remainder."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.filters: list[Filter] = []
        self.names = ["k", "a", "s", "Cap", "p", "x.y"]

    def pushFilters(self, filters: list[Filter]) -> Iterator[Filter]:
        for number, each in enumerate(filters):
            if number % 3 == int(self.options.get("leaves", 0)) or "NullSafe" in str(each):
                yield each
            else:
                self.filters.append(each)

    def pruneColumns(self, names: list[str]) -> None:
        self.names = list(names)
        if "folder" in self.options:
            log(self.options["folder"], *names)

    def pushLimit(self, rows: int) -> None:
        if "folder" in self.options:
            log(self.options["folder"], "limit", rows)

    def partitions(self) -> list[InputPartition]:
        return [InputPartition(0), InputPartition(1)]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        for values in ROWS[partition.value :: 2]:
            row = dict(zip(["k", "a", "s", "Cap", "p", "x.y"], values, strict=True))
            if all(holds(each, row) for each in self.filters):
                yield tuple(row[name] for name in self.names)


class Source(DataSource):
    @classmethod
    def name(cls) -> str:
        return "pruned"

    def schema(self) -> str:
        return SCHEMA

    def reader(self, schema: Any) -> DataSourceReader:
        return Reader(self.options)


CONDITIONS = [
    "a > 2", "a = 3", "A IN (1, 2, 5)", "a IS NULL", "NOT (a > 4)", "a <> 3", "s LIKE 'a%'", "s LIKE '%b'", "s = 'ab'",
    "s NOT LIKE '%c%'", "k = 1 OR a = 2", "k = 1 AND cap > 3", "CAP BETWEEN 2 AND 17", "p.a > 5", "p.q.s = 's'",
    "P.A IS NULL", "`x.y` = 1", "a + 1 = 3", "k = a", "a <=> 3", "NOT (k = 1 OR a = 2)", "cap > 5 AND s IS NOT NULL",
    "a > 1.5", "cast(a AS bigint) = 3", "a IN (1, NULL)", "a NOT IN (1, NULL)", "s > 'a'", "length(s) > 1",
    "exists(array(a), z -> z > 2)", "a = (SELECT 3)", "isnull(s)", "startswith(s, 'ab')",
]  # fmt: skip
Step = Callable[[SparkSession, DataFrame], DataFrame]


def joined(how: str) -> Step:
    def join(spark: SparkSession, frame: DataFrame) -> DataFrame:
        other = spark.read.format("pruned").load().where("cap < 9").select("k", "s", "a")
        return frame.join(other, "k", how)

    return join


def named_join(spark: SparkSession, frame: DataFrame) -> DataFrame:
    """Both sides have the same names."""
    other = spark.read.format("pruned").load().alias("r")
    both = frame.alias("l").join(other, F.col("l.k") == F.col("r.cap"))
    return both.where("l.a > 1 AND r.a > 2").select("l.k", F.col("r.a").alias("a"), "l.s")


def in_sql(text: str) -> Step:
    def run(spark: SparkSession, frame: DataFrame) -> DataFrame:
        frame.createOrReplaceTempView("seen")
        return spark.sql(text)

    return run


STEPS: list[Step] = [
    *(lambda _, frame, text=text: frame.where(text) for text in CONDITIONS),
    lambda _, frame: frame.where((F.col("a") > 1) & ~F.col("s").startswith("b")),
    lambda _, frame: frame.where(frame["k"] == 2),
    lambda _, frame: frame.where(F.col("k").isin(0, 3)),
    lambda _, frame: frame.select("*"),
    lambda _, frame: frame.select("k", "a", "s"),
    lambda _, frame: frame.select("A", "cap"),
    lambda _, frame: frame.selectExpr("*", "a + 1 AS b"),
    lambda _, frame: frame.selectExpr("a AS k", "k AS a", "s", "p"),
    lambda _, frame: frame.selectExpr("p.a AS a", "p.q.s AS s", "k"),
    lambda _, frame: frame.withColumn("a", F.col("k") + 1),
    lambda _, frame: frame.withColumn("K", F.col("a")),
    lambda _, frame: frame.withColumn("s", F.concat("s", F.lit("x"))),
    lambda _, frame: frame.withColumns({"a": F.col("k"), "k": F.col("a")}),
    lambda _, frame: frame.withColumnRenamed("a", "z").withColumnRenamed("k", "a"),
    lambda _, frame: frame.withColumnsRenamed({"a": "k2", "k": "a"}),
    lambda _, frame: frame.drop("a"),
    lambda _, frame: frame.drop("s", "P"),
    lambda _, frame: frame.alias("t").where("t.a > 1").select("t.*"),
    lambda _, frame: frame.alias("p").where("p.a > 1"),
    lambda _, frame: frame.alias("t").withColumn("a", F.col("k")).where("t.a > 1"),
    lambda _, frame: frame.withColumn("a", F.col("k")).where(frame["a"] > 1),
    lambda _, frame: frame.distinct(),
    lambda _, frame: frame.dropDuplicates(["k"]).select("k"),
    lambda _, frame: frame.sort("k", F.desc("a")),
    lambda _, frame: frame.sort("cap").limit(5),
    lambda _, frame: frame.sort("cap").where("k < 3").limit(4),
    lambda _, frame: frame.select("k").sort("a"),
    lambda _, frame: frame.na.drop(subset=["a"]),
    lambda _, frame: frame.na.fill(7, ["a"]),
    lambda _, frame: frame.na.fill("none", ["s"]).select("k", "s"),
    lambda _, frame: frame.na.replace([1], [2], ["k"]).select("a", "k"),
    lambda _, frame: frame.na.drop(),
    lambda _, frame: frame.groupBy("k").agg(F.sum("a").alias("a"), F.max("s").alias("s")),
    lambda _, frame: frame.groupBy().count().withColumnRenamed("count", "a"),
    lambda _, frame: frame.union(frame.where("a > 3")),
    lambda _, frame: frame.unionByName(frame.where("k = 1")),
    lambda _, frame: frame.exceptAll(frame.where("a = 3")),
    lambda _, frame: frame.repartition(2, "a"),
    lambda _, frame: frame.selectExpr("k", "a", "explode(array(a, k)) AS e").where("k = 1 AND e > 0"),
    lambda _, frame: frame.selectExpr("k", "a", "s", "row_number() OVER (PARTITION BY k ORDER BY cap) AS cap"),
    lambda _, frame: frame.toDF(*(f"c{n}" for n in range(len(frame.columns)))).withColumnRenamed("c1", "a"),
    lambda _, frame: frame.select(F.struct("*").alias("p")).selectExpr("p.*"),
    joined("inner"),
    joined("left"),
    joined("left_anti"),
    named_join,
    in_sql("SELECT k, a, s FROM seen WHERE a > 1 AND s LIKE 'a%'"),
    in_sql("SELECT * FROM seen t WHERE t.a IN (1, 2, 3)"),
    in_sql("SELECT count(*) AS a, k FROM seen WHERE k < 3 GROUP BY k HAVING count(*) > 1"),
    in_sql("SELECT l.k, r.a FROM seen l JOIN seen r ON l.k = r.a WHERE l.a = 2"),
    in_sql("SELECT x AS a, k FROM (SELECT a AS x, k, s AS a FROM seen) WHERE a LIKE 'a%' AND x > 1"),
    in_sql("WITH w AS (SELECT a AS k, k AS a FROM seen WHERE a > 1) SELECT * FROM w WHERE k < 6 ORDER BY a, k LIMIT 9"),
    in_sql("SELECT * FROM seen WHERE k = 1 UNION ALL SELECT * FROM seen WHERE k = 2"),
    in_sql("SELECT k, s FROM seen WHERE a IN (SELECT k FROM seen WHERE s = 'ab')"),
]


def outcome(spark: SparkSession, source: str, steps: Sequence[int], on: bool, path: str) -> Any:
    spark.conf.set("riacho.pushdown.enabled", str(on).lower())
    frame = spark.read.format(source).option("leaves", len(steps)).load(*([path] if path else []))
    try:
        for step in steps:
            frame = STEPS[step](spark, frame)
        return sorted(map(str, frame.collect()))
    except PySparkException as error:
        return type(error).__name__


@pytest.fixture
def orc(spark: SparkSession, tmp_path: Path) -> str:
    """The same rows in files, in folders by `k`."""
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    spark.dataSource.register(Source)
    frame = spark.createDataFrame(ROWS, SCHEMA)
    frame.write.partitionBy("k").orc(str(tmp_path / "orc"))
    return str(tmp_path / "orc")


def test_random_plans(spark: SparkSession, orc: str) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(0, len(STEPS) - 1), min_size=1, max_size=5), st.booleans())
    def same(steps: list[int], files: bool) -> None:
        read = ("orc", orc) if files else ("pruned", "")
        without = outcome(spark, read[0], steps, False, read[1])
        assert outcome(spark, read[0], steps, True, read[1]) == without

    same()


def test_what_is_meant_without_being_seen(spark: SparkSession, orc: str) -> None:
    """Columns that others of their name hide, that get their names by number, or that rows are sorted by."""

    def both(frame: Callable[[DataFrame], DataFrame], pick: Callable[[Any], bool]) -> None:
        expected = sorted(row[3] for row in ROWS if pick(row))
        for read in (spark.read.orc(orc), spark.read.format("pruned").option("leaves", 1).load()):
            assert sorted(row.Cap for row in frame(read).select("Cap").collect()) == expected

    def of_alias(read: DataFrame) -> DataFrame:
        return read.alias("t").withColumn("a", F.col("k")).where("t.a > 3")

    both(of_alias, lambda row: (row[1] or 0) > 3)
    both(lambda read: of_alias(read).where("a > 2"), lambda row: (row[1] or 0) > 3 and row[0] > 2)
    both(lambda read: read.withColumn("a", F.col("k")).where(read["a"] > 3), lambda row: (row[1] or 0) > 3)
    both(lambda read: read.alias("t").selectExpr("k AS a", "Cap").where("t.a > 3"), lambda row: (row[1] or 0) > 3)

    spark.conf.set("spark.sql.caseSensitive", "true")
    both(lambda read: read.withColumn("A", F.col("k")).where("a > 3"), lambda row: (row[1] or 0) > 3)
    spark.conf.unset("spark.sql.caseSensitive")

    spark.read.format("pruned").load().createOrReplaceTempView("seen")
    expected = sorted(row[3] for row in ROWS if (row[1] or 0) > 3)
    for text in ("seen AS t(w, x, y, z, v, u)", "seen t (w, x, y, z, v, u)"):
        assert sorted(row.z for row in spark.sql(f"SELECT z FROM {text} WHERE x > 3").collect()) == expected, text
    # Both parts are sorted in the same way, whatever is wanted of each.
    for read in (spark.read.orc(orc), spark.read.format("pruned").load()):
        one, other = read.randomSplit([0.5, 0.5], seed=4)
        found = [row.Cap for row in [*one.select("Cap").collect(), *other.collect()]]
        assert sorted(found) == list(range(len(ROWS)))


def test_columns_that_are_read(spark: SparkSession, orc: str, tmp_path: Path) -> None:
    read = spark.read.format("pruned").option("folder", str(tmp_path)).load()

    def named(frame: DataFrame) -> list[str]:
        (tmp_path / "log").unlink(missing_ok=True)
        frame.collect()
        return logged(tmp_path)

    assert named(read) == []  # all of them: nothing is said
    assert named(read.select("S", "k")) == ["k s"]
    assert named(read.where("a > 1").selectExpr("k + 1")) == ["k a"]
    assert named(read.groupBy("k").agg(F.sum("cap"))) == ["k Cap"]
    assert named(read.selectExpr("p.q.s", "`x.y`")) == ["s p x.y"]  # `s` may be one
    assert named(read.join(read.select("k"), "k").select("s")) == ["k s"]  # both sides have both names
    assert named(read.selectExpr("count(*)")) == ["k"]  # the narrowest, to have rows at all
    (tmp_path / "log").unlink(missing_ok=True)
    assert read.count() == len(ROWS)
    assert logged(tmp_path) == ["k"]
    read.createOrReplaceTempView("read")
    assert named(spark.sql("SELECT a FROM read WHERE cap > 1")) == ["a Cap"]
    assert named(spark.sql("SELECT * FROM read WHERE cap > 1")) == []


def test_statements_and_expressions_over_views(spark: SparkSession, database: str, orc: str) -> None:
    """A view whose rows riacho reads is known wherever a name of a table may stand."""
    spark.read.orc(orc).createOrReplaceTempView("seen")
    spark.sql(f"USE {database}")
    found = []
    for on in ("false", "true"):
        spark.conf.set("riacho.pushdown.enabled", on)
        spark.sql("CREATE OR REPLACE TABLE t USING delta AS SELECT cap, a, s FROM seen WHERE k = 1")
        spark.sql("INSERT INTO t BY NAME SELECT s, cap FROM seen WHERE a > 3")
        spark.sql("CREATE OR REPLACE TEMP VIEW three AS SELECT cap, a, s FROM seen WHERE k > 1")
        spark.sql(
            "MERGE INTO t USING three ON t.cap = three.cap WHEN MATCHED AND three.a > 1 THEN UPDATE SET * "
            "WHEN NOT MATCHED THEN INSERT *"
        )
        spark.sql("DELETE FROM t WHERE cap IN (SELECT cap FROM seen WHERE a = 2)")
        spark.sql("UPDATE t SET s = 'z' WHERE cap IN (SELECT Cap FROM seen WHERE k = 3)")
        plain = spark.table("t").where("cap IN (SELECT cap FROM seen WHERE k = 1)").selectExpr("cap", "s")
        found.append((rows(spark.table("t")), rows(plain)))
    assert found[0] == found[1]
    assert len(found[0][0]) > len(found[0][1]) > 1


def test_limits(spark: SparkSession, orc: str, tmp_path: Path) -> None:
    read = spark.read.format("pruned").option("folder", str(tmp_path)).option("leaves", 7).load()

    def limits(frame: DataFrame) -> list[str]:
        (tmp_path / "log").unlink(missing_ok=True)
        frame.collect()
        return [line for line in logged(tmp_path) if line.startswith("limit")]

    assert limits(read.limit(3)) == ["limit 3"]
    assert limits(read.where("k = 1 AND a > 1").selectExpr("a + 1").limit(3)) == ["limit 3"]
    read.createOrReplaceTempView("read")
    assert limits(spark.sql("SELECT a FROM read WHERE k = 1 LIMIT 2")) == ["limit 2"]
    for frame in (
        read.where("a + 1 > 2").limit(3),  # not for the reader
        read.where("k = 1 AND a + 1 > 2").limit(3),
        read.where("k <=> 1").limit(3),  # which it does not do
        read.sort("a").limit(3),
        read.distinct().limit(3),
        read.offset(2).limit(3),
        read.selectExpr("explode(array(a, k))").limit(3),
        read.selectExpr("a", "row_number() OVER (ORDER BY cap)").limit(3),
        read.union(read).limit(3),
        read.repartition(2).limit(3),
    ):
        assert limits(frame) == []
    for found in (read, spark.read.orc(orc)):
        assert found.limit(3).count() == 3
        assert found.limit(0).count() == 0
        assert found.limit(1000).count() == len(ROWS)
        assert len(found.where("a > 1").limit(5).collect()) == 5
        assert rows(found.where("cap >= 20").select("cap").limit(10)) == [(20,), (21,), (22,), (23,)]
        assert found.where("a > 1").head(2) is not None
        found.show(2)


def test_partitions_without_wanted_rows_are_not_read(spark: SparkSession, orc: str) -> None:
    next(Path(orc, "k=2").glob("*.orc")).write_bytes(b"damaged")
    read = spark.read.orc(orc)
    for text in ("k = 1", "k IN (0, 3)", "K > 2", "k IS NULL", "k <> 2", "k < 2 AND a > 1"):
        expected = spark.createDataFrame(ROWS, SCHEMA).where(text).select("cap")
        assert rows(read.where(text).select("cap")) == rows(expected), text
    with pytest.raises(PySparkException, match="FAILED_READ_FILE"):
        read.where("a > 1").collect()
