"""Rows as the stream's columns: the tables' own, then what is said of the change.

Several tables have the union of their columns; what a table lacks is null in its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.pandas.types import to_arrow_schema, to_arrow_type
from pyspark.sql.types import (
    ArrayType,
    DataType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from riacho.connectors.bad_records import BadRecords
from riacho.connectors.postgres.bad_rows import salvaged, sliced, texts_at
from riacho.connectors.postgres.catalog import PgTable
from riacho.connectors.postgres.texts import BadValueError, as_arrow
from riacho.errors import AnalysisError, SparkRuntimeError

OPERATION, TABLE, LSN, COMMIT_LSN, POSITION = "operation", "table", "lsn", "commit_lsn", "position"
COMMIT_TIME, TRANSACTION, UNCHANGED, BEFORE = "commit_time", "transaction", "unchanged", "before"
_SAID: Final[Mapping[str, DataType]] = {
    OPERATION: StringType(),
    TABLE: StringType(),
    LSN: LongType(),
    COMMIT_LSN: LongType(),
    POSITION: IntegerType(),
    COMMIT_TIME: TimestampType(),
    TRANSACTION: LongType(),
    UNCHANGED: ArrayType(StringType()),
}
"""What each row says of its change, by names without their prefix."""
_ARROW: Final[Mapping[str, pa.DataType]] = {name: to_arrow_type(kind, timezone="UTC") for name, kind in _SAID.items()}


def schema_of(tables: Sequence[PgTable], prefix: str, *, before: bool, prefer_ntz: bool) -> StructType:
    """The columns of a stream of these tables. Raises AnalysisError where names or types clash."""
    types: dict[str, DataType] = {}
    owners: dict[str, str] = {}
    for table in tables:
        for column in table.columns:
            if column.is_generated:
                continue
            kind = column.type.spark(prefer_ntz)
            if types.setdefault(column.name, kind) != kind:
                raise AnalysisError(
                    f"The column {column.name} is {types[column.name].simpleString()} in {owners[column.name]} and "
                    f"{kind.simpleString()} in {table.full_name}, so they do not fit one stream. Read them as two "
                    f"streams, or give a schema in which {column.name} has a type that both fit, such as STRING"
                )
            owners.setdefault(column.name, table.full_name)
    said: dict[str, DataType] = {prefix + name: kind for name, kind in _SAID.items()}
    if before:
        said[prefix + BEFORE] = StructType([StructField(name, kind) for name, kind in types.items()])
    lower = {name.lower() for name in said}
    for name in types:
        if name.lower() in lower:
            raise AnalysisError(
                f"The table {owners[name]} has a column {name}, and so has the change stream. Give the option "
                "metadataPrefix, with which the stream's own columns begin, another value than "
                f"{prefix!r}, such as '__'"
            )
    return StructType([StructField(name, kind) for name, kind in (types | said).items()])


@dataclass(frozen=True)
class SaidOfRows:
    """What is said of rows; `name` of Spark's `_SAID` to arrays of one length."""

    rows: int
    values: Mapping[str, pa.Array]


class ChangeShape:
    """Makes batches of the stream's schema."""

    def __init__(self, schema: StructType, prefix: str) -> None:
        self.schema: pa.Schema = to_arrow_schema(schema, timezone="UTC")
        said = {(prefix + name).lower(): name for name in (*_SAID, BEFORE)}
        self._said = {field.name: said[field.name.lower()] for field in schema if field.name.lower() in said}
        self.columns: Mapping[str, pa.DataType] = {
            field.name: field.type for field in self.schema if field.name not in self._said
        }
        """The tables' columns that the stream has, with their types."""
        self.has_before = BEFORE in self._said.values()

    def batch(
        self, table: str, said: SaidOfRows, texts: Mapping[str, pa.Array], before: Mapping[str, pa.Array] | None = None
    ) -> pa.RecordBatch:
        """Rows of a table. Raises SparkRuntimeError for a value that its column's type cannot hold."""
        arrays = []
        for field in self.schema:
            name = self._said.get(field.name)
            if name == BEFORE:
                arrays.append(self._before(table, said.rows, before or {}, field.type))
            elif name is not None:
                arrays.append(said.values[name].cast(field.type))
            elif field.name in texts:
                arrays.append(_typed(table, field.name, texts[field.name], field.type))
            else:
                arrays.append(pa.nulls(said.rows, field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def salvaged(
        self,
        table: str,
        said: SaidOfRows,
        texts: Mapping[str, pa.Array],
        before: Mapping[str, pa.Array],
        bad_records: BadRecords,
        position: Callable[[int], str],
    ) -> Iterator[pa.RecordBatch]:
        """The same without the rows that have such a value, where the options want it so. `position` names a row."""

        def make(first: int, end: int) -> pa.RecordBatch:
            part = SaidOfRows(end - first, sliced(said.values, first, end))
            return self.batch(table, part, sliced(texts, first, end), sliced(before, first, end))

        def letter(row: int) -> tuple[Mapping[str, Any], str]:
            told = texts_at({**said.values, COMMIT_TIME: said.values[COMMIT_TIME].cast(pa.int64())}, row)
            values = {"said": told, "texts": texts_at(texts, row), "before": texts_at(before, row)}
            return values, f"{table} {position(row)}"

        yield from salvaged(said.rows, make, bad_records, letter)

    def again(self, values: Mapping[str, Any]) -> pa.RecordBatch:
        """The row of a dead letter."""
        said = {name: pa.array([values["said"][name]], _ARROW[name]) for name in _SAID}
        texts = {name: pa.array([text], pa.string()) for name, text in values["texts"].items()}
        before = {name: pa.array([text], pa.string()) for name, text in values["before"].items()}
        return self.batch(values["said"][TABLE], SaidOfRows(1, said), texts, before)

    def _before(self, table: str, rows: int, texts: Mapping[str, pa.Array], kind: pa.DataType) -> pa.Array:
        """Null where nothing is known of the old row."""
        parts = [
            _typed(table, field.name, texts[field.name], field.type)
            if field.name in texts
            else pa.nulls(rows, field.type)
            for field in kind
        ]
        nothing = pa.array([True] * rows)
        for part in parts:
            nothing = pc.and_(nothing, pc.is_null(part))
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=nothing)


def _typed(table: str, column: str, texts: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return as_arrow(texts, kind)
    except BadValueError as bad:
        raise SparkRuntimeError(
            f"The column {column} of the PostgreSQL table {table} has the value {bad.value[:100]!r}, which does not "
            f"fit the stream's type {kind}. If the column's type was changed while the stream ran, start it again from "
            "the same checkpoint: it takes the new type. For what Spark's type has no value for (such as NaN in a "
            f"numeric), give the stream a schema in which {column} is STRING"
        ) from None


def constant(value: Any, rows: int, kind: pa.DataType) -> pa.Array:
    """The same value for all rows."""
    return pa.repeat(pa.scalar(value, kind), rows)
