"""Each rule against its pairs of plans in `tests/plans`."""

from __future__ import annotations

import pytest

from riacho.plan.context import Context
from riacho.plan.rewrite import Rule
from riacho.plan.rules.inline_views import inline_views
from riacho.plan.rules.metadata_columns import metadata_columns
from riacho.plan.rules.sql_streams import sql_streams
from riacho.plan.rules.strip_observations import strip_observations
from riacho.plan.rules.strip_watermark import strip_watermark
from riacho.plan.text import outline
from tests.plans.notation import Case, cases, parse

RULES: tuple[Rule, ...] = (
    inline_views,
    metadata_columns,
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
