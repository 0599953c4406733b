"""Clauses and lists of queries, by their tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.sql.pieces import items, outside
from riacho.server.sql.select_lists import has_alias
from riacho.server.sql.tokens import tokenize
from riacho.server.sql.words import BEHIND_SELECT


def words_of(sql: str, *, calls: bool = True) -> list[str]:
    tokens = tokenize(sql)
    return [tokens[at].word for at in outside(tokens, 0, len(tokens), BEHIND_SELECT | {"LEFT"}, calls=calls)]


def test_clauses_stand_outside_brackets_and_names() -> None:
    assert words_of("SELECT t.from, (SELECT 1 FROM x) FROM t WHERE a IS NOT DISTINCT FROM b ORDER BY 1") == [
        "FROM", "WHERE", "ORDER",
    ]  # fmt: skip
    assert words_of("SELECT DISTINCT a FROM t LEFT JOIN u", calls=False) == ["FROM", "LEFT"]
    assert words_of("SELECT left(a, 1) FROM t", calls=False) == ["FROM"]


@given(parts=st.lists(st.sampled_from(["a", "f(b, c)", "m[1, 2]", "'x,y'", "`d,e`", "(f, (g, h))"]), min_size=1))
def test_items_are_split_at_their_own_commas(parts: list[str]) -> None:
    sql = ", ".join(parts)
    tokens = tokenize(sql)
    found = items(tokens, 0, len(tokens))
    assert [sql[tokens[first].start : tokens[behind - 1].end] for first, behind in found] == parts


@pytest.mark.parametrize(
    ("sql", "alias"),
    [
        ("a AS b", True), ("a b", True), ("f(a) b", True), ("a + b", False), ("INTERVAL 1 MILLISECOND", False),
        ("INTERVAL 1 DAY d", True), ("CASE WHEN a THEN b END", False), ("NOT a", False), ("a", False),
    ],
)  # fmt: skip
def test_aliases(sql: str, alias: bool) -> None:
    assert has_alias(tokenize(sql)) is alias
