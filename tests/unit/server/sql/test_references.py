"""Where the clauses behind a table's name end: the version, the sample, and where an alias stands or would stand."""

from __future__ import annotations

import pytest

from riacho.server.sql.references import table_references


@pytest.mark.parametrize(
    ("text", "named", "versioned", "behind", "aliased"),
    [
        ("a.t", "a.t", "a.t", "a.t", False),
        ("t AS x", "t", "t", "t", True),
        ("t VERSION AS OF 3", "t", "t VERSION AS OF 3", "t VERSION AS OF 3", False),
        ("t FOR VERSION AS OF 3 x", "t", "t FOR VERSION AS OF 3", "t FOR VERSION AS OF 3", True),
        ("t TIMESTAMP AS OF '2024-01-01' x", "t", "t TIMESTAMP AS OF '2024-01-01'", None, True),
        ("t TIMESTAMP AS OF f(a, 'b') - 1 AS x", "t", "t TIMESTAMP AS OF f(a, 'b') - 1", None, True),
        ("t TABLESAMPLE (3 PERCENT) REPEATABLE (1) x", "t", "t", "t TABLESAMPLE (3 PERCENT) REPEATABLE (1)", True),
    ],
)
def test_clauses(text: str, named: str, versioned: str, behind: str | None, aliased: bool) -> None:
    before, after = "SELECT * FROM ", " WHERE a > 1"
    [found] = table_references(before + text + after)
    sql = before + text + after
    assert sql[found.start : found.end] == named
    assert sql[found.start : found.version_end] == versioned
    assert sql[found.start : found.behind] == (versioned if behind is None else behind)
    assert found.aliased is aliased
