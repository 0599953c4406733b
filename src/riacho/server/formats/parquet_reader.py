"""Parquet files to Arrow, by Spark's rules for a file whose columns differ from the asked schema.

A column is found by its name, in any case; one that the file lacks is NULL; what can widen does (`parquet_types`); any
other type is an error. With a rescue column nothing is an error: columns that no field takes, and columns of another
type, are kept there row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from riacho.errors import SparkGeneralError
from riacho.options import Option, Options
from riacho.server.formats.base import DamagedFileError, Decoded, DecoderContext, file_url
from riacho.server.formats.options import PARQUET
from riacho.server.formats.parquet_types import Convert, Misfit, converter, drops_fields
from riacho.server.formats.rescue import rescued_rows
from riacho.types import TIMESTAMP, normalise, nullable, type_to_ddl

BATCH_ROWS = 131_072


@dataclass(frozen=True)
class ParquetDecoder:
    """Reads Parquet files into `schema`."""

    schema: pa.Schema
    context: DecoderContext

    def decode(self, path: str) -> Decoded:
        """The rows of one file, in order; none if the file is empty, as in Spark.

        Raises FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH for a column of another type and
        FAILED_READ_FILE.NO_HINT (`DamagedFileError`) for what is no whole Parquet file.
        """
        if Path(path).stat().st_size == 0:
            return
        url = file_url(path)
        try:
            with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
                self._tell_new_columns(path, file.schema_arrow)
                plan = _ColumnMapping.of(self, file.schema_arrow, file.schema, url)
                for batch in file.iter_batches(BATCH_ROWS, columns=plan.columns):
                    yield plan.apply(batch)
        except (pa.ArrowException, OSError) as error:
            raise DamagedFileError.of_file(url, error) from error

    @property
    def rescue(self) -> str | None:
        """The column for what fits no other, if there is one."""
        return self.context.rescued_column

    def _tell_new_columns(self, path: str, found: pa.Schema) -> None:
        if self.context.new_columns is not None:
            known = {name.lower() for name in self.schema.names}
            names = [name for name in found.names if name.lower() not in known]
            if names:
                self.context.new_columns(path, names)


class TypeMismatchError(SparkGeneralError):
    """A Parquet column of a type that cannot be read as the asked one."""

    @classmethod
    def of_column(cls, url: str, column: str, expected: pa.DataType, actual: str) -> TypeMismatchError:
        return cls.of(
            "FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH",
            f"Encountered error while reading file {url}. Data type mismatches when reading Parquet column [{column}]. "
            f"Expected Spark type {type_to_ddl(expected).lower()}, actual Parquet type {actual}.",
            sql_state="KD001",
            path=url,
            column=f"[{column}]",
            expectedType=type_to_ddl(expected).lower(),
            actualType=actual,
        )


@dataclass(frozen=True)
class _ColumnMapping:
    """How the columns of one file become those of the schema."""

    decoder: ParquetDecoder
    url: str
    sources: Sequence[tuple[str, Convert] | None]
    lost: Sequence[str]

    @classmethod
    def of(cls, decoder: ParquetDecoder, found: pa.Schema, physical: pq.ParquetSchema, url: str) -> _ColumnMapping:
        """Raises TypeMismatchError, unless there is a rescue column."""
        by_name: dict[str, pa.Field] = {}
        for field in reversed(list(found)):
            by_name[field.name.lower()] = field
        by_name |= {field.name: field for field in found}
        sources: list[tuple[str, Convert] | None] = []
        for field in decoder.schema:
            source = None if field.name == decoder.rescue else by_name.get(field.name, by_name.get(field.name.lower()))
            if source is None:
                sources.append(None)
                continue
            actual = _physical_type(physical, source.name)
            try:
                if actual == "INT96" and not pa.types.is_timestamp(field.type):
                    raise Misfit
                sources.append((source.name, converter(source.type, field.type)))
            except Misfit:
                if decoder.rescue is None:
                    raise TypeMismatchError.of_column(url, source.name, field.type, actual) from None
                sources.append(None)
        lost: list[str] = []
        if decoder.rescue is not None:
            kept = {
                source[0]
                for source, field in zip(sources, decoder.schema, strict=True)
                if source is not None and not drops_fields(found.field(source[0]).type, field.type)
            }
            lost = [name for name in found.names if name not in kept]
        return cls(decoder, url, sources, lost)

    @property
    def columns(self) -> list[str]:
        """The columns to read from the file."""
        return list(dict.fromkeys([*(source[0] for source in self.sources if source is not None), *self.lost]))

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for field, source in zip(self.decoder.schema, self.sources, strict=True):
            if field.name == self.decoder.rescue:
                columns.append(rescued_rows(batch.select(self.lost), self.url))
            elif source is None:
                columns.append(pa.nulls(batch.num_rows, field.type))
            else:
                columns.append(source[1](batch.column(source[0])))
        if not columns:
            return batch.select([])
        return pa.record_batch(columns, schema=self.decoder.schema)


def _physical_type(schema: pq.ParquetSchema, column: str) -> str:
    """How the file keeps a column, in Parquet's own words."""
    for i in range(len(schema.names)):
        if schema.column(i).path.split(".")[0] == column:
            return str(schema.column(i).physical_type)
    return "group"


@dataclass(frozen=True)
class ParquetFormat:
    """The `parquet` format."""

    name: str = "parquet"
    table: tuple[Option, ...] = PARQUET

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> ParquetDecoder:
        del options
        return ParquetDecoder(context.used(schema), context)

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        """The columns of the first file, or of all with `mergeSchema`.

        Raises DamagedFileError, CANNOT_MERGE_SCHEMAS.
        """
        schemas = [read_schema(path) for path in (paths if options.flag("mergeSchema") else paths[:1])]
        return merge_schemas(schemas) if schemas else pa.schema([])


def read_schema(path: str) -> pa.Schema:
    """The columns of one file as Spark types, all nullable. Raises DamagedFileError."""
    try:
        with pq.ParquetFile(path) as file:
            int96 = {
                file.schema.column(i).path
                for i in range(len(file.schema.names))
                if file.schema.column(i).physical_type == "INT96"
            }
            return nullable(
                pa.schema(
                    [
                        pa.field(field.name, TIMESTAMP if field.name in int96 else normalise(field.type))
                        for field in file.schema_arrow
                    ]
                )
            )
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError.of_file(file_url(path), error) from error


def merge_schemas(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The columns of all schemas, in order of appearance; equal columns count once.

    Raises CANNOT_MERGE_SCHEMAS if two disagree about a column's type.
    """
    merged: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            known = merged.setdefault(field.name, field)
            if known.type != field.type:
                raise SparkGeneralError.of(
                    "CANNOT_MERGE_SCHEMAS",
                    f"Failed merging schemas: the column `{field.name}` is {type_to_ddl(known.type)} in one file and "
                    f"{type_to_ddl(field.type)} in another.",
                    sql_state="42KD9",
                    column=field.name,
                )
    return pa.schema(list(merged.values()))
