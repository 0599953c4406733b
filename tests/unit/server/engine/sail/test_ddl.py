"""Comments are found in DDL text whatever surrounds them."""

from __future__ import annotations

import pytest

from riacho.server.engine.sail.ddl import column_comments


@pytest.mark.parametrize(
    ("text", "comments"),
    [
        ("", []),
        ("a INT", [None]),
        ("a INT COMMENT 'x'", ["x"]),
        ('a INT comment "x", b STRING', ["x", None]),
        ("a: INT NOT NULL COMMENT 'x'", ["x"]),
        ("a STRING COMMENT 'one, two (three) <four>', b INT COMMENT 'five'", ["one, two (three) <four>", "five"]),
        ("a STRING COMMENT 'it''s', b INT COMMENT 'it\\'s\\n'", ["it's", "it's\n"]),
        ("a STRUCT<b: INT COMMENT 'inside', c: DECIMAL(10, 2)>, d INT COMMENT 'd'", [None, "d"]),
        ("a STRUCT<b: INT COMMENT 'inside'> COMMENT 'outside'", ["outside"]),
        ("`a, b` MAP<STRING, ARRAY<INT>> COMMENT 'm'", ["m"]),
        ("comment STRING, `COMMENT` STRING COMMENT ''", [None, ""]),
        ("a INT DEFAULT 1 COMMENT 'x'\n  , b INT", ["x", None]),
    ],
)
def test_comments_by_column(text: str, comments: list[str | None]) -> None:
    assert column_comments(text) == comments
