"""The file sink: each batch adds files to a folder, and its log says which; exactly once.

The files of a batch lie in their places before the log names them, and count from then on: readers that know the log
(Spark, riacho) see a batch as a whole or not at all. A batch that is in the log already is left out. Sources:
`FileStreamSink`, `ManifestFileCommitProtocol`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from riacho.clock import Clock, SystemClock
from riacho.conf import BATCHES_TO_RETAIN, SINK_COMPACTION, SINK_LOG_DELAY, SINK_LOG_DELETION
from riacho.errors import AnalysisError, NumberFormatError, StorageError
from riacho.ids import new_uuid
from riacho.options import Option, Options
from riacho.paths import qualified
from riacho.server.engine.base import EngineSession
from riacho.server.files.checks import partition_columns
from riacho.server.files.rows import RowFiles, WrittenFile, written_schema
from riacho.server.files.uploads import Uploads
from riacho.server.formats.base import file_url
from riacho.server.formats.write.files import check_schema, file_format
from riacho.server.streaming.compact_log import CompactLog, EntryFormat, EntryTakenError, Retention
from riacho.server.streaming.sinks.base import QUERY_OPTIONS, OutputMode, PlainSink, SinkBatch, SinkContext
from riacho.server.streaming.sources.sink_log import COLUMNS, FOLDER, SinkEntry
from riacho.storage import Place
from riacho.units import time_ms

_log = logging.getLogger(__name__)

ATTEMPTS = 100
"""How often a writer of a shared folder looks for a free number in its log."""
OPTIONS = (Option("retention", None, "the log forgets files older than this, such as `7d`; the files stay"),)
"""What the sink takes besides the options of the format's writer."""


@dataclass(frozen=True)
class FileSink(PlainSink):
    """Append the files of each batch to the folder `path`, in a format of `formats.write`.

    `shared`: several queries, and a query's new life after a full refresh, may write to the folder. Each batch then
    gets the log's next number and says whose it is; else the log has a query's own numbers, and a second query's
    batches would be taken for the first one's.
    """

    name: str
    path: Place
    partition_by: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    shared: bool = False

    def check(self, mode: OutputMode, checkpoint: Place) -> None:  # noqa: ARG002 - any checkpoint will do
        """Raises STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE, NumberFormatError for a `retention` that is no time."""
        if mode is not OutputMode.APPEND:
            raise AnalysisError.of(
                "STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE",
                f"Invalid streaming output mode: {mode}. This output mode is not supported in Data Source {self.name}.",
                sql_state="42KDE",
                outputMode=str(mode),
                className=self.name,
            )
        self._retention_ms()

    def announce(self, schema: pa.Schema) -> None:
        """Raises AnalysisError for partition columns that there are not."""
        partition_columns(schema, self.partition_by, strict=False)

    def open(self, context: SinkContext) -> FileSinkWriter:
        """Raises what the format's writer says of its options and of the columns."""
        return FileSinkWriter(self, context)

    def entries(self) -> EntryFormat[SinkEntry]:
        """How the log is written: compacted files leave out what is older than the retention."""
        limit_ms = self._retention_ms()
        if limit_ms is None:
            return EntryFormat(SinkEntry.to_json, SinkEntry, COLUMNS)

        def kept(entry: SinkEntry, now_ms: int) -> bool:
            return now_ms - entry.modified_ms <= limit_ms

        return EntryFormat(SinkEntry.to_json, SinkEntry, COLUMNS, kept)

    def _retention_ms(self) -> int | None:
        text = Options.check(f"{self.name} sink", (*OPTIONS, Option("*", None, "")), self.options).maybe("retention")
        found = None if text is None else time_ms(text)
        if text is not None and found is None:
            raise NumberFormatError(
                "Time must be specified as seconds (s), milliseconds (ms), microseconds (us), minutes (m or min), hour "
                "(h), or day (d). E.g. 50s, 100ms, or 250us.\n"
                f"Failed to parse time string: {text}"
            )
        return found


class FileSinkWriter:
    """See `streaming.sinks.base.SinkWriter`."""

    takes_parts = True

    def __init__(self, sink: FileSink, context: SinkContext) -> None:
        session = context.session
        self.description = f"FileSink[{qualified(sink.path)}]"
        self._folder = sink.path
        self._session = session
        form = file_format(sink.name, sink.options, session.get_conf, session.zone, OPTIONS, QUERY_OPTIONS)
        self._schema, partition_by = partition_columns(written_schema(context.schema), sink.partition_by, strict=False)
        check_schema(sink.name, pa.schema([one for one in self._schema if one.name not in partition_by]))
        self._rows = RowFiles(form, partition_by, lambda task: f"part-{task:05d}-{new_uuid()}", session.zone.engine)
        self._log: _OwnLog | _SharedLog
        open_log = partial(CompactLog, sink.path / FOLDER, sink.entries(), sink.clock, _retention(session))
        self._log = _SharedLog(open_log, context.query_id) if sink.shared else _OwnLog(open_log())

    def add_batch(self, batch: SinkBatch) -> None:
        if self._log.has(batch.batch_id):
            _log.info("Skipping already committed batch %s of %s", batch.batch_id, self._folder)
            return
        if isinstance(self._folder, Path):
            self._folder.mkdir(parents=True, exist_ok=True)
            files = self._rows.write(self._batches(batch), self._schema, self._folder)
            try:
                self._add(batch.batch_id, files)
            except BaseException:
                for file in files:
                    file.path.unlink(missing_ok=True)
                raise
            return
        with Uploads(self._folder) as uploads:
            for file in self._rows.write(self._batches(batch), self._schema, uploads.staging):
                uploads.send(file)
            files = uploads.finish()
            try:
                self._add(batch.batch_id, files)
            except StorageError:
                # Nobody knows whether the log has them; files that it does not name do no harm.
                uploads.keep()
                raise

    def _add(self, batch_id: int, files: Sequence[WrittenFile]) -> None:
        self._log.add(batch_id, [SinkEntry(file_url(str(file.path)), file.size, file.modified_ms) for file in files])

    def stop(self) -> None:
        """Nothing is held open."""

    def _batches(self, batch: SinkBatch) -> Iterator[pa.RecordBatch]:
        for relation in batch.relations:
            yield from self._session.stream(relation)


@dataclass(frozen=True)
class _OwnLog:
    """The log of a folder with one writer: its numbers are the batches'."""

    log: CompactLog[SinkEntry]

    def has(self, batch_id: int) -> bool:
        return batch_id <= self.log.latest()

    def add(self, batch_id: int, entries: Sequence[SinkEntry]) -> None:
        self.log.add(batch_id, entries)


class _SharedLog:
    """The log of a folder with several writers, of which this is `query_id`. A batch without files leaves no trace."""

    def __init__(self, open_log: Callable[[], CompactLog[SinkEntry]], query_id: str) -> None:
        self._open = open_log
        self._query_id = query_id
        self._latest: int | None = None

    def has(self, batch_id: int) -> bool:
        if self._latest is None:
            self._latest = self._latest_own()
        return batch_id <= self._latest

    def add(self, batch_id: int, entries: Sequence[SinkEntry]) -> None:
        """Raises EntryTakenError if others are faster again and again."""
        own = [replace(entry, writer=f"{self._query_id}/{batch_id}") for entry in entries]
        for attempt in range(1, ATTEMPTS + 1):
            log = self._open()
            try:
                log.add(log.latest() + 1, own)
            except EntryTakenError:
                if attempt == ATTEMPTS:
                    raise
            else:
                self._latest = batch_id
                return

    def _latest_own(self) -> int:
        """This query's newest batch in the log, -1 if there is none."""
        log = self._open()
        latest = -1
        for found in log.all_columns(log.latest()) if log.latest() >= 0 else ():
            writers = found.column("writer").unique().to_pylist()
            own = [one for one in writers if one is not None and one.startswith(f"{self._query_id}/")]
            latest = max((latest, *(int(one.rpartition("/")[2]) for one in own)))
        return latest


def _retention(session: EngineSession) -> Retention:
    """How the session wants the log kept small."""
    return Retention(
        SINK_COMPACTION.read(session.get_conf),
        BATCHES_TO_RETAIN.read(session.get_conf),
        SINK_LOG_DELAY.read(session.get_conf),
        SINK_LOG_DELETION.read(session.get_conf),
    )
