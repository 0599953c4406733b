"""The file source's own log: which files each of its offsets added, in Spark's format.

    <checkpoint>/sources/<i>/<N>           v1, then one JSON per file: {"path":"file:///…","timestamp":<ms>,"batchId":N}
    <checkpoint>/sources/<i>/<N>.compact   see `compact_log`

Entries carry the number of the log entry that added them, so a compacted file still tells its own files from the older
ones. Source: `FileStreamSourceLog`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from riacho.clock import Clock
from riacho.server.streaming.compact_log import CompactLog, EntryFormat, Retention
from riacho.storage import Place

_COLUMNS: Final = pa.schema([("path", pa.string()), ("timestamp", pa.int64()), ("batchId", pa.int64())])


@dataclass(frozen=True)
class FileEntry:
    """A file that was taken. `url`: `file:///…`, percent-encoded. `offset`: the log entry that added it."""

    url: str
    modified_ms: int
    offset: int

    def to_json(self) -> str:
        entry = {"path": self.url, "timestamp": self.modified_ms, "batchId": self.offset}
        return json.dumps(entry, separators=(",", ":"), ensure_ascii=False)


class FileLog(CompactLog[FileEntry]):
    """The log in `folder`. One writer at a time: a second one fails when it adds an entry."""

    def __init__(self, folder: Place, clock: Clock, retention: Retention | None = None) -> None:
        super().__init__(folder, EntryFormat(FileEntry.to_json, FileEntry, _COLUMNS), clock, retention)
        self._cache: dict[int, list[FileEntry]] = {}

    def add(self, batch: int, entries: Sequence[FileEntry]) -> None:
        super().add(batch, entries)
        self._cache = {batch: list(entries)}

    def all_files(self, offset: int) -> Iterator[tuple[list[str], list[int]]]:
        """The URLs and times of all files up to `offset`, many at once. Raises as `all_entries`."""
        return ((found["path"].to_pylist(), found["timestamp"].to_pylist()) for found in self.all_columns(offset))

    def between(self, start: int, end: int) -> list[FileEntry]:
        """The files that the entries after `start` up to `end` added, in order. Raises as `all_entries`."""
        return [entry for offset in range(start + 1, end + 1) for entry in self._added_by(offset)]

    def _added_by(self, offset: int) -> list[FileEntry]:
        if offset not in self._cache:
            self._cache[offset] = [
                entry
                for found in self.columns(offset)
                for entry in self.entries(found.filter(pc.equal(found["batchId"], offset)))
            ]
        return self._cache[offset]
