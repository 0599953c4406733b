"""Batch reads of files in formats that riacho decodes itself: ORC and the like.

Which files a path stands for, and their partitions, is found as for other formats (`file_index`), each time the rows
are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from riacho.clock import SystemClock
from riacho.conf import PARTITION_TYPES
from riacho.options import Options
from riacho.protos import pb
from riacho.server.batch.batch_source import RowsRead
from riacho.server.batch.file_plans import given_types
from riacho.server.batch.file_rules import given_paths, reader_options, rules_of, schema_of_text
from riacho.server.batch.read_filters import may_hold
from riacho.server.batch.wanted import Wanted
from riacho.server.engine.base import OWN_FORMAT, OWN_READ, EngineSession
from riacho.server.formats.avro_reader import engine_reads_avro
from riacho.server.formats.base import DecoderContext, FileFormat
from riacho.server.formats.options import DAMAGE
from riacho.server.streaming.sources.file_formats import FIXED, FORMATS, unable_to_infer
from riacho.server.streaming.sources.file_index import FileIndex, index
from riacho.server.streaming.sources.file_scan import Layout, scan, threads_per_file
from riacho.server.streaming.sources.files import DAY_MS, missing_file, until_damage, whole
from riacho.server.streaming.sources.listing import FileStatus, file_status
from riacho.server.streaming.sources.partitions import typed_value
from riacho.server.streaming.sources.reader_defaults import with_defaults
from riacho.storage import is_object
from riacho.types import nullable
from riacho.zones import Zone

OWN_FILES: Final = frozenset({"orc", "xml"})
"""The formats, in lower case."""

OWN_AVRO: Final = "riacho.avro"
"""The name in `own_reads.FORMATS` of the own reader of Avro files: which reads are for it, is for `engine_reads`."""
OWN_PARQUET: Final = "riacho.parquet"
"""The same of Parquet files."""
OWN_TEXTS: Final = {"csv": "riacho.csv", "json": "riacho.json"}
"""The same of CSV and JSON files, by format."""
OWN_PLAIN: Final = {"text": "riacho.text", "binaryfile": "riacho.binaryfile"}
"""The same of formats that the engine reads right wherever it can reach the files."""

_DECLARED: Final = "riacho.declared"
"""The option that holds the partition columns that a table has by its definition, as JSON."""


def marked_files(
    source: pb.Read.DataSource, paths: Sequence[str], declared: Sequence[str] | None
) -> pb.Read.DataSource:
    """A read of the files at `paths`, marked as `own_reads` does. `declared`: the partition columns of a table."""
    marked = pb.Read.DataSource(format=OWN_READ, schema=source.schema, paths=paths)
    marked.options.update({key: value for key, value in source.options.items() if key.lower() not in {"path", "paths"}})
    form = source.format.lower()
    marked.options[OWN_FORMAT] = {"avro": OWN_AVRO, "parquet": OWN_PARQUET, **OWN_TEXTS, **OWN_PLAIN}.get(form, form)
    if declared is not None:
        marked.options[_DECLARED] = json.dumps(list(declared))
    return marked


def engine_reads(source: pb.Read.DataSource, paths: Sequence[str], zone: Zone) -> bool:
    """Whether the engine reads these files as Spark does, in a session of that zone.

    Not Avro files with a schema or an option that the engine does not know, with several schemas, or with types that it
    reads as others; nor Parquet files whose TIMESTAMPs have the form that Spark gives them (INT96), which it takes for
    local times of the session's zone; nor CSV and JSON with an option that the engine does not know (`mode`, formats
    of times, texts for null) or a column for the records that are not well-formed. It is several times as fast with the
    rest. It reads nothing of an object store: it would not know the session's credentials.
    """
    if any(map(is_object, paths)):
        return False
    form = source.format.lower()
    if form == "parquet":
        return zone.is_utc or not any(map(_has_old_times, paths))
    if form not in {"avro", *OWN_TEXTS}:
        return True
    if not {name.lower() for name in source.options} <= _LISTING | _KNOWN_TO_ENGINE.get(form, frozenset()):
        return False
    if form in OWN_TEXTS:
        return _CORRUPT not in source.schema.lower()
    return not source.schema and engine_reads_avro(paths)


_LISTING: Final = frozenset(
    {"path", "paths", "basepath", "recursivefilelookup", "pathglobfilter", "modifiedbefore", "modifiedafter"}
)
_KNOWN_TO_ENGINE: Final = {"csv": frozenset({"sep", "delimiter", "header", "inferschema", "escape", "multiline"})}
"""The options of a format that mean to the engine what they mean to Spark, in lower case."""
_CORRUPT: Final = "_corrupt_record"


def _has_old_times(path: str) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            return any(file.schema.column(at).physical_type == "INT96" for at in range(len(file.schema)))
    except (OSError, pa.ArrowException):
        return False  # whoever reads the file says what is wrong with it


@dataclass(frozen=True)
class FilesRead:
    """See `own_reads.BatchSource`. `found`: the files; `data`: the columns that stand in them."""

    format: FileFormat
    data: pa.Schema
    found: FileIndex
    options: Options
    zone: str

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([*self.data, *self.found.partitions])

    def read(self, wanted: Wanted) -> RowsRead:
        """See `own_reads.BatchSource`: other columns are not decoded, and partitions without wanted rows not read."""
        return RowsRead(wanted.of(self.schema), self._rows(wanted))

    def _rows(self, wanted: Wanted) -> Iterator[pa.RecordBatch]:
        """Raises what the format raises for a file, FAILED_READ_FILE.FILE_NOT_EXIST, INVALID_PARTITION_VALUE."""
        partitions = wanted.of(self.found.partitions)
        schema = pa.schema([*wanted.of(self.data), *partitions])
        for texts, paths in self.found.files.items():
            values = {
                field.name: typed_value(text, field.type, field.name, self.zone)
                for field, text in zip(self.found.partitions, texts, strict=True)
            }
            if not all(may_hold(each, values) for each in wanted.filters):
                continue
            for batch in self._decoded(paths, wanted):
                constants = (pa.repeat(values[name], batch.num_rows) for name in partitions.names)
                columns = [*batch.columns, *constants]
                yield pa.record_batch(columns, schema=schema) if columns else batch

    def _decoded(self, paths: Sequence[str], wanted: Wanted) -> Iterator[pa.RecordBatch]:
        files = list(self._present(paths))
        today = SystemClock().now_ms() // DAY_MS
        unused = frozenset(self.data.names) - set(wanted.of(self.data).names)
        context = DecoderContext(today=lambda: today, threads=threads_per_file(files), unused=unused)
        decoder = self.format.decoder(self.data, self.options, context)
        decode = until_damage if self.options.flag("ignoreCorruptFiles") else whole
        return scan(files, Layout(wanted.of(self.data)), partial(decode, decoder))

    def _present(self, paths: Sequence[str]) -> Iterator[FileStatus]:
        for path in paths:
            file = self.found.known.get(path) or file_status(path)
            if file is not None:
                yield file
            elif not self.options.flag("ignoreMissingFiles"):
                raise missing_file(path)


def files_read(name: str, source: pb.Read.DataSource, session: EngineSession) -> FilesRead:
    """The read of files of the format `name`. See `own_reads.MakeBatchSource`.

    Raises PATH_NOT_FOUND, UNABLE_TO_INFER_SCHEMA, what `file_index.index` raises, and what the format says of its
    options and types.
    """
    form = FORMATS[name]
    given = with_defaults(name, reader_options(source), session.get_conf, session.zone)
    declared = given.pop(_DECLARED, None)
    options = Options.check(f"{name} reader", (*form.table, *DAMAGE), given)
    rules = rules_of(source, session, None if declared is None else json.loads(declared))
    found = index(given_paths(source), rules)
    if found.partitions.names and not PARTITION_TYPES.read(session.get_conf):
        found = replace(found, partitions=pa.schema([(column, pa.string()) for column in found.partitions.names]))
    schema = schema_of_text(source.schema, session) if source.schema else None
    if schema is None:
        schema = form.infer(sorted(found.paths), options) if found.files or name in FIXED else pa.schema([])
        if not len(schema):
            raise unable_to_infer(form.name.upper())
    else:
        found = replace(found, partitions=given_types(found.partitions, nullable(schema)))
    partitions = {column.lower() for column in found.partitions.names}
    data = nullable(pa.schema([field for field in schema if field.name.lower() not in partitions]))
    form.decoder(data, options, DecoderContext())
    return FilesRead(form, data, found, options, session.zone.text)
