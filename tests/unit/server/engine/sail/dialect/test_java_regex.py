from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.engine.sail.dialect import java_regex


@pytest.mark.parametrize(
    ("java", "engines"),
    [
        (r"\w+", "[0-9A-Za-z_]+"),
        (r"[\w.]", "[[0-9A-Za-z_].]"),
        (r"\D\d", "[^0-9][0-9]"),
        (r"\s", r"[\x20\t\n\x0B\x0C\r]"),
        (r"\\d", r"\\d"),
        (r"\.\|", r"\.\|"),
        (r"\p{Alpha}\P{Digit}\p{L}", r"[[:alpha:]][[:^digit:]]\p{L}"),
        (r"\bw", r"\bw"),
    ],
)
def test_classes_are_of_ascii(java: str, engines: str) -> None:
    assert java_regex.pattern(java) == engines


@given(st.text(alphabet=r"ab\dwsDWS[](){}.*?+^$|p", max_size=12))
def test_a_pattern_is_changed_but_once(java: str) -> None:
    once = java_regex.pattern(java)
    assert java_regex.pattern(once) == once


@pytest.mark.parametrize(
    ("java", "count"),
    [("", 0), ("(a)(b)", 2), (r"\((a)", 1), ("(?:a)(?<n>b)(?<=c)", 1), ("[(](a)", 1), (r"[\](](a)", 1)],
)
def test_groups_are_counted(java: str, count: int) -> None:
    assert java_regex.groups(java) == count


@pytest.mark.parametrize(
    ("java", "count", "engines"),
    [
        ("$1x", 1, "${1}x"),
        ("$12", 1, "${1}2"),
        ("$12", 12, "${12}"),
        ("${n}x", 1, "${n}x"),
        (r"\$1", 1, "$$1"),
        (r"a\\b\c", 0, r"a\bc"),
        ("x", 0, "x"),
    ],
)
def test_replacements(java: str, count: int, engines: str) -> None:
    assert java_regex.replacement(java, count) == engines
