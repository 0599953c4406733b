"""Which columns SQL text may use."""

from __future__ import annotations

import pytest

from riacho.server.plan.mentions import EVERY, Names, named_in_text


@pytest.mark.parametrize(
    "text",
    ["a + b", "a * b", '"a" + b', "2 * b / a", "(a) * b", "f(a, `B`)", "count(*) + a + b", "SELECT a * b FROM t",
     "a[0] * b", "SELECT count(*) AS n, max(b) FROM STREAM t GROUP BY a",
     "SELECT a /* all: * */ FROM t WHERE b = 'x*y'",
     "SELECT cast(a AS DECIMAL(9, 2)) FROM t x WHERE (b > 1)", "WITH w AS (SELECT a FROM t) SELECT b FROM w JOIN (u)"],
)  # fmt: skip
def test_columns_stand_in_text_as_words(text: str) -> None:
    assert {name for name in ("a", "b", "c") if name in named_in_text(text)} == {"a", "b"}


@pytest.mark.parametrize(
    "text",
    ["*", "t.*", "SELECT * FROM t", "SELECT DISTINCT * FROM t", "SELECT a, * FROM t", "SELECT t.* FROM t", "struct(*)",
     "count(struct(*))", "SELECT a FROM t NATURAL JOIN u", "FROM t", "WITH t AS (SELECT a FROM u) FROM t",
     "SELECT a FROM (FROM t)", "TABLE t", "FROM t |> WHERE a = 1", "SELECT IDENTIFIER('b') FROM t",
     "SELECT a FROM t PIVOT (sum(b) FOR c IN (1, 2))", "count(DISTINCT *)",
     "SELECT a FROM t AS x(a, b)", "SELECT a FROM t x (a, b)", "a IN (SELECT y FROM (u) AS x(y))"],
)  # fmt: skip
def test_some_text_means_columns_that_it_does_not_name(text: str) -> None:
    assert named_in_text(text) == EVERY


def test_names_with_and_without_all_others() -> None:
    some, most = Names(frozenset({"a"})), EVERY.without(["a", "b"])
    assert [name in some for name in "abc"] == [True, False, False]
    assert [name in most for name in "abc"] == [False, False, True]
    assert [name in some | most for name in "abc"] == [True, False, True]
    assert [name in most | EVERY.without(["b"]) for name in "abc"] == [True, False, True]
    assert [name in (some | most).without(["a"]) for name in "abc"] == [False, False, True]
