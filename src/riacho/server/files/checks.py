"""What a write into files refuses before it begins: columns and partitions that do not go together."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.types import type_to_ddl


def partition_columns(schema: pa.Schema, given: Sequence[str], *, strict: bool) -> tuple[pa.Schema, tuple[str, ...]]:
    """The columns, and those that partition them.

    `strict`: of a batch, where `partitionBy` says how they are spelled, and errors have other texts. Raises
    AnalysisError, ALL_PARTITION_COLUMNS_NOT_ALLOWED, INVALID_PARTITION_COLUMN_DATA_TYPE.
    """
    found: dict[str, str] = {}
    for name in given:
        matches = [field for field in schema if field.name.lower() == name.lower()]
        if not matches:
            raise _missing(schema, name, strict=strict)
        if pa.types.is_nested(matches[0].type):
            kind = type_to_ddl(matches[0].type)
            raise AnalysisError.of(
                "INVALID_PARTITION_COLUMN_DATA_TYPE",
                f'Cannot use "{kind}" for partition column.',
                sql_state="0A000",
                type=f'"{kind}"',
            )
        found[matches[0].name] = name if strict else matches[0].name
    if found and len(found) == len(schema):
        raise AnalysisError.of(
            "ALL_PARTITION_COLUMNS_NOT_ALLOWED",
            "Cannot use all columns for partition columns.",
            sql_state="KD005",
        )
    renamed = pa.schema([field.with_name(found.get(field.name, field.name)) for field in schema])
    return renamed, tuple(found.values())


def check_names(schema: pa.Schema, *, case_sensitive: bool = False) -> None:
    """Raises COLUMN_ALREADY_EXISTS for two columns of one name."""
    seen: set[str] = set()
    for name in schema.names:
        key = name if case_sensitive else name.lower()
        if key in seen:
            raise AnalysisError.of(
                "COLUMN_ALREADY_EXISTS",
                f"The column `{name.lower()}` already exists. Choose another name or rename the existing column.",
                sql_state="42711",
                columnName=f"`{name.lower()}`",
            )
        seen.add(key)


def _missing(schema: pa.Schema, name: str, *, strict: bool) -> AnalysisError:
    if strict:
        columns = ",".join(f"{field.name}:{type_to_ddl(field.type).lower()}" for field in schema)
        return AnalysisError(
            f"Partition column `{name}` not found in schema struct<{columns}>.", condition="_LEGACY_ERROR_TEMP_1155"
        )
    return AnalysisError(
        f"Partition column {name} not found in existing columns ({', '.join(schema.names)}).",
        condition="_LEGACY_ERROR_TEMP_1196",
    )


def missing_path() -> IllegalArgumentError:
    """The error of a write that names no folder."""
    return IllegalArgumentError("'path' is not specified.", condition="_LEGACY_ERROR_TEMP_2047")
