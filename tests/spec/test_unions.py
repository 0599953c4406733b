"""Unions of columns of different types: both sides get the type that they have in common."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import files, finish, rows, write_json

PAIRS = {
    "whole numbers": ("CAST(1 AS TINYINT)", "CAST(2 AS BIGINT)"),
    "a float": ("CAST(1 AS BIGINT)", "CAST(2.5 AS FLOAT)"),
    "decimals": ("CAST(1.5 AS DECIMAL(5, 1))", "CAST(2 AS DECIMAL(12, 4))"),
    "a decimal and a double": ("CAST(1.5 AS DECIMAL(5, 1))", "2.5D"),
    "a decimal and an int": ("CAST(1.5 AS DECIMAL(5, 1))", "2"),
    "null": ("NULL", "2"),
    "a date and a timestamp": ("DATE '2024-01-02'", "TIMESTAMP '2024-01-01 10:00:00'"),
    "text and a number": ("'7'", "2"),
    "text and a truth": ("'true'", "false"),
    "text and a timestamp": ("'2024-01-02 03:04:05'", "TIMESTAMP '2024-01-01 10:00:00'"),
    "lists": ("array(1)", "array(2L)"),
    "structs": ("named_struct('a', 1, 'b', 'x')", "named_struct('a', 2.5D, 'b', 'y')"),
    "maps": ("map('k', 1)", "map('k', 2.5D)"),
}


def sides(frame: DataFrame, pair: str) -> tuple[DataFrame, DataFrame]:
    first, second = PAIRS[pair]
    return frame.selectExpr("id", f"{first} AS x"), frame.selectExpr("id + 1 AS id", f"{second} AS x")


def test_types_of_unions(spark: SparkSession) -> None:
    one = spark.range(1)
    kinds = {}
    for pair in PAIRS:
        left, right = sides(one, pair)
        union = left.union(right)
        kinds[pair] = union.schema["x"].dataType.simpleString()
        by_name = left.unionByName(right.select("x", "id"))
        assert rows(by_name) == rows(union) == rows(right.union(left))
    assert kinds == {
        "whole numbers": "bigint",
        "a float": "double",
        "decimals": "decimal(12,4)",
        "a decimal and a double": "double",
        "a decimal and an int": "decimal(11,1)",
        "null": "int",
        "a date and a timestamp": "timestamp",
        "text and a number": "bigint",
        "text and a truth": "boolean",
        "text and a timestamp": "timestamp",
        "lists": "array<bigint>",
        "structs": "struct<a:double,b:string>",
        "maps": "map<string,double>",
    }


def test_three_sides_and_other_operations(spark: SparkSession) -> None:
    one = spark.range(1)
    three = one.selectExpr("1 AS x").union(one.selectExpr("2L AS x")).union(one.selectExpr("2.5D AS x"))
    assert rows(three) == [(1.0,), (2.0,), (2.5,)]
    missing = one.selectExpr("1 AS a").unionByName(one.selectExpr("2L AS A", "'x' AS b"), allowMissingColumns=True)
    assert (missing.columns, rows(missing)) == (["a", "b"], [(1, None), (2, "x")])
    assert rows(one.selectExpr("1 AS x").intersect(one.selectExpr("1.0D AS x"))) == [(1.0,)]
    assert rows(one.selectExpr("1 AS x").exceptAll(one.selectExpr("1L AS x"))) == []


def test_types_that_have_nothing_in_common(spark: SparkSession) -> None:
    one = spark.range(1)
    with pytest.raises(AnalysisException) as error:
        one.selectExpr("id", "true AS x").union(one.selectExpr("id", "1 AS x")).collect()
    assert error.value.getCondition() == "INCOMPATIBLE_COLUMN_TYPE"
    with pytest.raises(AnalysisException, match="The first column of the second table"):
        one.selectExpr("1 AS x").union(one.selectExpr("DATE '2024-01-01' AS x")).collect()


def test_unions_of_a_stream_below_an_aggregation(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "0.json", [{"id": 1}, {"id": 2}])
    stream = files(spark, tmp_path / "in")
    counted = {}
    for pair in ("whole numbers", "a decimal and a double", "a date and a timestamp", "text and a number", "structs"):
        left, right = sides(stream, pair)
        name = f"q_{uuid4().hex[:8]}"
        grouped = left.union(right).groupBy("id").agg(F.count("x").alias("n"), F.max("x").alias("m"))
        writer = grouped.writeStream.format("memory").queryName(name).outputMode("complete").trigger(availableNow=True)
        finish(writer.start())
        counted[pair] = [(id_, n) for id_, n, _ in rows(spark.table(name))]
        assert spark.table(name).schema["m"] == left.union(right).groupBy("id").agg(F.max("x").alias("m")).schema["m"]
    assert all(each == [(1, 1), (2, 2), (3, 1)] for each in counted.values())


@pytest.mark.parametrize("form", ["parquet", "orc", "json"])
def test_nulls_of_one_side_can_be_written(spark: SparkSession, tmp_path: Path, form: str) -> None:
    values = {
        "array({})": "ARRAY<INT>",
        "map('k', {})": "MAP<STRING, INT>",
        "struct(array({}) AS a)": "STRUCT<a: ARRAY<INT>>",
    }
    found = []
    for number, (value, kind) in enumerate(values.items()):
        one, two = (spark.range(1).selectExpr(f"{value.format(inner)} AS x") for inner in ("1", "CAST(NULL AS INT)"))
        folder = str(tmp_path / str(number))
        one.union(two).coalesce(1).write.format(form).save(folder)
        read = spark.read.schema(f"x {kind}").format(form).load(folder)
        found.append(sorted((str(row.x) for row in read.collect()), key=len))
    assert found == [["[1]", "[None]"], ["{'k': 1}", "{'k': None}"], ["Row(a=[1])", "Row(a=[None])"]]
