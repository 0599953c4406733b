"""The Delta source and its reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from riacho import storage, types
from riacho.conf import HANDOVER
from riacho.errors import AnalysisError, SparkError
from riacho.ids import Offset
from riacho.paths import qualified
from riacho.server.delta import feed, files, history
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import AddFile
from riacho.server.delta.commits import COMMITS, Subscription
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.protocol import require_readable
from riacho.server.delta.state import TableState, load_state
from riacho.server.streaming.sources.base import METADATA, METADATA_TYPE, ReadLimit, SourceContext, SourceData
from riacho.server.streaming.sources.delta.admission import Admission, last_admitted
from riacho.server.streaming.sources.delta.changes import FeedEntry, TableChanges, VersionEntries
from riacho.server.streaming.sources.delta.offsets import (
    BASE_INDEX,
    END_INDEX,
    DeltaOffset,
    parse_offset,
    require_forward,
)
from riacho.server.streaming.sources.delta.options import LATEST, DeltaSourceOptions
from riacho.server.streaming.sources.delta.reading import FileRead, filled, read_ahead
from riacho.storage import Place
from riacho.zones import UTC, Zone


@dataclass(frozen=True)
class DeltaSource:
    """The Delta table at `path` as a stream. Make it with `of`, which looks at the table once for its schema."""

    path: Place
    options: DeltaSourceOptions
    table_schema: pa.Schema
    name: str = field(default="delta", init=False)
    has_metadata: bool = field(default=True, init=False)

    @classmethod
    def of(
        cls, path: Place, options: Mapping[str, str], declared: pa.Schema | None = None, zone: Zone = UTC
    ) -> DeltaSource:
        """`declared`: a schema that the user gave; it must be the table's. `zone`: the session's.

        Raises DELTA_PATH_DOES_NOT_EXIST, DELTA_SCHEMA_NOT_SET, DELTA_READ_SOURCE_SCHEMA_CONFLICT, DELTA_UNSUPPORTED_
        FEATURES_FOR_READ, and what `DeltaSourceOptions.parse` raises.
        """
        checked = DeltaSourceOptions.parse(options, zone)
        state = _open(DeltaLog(path))
        schema = schemas.to_arrow(state.metadata.schema_json)
        if not len(schema):
            raise AnalysisError.of(
                "DELTA_SCHEMA_NOT_SET",
                "Table schema is not set.  Write data into it or use CREATE TABLE to set the schema.",
                sql_state="KD008",
            )
        if declared is not None and len(declared) and not schemas.same_columns(declared, schema):
            raise AnalysisError.of(
                "DELTA_READ_SOURCE_SCHEMA_CONFLICT",
                "The schema provided for the source read doesn't match the schema of the Delta table at "
                f"{path}. Omit the schema: the table has its own.",
                sql_state="42K07",
            )
        return cls(path, checked, schema)

    @property
    def schema(self) -> pa.Schema:
        full = feed.feed_schema(self.table_schema) if self.options.read_change_feed else self.table_schema
        return types.nullable(full)

    def open(self, context: SourceContext) -> DeltaReader:
        """Raises DELTA_SCHEMA_CHANGE_SINCE_ANALYSIS."""
        log = DeltaLog(self.path)
        state = _open(log)
        if not schemas.readable_as(schemas.to_arrow(state.metadata.schema_json), self.table_schema):
            raise AnalysisError.of(
                "DELTA_SCHEMA_CHANGE_SINCE_ANALYSIS",
                f"The schema of your Delta table at {self.path} has changed in an incompatible way since your "
                "DataFrame was created. Please redefine your DataFrame.",
                sql_state="KD007",
            )
        return DeltaReader(self, context, log, state)


class DeltaReader:
    """See `streaming.sources.base.SourceReader`. An idle trigger costs one look for the next commit's file."""

    def __init__(self, source: DeltaSource, context: SourceContext, log: DeltaLog, state: TableState) -> None:
        self.description = f"DeltaSource[{qualified(source.path.absolute())}]"
        self._source = source
        self._options = source.options
        self._context = context
        self._log = log
        self._table_id = state.metadata.id
        self._opened_at = state.version
        self._changes = TableChanges(log, state, source.table_schema, source.options)
        self._available_now = False
        self._bound: DeltaOffset | None = None
        self._feed_checked = False
        self._news = _subscribe(source, context)
        self.tells_news = self._news is not None

    def prepare_available_now(self) -> None:
        self._available_now = True

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        begin = None if start is None else parse_offset(start, self._table_id)
        if self._available_now:
            self._available_now = False
            self._bound = self._next(begin, Admission(None, None))
        admission = Admission(None, None) if limit.everything else self._admission()
        end = self._next(begin, admission)
        if begin is not None and end is not None:
            require_forward(begin, end)
        return None if end is None else end.to_json()

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        last = parse_offset(end, self._table_id)
        first = self._first_of(start, last)
        self._require_feed(first)
        reads: list[FileRead] = []
        for version in self._changes.after(first, last):
            within = [entry for entry in version.entries if entry.position <= last.position]
            reads.extend(self._files(version, within))
        schema = self._source.schema
        if self._context.with_metadata:
            schema = schema.append(pa.field(METADATA, METADATA_TYPE, nullable=False))
        return SourceData(schema, read_ahead(reads, with_metadata=self._context.with_metadata))

    def commit(self, end: Offset) -> None:
        self._changes.forget_before(parse_offset(end, self._table_id).version)

    def latest(self) -> Offset | None:
        return None

    def stop(self) -> None:
        if self._news is not None:
            self._news.close()

    def _next(self, begin: DeltaOffset | None, admission: Admission) -> DeltaOffset | None:
        """The end of the batch after `begin`: `begin` itself, or None at the very start, if there is nothing new."""
        if begin is not None and begin.index == BASE_INDEX and not begin.initial and self._nothing_at(begin.version):
            return begin
        first = begin or self._start()
        if first is None:
            return None
        last = last_admitted(
            self._changes.after(first), admission, self._bound, look_ahead=not self._options.read_change_feed
        )
        return begin if last is None else self._offset_at(last, first)

    def _nothing_at(self, version: int) -> bool:
        """Whether the table ends before `version`: the idle case, and no older commit can be missing."""
        return version > self._opened_at and not self._log.has(version)

    def _offset_at(self, entry: FeedEntry, first: DeltaOffset) -> DeltaOffset:
        if entry.index == END_INDEX:
            return DeltaOffset(self._table_id, entry.version + 1)
        return DeltaOffset(
            self._table_id, entry.version, entry.index, initial=first.initial and entry.version == first.version
        )

    def _start(self) -> DeltaOffset | None:
        """Where a query without a checkpoint begins; None if that is a version still to come."""
        version = self._starting_version()
        if version is None:
            return DeltaOffset(self._table_id, self._opened_at, initial=True)
        return DeltaOffset(self._table_id, version)

    def _starting_version(self) -> int | None:
        """The version that the options name, or None to begin with a snapshot."""
        if self._options.starting_version == LATEST:
            return self._latest_at_start()
        if isinstance(self._options.starting_version, int):
            history.require_version(self._log, self._options.starting_version)
            return self._options.starting_version
        if self._options.starting_timestamp_ms is not None:
            return history.first_version_from(self._log, self._options.starting_timestamp_ms)
        return None

    def _latest_at_start(self) -> int:
        """The version after the newest one when the query began; kept, so that a first batch cut off finds it again."""
        note = self._context.log_dir / "starting_version"
        if note.exists():
            return int(note.read_text(encoding="utf-8"))
        version = self._opened_at + 1
        note.parent.mkdir(parents=True, exist_ok=True)
        storage.replace(note, str(version).encode())
        return version

    def _first_of(self, start: Offset | None, last: DeltaOffset) -> DeltaOffset:
        """Where the batch that ends at `last` began."""
        if start is not None:
            return parse_offset(start, self._table_id)
        version = self._starting_version()
        if version is not None:
            return DeltaOffset(self._table_id, version)
        # The snapshot that the first batch read, whole or in part: the table may have moved on since.
        snapshot = last.version if last.initial else last.version - 1
        return DeltaOffset(self._table_id, snapshot, initial=True)

    def _admission(self) -> Admission:
        return Admission(self._options.max_files, self._options.max_bytes)

    def _require_feed(self, first: DeltaOffset) -> None:
        """Once per run: the change feed must have been kept where it is read from. Raises DELTA_MISSING_CHANGE_DATA."""
        if not self._options.read_change_feed or self._feed_checked:
            return
        self._feed_checked = True
        latest = self._log.latest_version(self._opened_at)
        if latest is None or first.version > latest:
            return
        try:
            state = load_state(self._log, first.version)
        except SparkError:
            return  # too old to be put together again; the commits themselves are still checked
        feed.require_recorded(state.metadata, first.version, first.version, None)

    def _files(self, version: VersionEntries, entries: list[FeedEntry]) -> Iterator[FileRead]:
        """How to read the files of one version."""
        actions = [entry.action for entry in entries if entry.action is not None and self._wanted(entry.action.path)]
        table = self._source.path
        columns = self._used_columns()
        if self._options.read_change_feed:
            for piece in feed.pieces(table, version.version, version.timestamp_ms, actions):
                read = partial(feed.read_piece, piece, columns)
                yield FileRead(piece.file.path, piece.size, partial(filled, read, self._source.schema))
            return
        for action in actions:
            assert isinstance(action, AddFile), "a plain stream reads nothing else"
            file = files.data_file(table, action)
            held = self._news and self._news.take(action.path)
            read = partial(files.read_batches, file, columns)
            if held is not None:
                read = partial(files.held_batches, held, file, columns)
            yield FileRead(file.path, action.size, partial(filled, read, self._source.schema))

    def _used_columns(self) -> pa.Schema:
        """The columns to read from files: those that the plan may use, or one, to count rows by."""
        every = types.nullable(self._source.table_schema)
        used = [field for field in every if field.name not in self._context.unused]
        return pa.schema(used or [every.field(0)])

    def _wanted(self, path: str) -> bool:
        return self._options.exclude is None or self._options.exclude.search(path) is None


def _subscribe(source: DeltaSource, context: SourceContext) -> Subscription | None:
    """Hear of commits to the table; their rows come along unless a read wants more than a file's rows."""
    if context.wake is None:
        return None
    only_rows = not source.options.read_change_feed and not context.with_metadata
    hold_bytes = HANDOVER.read(context.session.get_conf) if only_rows else 0
    return COMMITS.subscribe(source.path, context.wake, hold_bytes)


def _open(log: DeltaLog) -> TableState:
    """The table as it is now. Raises DELTA_PATH_DOES_NOT_EXIST, DELTA_UNSUPPORTED_FEATURES_FOR_READ."""
    state = load_state(log)
    require_readable(log.table, state.protocol, state.metadata)
    return state
