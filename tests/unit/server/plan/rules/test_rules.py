"""Each rule against its pairs of plans in `tests/plans`."""

from __future__ import annotations

import re

import pytest

from riacho.errors import UnsupportedOperationError
from riacho.server.plan.context import Context
from riacho.server.plan.rewrite import Rule
from riacho.server.plan.rules.column_texts import column_texts
from riacho.server.plan.rules.inline_views import inline_views
from riacho.server.plan.rules.metadata_columns import metadata_columns
from riacho.server.plan.rules.sql_queries import sql_queries
from riacho.server.plan.rules.sql_streams import sql_streams
from riacho.server.plan.rules.strip_observations import strip_observations
from riacho.server.plan.rules.strip_watermark import strip_watermark
from riacho.server.plan.text import outline
from tests.plans.notation import Case, cases, parse

RULES: tuple[Rule, ...] = (
    column_texts,
    inline_views,
    metadata_columns,
    sql_queries,
    sql_streams,
    strip_observations,
    strip_watermark,
)
VIEWS = {"v": parse("stream json /view"), "global_temp.g": parse("table inside_g")}


@pytest.mark.parametrize(
    ("rule", "case"),
    [pytest.param(rule, case, id=f"{rule.__name__}: {case.title}") for rule in RULES for case in cases(rule.__name__)],
)
def test_rule(rule: Rule, case: Case) -> None:
    before = parse(case.before)
    unchanged = before.SerializeToString(deterministic=True)
    after = rule(before, Context(views=VIEWS))
    expected = parse(case.after)
    assert after == expected, f"\n{outline(after)}\n\nexpected\n{outline(expected)}\n\n{after}"
    assert before.SerializeToString(deterministic=True) == unchanged, "the rule altered the plan it was given"


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT k, row_number() OVER (ORDER BY a) FROM s", "OVER"),
        ("SELECT k, count(*) FROM s GROUP BY a, ROLLUP (k)", "lists of keys in GROUP BY"),
        ("SELECT a FROM s WHERE a IN (SELECT a FROM s) LIMIT 3", "a stream inside a subquery of an expression"),
        ("SELECT k, b, count(*) FROM s GROUP BY k", "the column b, which is neither a key nor an aggregate"),
        ("SELECT a FROM s LIMIT 1 + 1", "LIMIT with anything but a number"),
        ("SELECT count(*) FROM s LATERAL VIEW explode(a) x AS y", "LATERAL"),
    ],
)
def test_sql_that_needs_state_and_is_not_understood_is_refused(sql: str, reason: str) -> None:
    plan = parse("with_relations\n  sql x\n  alias s @281474976710657\n    stream table t")
    plan.with_relations.root.sql.query = sql
    with pytest.raises(UnsupportedOperationError, match=re.escape(reason)) as refused:
        sql_queries(plan, Context())
    assert sql in refused.value.message
