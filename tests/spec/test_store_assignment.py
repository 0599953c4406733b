"""What becomes of values that are written to columns of another type (`spark.sql.storeAssignmentPolicy`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import rows

COLUMNS = (
    "i INT, b BIGINT, d DATE, ts TIMESTAMP, s STRING, dec DECIMAL(5,2), f DOUBLE, tiny TINYINT, bo BOOLEAN, bin BINARY"
)
TAKEN: dict[str, dict[str, str | None]] = {
    "i": {"'7'": "7", "7L": "7", "1.7D": "1", "-1.7": "-1", "true": "1", "NULL": None},
    "b": {"1": "1", "' 8 '": "8", "1e3D": "1000"},
    "d": {"'2022-01-02'": "2022-01-02", "'2022-1-2'": "2022-01-02", "TIMESTAMP'2022-01-02 10:00:00'": "2022-01-02"},
    "ts": {
        "'2022-01-01'": "2022-01-01 00:00:00",
        "'2022-01-01 10:20:30'": "2022-01-01 10:20:30",
        "DATE'2022-01-01'": "2022-01-01 00:00:00",
        "5": "1970-01-01 00:00:05",
    },
    "s": {"5": "5", "DATE'2020-01-01'": "2020-01-01", "true": "true", "1.50": "1.50", "array(1)": "[1]"},
    "dec": {"1": "1.00", "1.555": "1.56", "'1.5'": "1.50", "1.5D": "1.50"},
    "f": {"1": "1.0", "1.5": "1.5", "'1.5'": "1.5"},
    "tiny": {"5": "5", "'5'": "5", "1.9D": "1"},
    "bo": {"1": "true", "'true'": "true"},
    "bin": {"'abc'": "abc"},
}
"""For each column the values that an INSERT takes, and what is stored, as text."""
SAFE = {
    "i": ["7L", "1.7D", "-1.7", "NULL"],
    "b": ["1"],
    "d": ["TIMESTAMP'2022-01-02 10:00:00'"],
    "ts": ["DATE'2022-01-01'"],
    "s": ["5", "DATE'2020-01-01'", "true", "1.50"],
    "dec": ["1", "1.555", "1.5D"],
    "f": ["1", "1.5"],
    "tiny": ["5", "1.9D"],
}
"""Those of them that a table of files takes too."""
TOO_LARGE = [("i", "3000000000"), ("b", "1e30D"), ("dec", "12345"), ("tiny", "300")]
MALFORMED = [("i", "'x'"), ("d", "'x'"), ("dec", "'x'")]
NO_CAST = [("i", "DATE'2020-01-01'"), ("d", "5"), ("bin", "5"), ("i", "array(1)")]


@pytest.fixture
def spark(spark: SparkSession, database: str) -> SparkSession:
    """The session, in a database of its own."""
    spark.sql(f"USE {database}")
    return spark


def line(values: Mapping[str, list[str]], at: int) -> dict[str, str]:
    """A value for each column; those with few values are gone through again."""
    return {column: listed[at % len(listed)] for column, listed in values.items()}


def query(values: Mapping[str, str]) -> str:
    return "SELECT " + ", ".join(f"{value} AS {column}" for column, value in values.items())


def stored(spark: SparkSession, values: Mapping[str, object]) -> list[tuple[object, ...]]:
    return rows(spark.table("t").selectExpr(*(f"CAST({column} AS STRING)" for column in values)))


def becomes(values: Mapping[str, str]) -> tuple[str | None, ...]:
    return tuple(TAKEN[column][value] for column, value in values.items())


def insert(spark: SparkSession, column: str, value: str) -> None:
    spark.sql(f"INSERT INTO t ({column}) SELECT {value}")


def test_an_insert_casts(spark: SparkSession) -> None:
    """Six kinds of write, one row each."""
    spark.sql(f"CREATE TABLE t ({COLUMNS}) USING delta")
    names = ", ".join(TAKEN)

    def frame(values: Mapping[str, str]) -> DataFrame:
        return spark.sql(query(values))

    ways: list[Callable[[dict[str, str]], object]] = [
        lambda values: spark.sql(f"INSERT INTO t ({names}) {query(values)}"),
        lambda values: spark.sql(f"INSERT INTO t VALUES ({', '.join(values.values())})"),
        lambda values: spark.sql(f"INSERT INTO t BY NAME {query(dict(reversed(values.items())))}"),
        lambda values: frame(values).write.mode("append").format("delta").saveAsTable("t"),
        lambda values: frame(values).writeTo("t").append(),
        lambda values: frame(values).write.insertInto("t"),
    ]
    values: dict[str, list[str]] = {column: list(taken) for column, taken in TAKEN.items()}
    lines = [line(values, at) for at in range(len(ways))]
    for way, given in zip(ways, lines, strict=True):
        way(given)
    assert stored(spark, TAKEN) == sorted(map(becomes, lines), key=repr)


def test_what_does_not_fit_fails(spark: SparkSession) -> None:
    spark.sql(f"CREATE TABLE t ({COLUMNS}) USING delta")
    for column, value in TOO_LARGE:
        with pytest.raises(PySparkException, match="CAST_OVERFLOW_IN_TABLE_INSERT"):
            insert(spark, column, value)
    for column, value in MALFORMED:
        with pytest.raises(PySparkException):
            insert(spark, column, value)
    for column, value in NO_CAST:
        with pytest.raises(AnalysisException, match="DATATYPE_MISMATCH"):
            insert(spark, column, value)
    spark.conf.set("spark.sql.ansi.enabled", "false")  # makes no difference here
    with pytest.raises(PySparkException, match="CAST_INVALID_INPUT"):
        insert(spark, "i", "'x'")
    assert spark.table("t").count() == 0


def test_other_policies(spark: SparkSession) -> None:
    spark.sql(f"CREATE TABLE t ({COLUMNS}) USING delta")
    spark.conf.set("spark.sql.storeAssignmentPolicy", "STRICT")
    spark.sql("INSERT INTO t (b, s) SELECT 1, 5")
    for column, value in [("i", "7L"), ("i", "'7'"), ("i", "1.7D"), ("d", "'2022-01-01'")]:
        with pytest.raises(AnalysisException, match="CANNOT_UP_CAST_DATATYPE"):
            insert(spark, column, value)
    spark.conf.set("spark.sql.storeAssignmentPolicy", "LEGACY")
    spark.sql("INSERT INTO t (i, b, d, s) SELECT '7', 'x', 'x', 5")
    assert rows(spark.table("t").select("i", "b", "d", "s")) == [(7, None, None, "5"), (None, 1, None, "5")]


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_a_table_of_files_gets_its_own_types(spark: SparkSession, kind: str) -> None:
    spark.sql(f"CREATE TABLE t ({COLUMNS}) USING {kind}")
    lines = [line(SAFE, at) for at in range(4)]
    for given in lines:
        spark.sql(f"INSERT INTO t ({', '.join(given)}) {query(given)}")
    assert stored(spark, SAFE) == sorted(map(becomes, lines), key=repr)

    for column, value in [("i", "'7'"), ("d", "'2022-01-01'"), ("bo", "1"), ("i", "true"), ("s", "array(1)")]:
        with pytest.raises(AnalysisException, match="INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST"):
            insert(spark, column, value)
    with pytest.raises(PySparkException, match="CAST_OVERFLOW_IN_TABLE_INSERT"):
        insert(spark, "i", "3000000000")


def test_rows_of_a_table_of_files(spark: SparkSession) -> None:
    spark.sql("CREATE TABLE t (i BIGINT, s STRING) USING csv")
    spark.sql("INSERT INTO t VALUES (1, 5)")
    spark.sql("INSERT INTO t (s) VALUES ('x')")
    spark.sql("SELECT 7 AS zz, 8 AS yy").write.insertInto("t")
    spark.sql("SELECT '9' AS s, 9 AS i").write.mode("append").format("csv").saveAsTable("t")
    assert rows(spark.table("t")) == [(1, "5"), (7, "8"), (9, "9"), (None, "x")]
    with pytest.raises(AnalysisException, match="INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"):
        spark.sql("INSERT INTO t VALUES (1)")
    spark.sql("INSERT OVERWRITE t VALUES (9, 9)")
    assert rows(spark.table("t")) == [(9, "9")]

    spark.sql("CREATE TABLE p (i INT, g STRING) USING parquet PARTITIONED BY (g)")
    spark.sql("INSERT INTO p VALUES (1L, 5)")
    spark.sql("INSERT INTO p VALUES (2L, 'a b')")
    assert rows(spark.table("p")) == [(1, "5"), (2, "a b")]
    assert rows(spark.sql("SELECT i FROM p WHERE g = 'a b'")) == [(2,)]
