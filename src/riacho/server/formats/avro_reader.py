"""Avro files to Arrow, by Spark's rules for a file whose columns differ from the asked schema.

Types are those of `from_avro`. How columns are found, and rescued: `column_mapping`. Only the columns that are used are
decoded.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from riacho.errors import AnalysisError, SparkError, SparkGeneralError, UnsupportedOperationError
from riacho.options import Option, Options
from riacho.server.formats.avro.container import DamagedContainerError, Header, read_header, read_messages
from riacho.server.formats.avro.cursors import cursors_of
from riacho.server.formats.avro.decode import ancient
from riacho.server.formats.avro.leaves import ValueReader
from riacho.server.formats.avro.options import TABLE, AvroOptions
from riacho.server.formats.avro.resolution import reader_of
from riacho.server.formats.avro.schema import Schema
from riacho.server.formats.avro.sql_types import to_spark
from riacho.server.formats.base import DamagedFileError, Decoded, DecoderContext, bare_rows, file_url
from riacho.server.formats.column_mapping import (
    ColumnMapping,
    FileColumns,
    by_name_once,
    check_names,
    tell_new_columns,
)
from riacho.server.formats.inputs import input_of
from riacho.server.formats.modes import in_file
from riacho.server.formats.nested_columns import Convert, Misfit, nested, unchanged
from riacho.server.formats.options import AVRO, ignores_damage
from riacho.server.formats.orc_types import fitting
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ, nullable, type_to_ddl

_LEGACY: Final = frozenset({"org.apache.spark.legacyDateTime", "org.apache.spark.legacyINT96"})


@dataclass(frozen=True)
class AvroFileDecoder:
    """Reads Avro files into `schema`. `full`: with the columns that are not used, whose positions may count."""

    schema: pa.Schema
    full: pa.Schema
    avro: AvroOptions
    options: Options
    context: DecoderContext

    def decode(self, path: str) -> Decoded:
        """The rows of one file, in order; none if the file is empty, as in Spark.

        Raises FAILED_READ_FILE.NO_HINT for a column of another type, and as a `DamagedFileError` for what is no whole
        Avro file; INCONSISTENT_BEHAVIOR_CROSS_VERSION.READ_ANCIENT_DATETIME if that was asked for.
        """
        if not self.options.flag("ignoreExtension") and not path.endswith(".avro"):
            return
        given = input_of(path)
        if not given.size:
            return
        url = file_url(path)
        try:
            with given.stream() as stream:
                header = read_header(stream)
                yield from self._rows(path, url, stream, header)
        except DamagedContainerError as error:
            raise DamagedFileError.of_file(url, error) from error

    def _rows(self, path: str, url: str, stream: io.BufferedIOBase, header: Header) -> Decoded:
        written = self.avro.reader or header.schema
        try:
            found = columns_of(written, self.avro)
        except SparkError as error:
            raise in_file(error, url) from error
        _refuse_julian(header, path)
        tell_new_columns(self.context, self.full, path, found)
        plan = ColumnMapping.of(self.schema, self.context.rescued_column, self._columns(url, written, found))
        part = replace(written, fields=[field for field in written.fields if field.name in plan.columns])
        names = [field.name for field in part.fields]
        kind = pa.struct([found.field(name) for name in names])
        reader = reader_of(header.schema, part, kind, self.avro)
        for messages in read_messages(stream, header):
            rows, damage = self._values(reader, messages, url)
            if not names:
                yield from _without_columns(self.schema, len(rows))
            elif len(rows):
                columns = [rows.field(at) for at in range(kind.num_fields)]
                yield plan.apply(pa.record_batch(columns, names=names))
            if damage:
                raise DamagedContainerError("A record is not what the schema says.")

    def _values(self, reader: ValueReader, messages: pa.Array, url: str) -> tuple[pa.Array, bool]:
        """The records before the first damaged one, and whether there is one."""
        cursors, _ = cursors_of(messages)
        rows = reader.read(cursors)
        if self.avro.refuse_ancient and ancient(rows).any():
            raise SparkGeneralError.of(
                "INCONSISTENT_BEHAVIOR_CROSS_VERSION.READ_ANCIENT_DATETIME",
                f"The file {url} has dates before 1582-10-15 or timestamps before 1900-01-01T00:00:00Z, which may have "
                "been written in the Julian calendar; set the option datetimeRebaseMode to CORRECTED to read them as "
                "they are.",
                sql_state="42K0B",
            )
        if not cursors.bad.any():
            return rows, False
        return rows.slice(0, int(np.argmax(cursors.bad))), True

    def _columns(self, url: str, written: Schema, found: pa.Schema) -> FileColumns:
        unions = {field.name for field in written.fields if len(field.schema.known) > 1}

        def convert(source: pa.Field, target: pa.Field) -> Convert:
            if source.name in unions and not _same_names(source.type, target.type):
                raise Misfit
            return converter(source.type, target.type)

        def misfit(source: pa.Field, target: pa.Field) -> SparkGeneralError:
            kinds = f"{type_to_ddl(source.type)} to SQL type {type_to_ddl(target.type)}"
            return in_file(SparkGeneralError(f"Cannot convert Avro field '{source.name}' of the type {kinds}."), url)

        return FileColumns(url, found, convert, misfit, self._source(url, found))

    def _source(self, url: str, found: pa.Schema) -> Callable[[pa.Field], pa.Field | None]:
        if not self.options.flag("positionalFieldMatching"):
            return by_name_once(url, found)
        return lambda field: found.field(at) if (at := self.full.get_field_index(field.name)) < len(found) else None


def _same_names(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether a union of several types, as it is read, can be read so: with all of its members, or as one number."""
    if not pa.types.is_struct(source) or not pa.types.is_struct(target):
        return bool(source == target)
    return {field.name.lower() for field in source} == {field.name.lower() for field in target}


def _without_columns(schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    if not len(schema):
        yield from bare_rows(rows).to_batches()
    elif rows:
        yield pa.record_batch([pa.nulls(rows, field.type) for field in schema], schema=schema)


def _refuse_julian(header: Header, path: str) -> None:
    if _LEGACY.intersection(header.metadata):
        raise UnsupportedOperationError(
            f"The file {path} has dates in the Julian calendar, as Spark before 3.0 wrote them. Rewrite it with Spark."
        )


def columns_of(schema: Schema, options: AvroOptions) -> pa.Schema:
    """The columns of a file. Raises AnalysisError if its values are no records, and as `to_spark`."""
    if schema.kind != "record":
        raise AnalysisError(
            f"Avro schema cannot be converted to a Spark SQL StructType:\n\n{schema.text()}\n",
            condition="_LEGACY_ERROR_TEMP_2221",
        )
    return nullable(pa.schema(list(to_spark(schema, options).type)))


def converter(source: pa.DataType, target: pa.DataType) -> Convert:
    """How to turn an array of a file's type `source` into `target`. Raises Misfit if riacho would not."""
    if source == target:
        return unchanged
    return nested(source, target, converter) or _simple(source, target)


def _simple(source: pa.DataType, target: pa.DataType) -> Convert:
    if pa.types.is_decimal(source) and pa.types.is_decimal(target):
        if target.precision - target.scale < source.precision - source.scale:
            raise Misfit
        return lambda array: fitting(array, target)
    if source == pa.int32() and target == pa.date32():
        return lambda array: array.view(target)
    if source == pa.int64() and target in (TIMESTAMP, TIMESTAMP_NTZ):
        return lambda array: array.view(pa.timestamp("ms")).cast(pa.timestamp("us")).view(target)
    if source == pa.date32() and target in (pa.int32(), pa.int64(), pa.float64()):
        return lambda array: array.view(pa.int32()).cast(target)
    if (source, target) in _WIDER:
        return lambda array: array.cast(target)
    raise Misfit


_WIDER: Final = {
    (pa.int32(), pa.int64()),
    (pa.int32(), pa.float64()),
    (pa.float32(), pa.float64()),
    (pa.date32(), TIMESTAMP_NTZ),
}


@dataclass(frozen=True)
class AvroFormat:
    """The `avro` format."""

    name: str = "avro"
    table: tuple[Option, ...] = AVRO

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> AvroFileDecoder:
        return AvroFileDecoder(context.used(schema), schema, avro_options(options), options, context)

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        """The columns of the schema that is given, or of the first file that is not empty.

        Raises DamagedFileError, unless damaged files are ignored, COLUMN_ALREADY_EXISTS, and as `columns_of`.
        """
        given = avro_options(options)
        if given.reader is not None:
            return columns_of(given.reader, given)
        for path in paths:
            if not options.flag("ignoreExtension") and not path.endswith(".avro"):
                continue
            source = input_of(path)
            if source.size:
                try:
                    with source.stream() as stream:
                        found = columns_of(read_header(stream).schema, given)
                except DamagedContainerError as error:
                    if ignores_damage(options):
                        continue
                    raise DamagedFileError.of_file(file_url(path), error) from error
                check_names(found)
                return found
        return pa.schema([])


def avro_options(options: Options) -> AvroOptions:
    """Those that `from_avro` has too. Raises SparkError for a value that one cannot have."""
    shared = {option.name for option in TABLE}
    return AvroOptions.read("avro reader", {name: v for name, v in options.given.items() if name in shared})


def engine_reads_avro(paths: Sequence[str]) -> bool:
    """Whether these files have one schema, and only types that other readers of Avro take for the same ones."""
    texts = set()
    for path in paths:
        try:
            with Path(path).open("rb") as stream:
                header = read_header(stream)
        except (DamagedContainerError, SparkError, OSError):
            return False
        if _LEGACY.intersection(header.metadata) or header.codec not in ("null", "deflate", "snappy", "zstandard"):
            return False
        if header.text not in texts and not (header.schema.kind == "record" and _is_common(header.schema, frozenset())):
            return False
        texts.add(header.text)
    return len(texts) == 1


def _is_common(schema: Schema, inside: frozenset[str]) -> bool:
    match schema.kind:
        case "union":
            return len(schema.branches) == 2 and schema.has_null and _is_common(schema.known[0], inside)
        case "record":
            name = schema.full_name
            lower = [field.name.lower() for field in schema.fields]
            if name in inside or len(set(lower)) < len(lower):
                return False
            return all(_is_common(field.schema, inside | {name}) for field in schema.fields)
        case "array" | "map":
            return _is_common(schema.item, inside)
        case "null" | "enum":
            return False
        case _:
            return (schema.logical or "") in _COMMON_LOGICAL and _LOGICAL_WORDS.issuperset(schema.others)


_LOGICAL_WORDS: Final = frozenset({"logicalType", "precision", "scale"})
_COMMON_LOGICAL: Final = frozenset(
    {
        "",
        "decimal",
        "date",
        "timestamp-millis",
        "timestamp-micros",
        "local-timestamp-millis",
        "local-timestamp-micros",
    }
)
