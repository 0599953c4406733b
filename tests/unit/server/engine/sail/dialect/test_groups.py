"""Keys of a grouping, asked for by DataFrames below it."""

from __future__ import annotations

import pytest

from riacho.server.engine.sail.dialect import keys_of_groups
from tests.plans.notation import parse

CHANGED = {
    "a key": (
        "filter k@1 = 'a' @3\n  aggregate k -> count(1) AS n @2\n    table t @1",
        "filter k@2 = 'a' @3\n  aggregate k -> count(1) AS n @2\n    table t @1",
    ),
    "through two groupings": (
        "project k@1, n @4\n  aggregate k -> sum(n) AS n @3\n    aggregate k, v -> count(1) AS n @2\n      table t @1",
        "project k@3, n @4\n  aggregate k -> sum(n) AS n @3\n    aggregate k, v -> count(1) AS n @2\n      table t @1",
    ),
}
ALIASED = (
    "project d.k, d.n @3\n  aggregate d.k -> count(1) AS n @2\n    alias d @1\n      table t",
    "project k@2, d.n @3\n  aggregate d.k -> count(1) AS n @2\n    alias d @1\n      table t",
)
KEPT = {
    "a field of a key": "project d.k @3\n  aggregate d -> count(1) AS n @2\n    table t @1",
    "an alias above the grouping": "project d.k @4\n  alias d @3\n    aggregate d.k -> count(1) AS n @2\n"
    "      alias d @1\n        table t",
    "no key": "project v@1 @3\n  aggregate k -> count(1) AS v @2\n    table t @1",
    "a key under another name": "project k@1 @3\n  aggregate k AS g -> count(1) AS n @2\n    table t @1",
    "beside the grouping too": "project k@1 @4\n  join inner ON k@1 = k@2 @3\n    table t @1\n"
    "    aggregate k -> count(1) AS n @2\n      table t @1",
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_is_asked_for_by_the_grouping(name: str) -> None:
    before, after = map(parse, CHANGED[name])
    changed = keys_of_groups(before)
    assert changed == after
    assert before == parse(CHANGED[name][0])
    assert keys_of_groups(changed) is changed


@pytest.mark.parametrize("name", KEPT)
def test_what_stays(name: str) -> None:
    plan = parse(KEPT[name])
    assert keys_of_groups(plan) is plan


def test_a_key_that_is_asked_for_by_an_alias() -> None:
    before, after = map(parse, ALIASED)
    assert keys_of_groups(before) == after
