"""Partition columns: the `k=v` folders between a source's base path and a file.

The values of columns that the source's schema names are read from the path; what the file itself says of such a column
does not count. Sources: `PartitioningUtils.parsePartition`, `ExternalCatalogUtils.unescapePathName`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from riacho.errors import SparkRuntimeError
from riacho.server.formats.decimals import to_decimal
from riacho.server.formats.times import to_days, to_local_micros, to_micros
from riacho.types import TIMESTAMP, type_to_ddl

NULL_FOLDER: Final = "__HIVE_DEFAULT_PARTITION__"
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")


def partition_values(path: str, base: str) -> dict[str, str | None]:
    """The text of each `k=v` folder of `path` below `base`, in order; None for Spark's null folder."""
    above = base if base.endswith("/") else f"{base}/"
    if not path.startswith(above) or not base:
        return {}
    folders = path[len(above) :].split("/")[:-1]
    return dict(pair for folder in folders if (pair := partition_folder(folder)) is not None)


def partition_folder(name: str) -> tuple[str, str | None] | None:
    """The column and the text that a `k=v` folder stands for; None for another folder."""
    key, equals, value = name.partition("=")
    return (_unescape(key), None if value == NULL_FOLDER else _unescape(value)) if equals else None


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def typed_value(text: str | None, arrow: pa.DataType, name: str, zone: str = "UTC") -> pa.Scalar:
    """A partition value as its column's type; a TIMESTAMP that names no zone is in `zone`.

    Raises INVALID_PARTITION_VALUE for text that is none.
    """
    if text is None:
        return pa.scalar(None, arrow)
    value = _parse(text, arrow, zone)
    if value is None:
        raise SparkRuntimeError.of(
            "INVALID_PARTITION_VALUE",
            f"Failed to cast value '{text}' to data type \"{type_to_ddl(arrow)}\" for partition column `{name}`. "
            "Ensure the value matches the expected data type for this partition column.",
            sql_state="42846",
            value=f"'{text}'",
            dataType=f'"{type_to_ddl(arrow)}"',
            columnName=f"`{name}`",
        )
    return pa.scalar(value, arrow)


def _parse(text: str, arrow: pa.DataType, zone: str = "UTC") -> Any:
    if pa.types.is_string(arrow):
        return text
    if pa.types.is_integer(arrow):
        number = int(text) if re.fullmatch(r"\s*[+-]?\d+\s*", text, re.ASCII) else None
        bound = 1 << (arrow.bit_width - 1)
        return number if number is not None and -bound <= number < bound else None
    if pa.types.is_boolean(arrow):
        return {"true": True, "false": False}.get(text.strip().lower())
    if pa.types.is_date32(arrow):
        return to_days(text)
    if pa.types.is_timestamp(arrow):
        return to_micros(text, zone, 0) if arrow == TIMESTAMP else to_local_micros(text)
    if pa.types.is_decimal(arrow):
        return to_decimal(text.strip(), arrow.precision, arrow.scale)
    if pa.types.is_floating(arrow):
        try:
            return float(text)
        except ValueError:
            return None
    return None


def infer_partitions(paths: Sequence[str], base: str) -> pa.Schema:
    """The partition columns that the paths of these files show, typed as Spark infers them: INT, BIGINT, DOUBLE, DATE,
    TIMESTAMP, else STRING.
    """
    texts: dict[str, list[str]] = {}
    for path in paths:
        for key, value in partition_values(path, base).items():
            texts.setdefault(key, []).extend([] if value is None else [value])
    return pa.schema([pa.field(key, common_type(values)) for key, values in texts.items()])


def common_type(values: Sequence[str]) -> pa.DataType:
    """The type that Spark infers for a partition column with these values."""
    candidates: Mapping[str, pa.DataType] = {
        r"[+-]?\d+": pa.int32(),
        r"[+-]?\d{1,19}": pa.int64(),
        r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?": pa.float64(),
        r"\d{4}-\d{2}-\d{2}": pa.date32(),
        r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?:\.\d)?": TIMESTAMP,
    }
    for pattern, arrow in candidates.items():
        if values and all(re.fullmatch(pattern, v, re.ASCII) and _parse(v, arrow) is not None for v in values):
            return arrow
    return pa.string()
