"""Join conditions, taken apart."""

from __future__ import annotations

import pytest

from riacho.protos import pb
from riacho.server.plan.join_condition import Bound, read_condition
from riacho.server.plan.text import column_name
from tests.plans.notation import parse

HOUR_US = 3_600_000_000


def read(condition: str) -> tuple[list[str], list[Bound], list[str]]:
    plan = parse(
        f"join inner ON {condition}\n  alias l\n    stream table one\n  alias r\n    stream table two",
    )
    columns = {"l": ["k", "ts", "only_l"], "r": ["k", "ts", "only_r"]}

    def columns_of(relation: pb.Relation) -> list[str]:
        return columns[relation.subquery_alias.alias]

    found = read_condition(plan.join, columns_of)
    keys = [f"{column_name(key.left)} {'<=>' if key.null_safe else '='} {column_name(key.right)}" for key in found.keys]
    return keys, list(found.bounds), [column_name(part) for part in found.rest]


def test_keys_are_put_on_their_sides() -> None:
    assert read("l.k = r.k AND only_r <=> upper(only_l)")[0] == ["l.k = r.k", "upper(only_l) <=> only_r"]


def test_columns_of_using_are_keys() -> None:
    join = parse("join left USING a, b\n  stream table one\n  stream table two").join
    keys = read_condition(join, lambda _: []).keys
    assert [(column_name(key.left), column_name(key.right)) for key in keys] == [("`a`", "`a`"), ("`b`", "`b`")]


@pytest.mark.parametrize(
    ("condition", "low_us", "high_us", "strict"),
    [
        ("l.ts >= r.ts", 0, None, False),
        ("l.ts > r.ts", 0, None, True),
        ("l.ts <= r.ts + INTERVAL 1 HOUR", None, HOUR_US, False),
        ("r.ts + INTERVAL '1' HOUR >= l.ts", None, HOUR_US, False),
        ("l.ts - INTERVAL 30 MINUTES < r.ts + INTERVAL 30 MINUTES", None, HOUR_US, True),
        ("r.ts < l.ts - INTERVAL '1 hour'", HOUR_US, None, True),
        ("INTERVAL 1 HOUR + r.ts <= l.ts", HOUR_US, None, False),
    ],
)
def test_bounds(condition: str, low_us: int | None, high_us: int | None, strict: bool) -> None:
    assert read(condition) == ([], [Bound("ts", "ts", low_us, high_us, strict)], [])


def test_between_is_two_bounds() -> None:
    keys, bounds, rest = read("l.k = r.k AND l.ts BETWEEN r.ts AND r.ts + INTERVAL 1 HOUR")
    assert keys == ["l.k = r.k"]
    assert [(bound.low_us, bound.high_us) for bound in bounds] == [(0, None), (None, HOUR_US)]
    assert rest == []


@pytest.mark.parametrize(
    "condition",
    [
        "l.k = l.ts",  # one side only
        "l.ts >= r.ts - INTERVAL 1 MONTH",  # no fixed length
        "l.ts >= date_trunc('hour', r.ts)",
        "ts >= r.ts",  # nobody can tell which ts
        "l.k = r.k OR l.ts = r.ts",
    ],
)
def test_the_rest(condition: str) -> None:
    keys, bounds, rest = read(condition)
    assert (keys, bounds, len(rest)) == ([], [], 1)
