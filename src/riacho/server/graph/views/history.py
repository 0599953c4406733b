"""What became of a Delta table since a version, as its log tells."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from riacho import types
from riacho.errors import SparkError
from riacho.server.delta import files
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import AddFile
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.protocol import require_readable
from riacho.server.delta.state import TableState, not_a_table
from riacho.server.delta.writer import DeltaWriter
from riacho.server.graph.views.plan import NotFromChangesError
from riacho.server.streaming.sources.delta.reading import FileRead, read_ahead
from riacho.storage import Place

_KEPT_TABLES = 512


@dataclass(frozen=True)
class TableVersion:
    """A version of a table: `table_id` is the table's own, `schema` tells its columns from others."""

    table_id: str
    version: int
    schema: str

    @classmethod
    def of(cls, state: TableState) -> TableVersion:
        return cls(state.metadata.id, state.version, schema_of(state.metadata.schema_json))

    @classmethod
    def from_json(cls, body: Any) -> TableVersion:
        """Raises KeyError, TypeError for anything that `to_json` did not make."""
        return cls(str(body["table"]), int(body["version"]), str(body["schema"]))

    def to_json(self) -> dict[str, Any]:
        return {"table": self.table_id, "version": self.version, "schema": self.schema}


@dataclass(frozen=True)
class InputTable:
    """A table at the version that it has now."""

    folder: Place
    at: TableVersion
    schema: pa.Schema

    def added_since(self, then: TableVersion) -> list[AddFile]:
        """The files with the rows that the table has more than at version `then`; none if it has the same rows.

        Raises NotFromChangesError if it has other rows besides, or if that is not known any more.
        """
        if self.at.table_id != then.table_id or self.at.version < then.version:
            raise NotFromChangesError("is another table than it was")
        if self.at.schema != then.schema:
            raise NotFromChangesError("has other columns than it had")
        log = DeltaLog(self.folder)
        added: list[AddFile] = []
        try:
            for commit in log.commits(then.version + 1, self.at.version):
                if commit.metadata is not None and schema_of(commit.metadata.schema_json) != then.schema:
                    raise NotFromChangesError("has had other columns meanwhile")
                if commit.changes or any(remove.data_change for remove in commit.removes):
                    operation = str(commit.info.get("operation") or "somebody")
                    raise NotFromChangesError(f"has had rows changed by {operation}, in version {commit.version}")
                added += [add for add in commit.adds if add.data_change]
        except FileNotFoundError:
            raise NotFromChangesError("does not tell any more what became of it: its log was cleaned up") from None
        return added

    def rows_of(self, added: Sequence[AddFile]) -> Iterator[pa.RecordBatch]:
        """The rows of files of the table. Raises FAILED_READ_FILE for one that is gone."""
        plain = types.nullable(self.schema)
        reads = [self._file(add, plain) for add in added]
        return read_ahead(reads, with_metadata=False)

    def _file(self, add: AddFile, schema: pa.Schema) -> FileRead:
        file = files.data_file(self.folder, add)
        return FileRead(file.path, add.size, partial(files.read_batches, file, schema))


def schema_of(schema_json: str) -> str:
    """What tells these columns from others; see `TableVersion.schema`."""
    return hashlib.sha256(schema_json.encode()).hexdigest()[:16]


class TableFollower:
    """The tables that were looked at last, each followed from version to version. From any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Place, tuple[DeltaWriter, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def now(self, folder: Place) -> InputTable:
        """The table in `folder` as it is now. Raises NotFromChangesError for one that riacho cannot read itself."""
        with self._lock:
            if folder not in self._kept:
                self._kept[folder] = DeltaWriter(folder), threading.Lock()
            self._kept.move_to_end(folder)
            writer, using = self._kept[folder]
            while len(self._kept) > _KEPT_TABLES:
                self._kept.popitem(last=False)
        with using:
            state = _state(writer)
            try:
                require_readable(folder, state.protocol, state.metadata)
            except SparkError as error:
                raise NotFromChangesError(f"is a table that only the engine can read: {error}") from None
            return InputTable(folder, TableVersion.of(state), schemas.to_arrow(state.metadata.schema_json))


def _state(writer: DeltaWriter) -> TableState:
    with suppress(FileNotFoundError):  # commits went while they were followed: the log was cleaned up
        state = writer.state()
        if state is None:
            raise not_a_table(writer.log.table)
        return state
    fresh = DeltaWriter(writer.log.table).state()
    if fresh is None:
        raise not_a_table(writer.log.table)
    return fresh
