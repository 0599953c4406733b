"""`t.*` where the table is named with its database."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from tests.spec.support import rows


@pytest.fixture
def two(spark: SparkSession, database: str) -> str:
    spark.sql(f"CREATE TABLE {database}.t (a INT, b STRING) USING delta")
    spark.sql(f"INSERT INTO {database}.t VALUES (1, 'x')")
    spark.sql(f"CREATE TABLE {database}.u (a INT, c STRING) USING delta")
    spark.sql(f"INSERT INTO {database}.u VALUES (1, 'y')")
    return database


@pytest.mark.parametrize(
    ("query", "columns", "row"),
    [
        ("SELECT t.* FROM {db}.t", ["a", "b"], (1, "x")),
        ("SELECT T.* FROM spark_catalog.{db}.t", ["a", "b"], (1, "x")),
        ("SELECT t.*, u.c FROM {db}.t JOIN {db}.u ON t.a = u.a", ["a", "b", "c"], (1, "x", "y")),
        ("SELECT u.*, t.* FROM {db}.t CROSS JOIN {db}.u", ["a", "c", "a", "b"], (1, "y", 1, "x")),
        ("SELECT t.* FROM (SELECT a FROM {db}.t) t", ["a"], (1,)),
        ("SELECT t.* FROM {db}.t AS x JOIN {db}.u t ON x.a = t.a", ["a", "c"], (1, "y")),
        ("SELECT s.a FROM (SELECT t.* FROM {db}.t) s", ["a"], (1,)),
        ("SELECT struct(t.*).b AS b FROM {db}.t", ["b"], ("x",)),
        ("WITH t AS (SELECT 7 AS k) SELECT t.* FROM t", ["k"], (7,)),
    ],
)
def test_in_text(spark: SparkSession, two: str, query: str, columns: list[str], row: tuple[object, ...]) -> None:
    found = spark.sql(query.format(db=two))
    assert found.columns == columns
    assert rows(found) == [row]


def test_of_dataframes(spark: SparkSession, two: str) -> None:
    table = spark.table(f"{two}.t")
    assert table.select("t.*").columns == ["a", "b"]
    assert table.where("t.a = 1").select("t.*", f"{two}.t.b").columns == ["a", "b", "b"]
    assert table.alias("z").select("z.*").columns == ["a", "b"]
    with pytest.raises(AnalysisException):
        _ = table.alias("z").select("t.*").columns
