"""From a streaming `Read` of files to its source: the format, its options, the schema given or inferred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.options import Options
from riacho.paths import qualified
from riacho.server.catalog.failures import path_not_found
from riacho.server.formats.avro_reader import AvroFormat
from riacho.server.formats.base import FileFormat
from riacho.server.formats.binary_reader import BinaryFormat
from riacho.server.formats.csv_format import CsvFormat
from riacho.server.formats.json_reader import JsonFormat
from riacho.server.formats.options import LISTING, STREAM
from riacho.server.formats.orc_reader import OrcFormat
from riacho.server.formats.parquet_reader import ParquetFormat
from riacho.server.formats.text_reader import TextFormat
from riacho.server.formats.xml_reader import XmlFormat
from riacho.server.streaming.sources.files import FileSource, base_path
from riacho.server.streaming.sources.globs import is_glob
from riacho.server.streaming.sources.object_listing import listing_for
from riacho.server.streaming.sources.partitions import infer_partitions
from riacho.storage import place_at, place_of
from riacho.types import nullable

FORMATS: Final[dict[str, FileFormat]] = {
    one.name.lower(): one
    for one in (
        AvroFormat(),
        BinaryFormat(),
        CsvFormat(),
        JsonFormat(),
        OrcFormat(),
        ParquetFormat(),
        TextFormat(),
        XmlFormat(),
    )
}
FIXED: Final = frozenset({"binaryfile", "text"})
"""Formats whose columns are the same for all files."""


def from_read(
    format: str, schema: pa.Schema | None, options: Mapping[str, str], path: str | None, *, infer: bool = False
) -> FileSource:
    """The source of files of `format` (a key of FORMATS) under `path` or the option of that name.

    `infer`: whether a schema that is not given may be inferred (`spark.sql.streaming.schemaInference`). Partition
    columns that the folders show come last, typed by the schema or by their values.

    Raises PATH_NOT_FOUND, UNABLE_TO_INFER_SCHEMA, IllegalArgumentError for a missing path or schema, and what the
    format says of its options.
    """
    file_format = FORMATS[format]
    checked = Options.check(f"{format} reader", (*file_format.table, *LISTING, *STREAM), options)
    local = source_path(path or checked.maybe("path"))
    if not is_glob(local) and not place_at(local).exists():
        raise path_not_found(qualified(local))
    listing = listing_for(local, checked)
    if schema is None and not infer and format != "text":
        raise IllegalArgumentError(
            "Schema must be specified when creating a streaming source DataFrame. If some files already exist in the "
            "directory, then depending on the file format you may be able to create a static DataFrame on that "
            "directory with 'spark.read.load(directory)' and infer schema from it.",
            condition="_LEGACY_ERROR_TEMP_2048",
        )
    if schema is None:
        paths = sorted(listing.paths())
        schema = file_format.infer(paths, checked) if paths or format in FIXED else pa.schema([])
        if not len(schema):
            raise unable_to_infer(format.upper())
    base = base_path(local, checked)
    folders = () if base is None else listing.partition_folders()
    partitions = pa.schema([]) if base is None else infer_partitions([f"{folder}/_" for folder in folders], base)
    full = with_partitions(nullable(schema), partitions)
    return FileSource(file_format, local, full, checked, partitions=frozenset(map(str.lower, partitions.names)))


def source_path(path: str | None) -> str:
    """An absolute path. Raises IllegalArgumentError for none, and as `storage.place_of`."""
    if not path:
        raise IllegalArgumentError("'path' is not specified")
    return str(place_of(path))


def with_partitions(schema: pa.Schema, found: pa.Schema) -> pa.Schema:
    """`schema` with the partition columns last: those of its own, and those that only the paths show (`found`)."""
    given = {field.name.lower(): field for field in schema}
    partitions = [given.get(field.name.lower(), field) for field in found]
    names = {field.name for field in partitions}
    return pa.schema([*(field for field in schema if field.name not in names), *partitions])


def unable_to_infer(format: str) -> AnalysisError:
    """There are no files to infer a schema from. `format`: as Spark's messages print it."""
    return AnalysisError.of(
        "UNABLE_TO_INFER_SCHEMA",
        f"Unable to infer schema for {format}. It must be specified manually.",
        sql_state="42KD9",
        format=format,
    )
