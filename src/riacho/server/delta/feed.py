"""The change feed: what each version did to the rows of a table.

Rows carry `_change_type` (insert, delete, update_preimage, update_postimage), `_commit_version` and
`_commit_timestamp`. An UPDATE, DELETE or MERGE wrote its change rows to files of their own; all other versions are read
from the files they added and removed. A file that a version removed and added again has changed its deletion vector:
the rows between the two are those that changed. Source: Delta's `CDCReader`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.server.delta.actions import AddFile, ChangeFile, Commit, FileAction, Metadata, RemoveFile, data_place
from riacho.server.delta.deletion_vectors import Rows, deleted_rows
from riacho.server.delta.files import DataFile, read_batches
from riacho.server.delta.protocol import CHANGE_FEED, enabled
from riacho.storage import Place

CHANGE_TYPE = "_change_type"
COMMIT_VERSION = "_commit_version"
COMMIT_TIMESTAMP = "_commit_timestamp"
FEED_COLUMNS = (
    pa.field(CHANGE_TYPE, pa.string()),
    pa.field(COMMIT_VERSION, pa.int64()),
    pa.field(COMMIT_TIMESTAMP, types.TIMESTAMP),
)
_INSERT = "insert"
_DELETE = "delete"
_NONE: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class Piece:
    """Rows of one file that changed in one version, all in the same way, or (`change` None) as the file itself says.

    `size`: bytes of the file.
    """

    file: DataFile
    change: str | None
    version: int
    timestamp_ms: int
    size: int = 0


def feed_schema(table: pa.Schema) -> pa.Schema:
    """The columns of a table's change feed."""
    return pa.schema([*table, *FEED_COLUMNS])


def file_actions(commit: Commit) -> tuple[FileAction, ...]:
    """The actions that tell what a version did to rows: its change files alone if it has any."""
    if commit.changes:
        return commit.changes
    if _changed_nothing(commit.info):
        return ()
    return tuple(action for action in commit.files if isinstance(action, ChangeFile) or action.data_change)


def pieces(table: Place, version: int, timestamp_ms: int, actions: Sequence[FileAction]) -> Iterator[Piece]:
    """The rows that `actions` of one version stand for. Reads deletion vectors, and raises as `deleted_rows`."""
    removes = {action.path: action for action in actions if isinstance(action, RemoveFile)}
    adds = {action.path: action for action in actions if isinstance(action, AddFile)}
    for action in actions:
        path = data_place(table, action.path)
        values = action.partition_values or {}
        found: list[tuple[str | None, DataFile]]
        match action:
            case ChangeFile():
                found = [(None, DataFile(path, values))]
            case RemoveFile() if action.path not in adds:
                found = [(_DELETE, DataFile(path, values, _masked(table, action)))]
            case AddFile() if action.path not in removes:
                found = [(_INSERT, DataFile(path, values, _masked(table, action)))]
            case AddFile():
                before, after = _masked(table, removes[action.path]), _masked(table, action)
                found = [
                    (_DELETE, DataFile(path, values, only=_minus(after, before))),
                    (_INSERT, DataFile(path, values, only=_minus(before, after))),
                ]
            case _:
                found = []  # the add of the same file says it all
        for change, file in found:
            if file.only is None or len(file.only):
                yield Piece(file, change, version, timestamp_ms, action.size)


def read_piece(piece: Piece, table: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a piece with the columns of `feed_schema(table)`. Raises FAILED_READ_FILE."""
    wanted = table if piece.change is not None else pa.schema([*table, FEED_COLUMNS[0]])
    full = feed_schema(table)
    version = pa.scalar(piece.version, pa.int64())
    moment = pa.scalar(piece.timestamp_ms * 1000, types.TIMESTAMP)
    for batch in read_batches(piece.file, wanted):
        rows = batch.num_rows
        kind = batch.columns[-1:] if piece.change is None else [pa.repeat(pa.scalar(piece.change), rows)]
        data = batch.columns[: len(table)]
        yield pa.RecordBatch.from_arrays([*data, *kind, pa.repeat(version, rows), pa.repeat(moment, rows)], schema=full)


def require_recorded(metadata: Metadata | None, version: int, start: int, end: int | None) -> None:
    """Refuse a version whose metadata do not keep a change feed. Raises DELTA_MISSING_CHANGE_DATA."""
    if metadata is None or enabled(metadata.configuration, CHANGE_FEED):
        return
    last = "latest" if end is None else str(end)
    raise AnalysisError.of(
        "DELTA_MISSING_CHANGE_DATA",
        f"Error getting change data for range [{start} , {last}] as change data was not\nrecorded for version "
        f"[{version}]. If you've enabled change data feed on this table,\nuse `DESCRIBE HISTORY` to see when it was "
        "first enabled.\nOtherwise, to start recording change data, use `ALTER TABLE table_name SET TBLPROPERTIES\n"
        f"({CHANGE_FEED}=true)`.",
        sql_state="KD002",
        startVersion=str(start),
        endVersion=last,
        version=str(version),
        key=CHANGE_FEED,
    )


def _masked(table: Place, action: AddFile | RemoveFile) -> Rows | None:
    return None if action.deletion_vector is None else deleted_rows(table, action.deletion_vector)


def _minus(left: Rows | None, right: Rows | None) -> Rows:
    return np.setdiff1d(_NONE if left is None else left, _NONE if right is None else right, assume_unique=True)


def _changed_nothing(info: Mapping[str, Any]) -> bool:
    """A MERGE that found nothing to do may still have rewritten files."""
    if info.get("operation") != "MERGE":
        return False
    metrics = info.get("operationMetrics") or {}
    counts = [metrics.get(f"numTargetRows{what}") for what in ("Inserted", "Updated", "Deleted")]
    return all(count is not None and str(count) == "0" for count in counts)
