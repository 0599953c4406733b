from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.formats.json_tokens import NO_TOKENS, JsonParser, Leniency, MalformedJsonError, Number, decode_utf8

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
PARSER = JsonParser(Leniency())


@given(values, st.booleans())
def test_both_parsers_make_the_same_tree(value: Any, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    assert PARSER.parse(text) == PARSER.parse_with_source(text) == PARSER.parse_with_outer_source(text)


@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.sampled_from([None, 1]), st.sampled_from([" ", ""]))
def test_the_values_of_an_object_keep_their_source(value: Any, indent: int | None, space: str) -> None:
    text = space + json.dumps(value, indent=indent, separators=(f",{space}", f"{space}:{space}")) + space
    found, wanted = PARSER.parse_with_outer_source(text), PARSER.parse_with_source(text)
    assert found == wanted
    for (_, one), (_, other) in zip(found, wanted, strict=True):
        assert getattr(one, "text", None) == getattr(other, "text", None)


@given(values)
def test_containers_keep_their_source(value: Any) -> None:
    text = json.dumps(value, indent=1)
    node = PARSER.parse_with_source(f"  {text}  ")
    if isinstance(value, dict | list):
        assert node.text == text


@given(st.text(alphabet="{}[]\",:0123456789.eE+-truefalsn \\u'/*NaIy", max_size=30))
def test_what_one_parser_takes_the_other_takes_alike(text: str) -> None:
    def outcome(parse: Any) -> Any:
        try:
            return parse(text)
        except MalformedJsonError:
            return "malformed"

    wanted = outcome(PARSER.parse_with_source)
    assert outcome(PARSER.parse) == wanted
    assert outcome(PARSER.parse_with_outer_source) == wanted


def test_numbers_keep_their_spelling() -> None:
    assert PARSER.parse("[1.50, -0, 1e2]") == [Number("1.50"), Number("-0"), Number("1e2")]


def test_names_may_repeat() -> None:
    for parse in (PARSER.parse, PARSER.parse_with_outer_source):
        assert parse('{"a": 1, "a": 2}') == [("a", Number("1")), ("a", Number("2"))]


@pytest.mark.parametrize(
    "text", ['{"a":1} x', '{"a":1,}', '{"a":1', "{", "{}", " { } ", '{"a" 1}', '{,"a":1}', "[{}]", "1"]
)
def test_objects_by_their_fields(text: str) -> None:
    def outcome(parse: Any) -> Any:
        try:
            return parse(text)
        except MalformedJsonError:
            return "malformed"

    assert outcome(PARSER.parse_with_outer_source) == outcome(PARSER.parse_with_source)


@pytest.mark.parametrize("text", ["", "  ", "\t\r\n"])
def test_blank_text_has_no_tokens(text: str) -> None:
    assert PARSER.parse(text) is NO_TOKENS


def test_nesting_has_a_limit() -> None:
    with pytest.raises(MalformedJsonError):
        PARSER.parse_with_source("[" * 1001 + "]" * 1001)


def test_bytes_that_are_no_text_spoil_the_record_but_not_behind_its_end() -> None:
    with pytest.raises(MalformedJsonError):
        PARSER.parse(decode_utf8(b'{"a": "\xff"}'))
    assert PARSER.parse(decode_utf8(b'{"a": 1}\xff')) == [("a", Number("1"))]


@pytest.mark.parametrize(
    ("text", "leniency"),
    [
        ("/* c */ [1] // d", Leniency(comments=True)),
        ("{a: 1}", Leniency(unquoted_names=True)),
        ("{'a': 'b'}", Leniency(single_quotes=True)),
        ("[007]", Leniency(leading_zeros=True)),
        ("[NaN, -Infinity, +INF]", Leniency(non_numeric_numbers=True)),
        (r'["\q"]', Leniency(any_escape=True)),
        ('["a\tb"]', Leniency(control_chars=True)),
    ],
)
def test_each_leniency_can_be_switched(text: str, leniency: Leniency) -> None:
    strict = Leniency(single_quotes=False, non_numeric_numbers=False)
    assert JsonParser(leniency).parse(text)
    with pytest.raises(MalformedJsonError):
        JsonParser(strict).parse(text)
