"""What one comparison with Spark is made of: a file, a schema, the reader's options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

EXPECTED = Path(__file__).parent / "expected"
"""Where the recorder keeps Spark's answers, one JSON file per list of cases."""

RECORDED_DAY = "recorded"
"""The key of the day (since the epoch) on which Spark answered: a time of day without a date belongs to that day."""


@dataclass(frozen=True)
class Case:
    """One file read with one schema (DDL text; None lets Spark infer it)."""

    name: str
    schema: str | None
    content: bytes
    options: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


def lines(name: str, schema: str | None, rows: Sequence[str], **options: str) -> Case:
    """A case whose file has one text line per row."""
    return Case(name, schema, "".join(row + "\n" for row in rows).encode(), options)


def plain(value: pa.Scalar) -> Any:
    """An Arrow value as JSON can hold it without loss: times as their integers, floats and decimals as text."""
    if not value.is_valid:
        return None
    arrow = value.type
    if pa.types.is_struct(arrow):
        return {name: plain(value[i]) for i, name in enumerate(f.name for f in arrow)}
    if pa.types.is_map(arrow):
        entries = value.values
        return [[plain(entry[0]), plain(entry[1])] for entry in entries]
    if pa.types.is_list(arrow):
        return [plain(item) for item in value.values]
    if pa.types.is_timestamp(arrow) or pa.types.is_date32(arrow):
        return value.value
    if pa.types.is_floating(arrow):
        return repr(value.as_py())
    if pa.types.is_decimal(arrow):
        return str(value.as_py())
    if pa.types.is_binary(arrow):
        return value.as_py().hex()
    return value.as_py()


def plain_rows(table: pa.Table) -> list[list[Any]]:
    """All rows of a table, each a list of plain values."""
    columns = [[plain(value) for value in column] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in range(table.num_rows)]
