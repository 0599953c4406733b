"""Divisions that look at the dividend first."""

from __future__ import annotations

import pytest

from riacho.server.plan.from_sql.expressions import read_expression
from riacho.server.plan.null_division import null_by_zero
from riacho.server.plan.text import column_name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sum(v) / count(v)", "(sum(v) / (IF((sum(v) IS NOT NULL), count(v), NULL)))"),
        ("1 + a % b", "(1 + (a % (IF((a IS NOT NULL), b, NULL))))"),
        ("max(mod(a, b))", "max(mod(a, (IF((a IS NOT NULL), b, NULL))))"),
        ("a / 2", "(a / 2)"),
        ("a * b", "(a * b)"),
    ],
)
def test_the_divisor_is_null_where_the_dividend_is(before: str, after: str) -> None:
    assert column_name(null_by_zero(read_expression(before))) == after


def test_a_long_chain_of_divisions_does_not_double_with_each() -> None:
    assert null_by_zero(read_expression(" / ".join(["a"] + ["b"] * 40))).ByteSize() < 100_000
