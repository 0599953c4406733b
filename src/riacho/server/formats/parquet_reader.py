"""Parquet files to Arrow, by Spark's rules for a file whose columns differ from the asked schema.

What can widen does (`parquet_types`). How columns are found, and rescued: `column_mapping`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from riacho.errors import SparkGeneralError
from riacho.options import Option, Options
from riacho.server.formats.base import DamagedFileError, Decoded, DecoderContext, file_url
from riacho.server.formats.column_mapping import ColumnMapping, FileColumns, tell_new_columns
from riacho.server.formats.inputs import column_ranges, input_of
from riacho.server.formats.nested_columns import Convert, Misfit
from riacho.server.formats.options import PARQUET
from riacho.server.formats.parquet_types import converter
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
        given = input_of(path)
        if given.size == 0:
            return
        url = file_url(path)
        ranges = given.ranges()
        source = given.arrow() if ranges is None else pa.PythonFile(ranges, mode="r")
        try:
            with pq.ParquetFile(source, coerce_int96_timestamp_unit="us") as file:
                tell_new_columns(self.context, self.schema, path, file.schema_arrow)
                columns = _file_columns(url, file)
                plan = ColumnMapping.of(self.schema, self.context.rescued_column, columns)
                if ranges is None:
                    for batch in file.iter_batches(BATCH_ROWS, columns=plan.columns):
                        yield plan.apply(batch)
                    return
                for group in range(file.num_row_groups):
                    ranges.prefetch(column_ranges(file.metadata, group, plan.columns))
                    for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=plan.columns):
                        yield plan.apply(batch)
        except (pa.ArrowException, OSError) as error:
            raise DamagedFileError.of_file(url, error) from error


def _file_columns(url: str, file: pq.ParquetFile) -> FileColumns:
    def convert(source: pa.Field, target: pa.Field) -> Convert:
        is_other = not pa.types.is_timestamp(target.type) and not pa.types.is_nested(target.type)
        if is_other and _physical_type(file.schema, source.name) == "INT96":
            raise Misfit
        return converter(source.type, target.type)

    def misfit(source: pa.Field, target: pa.Field) -> TypeMismatchError:
        return TypeMismatchError.of_column(url, source.name, target.type, _physical_type(file.schema, source.name))

    return FileColumns(url, file.schema_arrow, convert, misfit)


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
        with pq.ParquetFile(input_of(path).arrow()) as file:
            leaves = iter([file.schema.column(at).physical_type for at in range(len(file.schema.names))])
            return nullable(
                pa.schema([pa.field(field.name, _with_times(field.type, leaves)) for field in file.schema_arrow])
            )
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError.of_file(file_url(path), error) from error


def _with_times(arrow: pa.DataType, leaves: Iterator[str]) -> pa.DataType:
    """The type with TIMESTAMP for INT96, however deep. `leaves`: how the file stores each value, depth first."""
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(_with_times(field.type, leaves)) for field in arrow])
    if pa.types.is_map(arrow):
        key = _with_times(arrow.key_type, leaves)
        return pa.map_(key, arrow.item_field.with_type(_with_times(arrow.item_type, leaves)))
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return pa.list_(pa.field("element", _with_times(arrow.value_type, leaves), arrow.value_field.nullable))
    return TIMESTAMP if next(leaves) == "INT96" else normalise(arrow)


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
