"""INTERVAL literals, as tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.intervals import UNIT_MONTHS, UNIT_US
from riacho.server.sql.interval_literals import read_interval
from riacho.server.sql.tokens import tokenize


def read(text: str) -> tuple[frozenset[str], tuple[int, int] | None, str] | None:
    """The units and the value of the interval that `text` begins with, and what stands behind it."""
    tokens = tokenize(text)
    found, behind = read_interval(tokens, 0)
    return found and (found.units, found.value, " ".join(token.text for token in tokens[behind:]))


@given(
    terms=st.lists(
        st.tuples(st.integers(0, 1000), st.sampled_from([*UNIT_MONTHS, *UNIT_US]), st.booleans(), st.booleans()),
        min_size=1,
        max_size=3,
    )
)
def test_values_and_units(terms: list[tuple[int, str, bool, bool]]) -> None:
    text = " ".join("- " * back + (f"'{n}'" if quoted else str(n)) + f" {unit}s" for n, unit, back, quoted in terms)
    months = sum((-n if back else n) * UNIT_MONTHS.get(unit, 0) for n, unit, back, _ in terms)
    micros = sum((-n if back else n) * UNIT_US.get(unit, 0) for n, unit, back, _ in terms)
    units = frozenset(unit for _, unit, _, _ in terms)
    assert read(f"{text} AS x") == (units, (months, micros), "AS x")


@pytest.mark.parametrize(
    ("text", "units", "value"),
    [
        ("'1 hour 30 minutes'", {"hour", "minute"}, (0, 5_400_000_000)),
        ("-'1 hour'", {"hour"}, (0, -3_600_000_000)),
        ("'1:30' HOUR TO MINUTE", {"hour", "minute"}, (0, 5_400_000_000)),
        ("'-1:30' HOUR TO MINUTE", {"hour", "minute"}, (0, -5_400_000_000)),
        ("'1 2:03:04.5' DAY TO SECOND", {"day", "hour", "minute", "second"}, (0, 93_784_500_000)),
        ("'1-2' YEAR TO MONTH", {"year", "month"}, (14, 0)),
        ("'90' MINUTE TO SECOND", {"minute", "second"}, None),
        ("'x' HOUR", {"hour"}, None),
        ("1.5 HOUR", {"hour"}, None),
        ("'soon'", set(), None),
    ],
)
def test_forms(text: str, units: set[str], value: tuple[int, int] | None) -> None:
    assert read(f"{text}, 1 DAY") == (frozenset(units), value, ", 1 DAY")


@pytest.mark.parametrize("text", ["", "10", "x DAY", "10 fortnights", "-", "(1) DAY"])
def test_what_is_none(text: str) -> None:
    assert read(text) is None
