"""Lines that are all alike: what is read without a parser is what the exact parser gives, and the rest is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from riacho import types
from riacho.options import Options
from riacho.server.formats.base import DecoderContext
from riacho.server.formats.content import Lines
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.json_reader import JsonDecoder
from riacho.server.formats.json_template import LineTemplate, TemplateJson, supports, template_of
from riacho.server.formats.options import JSON
from tests.unit.server.formats.oracle.case import plain_rows

SCHEMA = pa.schema(
    [
        ("long", pa.int64()),
        ("byte", pa.int8()),
        ("double", pa.float64()),
        ("float", pa.float32()),
        ("decimal", pa.decimal128(6, 2)),
        ("flag", pa.bool_()),
        ("text", pa.string()),
        ("raw", pa.string()),
        ("day", pa.date32()),
        ("at", types.TIMESTAMP),
        ("seconds", types.TIMESTAMP),
        ("local", types.TIMESTAMP_NTZ),
    ]
)
DECODER = JsonDecoder.of(SCHEMA, Options.check("json", JSON, {"mode": "PERMISSIVE"}), DecoderContext())
READ = TemplateJson(SCHEMA, Datetimes())

NUMBERS = (
    "0 7 -7 12 127 128 -128 -0 007 1. .5 -.5 -5. 1.5 1.50 -0.0 0.5 00.5 1234.56 12345.6 1.234 1e3 1E-2 1.e3 9e999 "
    "-1e-999 1.2.3 1-2 --1 - + +1 0x1F NaN Infinity inf 9223372036854775807 9223372036854775808 1704067200 3.4e39"
)
OTHERS = ["null", "true", "false", "True", "nul", "'", ",", "", "[1]", "{}", "1\t", " 1"]
bare = st.sampled_from([*NUMBERS.split(" "), *OTHERS]) | st.integers(-(2**70), 2**70).map(str)
text = st.sampled_from(
    ["", "a", "ção", "a,b", '{"a":1}'[:3], "2024-01-02", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05+02:00", "12:00",
     "2024-01-02 03:04:05.123456", "2024-01-02T03:04", "-", "1", "null", "\ud800".encode("utf-8", "replace").decode(),
     "\x7f", "\t", "\\n", 'x"y', "a\\"]
)  # fmt: skip
names = st.sampled_from([*SCHEMA.names, "other", "Text"])


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """Lines with the same fields. Mostly each field is spelled in one way only, so that many blocks can be read."""
    fields = draw(st.lists(names, min_size=1, max_size=4, unique=draw(st.integers(0, 9)) > 0))
    space = draw(st.sampled_from(["", "", " ", "  "]))
    spellings = []
    for _ in fields:
        values = draw(st.sampled_from(["quoted", "bare", "long", "short"]))
        some = {"quoted": text.map(lambda t: f'"{t}"'), "bare": bare}.get(
            values, st.integers(-(2**63), 2**63 - 1).map(str) if values == "long" else st.integers(0, 99).map(str)
        )
        few = draw(st.lists(some, min_size=1, max_size=3))
        spellings.append(st.sampled_from(few))
    lines = [
        "{" + f",{space}".join(f'"{f}":{space}{draw(s)}' for f, s in zip(fields, spellings, strict=True)) + "}"
        for _ in range(draw(st.integers(1, 5)))
    ]
    return ("\n".join(lines) + draw(st.sampled_from(["", "\n"]))).encode()


def exact(block: bytes) -> list[list[object]]:
    lines = Lines.of(block)
    return plain_rows(DECODER._exact(lines, "/file", 0, len(lines))) if len(lines) else []


def check(block: bytes) -> None:
    found = READ(block)
    if found is not None:
        assert found.schema == SCHEMA
        assert plain_rows(found) == exact(block), block


@settings(deadline=None)
@given(blocks())
@example(b'{"long":1, "byte":2}\n{"long":3,"byte":4}')
@example(b'{"long": , "byte":1}')
@example(b'{"text":"a","raw":"b"}\n{"text":"a\n","raw":"b"}')
def test_what_is_read_is_right(block: bytes) -> None:
    check(block)


@settings(deadline=None)
@given(
    blocks(),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 2), st.sampled_from(b'"\\{}[],: \n\t0-.en\xc3\x00')),
        max_size=3,
    ),
)
def test_a_damaged_block_is_refused_or_read_right(block: bytes, damage: list[tuple[int, int, int]]) -> None:
    data = bytearray(block)
    for where, removed, put in damage:
        at = where % (len(data) + 1)
        data[at : at + removed] = bytes([put])
    check(bytes(data))


GOOD = [
    (b'{"long":1,"text":"a"}\n{"long":-22,"text":""}\n', [("long", [1, -22]), ("text", ["a", ""])]),
    (b'{"text":"a", "double": 1.5}\n{"text":"b", "double": null}', [("text", ["a", "b"]), ("double", [1.5, None])]),
    (b'{"double":2e3}\n{"double":-1.5E-1}', [("double", [2000.0, -0.15])]),
    (b'{"flag":true,"raw":1.50}\n{"flag":null,"raw":false}', [("flag", [True, None]), ("raw", ["1.50", "false"])]),
    (b'{"seconds":1704067200}', [("seconds", [datetime(2024, 1, 1, tzinfo=UTC)])]),
    (b'{"day":"2024-01-02"}', [("day", [date(2024, 1, 2)])]),
    (b'{"other":[1],"long":1}', None),
    (b'{"other":1,"long":1}', [("long", [1])]),
    (b'{"other":one,"long":1}', None),
    (b'{"text":"a\\n"}', None),
    (b'{"text":"a"}\n\n{"text":"b"}', None),
    (b'{"text":"a"}\n{"text":null}', None),
    (b'{"text":"\xff"}', None),
    (b'{"long":"1"}', None),
    (b'{"long":1,"long":2}', None),
    (b"{}", None),
    (b"", None),
]  # fmt: skip


@pytest.mark.parametrize(("block", "expected"), GOOD)
def test_examples(block: bytes, expected: list[tuple[str, list[object]]] | None) -> None:
    """The tests above would pass if everything was refused."""
    found = READ(block)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert [(name, found.column(name).to_pylist()) for name, _ in expected] == expected


def test_a_long_block_is_refused_early_and_late() -> None:
    lines = [b'{"long":%d,"text":"t%d"}' % (i, i) for i in range(5_000)]
    found = READ(b"\n".join(lines))
    assert found is not None
    assert found.column("long").to_pylist() == list(range(5_000))
    assert found.column("text").to_pylist() == [f"t{i}" for i in range(5_000)]
    assert READ(b"\n".join([*lines, b'{"text":"last","long":1}'])) is None
    assert READ(b"\n".join([lines[0], b'{"long":1}', *lines])) is None


def test_a_template() -> None:
    assert template_of(b'{"a":1, "b": "x" ,"c":null}') == LineTemplate(
        (b'{"a":', b', "b": "', b'" ,"c":', b"}"), ("a", "b", "c"), (False, True, False)
    )
    assert template_of(b'{"a":{"b":1}}') is None


def test_a_rescue_column_wants_every_field_known() -> None:
    assert TemplateJson(SCHEMA, Datetimes(), refuse_unknown=True)(b'{"long":1,"other":2}') is None


def test_the_types() -> None:
    assert supports(SCHEMA, Datetimes())
    assert not supports(pa.schema([("a", pa.list_(pa.int64()))]), Datetimes())
    assert not supports(pa.schema([("a", pa.binary())]), Datetimes())


@pytest.mark.parametrize("record", ['{"a":2}', '{"a":true}', '{"a":null}', '{"a":[1]}', '{"a":', "", "2"])
def test_records_of_which_no_field_is_wanted_still_count(tmp_path: Path, record: str) -> None:
    """Alike, of another kind, and malformed."""
    (tmp_path / "f.json").write_text(f'{{"a":1}}\n{record}\n' * 40)
    context = DecoderContext(unused=frozenset({"a"}))
    decoder = JsonDecoder.of(pa.schema([("a", pa.int64())]), Options.check("json", JSON, {}), context)
    assert [batch.num_rows for batch in decoder.decode(str(tmp_path / "f.json"))] == [80 if record else 40]


@pytest.mark.parametrize("value", ["1.2.3", "01", "1.", ".5", "-", "tru", "+1", "1-2", "Infinity", "0x1", "1e"])
def test_a_bare_value_that_nobody_looks_at_must_be_one(value: str) -> None:
    read = TemplateJson(pa.schema([("b", pa.string())]), Datetimes())
    assert read(b'{"a":1.5,"b":"x"}\n{"a":%s,"b":"y"}\n' % value.encode()) is None


def test_values_that_nobody_looks_at_are_passed_over() -> None:
    read = TemplateJson(pa.schema([("b", pa.string())]), Datetimes())
    block = b"".join(b'{"a":%s,"b":"x"}\n' % value for value in (b"1", b"-0.5", b"2e9", b"true", b"false", b"null"))
    table = read(block)
    assert table is not None
    assert table.to_pydict() == {"b": ["x"] * 6}


def test_a_text_with_a_comma_costs_no_block() -> None:
    read = TemplateJson(SCHEMA, Datetimes())
    for text in ("a", "a,b", "a"):
        found = read(b'{"long":1,"text":"%s"}\n' % text.encode())
        assert found is not None
        assert found["text"].to_pylist() == [text]
