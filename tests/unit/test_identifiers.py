"""Identifiers as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riacho.identifiers import column_parts, last_part, quote, quote_if_needed, quoted

PARTS = st.lists(st.text(alphabet="aB1_ .`-é", min_size=1, max_size=5), min_size=1, max_size=4)


@given(parts=PARTS)
def test_what_is_quoted_is_taken_apart_again(parts: list[str]) -> None:
    assert column_parts(quoted(parts)) == tuple(parts)
    assert column_parts(".".join(map(quote_if_needed, parts))) == tuple(parts)
    assert last_part(quoted(parts)) == parts[-1].lower()


@given(text=st.text(alphabet="ab .`", max_size=10))
def test_any_text_has_parts(text: str) -> None:
    assert last_part(text) == "".join(column_parts(text)[-1:]).lower() or "`" not in text


def test_what_needs_quotes() -> None:
    assert [quote_if_needed(name) for name in ("a_1", "_", "1a", "a b", "é", "a`b", "")] == [
        "a_1", "_", "`1a`", "`a b`", "`é`", "`a``b`", "``",
    ]  # fmt: skip
    assert quote("a") == "`a`"
    assert column_parts("a b.s-1.`x.y`.z") == ("a b", "s-1", "x.y", "z")
    assert column_parts("") == ()
    assert last_part("t.`A``.B`") == "a`.b"
