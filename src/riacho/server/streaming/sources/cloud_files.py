"""`cloudFiles`: Auto Loader's way to read a landing folder, as far as a folder on one machine needs it.

It differs from the plain file source in what happens to what does not fit:

- the schema is inferred once and remembered (`schema_store`); it grows by new columns. A new column stops the stream
  once, after the schema with it was written; the restarted stream reads the same batch again, with the column;
- values without a place go to the rescued-data column, with the path of their file;
- a file that cannot be read is set aside (`bad_files`), counted in the progress, and the stream goes on;
- sub-folders are read at any depth.

Everything else (log, offsets, limits) is the file source's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.ids import Offset
from riacho.paths import qualified
from riacho.server.catalog.failures import path_not_found
from riacho.server.formats.base import DamagedFileError, DecoderContext, FileFormat, file_url
from riacho.server.streaming.sources.bad_files import BadFiles
from riacho.server.streaming.sources.base import ReadLimit, SourceContext, SourceData
from riacho.server.streaming.sources.cloud_options import (
    FIXED_COLUMNS,
    SELF_DESCRIBING,
    CloudOptions,
    EvolutionMode,
)
from riacho.server.streaming.sources.evolution import added_columns, infer_data_schema, merged_schema, unknown_fields
from riacho.server.streaming.sources.file_formats import FORMATS, source_path
from riacho.server.streaming.sources.file_intake import Intake, IntakeRules
from riacho.server.streaming.sources.file_log import FileEntry
from riacho.server.streaming.sources.file_scan import Layout, scan, threads_per_file
from riacho.server.streaming.sources.files import DAY_MS, missing_file
from riacho.server.streaming.sources.globs import is_glob
from riacho.server.streaming.sources.listing import FileStatus
from riacho.server.streaming.sources.object_listing import Listing, listing_of
from riacho.server.streaming.sources.partitions import infer_partitions
from riacho.server.streaming.sources.schema_hints import parse_hints, with_hints
from riacho.server.streaming.sources.schema_store import SchemaStore, StoredSchema
from riacho.storage import place_at, place_of
from riacho.types import nullable

_log = logging.getLogger(__name__)

ParseDdl = Callable[[str], pa.Schema]

_WHOLE_BYTES: Final = 64 << 20
"""A larger file is read twice: once to know that it is whole, once to give its rows."""


@dataclass(frozen=True)
class CloudFilesSource:
    """A landing folder. Made by `from_read`. `stored`: the version of the remembered schema, if it is remembered."""

    format: FileFormat
    path: str
    schema: pa.Schema
    options: CloudOptions
    stored: StoredSchema | None = None
    name: str = "cloudFiles"
    has_metadata: bool = True

    def open(self, context: SourceContext) -> CloudFilesReader:
        return CloudFilesReader(self, context)


def from_read(
    schema: pa.Schema | None, options: Mapping[str, str], path: str | None, parse_ddl: ParseDdl
) -> CloudFilesSource:
    """The source of a `cloudFiles` read. Infers and remembers the schema if none is given and none is known.

    Raises CF_… and IllegalArgumentError for options, PATH_NOT_FOUND, CF_EMPTY_DIR_FOR_SCHEMA_INFERENCE.
    """
    tables = {name: one.table for name, one in FORMATS.items()}
    checked = CloudOptions.of(options, tables, has_schema=schema is not None)
    local = source_path(path or checked.files.maybe("path"))
    if not is_glob(local) and not place_at(local).exists():
        raise path_not_found(qualified(local))
    form = FORMATS[checked.format]
    if schema is None and checked.format in FIXED_COLUMNS:
        paths = sorted(listing(local, checked).paths())
        schema = pa.schema([*form.infer((), checked.files), *_partitions(paths, local, checked)])
    if schema is not None:
        source = CloudFilesSource(form, local, _with_rescued(nullable(schema), checked), checked)
    else:
        stored = _stored_schema(form, local, checked, parse_ddl)
        source = CloudFilesSource(form, local, _with_rescued(stored.all, checked), checked, stored)
    if checked.format not in FIXED_COLUMNS:
        form.decoder(source.schema, checked.files, DecoderContext(rescued_column=checked.rescued_column))
    return source


def _with_rescued(schema: pa.Schema, options: CloudOptions) -> pa.Schema:
    if options.rescued_column is None or options.rescued_column in schema.names:
        return schema
    return schema.append(pa.field(options.rescued_column, pa.string()))


def _stored_schema(format: FileFormat, path: str, options: CloudOptions, parse_ddl: ParseDdl) -> StoredSchema:
    """The remembered schema, hints applied; inferred and remembered if there is none."""
    hints = () if options.schema_hints is None else parse_hints(options.schema_hints, parse_ddl)
    if options.schema_location is None:
        raise IllegalArgumentError(
            "Please provide a location for the schema of the files with the option cloudFiles.schemaLocation, or give "
            "a schema with .schema(…)."
        )
    store = SchemaStore(place_of(source_path(options.schema_location)))
    known = store.latest()
    if known is None:
        files = sorted(listing(path, options).files(), key=lambda file: file.path)
        nested = {hint.column.lower() for hint in hints if len(hint.path) > 1}
        data = infer_data_schema(format, files, options, nested)
        if not len(data):
            raise AnalysisError.of(
                "CF_EMPTY_DIR_FOR_SCHEMA_INFERENCE",
                f"Cannot infer schema when the input path `{path}` is empty. Please try to start the stream when there "
                "are files in the input path, or specify the schema.",
                sql_state="42000",
                path=path,
            )
        known = store.add(
            0, nullable(with_hints(data, hints)), _partitions([file.path for file in files], path, options)
        )
    partitions = {name.lower() for name in known.partitions.names}
    data = with_hints(known.data, [hint for hint in hints if hint.column.lower() not in partitions])
    return replace(known, data=nullable(pa.schema([f for f in data if f.name.lower() not in partitions])))


def _partitions(paths: Sequence[str], base: str, options: CloudOptions) -> pa.Schema:
    """The columns that the folders show."""
    found = infer_partitions(paths, base)
    if options.partition_columns is not None:
        wanted = {name.lower() for name in options.partition_columns}
        found = pa.schema([field for field in found if field.name.lower() in wanted])
    typed = options.infer_types or options.format in SELF_DESCRIBING
    return found if typed else pa.schema([pa.field(name, pa.string()) for name in found.names])


def listing(path: str, options: CloudOptions) -> Listing:
    """All files below `path`, at any depth."""
    pattern = options.name_pattern or options.files.maybe("pathGlobFilter")
    return listing_of(path, recursive=True, name_pattern=pattern)


class NewColumnsFound(Exception):  # noqa: N818 - taken up by the reader, which answers with Spark's error
    """A file has columns that the schema lacks."""

    def __init__(self, path: str, names: Sequence[str]) -> None:
        super().__init__(path, names)
        self.path = path
        self.names = names


class CloudFilesReader:
    """See `sources.base.SourceReader`."""

    def __init__(self, source: CloudFilesSource, context: SourceContext) -> None:
        self.description = f"CloudFilesSource[{file_url(source.path)}]"
        self._source = source
        options = source.options
        base = None if is_glob(source.path) else source.path
        evolves = options.mode in {EvolutionMode.ADD_NEW_COLUMNS, EvolutionMode.FAIL_ON_NEW_COLUMNS}
        # What is wrong with a column that nobody looks at must be rescued all the same.
        unused = context.unused if options.rescued_column is None and not evolves else frozenset()
        self._layout = Layout(
            source.schema, base, unused=unused, with_metadata=context.with_metadata, zone=context.zone
        )
        self._decoding = DecoderContext(
            lambda: context.clock.now_ms() // DAY_MS,
            options.rescued_column,
            _stop_on_new_columns if evolves else None,
            unused=unused,
        )
        self._bad = BadFiles(context.log_dir)
        rules = IntakeRules(
            options.stream,
            overwrites=options.allow_overwrites,
            skip_existing=not options.include_existing,
            incremental=options.incremental,
        )
        self._intake = Intake(listing(source.path, options), rules, context.log_dir, context.clock)

    def prepare_available_now(self) -> None:
        self._intake.freeze()

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        return self._intake.next_offset(start, limit)

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        taken = self._intake.files(start, end)
        metrics: dict[str, str] = {}
        return SourceData(self._layout.full, self._rows(taken, metrics), metrics)

    def commit(self, end: Offset) -> None:
        self._intake.commit(end)

    def latest(self) -> Offset | None:
        return self._intake.latest()

    def stop(self) -> None:
        """Nothing is kept open between batches."""

    def _rows(
        self, taken: Sequence[tuple[FileEntry, FileStatus | None]], metrics: dict[str, str]
    ) -> Iterator[pa.RecordBatch]:
        """The rows of a batch. Fills in `metrics`. Raises UNKNOWN_FIELD_EXCEPTION for new columns."""
        entries = {file.path: entry for entry, file in taken if file is not None}
        for entry, file in taken:
            if file is None and self._bad.find(entry) is None:
                self._set_aside(entry, missing_file(entry.url).message)
        files = [file for _, file in taken if file is not None]
        layout = self._layout.for_files(files)
        decoding = replace(self._decoding, threads=threads_per_file(files))
        decoder = self._source.format.decoder(layout.in_files, self._source.options.files, decoding)
        rescued = 0
        try:
            for batch in scan(files, layout, lambda file: self._decode(entries[file.path], file, decoder.decode)):
                rescued += self._count_rescued(batch)
                yield batch
        except NewColumnsFound as found:
            raise self._evolve(found, files) from None
        bad = [one for entry, _ in taken if (one := self._bad.find(entry)) is not None]
        metrics["numFilesSetAside"] = str(len(bad))
        metrics["numRowsRescued"] = str(rescued)
        if bad:
            metrics["filesSetAside"] = json.dumps([{"path": one.path, "error": one.error} for one in bad[:10]])

    def _decode(
        self, entry: FileEntry, file: FileStatus, decode: Callable[[str], Iterator[pa.RecordBatch]]
    ) -> Iterator[pa.RecordBatch]:
        """All rows of a file, or none at all if it cannot be read to its end."""
        if self._bad.find(entry) is not None:
            return
        try:
            if file.size <= _WHOLE_BYTES:
                batches = list(decode(file.path))
            else:
                batches = []
                for _ in decode(file.path):
                    pass
        except (DamagedFileError, OSError, EOFError, pa.ArrowException) as error:
            self._set_aside(entry, str(error))
            return
        yield from batches if file.size <= _WHOLE_BYTES else decode(file.path)

    def _set_aside(self, entry: FileEntry, error: str) -> None:
        self._bad.add(entry, error)
        _log.warning("Set aside the file %s, which cannot be read: %s", entry.url, error)

    def _count_rescued(self, batch: pa.RecordBatch) -> int:
        column = self._source.options.rescued_column
        return 0 if column is None else pc.count(batch.column(column)).as_py()

    def _evolve(self, found: NewColumnsFound, files: Sequence[FileStatus]) -> Exception:
        """Remember the new columns of all files of the batch, if the mode says so. Returns the error to raise."""
        url, stored = file_url(found.path), self._source.stored
        location = self._source.options.schema_location
        if self._source.options.mode is EvolutionMode.FAIL_ON_NEW_COLUMNS or stored is None or location is None:
            return unknown_fields(url, found.names, recorded=False)
        inferred = infer_data_schema(self._source.format, files, self._source.options)
        new = nullable(pa.schema(added_columns(stored.all, inferred)))
        store = SchemaStore(place_of(source_path(location)))
        store.add(stored.version + 1, merged_schema([stored.data, new]), stored.partitions)
        return unknown_fields(url, new.names or found.names, recorded=True)


def _stop_on_new_columns(path: str, names: Sequence[str]) -> None:
    raise NewColumnsFound(path, names)
