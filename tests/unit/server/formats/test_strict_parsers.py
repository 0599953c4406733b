"""What a strict parser accepts must be what the exact one gives; else it may refuse, but never differ.

Every record of the cases for Spark is given to the strict parsers alone. The exact parsers are compared with Spark
itself in `test_against_spark`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from riacho import types
from riacho.options import Options
from riacho.server.formats.base import DecoderContext
from riacho.server.formats.content import Lines
from riacho.server.formats.csv_reader import CsvDecoder
from riacho.server.formats.csv_strict import StrictCsv
from riacho.server.formats.csv_strict import supports as csv_supports
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.json_reader import JsonDecoder
from riacho.server.formats.json_spelling import columns_of_seconds
from riacho.server.formats.json_strict import Parsed, StrictJson
from riacho.server.formats.json_strict import supports as json_supports
from riacho.server.formats.json_tokens import JsonParser, Leniency
from riacho.server.formats.options import CSV, JSON
from riacho.server.formats.salvage import Refused
from tests.unit.server.formats.oracle import csv_cases, json_cases
from tests.unit.server.formats.oracle.case import EXPECTED, Case, plain_rows
from tests.unit.server.formats.test_against_spark import DIFFERENT


def with_lines(cases: tuple[Case, ...], form: str) -> list[tuple[Case, pa.Schema]]:
    """The cases whose records are lines of text, with their schemas."""
    answers = json.loads((EXPECTED / f"{form}.json").read_text())
    return [
        (case, types.from_json(json.dumps(answers[case.name]["schema"])))
        for case in cases
        if case.schema is not None
        and "schema" in answers[case.name]
        and "error" not in answers[case.name]
        and (form, case.name) not in DIFFERENT
        and not case.suffix
        and not {"multiLine", "lineSep", "encoding", "header"} & case.options.keys()
    ]


def single_lines(case: Case) -> Iterator[Lines]:
    everything = Lines.of(case.content.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    for i in range(len(everything)):
        yield Lines.of(everything.line(i))


@pytest.mark.parametrize(
    ("case", "schema"), with_lines(json_cases.CASES, "json"), ids=lambda value: getattr(value, "name", "")
)
def test_json(case: Case, schema: pa.Schema) -> None:
    options = Options.check("json", JSON, {**case.options, "mode": "PERMISSIVE"})
    decoder = JsonDecoder.of(schema, options, DecoderContext(today=lambda: 0))
    data = decoder._data_schema
    if not json_supports(data, decoder.datetimes):
        return
    for lines in single_lines(case):
        seconds = columns_of_seconds(data, lines, decoder.parser)
        numbers = decoder.parser.leniency.non_numeric_numbers
        strict = StrictJson(data, lines, decoder.datetimes, non_numeric=numbers, seconds=seconds)(0, 1)
        if isinstance(strict, Parsed) and strict.row is None:
            assert plain_rows(strict.table) == exact_rows(decoder, lines, data), lines.line(0)


@pytest.mark.parametrize(
    ("case", "schema"), with_lines(csv_cases.CASES, "csv"), ids=lambda value: getattr(value, "name", "")
)
def test_csv(case: Case, schema: pa.Schema) -> None:
    options = Options.check("csv", CSV, {**case.options, "mode": "PERMISSIVE"})
    decoder = CsvDecoder.of(schema, options, DecoderContext(today=lambda: 0))
    data = decoder.in_file
    if not csv_supports(data, decoder.dialect, decoder.datetimes):
        return
    for lines in single_lines(case):
        strict = StrictCsv(data, lines, decoder.dialect, decoder.datetimes)(0, 1)
        if not isinstance(strict, Refused):
            assert plain_rows(strict) == exact_rows(decoder, lines, data), lines.line(0)


def exact_rows(decoder: Any, lines: Lines, schema: pa.Schema) -> list[list[Any]]:
    return plain_rows(decoder._exact(lines, "/file", 0, 1).select(schema.names))


def test_the_strict_parsers_take_plain_records() -> None:
    """The tests above would pass if everything was refused."""
    schema = pa.schema([("a", pa.int32()), ("t", types.TIMESTAMP), ("s", pa.string())])
    lines = Lines.of(b'{"a":1,"t":"2024-01-01T00:00:00Z","s":"x"}')
    assert isinstance(StrictJson(schema, lines, Datetimes())(0, 1), Parsed)
    bare = Lines.of(b'{"a":1,"t":1704067200,"s":1.50}')
    seconds = columns_of_seconds(schema, bare, JsonParser(Leniency()))
    table = StrictJson(schema, bare, Datetimes(), seconds=seconds)(0, 1)
    assert isinstance(table, Parsed)
    assert table.row is None
    assert plain_rows(table.table) == [[1, 1_704_067_200_000_000, "1.50"]]
    options = Options.check("csv", CSV, {})
    decoder = CsvDecoder.of(schema, options, DecoderContext())
    assert isinstance(
        StrictCsv(schema, Lines.of(b'1,2024-01-01 00:00:00,"x"'), decoder.dialect, Datetimes())(0, 1), pa.Table
    )
