"""Which plans may be run on parts of a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import DataFrame
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.window import Window

from riacho.server.plan.rowwise import is_row_by_row
from tests.unit.server.plan.frames import rate, relation, static

Change = Callable[[DataFrame], DataFrame]


ROW_BY_ROW: dict[str, Change] = {
    "source": lambda df: df,
    "metadata": lambda df: df.where("value > 1").withColumn("file", F.input_file_name()).drop("value").toDF("a", "b"),
    "generator": lambda df: df.select(F.explode(F.array("value", "value")), F.current_timestamp()).alias("x"),
    "text": lambda df: df.selectExpr("value * 2 AS double", "*").fillna(0).withColumnRenamed("double", "two"),
}

NOT_ROW_BY_ROW: dict[str, Change] = {
    "group": lambda df: df.groupBy("value").count(),
    "aggregate": lambda df: df.select(F.count("*")),
    "text aggregate": lambda df: df.selectExpr("1 + max(value)"),
    "distinct": lambda df: df.distinct(),
    "limit": lambda df: df.limit(3),
    "sort": lambda df: df.sort("value"),
    "union": lambda df: df.union(df),
    "join": lambda df: df.join(static(), "value"),
    "row number": lambda df: df.withColumn("id", F.monotonically_increasing_id()),
    "seed": lambda df: df.where("rand(7) < 0.5"),
    "window": lambda df: df.withColumn("n", F.row_number().over(Window.orderBy("value"))),
    "text window": lambda df: df.selectExpr("sum(value) OVER (ORDER BY value)"),
    "sample": lambda df: df.sample(0.5, 3),
}


@pytest.mark.parametrize("change", ROW_BY_ROW.values(), ids=ROW_BY_ROW)
def test_row_by_row(change: Change) -> None:
    assert is_row_by_row(relation(change(rate())))


@pytest.mark.parametrize("change", NOT_ROW_BY_ROW.values(), ids=NOT_ROW_BY_ROW)
def test_not_row_by_row(change: Change) -> None:
    assert not is_row_by_row(relation(change(rate())))
