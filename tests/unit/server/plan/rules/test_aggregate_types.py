"""What the engine is shown in place of aggregate functions that it types otherwise than Spark."""

from __future__ import annotations

import pytest

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.context import Context
from riacho.server.plan.rules.aggregate_types import aggregate_types
from riacho.server.plan.text import column_name


def rows(*, streaming: bool = True) -> pb.Relation:
    return pb.Relation(read=pb.Read(is_streaming=streaming, data_source=pb.Read.DataSource(format="rate")))


def text(sql: str) -> pb.Expression:
    return pb.Expression(expression_string=pb.Expression.ExpressionString(expression=sql))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("approx_count_distinct(x, 0.01)", "count(x) AS approx_count_distinct(x)"),
        ("percentile_approx(x, 0.5)", "max(x) AS percentile_approx(x, 0.5, 10000)"),
        ("percentile_approx(x, array(0.1, 0.9), 5)", "collect_list(x) AS percentile_approx(x, array(0.1, 0.9), 5)"),
        ("try_avg(x) + 1", "(avg(x) + 1) AS (try_avg(x) + 1)"),
        ("try_avg(x) AS a", "avg(x) AS a"),
        ("sum(x)", "sum(x)"),
    ],
)
def test_functions(before: str, after: str) -> None:
    [found] = aggregate_types(build.group(rows(), [], [text(before)]), Context()).aggregate.aggregate_expressions
    assert column_name(found) == after


def test_grouping_sets_become_plain_groups() -> None:
    rollup = build.group(rows(), [build.col("k")], [build.call("grouping", build.col("k"))])
    rollup.aggregate.group_type = pb.Aggregate.GROUP_TYPE_ROLLUP
    found = aggregate_types(rollup, Context()).aggregate
    assert found.group_type == pb.Aggregate.GROUP_TYPE_GROUPBY
    assert found.aggregate_expressions[0].alias.name == ["grouping(`k`)"]


def test_batches_are_left_alone() -> None:
    plan = build.group(rows(streaming=False), [], [text("try_avg(x)")])
    assert aggregate_types(plan, Context()) == plan
