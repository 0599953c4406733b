"""Plans in the engine's words, as PySpark's client makes them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
from pyspark.sql import Column
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.window import Window, WindowSpec

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.engine.sail.dialect import in_engine_words
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import expressions, top_expressions
from tests.unit.server.plan.frames import rate, relation, static


def changed(column: Column) -> pb.Expression:
    (made,) = top_expressions(in_engine_words(relation(static().select(column))))
    return made


def test_a_plan_that_will_do_is_the_same_object() -> None:
    plan = relation(rate().select("value").where("value > 1"))
    assert in_engine_words(plan) is plan


def test_a_plan_that_only_looks_suspicious_is_the_same_object() -> None:
    plan = relation(rate().select(F.lit("if in case").alias("left")))
    assert in_engine_words(plan) is plan


@pytest.mark.parametrize(
    ("column", "name", "made"),
    [
        (F.isnan("value"), "isnan(value)", "(isnan(value) <=> true)"),
        (F.weekday("value") + 1, "(weekday(value) + 1)", "(((dayofweek(value) + 5) % 7) + 1)"),
        (
            F.when(F.col("value") == 0, 0).otherwise(F.lit(1) / F.col("value")),
            "CASE WHEN (value = 0) THEN 0 ELSE (1 / value) END",
            "CASE WHEN (value = 0) THEN coalesce(0, (IF(false, (1 / value), NULL))) ELSE (1 / value) END",
        ),
        (F.split("value", r"\d"), r"split(value, \d, -1)", "split(value, [0-9], -1)"),
    ],
)
def test_columns_keep_their_names(column: Column, name: str, made: str) -> None:
    expression = changed(column)
    assert expression.alias.name == [name]
    assert column_name(expression.alias.expr) == made
    assert changed(column.alias("mine")).alias.name == ["mine"]


def test_text_in_a_plan() -> None:
    (condition,) = top_expressions(in_engine_words(relation(static().where("value = 'it''s'"))))
    assert condition.expression_string.expression == r"value = 'it\'s'"
    (column,) = top_expressions(in_engine_words(relation(static().selectExpr("isnan(value)"))))
    assert column.expression_string.expression == "(isnan(value) <=> true) AS `isnan(value)`"


def test_lists_over_rows_are_without_nulls() -> None:
    made = changed(F.collect_list("value").over(Window.orderBy("value")))
    assert any(inner.unresolved_function.function_name == "filter" for inner in [made, *expressions(made)])


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (Window.partitionBy("value"), "PARTITION BY value ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"),
        (
            Window.orderBy("value"),
            "ORDER BY value ASC NULLS FIRST RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        ),
        (
            Window.orderBy(F.desc("value")).rowsBetween(-1, Window.currentRow),
            "ORDER BY value DESC NULLS LAST ROWS BETWEEN -1 FOLLOWING AND CURRENT ROW",
        ),
    ],
    ids=["all", "so far", "two"],
)
def test_names_over_rows(rows: WindowSpec, shown: str) -> None:
    made = changed(F.sum(F.col("value").cast("double")).over(rows))
    assert made.alias.name == [f"sum(CAST(value AS DOUBLE)) OVER ({shown})"]


def test_percentiles_are_refused_over_rows() -> None:
    with pytest.raises(UnsupportedOperationError, match="over a window of rows"):
        changed(F.percentile_approx("value", 0.5).over(Window.orderBy("value")))


def test_percentiles_of_streams_are_riachos_own() -> None:
    aggregate = F.percentile_approx("value", 0.5)
    stream, table = (relation(frame.groupBy().agg(aggregate)) for frame in (rate(), static()))
    assert in_engine_words(stream) == stream
    assert in_engine_words(table) != table


def test_what_has_been_changed_is_changed_no_more() -> None:
    column = F.when(F.col("value") == 0, 0).otherwise(F.col("value") / 2)
    text = F.regexp_replace("value", r"(\d)\\", r"$1x\\")
    once = in_engine_words(relation(static().select(column, text)))
    assert in_engine_words(once) == once


def test_statistics_are_sorted() -> None:
    for frame in (rate().describe("value"), rate().summary(), rate().summary("max", "count")):
        plan = relation(frame)
        made = in_engine_words(plan)
        assert made.sort.input == plan
        assert made.common == plan.common


def test_literals_in_names() -> None:
    shown = changed(F.isnan(F.lit(Decimal("1.50"))) & (F.lit(date(2024, 1, 2)) == F.lit(datetime(2024, 1, 2, 3))))  # noqa: DTZ001
    assert shown.alias.name == ["(isnan(1.50) AND (DATE '2024-01-02' = TIMESTAMP '2024-01-02 03:00:00'))"]
