"""The cursor over a statement, and where its errors stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import ParseError
from riacho.server.sql.cursor import Cursor, dotted_name
from riacho.server.sql.errors import UnplacedSyntaxError, syntax_error
from riacho.server.sql.tokens import tokenize

SQL = st.text(alphabet="ab1 ,;.()<>='\"`-/*\n\t", max_size=30)


def failure(cursor: Cursor) -> str:
    with pytest.raises(ParseError) as caught:
        cursor.expect("NOWHERE")
    return caught.value.message


@given(text=SQL, blanks=st.text(alphabet=" \n", max_size=5))
def test_an_error_points_at_its_token(text: str, blanks: str) -> None:
    text = blanks + text
    for token in [*tokenize(text), None]:
        message = syntax_error(text, token).message
        line, position = (int(number) for number in message.split("(line ")[1].split(")")[0].split(", pos "))
        start = len(text) if token is None else token.start
        assert sum(len(one) + 1 for one in text.split("\n")[: line - 1]) + position == start
        block = message.split("== SQL ==\n")[1].split("\n")
        marks = [at for at, one in enumerate(block) if one == "-" * position + "^^^"]
        assert any("\n".join(block[:at] + block[at + 1 :]).rstrip("\n") == text.rstrip("\n") for at in marks)


@given(parts=st.lists(st.text(alphabet="aB1_ .`é", min_size=1, max_size=5), min_size=1, max_size=4))
def test_names_are_read_as_they_were_written(parts: list[str]) -> None:
    assert dotted_name(".".join("`" + part.replace("`", "``") + "`" for part in parts)) == tuple(parts)


@given(items=st.lists(st.sampled_from(["a", "f(b, c)", "m MAP<INT, STRING>", "'x,y'", "(d < e)"]), min_size=1))
def test_brackets_are_split_at_their_own_commas(items: list[str]) -> None:
    cursor = Cursor(f"({', '.join(items)}) behind")
    assert [part.rest() for part in cursor.brackets()] == items
    assert cursor.word == "BEHIND"


def test_what_stands_there_instead() -> None:
    cursor = Cursor("a (b, c d) e f;")
    assert "near 'a'. " in failure(cursor)
    cursor.name()
    first, second = cursor.brackets()
    first.name()
    assert "near ','. " in failure(first)
    second.name()
    with pytest.raises(ParseError, match="near 'd': extra input 'd'"):
        second.expect_end()
    second.name()
    assert "near '\\)'. " in failure(second).replace(")'", "\\)'")
    with pytest.raises(ParseError, match=r"near 'e'\. "):
        cursor.expect_end()
    with pytest.raises(ParseError, match="near 'e': missing 'X'"):
        cursor.expect("X", then="name")
    with pytest.raises(ParseError, match="near 'e': extra input 'e'"):
        cursor.expect("F", then="name")
    with pytest.raises(ParseError, match="near 'e': missing '\\('"):
        cursor.brackets()
    assert cursor.rest() == "e f"
    assert "near ';'. " in failure(cursor)


@pytest.mark.parametrize(
    ("text", "ok"),
    [("SELECT 1", True), ("((WITH a AS (b) c))", True), ("FOO", False), ("(FOO)", False), ("", False), ("((", False)],
)
def test_a_query_begins_as_one(text: str, ok: bool) -> None:
    if ok:
        assert Cursor(text).query() == text
    else:
        with pytest.raises(ParseError):
            Cursor(text).query()


def test_values_of_properties() -> None:
    cursor = Cursor("(a.b = 1, 'c' \"d\", e == -2, f = TRUE)")
    assert cursor.properties() == {"a.b": "1", "c": "d", "e": "-2", "f": "TRUE"}
    with pytest.raises(ParseError, match=r"Values must be specified for key\(s\): \[a,c\]"):
        Cursor("(a, b = 1, c)").properties()
    with pytest.raises(ParseError, match=r"A value must be specified for the key: a\."):
        Cursor("(a)").options()


def test_the_engine_s_syntax_errors_get_a_place() -> None:
    error = UnplacedSyntaxError.of("PARSE_SYNTAX_ERROR", "…", sql_state="42601", error="'x'", hint="")
    error.start = 9
    for text, place in [
        ("select a x x", "pos 9"),
        ("select  x y", "pos 8"),
        ("select 'x", "pos 7"),
        ("select x, x", None),
    ]:
        assert (place or "…") in error.placed(text).message
        assert (error.placed(text) is error) is (place is None)
    error.start = None
    assert "(line 1, pos 8)" in error.placed("select x").message
