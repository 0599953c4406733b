"""Partition values: as text in the log, as folder names, and split out of Arrow data.

Source: "Partition Value Serialization" in Delta's PROTOCOL.md; Hive's folder names for what a folder cannot be called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
_ESCAPED = frozenset("\"#%'*/:=?\\\x7f{[]^") | {chr(code) for code in range(32)}

Values = Mapping[str, str | None]


def split(
    data: pa.Table, columns: Sequence[str], text: Callable[[pa.Scalar], str | None] | None = None
) -> Iterator[tuple[dict[str, str | None], pa.Table]]:
    """The rows of `data` by partition, without the partition columns, which hold one value each.

    `text`: how a value is spelled; by default as Delta's log has it.
    """
    rest = [name for name in data.column_names if name not in columns]
    if data.num_rows == 0:
        return
    keys = pa.table({name: _distinct(data[name]) for name in columns})
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in columns])
    ordered = data.take(order)
    bounds = [0, *_changes(keys.take(order)), ordered.num_rows]
    body = ordered.select(rest)
    for start, end in pairwise(bounds):
        values = {name: (text or _text)(ordered[name][start]) for name in columns}
        yield values, body.slice(start, end - start)


def _distinct(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What tells values apart as Spark's partitions do: doubles by their bits, for 0.0 and -0.0 are two, NaN is one."""
    if not pa.types.is_floating(column.type):
        return column
    bits = pa.int64() if pa.types.is_float64(column.type) else pa.int32()
    return pa.chunked_array([chunk.view(bits) for chunk in column.chunks], bits)


def _changes(keys: pa.Table) -> list[int]:
    """The rows at which any key differs from the row before."""
    changed = None
    for column in keys.itercolumns():
        flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        before, after = flat.slice(0, len(flat) - 1), flat.slice(1)
        # Two NULLs are the same partition, a NULL and a value are not.
        same = pc.or_(
            pc.fill_null(pc.equal(before, after), False),
            pc.and_(pc.is_null(before), pc.is_null(after)),
        )
        changed = pc.invert(same) if changed is None else pc.or_(changed, pc.invert(same))
    return [] if changed is None else [row + 1 for row in pc.indices_nonzero(changed).to_pylist()]


def _text(value: pa.Scalar) -> str | None:
    plain = value.as_py()
    if isinstance(plain, float) and pa.types.is_float32(value.type):
        return _java_text(str(np.float32(plain)))
    return to_text(plain)


def to_text(value: Any) -> str | None:
    """A partition value as the log has it; None for NULL and, as Delta has it, for an empty string.

    So it is for the text that stands for NULL in the names of folders.
    """
    match value:
        case None | "" | b"" | "__HIVE_DEFAULT_PARTITION__":
            return None
        case float():
            return _java_text(repr(value))
        case bool():
            return "true" if value else "false"
        case datetime():
            # In UTC and said so; without a zone for TIMESTAMP_NTZ.
            if value.tzinfo is None:
                return value.isoformat(" ", "microseconds")
            return value.astimezone(UTC).replace(tzinfo=None).isoformat("T", "microseconds") + "Z"
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case bytes():
            return value.decode("latin-1")
        case _:
            return str(value)


def _java_text(number: str) -> str:
    """A number as Java prints it, given as Python does: `1.0E20`, `1.5`, `-Infinity`."""
    named = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(number)
    if named is not None:
        return named
    sign, digits, exponent = Decimal(number).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) + int(exponent) - 1
    minus = "-" if sign else ""
    if shown == "0":
        return f"{minus}0.0"
    if not -3 <= power < 7:
        return f"{minus}{shown[0]}.{shown[1:] or '0'}E{power}"
    if power < 0:
        return f"{minus}0.{'0' * (-power - 1)}{shown}"
    whole = shown[: power + 1].ljust(power + 1, "0")
    return f"{minus}{whole}.{shown[power + 1 :] or '0'}"


def from_text(text: str | None, arrow: pa.DataType) -> pa.Scalar:
    """The value that a partition value's text means in a column of that type. Raises ValueError, pa.ArrowInvalid."""
    if text is None or (text == "" and not pa.types.is_string(arrow)):
        return pa.scalar(None, arrow)
    if pa.types.is_timestamp(arrow):
        moment = datetime.fromisoformat(text)
        if arrow.tz is None:
            return pa.scalar(moment.replace(tzinfo=None), arrow)
        return pa.scalar(moment if moment.tzinfo else moment.replace(tzinfo=UTC), arrow)
    if pa.types.is_binary(arrow):
        return pa.scalar(text.encode("latin-1"), arrow)
    if pa.types.is_decimal(arrow):
        return pa.scalar(Decimal(text), arrow)
    return pa.scalar(text, pa.string()).cast(arrow)


def canonical(values: Values, schema: pa.Schema) -> frozenset[tuple[str, str | None]]:
    """What tells one partition from another, whoever wrote its values: `1e20` and `1.0E20` are the same one."""
    return frozenset((name, _text(from_text(text, schema.field(name).type))) for name, text in values.items())


def folder(values: Values) -> str:
    """Where the files of a partition lie, Hive's way: `day=2024-01-01/kind=a%2Fb`; empty without partitions."""
    return "/".join(
        f"{_escape(name)}={NULL_FOLDER if value is None else _escape(value)}" for name, value in values.items()
    )


def _escape(text: str) -> str:
    return "".join(f"%{ord(character):02X}" if character in _ESCAPED else character for character in text)
