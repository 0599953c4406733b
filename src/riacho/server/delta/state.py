"""What a table is at one version: the sum of its log, from the newest checkpoint on.

A writer that only appends needs the protocol, the metadata and its own transaction's version; the list of files is
built only for those who ask for it. Once loaded, a state follows the table commit by commit (`advance`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from riacho.errors import AnalysisError, SparkGeneralError
from riacho.server.delta.actions import AddFile, Commit, Metadata, Protocol, RemoveFile, decoded
from riacho.server.delta.checkpoint import read_checkpoint
from riacho.server.delta.log import DeltaLog, LogCheckpoint
from riacho.storage import Place


@dataclass
class TableState:
    """A table at `version`. `files` is None for a state that was loaded without them.

    `metadata_version`: the version that last set metadata or protocol, as far as this state has seen (else that of the
    checkpoint it began with); a writer that sees it unchanged knows that its plan still fits. `strays`: files that a
    version seen by this state removed under another name than theirs, so that they are still there.
    """

    version: int
    protocol: Protocol
    metadata: Metadata
    metadata_version: int
    transactions: dict[str, int]
    files: dict[tuple[str, str | None], AddFile] | None
    strays: set[tuple[str, str | None]] = field(default_factory=set)

    def apply(self, commit: Commit) -> None:
        """Step to the next version. Raises SparkGeneralError if the commit is not the next one."""
        if commit.version != self.version + 1:
            raise SparkGeneralError(f"version {commit.version} cannot follow version {self.version} of a Delta table")
        self.version = commit.version
        if commit.protocol is not None or commit.metadata is not None:
            self.metadata_version = commit.version
        self.protocol = commit.protocol or self.protocol
        self.metadata = commit.metadata or self.metadata
        self.transactions.update(commit.transactions)
        if self.files is not None:
            for remove in commit.removes:
                if self.files.pop(remove.key, None) is None:
                    self.strays.update(_meant(remove, self.files))
                self.strays.discard(remove.key)
            for add in commit.adds:
                self.files[add.key] = add

    def advance(self, log: DeltaLog) -> int:
        """Step to the newest version; how many versions that was.

        Raises FileNotFoundError if a commit goes meanwhile.
        """
        start = self.version
        while log.has(self.version + 1):
            self.apply(log.read(self.version + 1))
        return self.version - start


def _meant(remove: RemoveFile, files: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The files whose path is that of a remove but for the way it is encoded."""
    path = decoded(remove.path)
    return [key for key in files if key[1] == remove.key[1] and decoded(key[0]) == path]


def load_state(log: DeltaLog, version: int | None = None, *, with_files: bool = False) -> TableState:
    """The table at `version`, by default the newest.

    Raises DELTA_PATH_DOES_NOT_EXIST, DELTA_VERSION_NOT_FOUND, DELTA_LOG_FILE_NOT_FOUND (a commit in between is gone).
    """
    state = newest_state(log, with_files=with_files) if version is None else _state_at(log, version, with_files)
    if state is None:
        raise not_a_table(log.table)
    return state


def newest_state(log: DeltaLog, *, with_files: bool = False) -> TableState | None:
    """The table as it is now, or None if there is none. Raises DELTA_LOG_FILE_NOT_FOUND."""
    newest = log.newest()
    return None if newest is None else _summed(log, newest[1], newest[0], with_files)


def _state_at(log: DeltaLog, version: int, with_files: bool) -> TableState | None:
    newest = log.newest()
    if newest is None:
        return None
    latest, checkpoint = newest
    if not 0 <= version <= latest:
        raise version_not_found(version, log.versions(), latest)
    if checkpoint is not None and checkpoint.version > version:
        checkpoint = log.latest_checkpoint(version)
    return _summed(log, checkpoint, version, with_files)


def _summed(log: DeltaLog, checkpoint: LogCheckpoint | None, version: int, with_files: bool) -> TableState:
    """What a checkpoint and the commits since then make of the table, up to `version`."""
    state = blank_state(with_files) if checkpoint is None else _from_checkpoint(checkpoint, with_files)
    try:
        for commit in log.commits(state.version + 1, version):
            state.apply(commit)
    except FileNotFoundError:
        raise _log_file_not_found(log, state.version + 1, checkpoint) from None
    return state


def blank_state(with_files: bool) -> TableState:
    """A table before its first version."""
    return TableState(-1, Protocol(), Metadata("", '{"type":"struct","fields":[]}'), -1, {}, {} if with_files else None)


def not_a_table(table: Place) -> AnalysisError:
    """The error for a folder without a Delta log."""
    return AnalysisError.of(
        "DELTA_PATH_DOES_NOT_EXIST",
        f"{table} doesn't exist, or is not a Delta table.",
        sql_state="42K03",
        path=str(table),
    )


def require_whole(table: Place, state: TableState) -> None:
    """Refuse a table whose log removes files under wrong names, so that readers disagree about its rows.

    Raises SparkGeneralError, which says how to repair the table.
    """
    if state.strays:
        raise SparkGeneralError(
            f"The log of the Delta table at {table} removes {len(state.strays)} of its files under wrong names, so "
            "that readers disagree about its rows, and a change would make the damage permanent. Repair it first: "
            f"`riacho doctor {table} --repair`, or FSCK REPAIR TABLE delta.`{table}`."
        )


def version_not_found(wanted: int, versions: list[int], latest: int) -> AnalysisError:
    """The error for a version outside what the log still has."""
    earliest = versions[0] if versions else latest
    return AnalysisError.of(
        "DELTA_VERSION_NOT_FOUND",
        f"Cannot time travel Delta table to version {wanted}. Available versions: [{earliest}, {latest}].",
        sql_state="22003",
        userVersion=str(wanted),
        earliest=str(earliest),
        latest=str(latest),
    )


def _log_file_not_found(log: DeltaLog, version: int, checkpoint: LogCheckpoint | None) -> SparkGeneralError:
    base = -1 if checkpoint is None else checkpoint.version
    return SparkGeneralError.of(
        "DELTA_LOG_FILE_NOT_FOUND",
        f"Unable to retrieve the delta log files to construct table version {version} starting from checkpoint "
        f"version {base} at {log.directory}.",
        sql_state="42K03",
        version=str(version),
        checkpointVersion=str(base),
        logPath=str(log.directory),
    )


def _from_checkpoint(checkpoint: LogCheckpoint, with_files: bool) -> TableState:
    summary = read_checkpoint(checkpoint, with_files=with_files)
    state = blank_state(with_files)
    state.version = state.metadata_version = checkpoint.version
    state.protocol = summary.protocol
    state.metadata = summary.metadata or state.metadata
    state.transactions = summary.transactions
    if with_files:
        state.files = {add.key: add for add in summary.files}
    return state
