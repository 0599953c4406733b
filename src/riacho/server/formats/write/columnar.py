"""Parquet and ORC files, by Arrow's writers, with what Spark keeps in them besides the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.orc
import pyarrow.parquet as pq

from riacho import types
from riacho.conf import ORC_CODEC, PARQUET_CODEC, GetConf
from riacho.errors import SparkGeneralError, UnsupportedOperationError
from riacho.options import Options
from riacho.server.formats.write.compression import not_available

SPARK_SCHEMA: Final = b"org.apache.spark.sql.parquet.row.metadata"
"""Where Spark keeps the types of the columns in a Parquet file."""
_ORC_TYPE: Final = b"spark.sql.catalyst.type"
_GROUP_ROWS: Final = 1 << 20
_CUTOVER_DAY: Final = -141_427
"""1582-10-15, the first day of the Gregorian calendar, in days since the epoch."""

_PARQUET_CODECS: Final[Mapping[str, tuple[str, str]]] = {
    "none": ("none", ""),
    "uncompressed": ("none", ""),
    "snappy": ("snappy", ".snappy"),
    "gzip": ("gzip", ".gz"),
    "zstd": ("zstd", ".zstd"),
    "lz4": ("lz4", ".lz4hadoop"),
    "lz4_raw": ("lz4", ".lz4raw"),
    "brotli": ("brotli", ".br"),
}
"""Spark's names: what Arrow calls it, and what stands in the names of files."""
_ORC_CODECS: Final[Mapping[str, tuple[str, str]]] = {
    "none": ("uncompressed", ""),
    "uncompressed": ("uncompressed", ""),
    "zlib": ("zlib", ".zlib"),
    "snappy": ("snappy", ".snappy"),
    "lz4": ("lz4", ".lz4"),
    "zstd": ("zstd", ".zstd"),
}


@dataclass(frozen=True)
class Columnar:
    """A format with its compression. `extension`: what of the compression is in the names of files."""

    extension: str
    open: Callable[[Path, pa.Schema], Any]


class _ParquetFile:
    """See `files.OpenFile`."""

    def __init__(self, path: Path, schema: pa.Schema, codec: str) -> None:
        kept = {SPARK_SCHEMA: types.to_json(schema).encode()}
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        self._schema = pa.schema([_below_null(field) for field in schema], kept)
        self._writer = pq.ParquetWriter(path, self._schema, compression=codec, use_dictionary=texts, store_schema=False)

    def encode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.cast(self._schema)

    def write(self, encoded: pa.RecordBatch) -> None:
        self._writer.write_batch(encoded, row_group_size=_GROUP_ROWS)

    def close(self) -> None:
        self._writer.close()


def _below_null(field: pa.Field, may_be_null: bool = False) -> pa.Field:
    """The field with all of a struct nullable where the struct is: a null struct has nulls in it, which Arrow's writer
    takes for values of the fields. What is in lists and maps is nullable too: of a union of two, the engine asks the
    first one alone whether there are nulls.
    """
    arrow = field.type
    if pa.types.is_struct(arrow):
        may_be = may_be_null or field.nullable
        field = field.with_type(pa.struct([_below_null(child, may_be) for child in arrow]))
    elif pa.types.is_map(arrow):
        field = field.with_type(pa.map_(arrow.key_field, _below_null(arrow.item_field, True)))
    elif pa.types.is_list(arrow):
        field = field.with_type(pa.list_(_below_null(arrow.value_field, True)))
    return field.with_nullable(True) if may_be_null else field


class _OrcFile:
    """See `files.OpenFile`. A TIMESTAMP_NTZ is kept as a number that says so, as Spark keeps it."""

    def __init__(self, path: Path, schema: pa.Schema, codec: str) -> None:
        self._schema = pa.schema([_orc_field(field) for field in schema])
        self._writer = pa.orc.ORCWriter(str(path), compression=codec)
        self._has_rows = False

    def encode(self, batch: pa.RecordBatch) -> pa.Table:
        for column in batch.columns:
            _check_calendar(column)
        columns = [_orc_column(column) for column in batch.columns]
        return pa.Table.from_arrays(columns, schema=self._schema)

    def write(self, encoded: pa.Table) -> None:
        self._writer.write(encoded)
        self._has_rows = True

    def close(self) -> None:
        if not self._has_rows:
            self._writer.write(self._schema.empty_table())
        self._writer.close()


def _orc_field(field: pa.Field) -> pa.Field:
    arrow = field.type
    if pa.types.is_timestamp(arrow) and arrow.tz is None:
        return pa.field(field.name, pa.int64(), field.nullable, {_ORC_TYPE: b"timestamp_ntz"})
    return field.with_type(_orc_type(arrow)).remove_metadata()


def _orc_type(arrow: pa.DataType) -> pa.DataType:
    """The type with all TIMESTAMP_NTZs as numbers. Raises UnsupportedOperationError for what ORC does not have."""
    if pa.types.is_duration(arrow):
        raise UnsupportedOperationError("riacho cannot write intervals to ORC files. Cast them to STRING or BIGINT.")
    if pa.types.is_struct(arrow):
        return pa.struct([_orc_field(field) for field in arrow])
    if pa.types.is_map(arrow):
        return pa.map_(_orc_type(arrow.key_type), _orc_field(arrow.item_field))
    if pa.types.is_list(arrow):
        return pa.list_(_orc_field(arrow.value_field))
    return arrow


def _orc_column(column: pa.Array) -> pa.Array:
    wanted = _orc_field(pa.field("", column.type)).type
    cast = column if wanted == column.type else column.cast(wanted)
    # Arrow's ORC writer looks up which structs are null as if the array began where its buffers do. A copy does.
    return pa.concat_arrays([cast]) if pa.types.is_nested(cast.type) else cast


def _check_calendar(column: pa.Array) -> None:
    """Refuse days before the Gregorian calendar: ORC files of Arrow's cannot say which calendar they use.

    Spark would read other days than were written. Raises SparkGeneralError.
    """
    arrow = column.type
    if pa.types.is_date(arrow) or pa.types.is_timestamp(arrow):
        numbers = column.cast(pa.int32() if pa.types.is_date(arrow) else pa.int64())
        first = pc.min(numbers).as_py()
        limit = _CUTOVER_DAY * (1 if pa.types.is_date(arrow) else 86_400_000_000)
        if first is not None and first < limit:
            raise SparkGeneralError(
                "riacho cannot write dates and times before 1582-10-15 to ORC files: Spark would read other days. Use "
                "Parquet, or cast the column to STRING."
            )
    elif pa.types.is_struct(arrow):
        for field in column.flatten():
            _check_calendar(field)
    elif pa.types.is_map(arrow):
        _check_calendar(column.keys)
        _check_calendar(column.items)
    elif pa.types.is_list(arrow):
        _check_calendar(column.flatten())


def _chosen(
    options: Options, conf: str, codecs: Mapping[str, tuple[str, str]], spark: tuple[str, ...]
) -> tuple[str, str]:
    """The codec of the options, else of the conf. Raises CODEC_NOT_AVAILABLE, UnsupportedOperationError."""
    name = options.maybe("compression") or conf
    found = codecs.get(name.lower())
    if found is None and name.lower() in spark:
        raise UnsupportedOperationError(
            f"The {options.owner} cannot compress with {name}; use one of {', '.join(codecs)}."
        )
    if found is None:
        raise not_available(name, spark)
    return found


def parquet(options: Options, get_conf: GetConf) -> Columnar:
    """The maker of files. Raises as `_chosen`."""
    known = ("brotli", "uncompressed", "lzo", "snappy", "lz4_raw", "none", "zstd", "lz4", "gzip")
    codec, extension = _chosen(options, PARQUET_CODEC.read(get_conf), _PARQUET_CODECS, known)
    return Columnar(extension, lambda path, schema: _ParquetFile(path, schema, codec))


def orc(options: Options, get_conf: GetConf) -> Columnar:
    """The maker of files. Raises as `_chosen`."""
    known = ("brotli", "uncompressed", "lz4", "lzo", "snappy", "zlib", "none", "zstd")
    codec, extension = _chosen(options, ORC_CODEC.read(get_conf), _ORC_CODECS, known)
    return Columnar(extension, lambda path, schema: _OrcFile(path, schema, codec))
