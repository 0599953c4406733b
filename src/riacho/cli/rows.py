"""Rows on the terminal: as a table for people, or as JSON or CSV for programs."""

from __future__ import annotations

import base64
import csv
import json
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from riacho.cli.options import OutputFormat
from riacho.cli.terminal import printable

NULL = "NULL"
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
"""Numbers that JSON has no word for, as Spark writes them."""


def write(rows: pa.Table, form: OutputFormat, console: Console) -> None:
    """Print `rows`. For programs they go to the console's file as they are, not laid out for its width."""
    match form:
        case OutputFormat.TABLE:
            console.print(grid(rows))
        case OutputFormat.JSON:
            write_json(rows, console.file)
        case OutputFormat.CSV:
            write_csv(rows, console.file)


def grid(rows: pa.Table) -> Table:
    """A table for people: numbers to the right, nulls dim, times without what is zero behind the comma."""
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan")
    for field in rows.schema:
        numeric = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
        table.add_column(Text(field.name), justify="right" if numeric else "left", overflow="fold")
    for row in _rows(rows):
        table.add_row(*(Text(NULL, style="dim") if value is None else Text(_shown(value)) for value in row))
    return table


def write_json(rows: pa.Table, file: IO[str]) -> None:
    """An array with an object for each row, a row a line. Decimals are numbers, binary values are base64."""
    names = rows.column_names
    separator = "["
    for row in _rows(rows):
        document = {name: _json(value) for name, value in zip(names, row, strict=True)}
        file.write(f"{separator}\n{json.dumps(document, ensure_ascii=False)}")
        separator = ","
    file.write("[]\n" if separator == "[" else "\n]\n")


def write_csv(rows: pa.Table, file: IO[str]) -> None:
    """A header and a line for each row. A null is empty; arrays, maps and structs are JSON."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(rows.column_names)
    for row in _rows(rows):
        writer.writerow(_cell(value) for value in row)


def _rows(rows: pa.Table) -> Any:
    """The rows as tuples of Python values."""
    return zip(*(column.to_pylist(maps_as_pydicts="lossy") for column in rows.columns), strict=True)


def _shown(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case datetime():
            text = value.replace(tzinfo=None).isoformat(" ")
            return text.rstrip("0") if value.microsecond else text
        case bytes():
            return f"[{value.hex(' ').upper()}]"  # as Spark shows them
        case dict() | list():
            return json.dumps(_json(value), ensure_ascii=False)
        case _:
            return printable(str(value))


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            return str(value)
        case dict() | list() | bool():
            return json.dumps(_json(value), ensure_ascii=False)
        case _:
            return str(_json(value))


def _json(value: Any) -> Any:
    """The value as JSON has it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _NOT_FINITE[str(value)]
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(key): _json(each) for key, each in value.items()}
        case list():
            return [_json(each) for each in value]
        case _:
            return str(value)
