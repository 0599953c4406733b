"""The files of a Delta table from one position on, and which commits a stream may not read over.

Each version is a row of entries: one before its files, its files numbered from 0, one after them. The snapshot that a
new query begins with is such a row too, its files in the order in which they were written. A batch ends at an entry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.errors import IllegalStateError, SparkGeneralError, UnsupportedOperationError
from riacho.server.delta import feed
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import ChangeFile, Commit, FileAction, Metadata
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.protocol import require_readable
from riacho.server.delta.state import TableState, load_state
from riacho.server.streaming.sources.delta.offsets import BASE_INDEX, END_INDEX, DeltaOffset, other_table
from riacho.server.streaming.sources.delta.options import DeltaSourceOptions

COMMITS_HELD = 64


@dataclass(frozen=True)
class FeedEntry:
    """A place in a version: a file, or (`action` None) before or after all files."""

    version: int
    index: int
    action: FileAction | None = None

    @property
    def position(self) -> tuple[int, int]:
        return self.version, self.index


@dataclass(frozen=True)
class VersionEntries:
    """The entries of one version, or of the snapshot at it. `indivisible`: a batch takes all its files or none."""

    version: int
    timestamp_ms: int
    entries: Sequence[FeedEntry]
    snapshot: bool = False
    indivisible: bool = False


class TableChanges:
    """What happened to one table, for one run of a query: commits read once, checks made once.

    `read`: the table as it was when the run began; its schema is what the query reads with.
    """

    def __init__(self, log: DeltaLog, read: TableState, schema: pa.Schema, options: DeltaSourceOptions) -> None:
        self.log = log
        self._read_version = read.version
        self._read_metadata = read.metadata
        self._schema = schema
        self._options = options
        self._commits: OrderedDict[int, Commit] = OrderedDict()
        self._snapshot: VersionEntries | None = None

    def after(self, start: DeltaOffset, end: DeltaOffset | None = None) -> Iterator[VersionEntries]:
        """The versions from `start` on, up to `end` or the newest, each with its entries behind `start`.

        Raises the errors of a commit that may not be read over, DELTA_MISSING_FILES_UNEXPECTED_VERSION if commits are
        gone, DELTA_LOG_FILE_NOT_FOUND_FOR_STREAMING_SOURCE.
        """
        version = start.version
        if start.initial:
            yield _behind(self._snapshot_at(version), start)
            version += 1
        elif self._snapshot is not None:
            self._snapshot = None  # it has been read to its end
        while end is None or (version, BASE_INDEX) < end.position:
            commit = self._commit(version, end)
            if commit is None:
                return
            yield _behind(self._entries(commit, start, end), start)
            version = commit.version + 1

    def forget_before(self, version: int) -> None:
        """Commits before `version` will not be asked for again."""
        while self._commits and next(iter(self._commits)) < version:
            self._commits.popitem(last=False)

    def _commit(self, version: int, end: DeltaOffset | None) -> Commit | None:
        """The commit of `version`; None if it is not there yet. Where it is gone, the next one that is there."""
        if version in self._commits:
            return self._commits[version]
        try:
            commit = self.log.read(version)
        except FileNotFoundError:
            if end is None and version > self._read_version:
                return None
            return self._after_gap(version, end)
        self._commits[version] = commit
        while len(self._commits) > COMMITS_HELD:
            self._commits.popitem(last=False)
        return commit

    def _after_gap(self, version: int, end: DeltaOffset | None) -> Commit | None:
        """The first commit behind one that is not there: gone with old logs, or not there yet."""
        later = [found for found in self.log.versions() if found > version]
        if later and not self._options.fail_on_data_loss:
            return self.log.read(later[0])
        if later:
            raise SparkGeneralError.of(
                "DELTA_MISSING_FILES_UNEXPECTED_VERSION",
                f"Delta stream cannot resume from version {version}; transaction log starts at {later[0]}. Log files "
                "may have been deleted by log retention. Restart the stream with a new checkpoint location and "
                "consider increasing delta.logRetentionDuration. To skip missing data instead, set "
                '.option("failOnDataLoss", "false").',
                sql_state="42K03",
                startVersion=str(version),
                earliestVersion=str(later[0]),
                option="failOnDataLoss",
            )
        if end is None:
            return None
        raise SparkGeneralError.of(
            "DELTA_STREAMING_TRAILING_COMMIT_MISSING",
            f"Delta stream detected commits up to version {end.version} but files after version {version - 1} are "
            "missing from the transaction log.",
            sql_state="42K03",
            expectedVersion=str(end.version),
            seenVersion=str(version - 1),
        )

    def _snapshot_at(self, version: int) -> VersionEntries:
        """All files of the table at `version` as one row of entries."""
        if self._snapshot is None or self._snapshot.version != version:
            try:
                state = load_state(self.log, version, with_files=True)
            except SparkGeneralError as failure:
                raise SparkGeneralError.of(
                    "DELTA_LOG_FILE_NOT_FOUND_FOR_STREAMING_SOURCE",
                    "If you never deleted it, it's likely your query is lagging behind. Please delete its checkpoint "
                    "to restart from scratch. To avoid this happening again, you can update your retention policy of "
                    f"your Delta table. {failure.message}",
                    sql_state="42K03",
                ) from failure
            assert state.files is not None, "loaded with its files"
            files = sorted(state.files.values(), key=lambda add: (add.modification_time_ms, add.path))
            entries = _numbered(version, files)
            self._snapshot = VersionEntries(version, self._time_of(version), entries, snapshot=True)
        return self._snapshot

    def _time_of(self, version: int) -> int:
        try:
            return self.log.read(version).timestamp_ms
        except FileNotFoundError:
            return 0

    def _entries(self, commit: Commit, start: DeltaOffset, end: DeltaOffset | None) -> VersionEntries:
        """The entries of a commit, which is checked first."""
        at_its_base = end is not None and end.position == (commit.version, BASE_INDEX)
        if self._options.read_change_feed:
            if commit.metadata is not None:
                self._check_metadata(commit.metadata, commit.version)
                last = None if end is None else end.version
                feed.require_recorded(commit.metadata, commit.version, start.version, last)
            return _feed_entries(commit)
        skip = not at_its_base and self._check_changes(commit)
        if commit.metadata is not None and not at_its_base:
            self._check_metadata(commit.metadata, commit.version)
        if commit.protocol is not None:
            require_readable(self.log.table, commit.protocol, commit.metadata or self._read_metadata)
        adds = [] if skip else [add for add in commit.adds if add.data_change]
        return VersionEntries(commit.version, commit.timestamp_ms, _numbered(commit.version, adds))

    def _check_changes(self, commit: Commit) -> bool:
        """Whether to leave the commit out. Raises DELTA_SOURCE_TABLE_IGNORE_CHANGES, DELTA_SOURCE_IGNORE_DELETE."""
        removed = next((remove for remove in commit.removes if remove.data_change), None)
        if removed is None:
            return False
        added = any(add.data_change for add in commit.adds)
        if added and not self._options.allows_changes:
            raise self._changed(commit, removed.path)
        if not added and not self._options.allows_deletes:
            raise UnsupportedOperationError.of(
                "DELTA_SOURCE_IGNORE_DELETE",
                f"Detected deleted data (for example {removed.path}) from streaming source at version "
                f"{commit.version}. This is currently not supported. If you'd like to ignore deletes, set the option "
                f"'ignoreDeletes' to 'true'. The source table can be found at path {self.log.table}.",
                sql_state="0A000",
                removedFile=removed.path,
                version=str(commit.version),
                dataPath=str(self.log.table),
            )
        return self._options.skip_change_commits

    def _changed(self, commit: Commit, path: str) -> UnsupportedOperationError:
        what = commit.info.get("operation")
        example = f"{what} ({commit.info.get('operationParameters', {})})" if what else path
        return UnsupportedOperationError.of(
            "DELTA_SOURCE_TABLE_IGNORE_CHANGES",
            f"Detected a data update (for example {example}) in the source table at version "  # noqa: S608 (prose)
            f"{commit.version}. This is currently not supported. If this is going to happen regularly and you are okay "
            "to skip changes, set the option 'skipChangeCommits' to 'true'. If you would like the data update to be "
            "reflected, please restart this query with a fresh checkpoint directory. The source table can be found at "
            f"path {self.log.table}.",
            sql_state="0A000",
            changeInfo=example,
            version=str(commit.version),
            dataPath=str(self.log.table),
        )

    def _check_metadata(self, metadata: Metadata, version: int) -> None:
        """Refuse a schema that the one in use cannot read. Raises DELTA_SCHEMA_CHANGED_WITH_VERSION and its kin."""
        if metadata.id != self._read_metadata.id:
            raise other_table(metadata.id, self._read_metadata.id)
        found = schemas.to_arrow(metadata.schema_json)
        if schemas.readable_as(found, self._schema) and (
            metadata.partition_columns == self._read_metadata.partition_columns
        ):
            return
        starting = self._options.starts_somewhere
        advice = (
            " If the issue persists after\nchanging to a new checkpoint directory, you may need to change the "
            f"existing\n'startingVersion' or 'startingTimestamp' option to start from a version newer than\n{version} "
            "with a new checkpoint directory."
        )
        raise IllegalStateError.of(
            "DELTA_SCHEMA_CHANGED_WITH_STARTING_OPTIONS" if starting else "DELTA_SCHEMA_CHANGED_WITH_VERSION",
            f"Detected schema change in version {version}:\nstreaming source schema: {schemas.tree(self._schema)}\n\n"
            f"data file schema: {schemas.tree(found)}\n\nPlease try restarting the query. If this issue repeats across "
            "query restarts without\nmaking progress, you have made an incompatible schema change and need to start "
            f"your\nquery from scratch using a new checkpoint directory.{advice if starting else ''}\n",
            sql_state="KD007",
            version=str(version),
            readSchema=schemas.tree(self._schema),
            dataSchema=schemas.tree(found),
        )


def _numbered(version: int, actions: Sequence[FileAction]) -> list[FeedEntry]:
    files = [FeedEntry(version, index, action) for index, action in enumerate(actions)]
    return [FeedEntry(version, BASE_INDEX), *files, FeedEntry(version, END_INDEX)]


def _feed_entries(commit: Commit) -> VersionEntries:
    actions = feed.file_actions(commit)
    entries = _numbered(commit.version, actions)
    written_as_changes = any(isinstance(action, ChangeFile) for action in actions)
    # An update's row before and after must not come in different batches; nor the two vectors of one file.
    indivisible = written_as_changes or any(
        not isinstance(action, ChangeFile) and action.deletion_vector is not None for action in actions
    )
    if written_as_changes:
        entries = entries[1:-1]
    return VersionEntries(commit.version, commit.timestamp_ms, entries, indivisible=indivisible)


def _behind(version: VersionEntries, start: DeltaOffset) -> VersionEntries:
    """The entries that come after `start`."""
    if version.version != start.version:
        return version
    left = [entry for entry in version.entries if entry.position > start.position]
    return VersionEntries(version.version, version.timestamp_ms, left, version.snapshot, version.indivisible)
