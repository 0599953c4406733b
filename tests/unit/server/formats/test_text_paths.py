"""A file read as a whole gives what its records give one by one, wherever good and odd ones stand."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho import types
from riacho.options import Options
from riacho.server.formats import content
from riacho.server.formats.base import DecoderContext
from riacho.server.formats.content import Lines
from riacho.server.formats.csv_reader import CsvDecoder
from riacho.server.formats.json_reader import JsonDecoder
from riacho.server.formats.options import CSV, JSON
from tests.unit.server.formats.oracle.case import plain_rows

SCHEMA = pa.schema(
    [
        ("i", pa.int32()),
        ("t", types.TIMESTAMP),
        ("s", pa.string()),
        ("d", pa.float64()),
        ("l", pa.list_(pa.field("element", pa.int64()))),
        ("_corrupt_record", pa.string()),
    ]
)
FLAT = pa.schema([field for field in SCHEMA if field.name != "l"])

good = st.builds(
    lambda i, s, d, items: json.dumps({"i": i, "t": "2024-01-02T03:04:05.5Z", "s": s, "d": d, "l": items}),
    st.integers(-(2**31), 2**31 - 1),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
)
odd = st.sampled_from(
    [
        '{"i": 1.5}', '{"i": "x", "s": 1.50}', "junk", "{}", " ", '{"s": {"a": 1}}', '{"d": -0}', '{"d": NaN}',
        '{"i": 1, "i": 2}', '{"i": 1} {"i": 2}', '[{"i": 1}, {"i": 2}]', '{"i": 1', "{'i': 3}", '{"t": 17}',
        '{"t": "2024-01-02"}', '{"t": "soon"}', '{"l": [1, "x"]}', '{"z": Inf}',
    ]
)  # fmt: skip
bare = st.sampled_from(['{"s": 1.50, "t": 1704067200}', '{"s": true, "i": 2}', '{"s": "1", "t": 9223372036854775807}'])
good_csv = st.builds(
    lambda i, s, d: f'{i},2024-01-02 03:04:05,"{s}",{d!r}',
    st.integers(-(2**31), 2**31 - 1),
    st.text(st.characters(codec="ascii", exclude_characters='"\\\n\r')),
    st.floats(allow_nan=False, allow_infinity=False),
)
odd_csv = st.sampled_from(
    [
        "1",
        "x,2024,a,b",
        "1,2024-01-02,a,1,2",
        '1,,"a""b",2',
        ",,,",
        " ",
        "#",
        '1,,"a,2',
        "1,,a\\,2",
        "1,03,a,nan",
        "0x1,,a,1",
    ]
)


@settings(deadline=None)
@given(
    st.lists(good | odd | bare, max_size=150) | st.lists(bare | odd, max_size=80),
    st.sampled_from(["PERMISSIVE", "DROPMALFORMED"]),
)
def test_json(records: list[str], mode: str) -> None:
    decoder = JsonDecoder.of(SCHEMA, Options.check("json", JSON, {"mode": mode}), DecoderContext())
    check(decoder, records)


@settings(deadline=None)
@given(st.lists(good_csv | odd_csv, max_size=150), st.sampled_from(["PERMISSIVE", "DROPMALFORMED"]))
def test_csv(records: list[str], mode: str) -> None:
    decoder = CsvDecoder.of(FLAT, Options.check("csv", CSV, {"mode": mode}), DecoderContext(today=lambda: 0))
    check(decoder, records)


@settings(deadline=None)
@given(
    st.lists(good | bare, max_size=30) | st.lists(st.sampled_from(['{"i": 1, "s": "a"}', '{"i": 2, "s": "b"}', "{"]))
)
def test_json_in_small_blocks_by_several_threads(records: list[str]) -> None:
    decoder = JsonDecoder.of(FLAT, Options.check("json", JSON, {}), DecoderContext(threads=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_BYTES", 100)
        check(decoder, records)


@settings(deadline=None)
@given(st.lists(good_csv | odd_csv, max_size=30))
def test_csv_in_small_blocks_by_several_threads(records: list[str]) -> None:
    decoder = CsvDecoder.of(FLAT, Options.check("csv", CSV, {}), DecoderContext(today=lambda: 0, threads=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_BYTES", 100)
        check(decoder, records)


def check(decoder: JsonDecoder | CsvDecoder, records: list[str]) -> None:
    lines = Lines.of("\n".join(records).encode())
    one_by_one = [row for i in range(len(lines)) for row in plain_rows(decoder._exact(lines, "/f", i, i + 1))]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        path.write_bytes(lines.data)
        whole = pa.Table.from_batches(decoder.decode(str(path)), decoder.schema)
    assert plain_rows(whole) == one_by_one
