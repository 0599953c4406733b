"""How the columns of one file become those that are asked for, in formats whose files name and type their columns.

A column is found by its name, in any case; one that the file lacks is NULL; what can be converted is; any other type is
an error. With a rescue column nothing is an error: columns that no field takes, and columns of another type, are kept
there row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.errors import AnalysisError, SparkGeneralError
from riacho.server.formats.base import DecoderContext
from riacho.server.formats.modes import in_file
from riacho.server.formats.nested_columns import Convert, Misfit, drops_fields
from riacho.server.formats.rescue import rescued_rows


@dataclass(frozen=True)
class FileColumns:
    """What a mapping has to know of a file.

    `url`: the file. `found`: its columns. `source`: the column for an asked one, or None; by name if it is not given.
    `converter`: raises Misfit for a pair of columns that do not go together, whose error is then `misfit`.
    """

    url: str
    found: pa.Schema
    converter: Callable[[pa.Field, pa.Field], Convert]
    misfit: Callable[[pa.Field, pa.Field], Exception]
    source: Callable[[pa.Field], pa.Field | None] | None = None


@dataclass(frozen=True)
class ColumnMapping:
    """Made by `of` for one file. `columns`: those to read from the file."""

    schema: pa.Schema
    rescue: str | None
    url: str
    sources: Sequence[tuple[str, Convert] | None]
    lost: Sequence[str]

    @classmethod
    def of(cls, schema: pa.Schema, rescue: str | None, file: FileColumns) -> ColumnMapping:
        """The mapping of a file's columns to `schema`. Raises `file.misfit`, unless there is a rescue column."""
        find = file.source or _by_name(file.found)
        sources: list[tuple[str, Convert] | None] = []
        for field in schema:
            source = None if field.name == rescue else find(field)
            if source is None:
                sources.append(None)
                continue
            try:
                sources.append((source.name, file.converter(source, field)))
            except Misfit:
                if rescue is None:
                    raise file.misfit(source, field) from None
                sources.append(None)
        lost: list[str] = []
        if rescue is not None:
            kept = {
                source[0]
                for source, field in zip(sources, schema, strict=True)
                if source is not None and not drops_fields(file.found.field(source[0]).type, field.type)
            }
            lost = [name for name in file.found.names if name not in kept]
        return cls(schema, rescue, file.url, sources, lost)

    @property
    def columns(self) -> list[str]:
        """The columns to read from the file."""
        return list(dict.fromkeys([*(source[0] for source in self.sources if source is not None), *self.lost]))

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch of the file's columns."""
        columns = []
        for field, source in zip(self.schema, self.sources, strict=True):
            if field.name == self.rescue:
                columns.append(rescued_rows(batch.select(self.lost), self.url))
            elif source is None:
                columns.append(pa.nulls(batch.num_rows, field.type))
            else:
                columns.append(source[1](batch.column(source[0])))
        if not columns:
            return batch.select([])
        return pa.record_batch(columns, schema=self.schema)


def _by_name(found: pa.Schema) -> Callable[[pa.Field], pa.Field | None]:
    by_name: dict[str, pa.Field] = {}
    for field in reversed(list(found)):
        by_name[field.name.lower()] = field
    by_name |= {field.name: field for field in found}
    return lambda field: by_name.get(field.name, by_name.get(field.name.lower()))


def by_name_once(url: str, found: pa.Schema) -> Callable[[pa.Field], pa.Field | None]:
    """Finds columns by name in any case. It raises FAILED_READ_FILE for a name that several columns have."""
    by_name: dict[str, list[pa.Field]] = {}
    for column in found:
        by_name.setdefault(column.name.lower(), []).append(column)

    def source(field: pa.Field) -> pa.Field | None:
        same = by_name.get(field.name.lower(), [])
        if len(same) > 1:
            names = ", ".join(column.name for column in same)
            raise in_file(
                SparkGeneralError(f'Found duplicate field(s) "{field.name}": [{names}] in case-insensitive mode.'), url
            )
        return same[0] if same else None

    return source


def check_names(found: pa.Schema) -> None:
    """Raise COLUMN_ALREADY_EXISTS for columns whose names are the same in any case."""
    lower = [name.lower() for name in found.names]
    for name in lower:
        if lower.count(name) > 1:
            raise AnalysisError.of(
                "COLUMN_ALREADY_EXISTS",
                f"The column `{name}` already exists. Choose another name or rename the existing column.",
                sql_state="42711",
                columnName=f"`{name}`",
            )


def tell_new_columns(context: DecoderContext, schema: pa.Schema, path: str, found: pa.Schema) -> None:
    """Tell the context of columns that a file has and `schema` lacks. Raises what the context raises."""
    if context.new_columns is not None:
        known = {name.lower() for name in schema.names}
        names = [name for name in found.names if name.lower() not in known]
        if names:
            context.new_columns(path, names)
