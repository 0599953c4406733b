"""What a table is at one version: the sum of its log, from the newest checkpoint on.

A writer that only appends needs the protocol, the metadata and its own transaction's version; the list of files is
built only for those who ask for it. Once loaded, a state follows the table commit by commit (`advance`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from riacho.catalog.delta.actions import AddFile, Commit, Json, Metadata, Protocol
from riacho.catalog.delta.log import Checkpoint, DeltaLog
from riacho.errors import AnalysisError, SparkGeneralError

_SIDECARS = "_sidecars"
_TABLE_COLUMNS = ("protocol", "metaData", "txn.appId", "txn.version")
_FILE_COLUMNS = (
    *("add.path", "add.partitionValues", "add.size", "add.modificationTime", "add.dataChange"),
    *("add.stats", "add.deletionVector"),
)


@dataclass
class TableState:
    """A table at `version`. `files` is None for a state that was loaded without them.

    `metadata_version`: the version that last set metadata or protocol, as far as this state has seen (else that of the
    checkpoint it began with); a writer that sees it unchanged knows that its plan still fits.
    """

    version: int
    protocol: Protocol
    metadata: Metadata
    metadata_version: int
    transactions: dict[str, int]
    files: dict[tuple[str, str | None], AddFile] | None

    def apply(self, commit: Commit) -> None:
        """Step to the next version."""
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
                self.files.pop(remove.key, None)
            for add in commit.adds:
                self.files[add.key] = add

    def advance(self, log: DeltaLog) -> int:
        """Step to the newest version; how many versions that was."""
        start = self.version
        while log.has(self.version + 1):
            self.apply(log.read(self.version + 1))
        return self.version - start


def load_state(log: DeltaLog, version: int | None = None, *, with_files: bool = False) -> TableState:
    """The table at `version`, by default the newest.

    Raises DELTA_TABLE_NOT_FOUND, DELTA_VERSION_NOT_FOUND, DELTA_LOG_FILE_NOT_FOUND (a commit in between is gone).
    """
    latest = log.latest_version()
    if latest is None:
        raise not_a_table(log.table)
    wanted = latest if version is None else version
    if not 0 <= wanted <= latest:
        raise version_not_found(wanted, log.versions(), latest)
    checkpoint = log.latest_checkpoint(wanted)
    state = blank_state(with_files) if checkpoint is None else _from_checkpoint(checkpoint, with_files)
    while state.version < wanted:
        try:
            commit = log.read(state.version + 1)
        except FileNotFoundError:
            raise _log_file_not_found(log, state.version + 1, checkpoint) from None
        state.apply(commit)
    return state


def blank_state(with_files: bool) -> TableState:
    """A table before its first version."""
    return TableState(-1, Protocol(), Metadata("", '{"type":"struct","fields":[]}'), -1, {}, {} if with_files else None)


def not_a_table(table: Path) -> AnalysisError:
    """The error for a folder without a Delta log."""
    return AnalysisError.of(
        "DELTA_PATH_DOES_NOT_EXIST",
        f"{table} doesn't exist, or is not a Delta table.",
        sql_state="42K03",
        path=str(table),
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


def _log_file_not_found(log: DeltaLog, version: int, checkpoint: Checkpoint | None) -> SparkGeneralError:
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


def _from_checkpoint(checkpoint: Checkpoint, with_files: bool) -> TableState:
    state = blank_state(with_files)
    state.version = state.metadata_version = checkpoint.version
    sidecars: list[str] = []
    for action in _actions(checkpoint.files, with_files):
        for kind, body in action.items():
            if body is None or body.get("path", body) is None:
                continue
            match kind:
                case "protocol":
                    state.protocol = Protocol.from_json(body)
                case "metaData":
                    state.metadata = Metadata.from_json(_plain(body))
                case "txn" if body.get("appId") is not None:
                    state.transactions[body["appId"]] = body["version"]
                case "add" if state.files is not None:
                    add = AddFile.from_json(_plain(body))
                    state.files[add.key] = add
                case "sidecar":
                    sidecars.append(body["path"])
    if with_files and sidecars and state.files is not None:
        folder = checkpoint.files[0].parent / _SIDECARS
        for action in _actions([folder / Path(name).name for name in sidecars], with_files):
            if action.get("add") is not None:
                add = AddFile.from_json(_plain(action["add"]))
                state.files[add.key] = add
    return state


def _actions(files: tuple[Path, ...] | list[Path], with_files: bool) -> Iterator[Json]:
    """The actions in checkpoint files, Parquet (a column per kind of action) or JSON lines."""
    for file in files:
        if file.suffix == ".json":
            yield from (json.loads(line) for line in file.read_bytes().splitlines() if line.strip())
            continue
        columns = [*_TABLE_COLUMNS, "sidecar.path", *(_FILE_COLUMNS if with_files else ())]
        yield from pq.ParquetFile(file).read(columns=columns).to_pylist(maps_as_pydicts="strict")


def _plain(body: dict[str, Any]) -> Json:
    """`body` without the fields that a Parquet row has only because another row has them."""
    present = {key: value for key, value in body.items() if value is not None}
    if "deletionVector" in present:
        present["deletionVector"] = {
            key: value for key, value in present["deletionVector"].items() if value is not None
        }
    return present
