"""Rows as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from riacho.cli.options import OutputFormat
from riacho.cli.rows import write

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROWS = pa.table(
    {
        "n": pa.array([1, None], pa.int32()),
        "text": pa.array(['a "b", c', ""]),
        "at": pa.array([NOON, NOON + timedelta(microseconds=1500)], pa.timestamp("us", "UTC")),
        "day": pa.array([date(2026, 1, 5), None]),
        "money": pa.array([Decimal("1.50"), Decimal("2.00")], pa.decimal128(10, 2)),
        "x": pa.array([0.5, float("nan")]),
        "flag": pa.array([True, False]),
        "raw": pa.array([b"hi", None]),
        "many": pa.array([[1, 2], []], pa.list_(pa.int64())),
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "one": pa.array([{"a": 1}, None], pa.struct([("a", pa.int64())])),
    }
)


def printed(rows: pa.Table, form: OutputFormat, width: int = 200) -> str:
    file = io.StringIO()
    write(rows, form, Console(file=file, width=width))
    return file.getvalue()


def test_json_is_an_array_of_objects() -> None:
    first, second = json.loads(printed(ROWS, OutputFormat.JSON))

    assert first == {
        "n": 1,
        "text": 'a "b", c',
        "at": "2026-01-05T12:00:00+00:00",
        "day": "2026-01-05",
        "money": 1.5,
        "x": 0.5,
        "flag": True,
        "raw": "aGk=",
        "many": [1, 2],
        "map": {"k": 1},
        "one": {"a": 1},
    }
    assert (second["n"], second["x"], second["money"], second["one"]) == (None, "NaN", 2, None)


def test_csv_reads_back() -> None:
    header, first, second = csv.reader(io.StringIO(printed(ROWS, OutputFormat.CSV)))

    assert header == ROWS.column_names
    assert first[:5] == ["1", 'a "b", c', "2026-01-05T12:00:00+00:00", "2026-01-05", "1.50"]
    assert first[6:] == ["true", "aGk=", "[1, 2]", '{"k": 1}', '{"a": 1}']
    assert second[0] == second[1] == ""


def test_a_table_is_for_people() -> None:
    lines = printed(ROWS, OutputFormat.TABLE).splitlines()
    cells = [line.split() for line in lines if line.strip()]

    assert cells[0] == ROWS.column_names
    assert cells[2][:1] == ["1"]
    assert "2026-01-05 12:00:00" in lines[3]
    assert "2026-01-05 12:00:00.0015" in lines[4]
    assert "[68 69]" in lines[3]
    assert cells[3][0] == "NULL"


@pytest.mark.parametrize(
    ("form", "text"), [(OutputFormat.JSON, "[]\n"), (OutputFormat.CSV, "a\n"), (OutputFormat.TABLE, None)]
)
def test_no_rows(form: OutputFormat, text: str | None) -> None:
    shown = printed(pa.table({"a": pa.array([], pa.int64())}), form)
    assert shown == text if text is not None else shown.split()[0] == "a"


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_keeps_within_the_terminal(width: int) -> None:
    long: Any = pa.table({"name": ["x" * 300], "n": [1]})
    assert max(map(len, printed(long, OutputFormat.TABLE, width).splitlines())) <= width


def test_json_is_not_folded_at_the_width() -> None:
    rows = pa.table({"name": ["x" * 300]})
    assert json.loads(printed(rows, OutputFormat.JSON, 80)) == [{"name": "x" * 300}]
