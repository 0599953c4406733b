"""Aggregates that the engine would give one name."""

from __future__ import annotations

import pytest

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.disambiguate_aggregates import disambiguate_aggregates
from riacho.server.plan.from_sql.expressions import read_expression
from riacho.server.plan.text import column_name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["sum(v)", "sum(cast(v AS double))"], ["sum(v)", "sum(CAST(v AS DOUBLE) AS _argument0)"]),
        (["sum(v)", "1 + sum(double(v))"], ["sum(v)", "(1 + sum(double(v) AS _argument0))"]),
        (["max(v + 1)", "max(v + 2)"], ["max((v + 1) AS _argument0)", "max((v + 2) AS _argument1)"]),
        (
            ["max(v)", "max(int(v)) AS a", "max(int(v)) AS b"],
            ["max(v)", "max(int(v) AS _argument0) AS a", "max(int(v) AS _argument0) AS b"],
        ),
        (
            ["percentile(v, 0.5)", "percentile(int(v), 0.5)"],
            ["percentile(v, 0.5)", "percentile(int(v) AS _argument0, 0.5)"],
        ),
    ],
)
def test_arguments_of_one_function_over_one_column_get_names(before: list[str], after: list[str]) -> None:
    assert told_apart(before) == after


@pytest.mark.parametrize(
    "aggregates",
    [
        ["sum(v)", "avg(int(v))"],
        ["sum(v)", "sum(int(w))"],
        ["sum(int(v))", "sum(int(v)) AS again"],
        ["count(1)", "count(1) AS again"],
    ],
)
def test_others_are_left_alone(aggregates: list[str]) -> None:
    assert told_apart(aggregates) == aggregates


def test_names_stay_when_it_is_done_again() -> None:
    text = pb.Expression(expression_string=pb.Expression.ExpressionString(expression="double(v)"))
    aggregate = pb.Aggregate(aggregate_expressions=[build.call("sum", arg) for arg in (build.col("v"), text)])
    aggregate.aggregate_expressions.append(read_expression("sum(v + 1)"))
    disambiguate_aggregates(aggregate.aggregate_expressions)
    once = pb.Aggregate(aggregate_expressions=aggregate.aggregate_expressions)
    disambiguate_aggregates(aggregate.aggregate_expressions)
    assert aggregate == once


def told_apart(texts: list[str]) -> list[str]:
    aggregate = pb.Aggregate(aggregate_expressions=[read_expression(text) for text in texts])
    disambiguate_aggregates(aggregate.aggregate_expressions)
    return [column_name(expression) for expression in aggregate.aggregate_expressions]
