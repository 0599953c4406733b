"""Pivots over groups, in a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F


@pytest.fixture
def numbers(spark: SparkSession) -> DataFrame:
    return spark.range(12).selectExpr("id", "id % 2 AS j", "substr('abc', int(id % 3) + 1, 1) AS k")


def shown(frame: DataFrame) -> tuple[list[str], list[tuple[Any, ...]]]:
    return frame.columns, sorted((tuple(row) for row in frame.collect()), key=repr)


def refused(make: Callable[[], DataFrame]) -> str | None:
    """The condition of the error of a frame, wherever it shows."""
    with pytest.raises(AnalysisException) as error:
        make().collect()
    return error.value.getCondition()


def test_a_pivot_takes_its_column_from_the_input_of_the_grouping(numbers: DataFrame) -> None:
    for key in ((F.col("id") % 2).alias("g"), F.expr("id % 2 AS g")):
        assert refused(numbers.groupBy(key).pivot("g").count) == "CANNOT_RESOLVE_DATAFRAME_COLUMN"
        assert refused(numbers.groupBy(key).pivot("g", [0, 1]).count) == "CANNOT_RESOLVE_DATAFRAME_COLUMN"
    first = numbers.withColumn("g", F.col("id") % 2)
    assert shown(first.groupBy("g").pivot("g").count()) == (["g", "0", "1"], [(0, 6, None), (1, None, 6)])


def test_pivots_over_keys_with_names(numbers: DataFrame) -> None:
    named = numbers.groupBy((F.col("id") % 2).alias("g")).pivot("k", ["b", "z"]).sum("id")
    assert shown(named) == (["g", "b", "z"], [(0, 14, None), (1, 8, None)])
    # A name that is also a column of the input means that column.
    hidden = numbers.groupBy((F.col("id") % 2).alias("k")).pivot("k").count()
    assert shown(hidden) == (["k", "a", "b", "c"], [(0, 2, 2, 2), (1, 2, 2, 2)])


def test_several_aggregates_of_a_pivot(numbers: DataFrame) -> None:
    both = numbers.groupBy("j").pivot("k", ["a"]).agg(F.sum("id").alias("s"), F.count("id"))
    assert shown(both) == (["j", "a_s", "a_count(id)"], [(0, 6, 2), (1, 12, 2)])


def test_columns_of_another_dataframe(numbers: DataFrame) -> None:
    other = numbers.select("id")
    assert refused(lambda: numbers.union(numbers).select(numbers.k)) == "CANNOT_RESOLVE_DATAFRAME_COLUMN"
    assert refused(lambda: numbers.select(other.id)) == "CANNOT_RESOLVE_DATAFRAME_COLUMN"
