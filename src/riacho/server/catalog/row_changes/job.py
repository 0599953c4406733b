"""One statement on one table: run on the table as it stands, and committed as one version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import pyarrow as pa

from riacho import types
from riacho.clock import Clock, SystemClock
from riacho.errors import SparkGeneralError
from riacho.server.delta import changes, files
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import AddFile, ChangeFile, Json, Metadata, transaction
from riacho.server.delta.constraints import Demands
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.protocol import APPEND_ONLY, CHANGE_FEED, append_route, enabled, require_readable
from riacho.server.delta.state import TableState, not_a_table, require_whole
from riacho.server.delta.write import AppTransaction, DeltaOperation, repeated
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession, Spool
from riacho.server.engine.spool import FolderSpool
from riacho.storage import Place

MAX_RUNS = 5
CHANGES = "_change_data"

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Snapshot:
    """The table that a statement is about, at one version. `declared`: its schema; `schema`: the same, all nullable."""

    folder: Place
    version: int
    metadata: Metadata
    declared: pa.Schema
    schema: pa.Schema
    demands: Demands
    files: tuple[AddFile, ...]

    @property
    def partition_by(self) -> tuple[str, ...]:
        return self.metadata.partition_columns

    @property
    def feed(self) -> bool:
        """Whether the table keeps a change feed."""
        return enabled(self.metadata.configuration, CHANGE_FEED)


@dataclass
class TableChange:
    """What a statement does to a table, already in files but in no version yet.

    `recorded`: files of change rows. `schema`: the table's new one, if it gains columns. `counts`: what the
    statement answers. `metrics`: what DESCRIBE HISTORY tells.
    """

    counts: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, int] = field(default_factory=dict)
    removed: list[AddFile] = field(default_factory=list)
    added: list[files.NewFile] = field(default_factory=list)
    recorded: list[files.NewFile] = field(default_factory=list)
    schema: pa.Schema | None = None

    @property
    def empty(self) -> bool:
        return not (self.removed or self.added or self.schema)

    def discard(self, table: Place) -> None:
        """Remove the files that this change has written."""
        files.discard(table, [*self.added, *self.recorded])


class _ChangedMeanwhileError(Exception):
    """Somebody changed the table so that what was computed no longer holds."""


@dataclass(frozen=True)
class Job:
    """One run of a statement: the table as it was when the run began, and a place for rows on their way."""

    snapshot: Snapshot
    spool: Spool
    session: EngineSession


@dataclass(frozen=True)
class Applied:
    """What became of a change. `version`: None if none was made; `repetition`: it had been made before."""

    version: int | None
    counts: Counts
    repetition: bool = False


class Runner:
    """Runs statements that change rows of a table."""

    def __init__(self, session: EngineSession, clock: Clock | None = None) -> None:
        self.session = session
        self._clock = clock or SystemClock()

    def run(self, folder: Place, operation: DeltaOperation, make: Callable[[Job, TableChange], None]) -> Counts:
        """Have `make` fill in a change of the table in `folder`, and commit it; what the statement answers.

        Another write in between that does not touch what the change rests on is let pass; after any other the change is
        computed anew. A change of nothing makes no version. Raises what `make`
        raises, DELTA_PATH_DOES_NOT_EXIST, DELTA_CANNOT_MODIFY_APPEND_ONLY, DELTA_CONCURRENT_WRITE,
        DELTA_UNSUPPORTED_FEATURES_FOR_READ and …_WRITE; then the table is as it was.
        """
        return self.apply(DeltaWriter(folder, with_files=True), operation, make).counts

    def apply(
        self,
        writer: DeltaWriter,
        operation: DeltaOperation,
        make: Callable[[Job, TableChange], None],
        numbered: AppTransaction | None = None,
        check: Callable[[TableState], None] = lambda _: None,
    ) -> Applied:
        """As `run`, with a writer that may have been used before: one that was made with the table's files.

        A `numbered` change that the table has already is not made again; `make` is not even called. `check` is told of
        the table that the version is to follow, and raises if it must not.
        """
        folder = writer.log.table
        for _ in range(MAX_RUNS):
            state = writer.state()
            if repeated(state, numbered):
                return Applied(None, {}, repetition=True)
            snapshot = snapshot_of(folder, state)
            change = TableChange()
            try:
                with closing(FolderSpool("dml", zone=self.session.zone.engine)) as spool:
                    make(Job(snapshot, spool, self.session), change)
                if change.empty:
                    return Applied(None, change.counts)
                version = self._commit(writer, snapshot, operation, change, numbered, check)
            except _ChangedMeanwhileError:
                change.discard(folder)
            except BaseException:
                change.discard(folder)
                raise
            else:
                return Applied(version, change.counts)
        raise SparkGeneralError.of(
            "DELTA_CONCURRENT_WRITE",
            f"ConcurrentWriteException: Other writers changed the rows of the Delta table at {folder} while "
            f"{operation.name} ran, {MAX_RUNS} times in a row. Please try the operation again.",
            sql_state="2D521",
        )

    def _commit(
        self,
        writer: DeltaWriter,
        snapshot: Snapshot,
        operation: DeltaOperation,
        change: TableChange,
        numbered: AppTransaction | None,
        check: Callable[[TableState], None],
    ) -> int:
        def decide(state: TableState | None) -> Sequence[Json]:
            if state is None:
                raise not_a_table(snapshot.folder)
            check(state)
            if not _still_holds(writer.log, snapshot, state.version, change):
                raise _ChangedMeanwhileError
            now_ms = self._clock.now_ms()
            info = changes.commit_info(
                operation.name,
                operation.parameters,
                now_ms,
                read_version=snapshot.version,
                metrics=change.metrics,
                notes=operation.notes,
            )
            altered = [] if change.schema is None else changes.alteration(state, schema=change.schema)
            recorded = (
                ChangeFile(new.add.path, new.add.size, new.add.partition_values).to_json() for new in change.recorded
            )
            noted = [] if numbered is None else [transaction(numbered.application, numbered.number, now_ms)]
            return [
                info,
                *altered,
                *noted,
                *(file.removed(now_ms) for file in change.removed),
                *(new.add.to_json() for new in change.added),
                *recorded,
            ]

        committed = writer.commit(decide)
        assert committed is not None, "a change of rows is always decided"
        return committed.version


def snapshot_of(folder: Place, state: TableState | None) -> Snapshot:
    """The table as a statement sees it. Raises what `Runner.run` says of tables that cannot be changed."""
    if state is None:
        raise not_a_table(folder)
    require_readable(folder, state.protocol, state.metadata)
    append_route(folder, state.protocol, state.metadata)
    require_whole(folder, state)
    if enabled(state.metadata.configuration, APPEND_ONLY):
        raise changes.append_only(state.metadata.name)
    schema = schemas.to_arrow(state.metadata.schema_json)
    held = tuple(changes.require_files(state).values())
    demands = Demands.of(state.metadata)
    return Snapshot(folder, state.version, state.metadata, schema, types.nullable(schema), demands, held)


def _still_holds(log: DeltaLog, snapshot: Snapshot, version: int, change: TableChange) -> bool:
    """Whether a change computed on `snapshot` may become the version after `version`.

    As Delta's `WriteSerializable` has it: rows that others only appended, and files that they only put together
    otherwise, do no harm as long as the files that this change takes out are still there.
    """
    wanted = {file.key for file in change.removed}
    for passed in range(snapshot.version + 1, version + 1):
        commit = log.read(passed)
        if commit.metadata is not None or commit.protocol is not None:
            return False
        if any(remove.data_change or remove.key in wanted for remove in commit.removes):
            return False
        if not commit.info.get("isBlindAppend") and any(add.data_change for add in commit.adds):
            return False
    return True
