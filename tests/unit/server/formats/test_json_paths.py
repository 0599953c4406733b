"""What the fast path of the JSON reader takes must be what the exact one gives; else it may refuse, but never differ.

The documents drawn here are as programs write them, and as they should not be: nested, with keys in any order, nulls,
missing and repeated fields, escapes, odd numbers, values of the wrong type at any depth, and bytes changed at random.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from riacho import types
from riacho.options import Options
from riacho.server.formats.base import DecoderContext
from riacho.server.formats.content import Lines
from riacho.server.formats.json_reader import JsonDecoder
from riacho.server.formats.json_spelling import columns_of_seconds
from riacho.server.formats.json_strict import StrictJson
from riacho.server.formats.options import JSON
from riacho.server.formats.salvage import LEAF, Refused
from tests.unit.server.formats.oracle.case import plain_rows

ITEM = pa.struct([("sku", pa.string()), ("quantity", pa.int32()), ("price", pa.decimal128(6, 2))])
USER = pa.struct([("name", pa.string()), ("age", pa.int16()), ("since", types.TIMESTAMP), ("home", pa.struct([
    ("x", pa.float64()), ("y", pa.float32())]))])  # fmt: skip
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("value", pa.float64()),
        ("flag", pa.bool_()),
        ("text", pa.string()),
        ("at", types.TIMESTAMP),
        ("local", types.TIMESTAMP_NTZ),
        ("day", pa.date32()),
        ("amount", pa.decimal128(38, 18)),
        ("rate", pa.decimal128(20, 18)),
        ("total", pa.decimal128(38, 2)),
        ("user", USER),
        ("tags", pa.list_(pa.field("element", pa.string()))),
        ("items", pa.list_(pa.field("element", ITEM))),
        ("matrix", pa.list_(pa.field("element", pa.list_(pa.field("element", pa.int64()))))),
        ("bad", pa.string()),
    ]
)
"""The last one is for malformed records."""


def decoder(schema: pa.Schema = SCHEMA, options: Mapping[str, str] | None = None) -> JsonDecoder:
    given = {"columnNameOfCorruptRecord": "bad", **(options or {})}
    return JsonDecoder.of(schema, Options.check("json", JSON, given), DecoderContext())


ODD_NUMBERS = (
    "0 -0 -0.0 0.0 1.0 1e3 1E-2 -1.5e+2 1e-400 1e400 3.4e39 127 128 2147483648 9223372036854775807 "
    "9223372036854775808 -9223372036854775809 01 1. .5 +1 1_0 0x1F - NaN -NaN Infinity -Infinity +Infinity Inf "
    "-Inf INF -INF +INF 1.005 99999.99 0.1234567890123456789 0.30000000000000004 9e37 "
    "1e20 99999999999999999999 1704067200 12345678901234567890123"
)
UNKNOWN_NAMES = ["other", "ID", "\\u0069d", ""]


def numbers(usual: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(usual, usual, usual, st.sampled_from(ODD_NUMBERS.split(" ")))


LONGS = numbers(st.integers(-(2**63), 2**63 - 1).map(str))
SMALL = numbers(st.integers(0, 99).map(str))
FLOATS = numbers(st.floats(allow_nan=False, allow_infinity=False).map(repr))
BOOLEANS = st.sampled_from(["true", "false", "true", "false", "True", "nul", "1"])


@st.composite
def strings(draw: st.DrawFn) -> str:
    """Text between quotes, in one of the ways that it may be escaped, or may not."""
    odd = [
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\ude00",
        "\\ud83dx",
        "\\u0000",
        "\\x",
        "\\u12",
        "\\'",
        "\\/",
        "\t",
        "\x00",
        '"',
    ]
    if draw(st.integers(0, 5)) == 0:
        return f'"{draw(st.text(max_size=3)) if draw(st.booleans()) else ""}{draw(st.sampled_from(odd))}"'
    return json.dumps(draw(st.text(max_size=6)), ensure_ascii=draw(st.booleans()))


TIMES = st.sampled_from(
    ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05.123Z", "2024-01-02T03:04:05.123456Z", "2024-01-02T03:04:05+02:00",
     "2024-01-02T03:04:05.123456789Z", "1969-12-31T23:59:59.999999999-03:00", "2024-01-02T03:04:05.123456789",
     "2024-01-02T03:04Z", "2024-01-02T03:04:05+19:00", "2024-01-02 03:04:05", "2024-01-02T03:04:05", "2024-01-02",
     "2024-01-02T03:04", "2024-02-30", "2024-02-30T00:00:00Z", "12:00", "", "1", "n/a",
     # In São Paulo: skipped, repeated, when there were no whole hours yet.
     "2018-11-04T00:30:00", "2018-11-04T00:00:00", "2018-02-17T23:30:00", "2018-02-17T22:59:59", "1913-12-31T23:55:00",
     "1900-01-01", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]
).map(json.dumps)  # fmt: skip
DAYS = st.sampled_from(["2024-01-02", "1969-12-31", "2024-2-3", "2024-01-02T03:04:05Z", "19724", "x"]).map(json.dumps)


@dataclass(frozen=True)
class Shape:
    """How often something is not as it should be, of a hundred; the white space between tokens."""

    odds: int
    space: str


def value(draw: st.DrawFn, arrow: pa.DataType, shape: Shape) -> str:
    chance = draw(st.integers(0, 99))
    if chance < shape.odds:
        return draw(st.one_of(strings(), SMALL, st.sampled_from(
            ["null", "{}", "[]", "[null]", '{"x":1}', "[[1]]", "tru", "", "'a'", "[1,]", "{,}", '{"a" 1}', "[1 2]"]
        )))  # fmt: skip
    if chance < shape.odds + 15:
        return "null"
    if pa.types.is_struct(arrow):
        return record(draw, {field.name: field.type for field in arrow}, shape)
    if pa.types.is_list(arrow):
        some = [value(draw, arrow.value_type, shape) for _ in range(draw(st.integers(0, 3)))]
        return f"[{f',{shape.space}'.join(some)}]"
    if pa.types.is_boolean(arrow):
        return draw(BOOLEANS)
    if pa.types.is_string(arrow):
        return draw(strings())
    if pa.types.is_timestamp(arrow):
        return draw(TIMES)
    if pa.types.is_date32(arrow):
        return draw(DAYS)
    if pa.types.is_decimal(arrow):
        return draw(numbers(st.decimals(0, 9999, places=2).map(str)) | st.just('"1,234.50"'))
    return draw({pa.int64(): LONGS, pa.float64(): FLOATS, pa.float32(): FLOATS}.get(arrow, SMALL))


def record(draw: st.DrawFn, fields: Mapping[str, pa.DataType], shape: Shape) -> str:
    """An object with some of the fields, in any order; now and then with one twice, or with one that nobody knows."""
    names = draw(st.lists(st.sampled_from([*fields]), max_size=5, unique=draw(st.integers(0, 9)) > 0))
    pairs = [f'"{name}"{shape.space}:{shape.space}{value(draw, fields[name], shape)}' for name in names]
    if draw(st.integers(0, 3)) == 0:
        unknown = draw(
            st.one_of(LONGS, FLOATS, BOOLEANS, strings(), st.sampled_from(['{"a":[{}]}', "[[[]]]", '{"id":1}']))
        )
        pair = f'"{draw(st.sampled_from(UNKNOWN_NAMES))}":{unknown}'
        pairs.insert(draw(st.integers(0, len(pairs))), pair)
    return f"{{{f',{shape.space}'.join(pairs)}}}"


COLUMNS = {field.name: field.type for field in SCHEMA if field.name != "bad"}


@st.composite
def lines_of_json(draw: st.DrawFn, most: int = 4) -> bytes:
    shape = Shape(draw(st.sampled_from([0, 0, 0, 2, 20])), draw(st.sampled_from(["", "", " ", "  ", "\t"])))
    lines = [record(draw, COLUMNS, shape) for _ in range(draw(st.integers(1, most)))]
    odd = st.sampled_from(
        ["", "{}", "null", "1", "[{}]", '[{"id":1}]', "{", '{"id":1} x', '{"id":1}{"id":2}', "\ufeff{}", " {}"]
    )
    if draw(st.integers(0, 3)) == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(odd))
    end = draw(st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", " \n", "\n\n"]))
    return (end.join(lines) + draw(st.sampled_from(["", end]))).encode("utf-8", "surrogatepass")


def check(data: bytes, reader: JsonDecoder) -> bool:
    """Whether the fast path took all of these lines; what it took is what the exact one gives."""
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = Lines.of(data)
    if not len(lines):
        return False
    schema = reader._data_schema
    seconds = columns_of_seconds(schema, lines, reader.parser)
    strict = StrictJson(
        schema, lines, reader.datetimes, seconds=seconds, non_numeric=reader.parser.leniency.non_numeric_numbers
    )
    parsed = strict(0, len(lines))
    if isinstance(parsed, Refused):
        return False
    exact = plain_rows(reader._exact(lines, "/file", 0, len(lines)))
    assert plain_rows(reader._mended(parsed, lines, 0, "/file")) == exact, data
    return parsed.row is None


READERS = {
    "usual": decoder(),
    "no NaN": decoder(options={"allowNonNumericNumbers": "false"}),
    "zone": decoder(options={"timeZone": "America/Sao_Paulo"}),
    "patterns": decoder(options={"timeZone": "America/Sao_Paulo", "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss"}),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@settings(deadline=None, max_examples=100)
@given(data=lines_of_json())
@example(data=b'{"other":-NaN,"id":1}')
@example(data=b'{"value":NaN}\n{"value":Infinity}\n{"value":-Infinity}')
@example(data=b'{"text":1.50}\n{"text":"a"}\n{"text":true}')
@example(data=b'{"at":null}\n{"at":1704067200}')
@example(data=b'{"user":{"home":{"y":3.4e39}}}')
@example(data=b'{"user":{"name":12}}')
@example(data=b'{"other":"\\ud83d"}')
def test_what_is_taken_is_right(data: bytes, reader: JsonDecoder) -> None:
    check(data, reader)


@settings(deadline=None, max_examples=200)
@given(
    lines_of_json(),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.integers(0, 2), st.sampled_from(b'"\\{}[],: \n\t0-.eN\xc3\x00')),
        max_size=3,
    ),
)
def test_damaged_lines(data: bytes, damage: list[tuple[int, int, int]]) -> None:
    changed = bytearray(data)
    for where, removed, put in damage:
        at = where % (len(changed) + 1)
        changed[at : at + removed] = bytes([put])
    check(bytes(changed), READERS["usual"])


@settings(deadline=None, max_examples=40)
@given(st.lists(lines_of_json(most=12), min_size=4, max_size=8), st.integers(0, 2))
def test_a_file_is_read_as_its_lines_are(parts: list[bytes], odd_ones: int) -> None:
    """Also where the reader has to find the lines that the fast path does not take."""
    good = b'{"id":1,"user":{"name":"a","age":2},"tags":["x",null]}\n' * (2 * LEAF)
    data = good.join(parts[: 2 + odd_ones]).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = Lines.of(data)
    found = READERS["usual"]._block("/file", data)
    assert plain_rows(found) == plain_rows(READERS["usual"]._exact(lines, "/file", 0, len(lines)))


TAKEN = [
    b'{"user":{"age":1,"name":"a"},"id":1}\n{"id":2,"user":{"name":"b"}}\n{"user":null}\n{}\n{"user":{}}',
    b'{"tags":["a",null,"\\u00e9","\xc3\xa9"],"items":[{"sku":"x","price":1.5},{}],"matrix":[[1],[],null]}',
    b'{"text":"\\ud83d\\ude00 \\"q\\" \\\\ \\n \\/"}\n{"text":""}\n{"text":null}',
    b'{"value":NaN}\n{"value":-Infinity}\n{"value":1e3}',
    b'{"text":"a"}\n{"text":1.50}\n{"text":false}\n{"user":{"name":7}}',
    b'{"at":null}\n{"at":1704067200}\n{}',
    b'{"at":"2024-01-02T03:04:05Z"}\n{"at":"2024-01-02T03:04:05"}\n{"at":"2024-01-02T03:04:05.123456789+02:00"}',
    b'{"items":[{"price":0.30000000000000004}]}',
    b'{"other":{"id":"x","deep":[[{"a":null}]]},"id":1}',
]


@pytest.mark.parametrize("data", TAKEN)
def test_what_programs_write_is_taken(data: bytes) -> None:
    """The tests above would pass if everything was refused."""
    assert check(data, READERS["usual"])


def test_odd_lines_cost_no_other(tmp_path: Path) -> None:
    """Lines with values that only the exact path reads are the only ones that it gets."""
    odd = [b'{"at":"12:00"}', b'{"value":-0}', b'{"id":1.5}', b'{"user":{"age":"7"}}', b'{"text":{"a":1}}', b"{"]
    data = b"\n".join(
        line for at in range(200) for line in (b'{"id":1,"text":"a"}', odd[at % 6] if at % 20 < 6 else b"{}")
    )
    lines = Lines.of(data)
    given: list[bytes] = []

    class Spy(JsonDecoder):
        def _rows(self, records, path):  # type: ignore[no-untyped-def]
            given.extend(records)
            return super()._rows(records, path)

    usual = READERS["usual"]
    spy = Spy(usual.schema, usual.mode, usual.corrupt, usual.context, usual.options, usual.datetimes, usual.parser)
    found = plain_rows(spy._block("/file", data))
    assert found == plain_rows(usual._exact(lines, "/file", 0, len(lines)))
    assert len(given) <= 100


REFUSED = [b'{"id":1} x', b'{"id":1}{"id":2}', b"null", b'{"other":-NaN}', b'{"other":Inf}', b'{"id":1,"id":2}',
           b'{"text":"\xff"}', b'{"value":-0}', b'{"id":1.0}', b'{"id":"1"}',
           b'{"other":' + b"[" * 1001 + b"]" * 1001 + b"}"]  # fmt: skip


@pytest.mark.parametrize("data", REFUSED)
def test_what_spark_reads_otherwise_is_refused(data: bytes) -> None:
    assert not check(data, READERS["usual"])


@pytest.mark.parametrize("record", ['{"a":2}', '{"a":true}', '{"a":null}', '{"a":[1]}', '{"a":', "", "2"])
def test_records_of_which_no_field_is_wanted_still_count(tmp_path: Path, record: str) -> None:
    """Alike, of another kind, and malformed."""
    (tmp_path / "f.json").write_text(f'{{"a":1}}\n{record}\n' * 40)
    context = DecoderContext(unused=frozenset({"a"}))
    reader = JsonDecoder.of(pa.schema([("a", pa.int64())]), Options.check("json", JSON, {}), context)
    assert [batch.num_rows for batch in reader.decode(str(tmp_path / "f.json"))] == [80 if record else 40]
