"""The file source's own log: which files each of its offsets added, in Spark's format.

    <checkpoint>/sources/<i>/<N>           v1, then one JSON per file: {"path":"file:///…","timestamp":<ms>,"batchId":N}
    <checkpoint>/sources/<i>/<N>.compact   the same with all entries so far, at every tenth N; older files may be
    removed

Entries carry the number of the log entry that added them, so a compacted file still tells its own files from the older
ones. Sources: `FileStreamSourceLog`, `CompactibleFileStreamLog`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from riacho.clock import Clock
from riacho.errors import IllegalStateError
from riacho.server.streaming.checkpoint import VERSION, write_new

_COMPACT: Final = ".compact"


@dataclass(frozen=True)
class FileEntry:
    """A file that was taken. `url`: `file:///…`, percent-encoded. `offset`: the log entry that added it."""

    url: str
    modified_ms: int
    offset: int

    def to_json(self) -> str:
        entry = {"path": self.url, "timestamp": self.modified_ms, "batchId": self.offset}
        return json.dumps(entry, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> FileEntry:
        entry = json.loads(text)
        return cls(entry["path"], entry["timestamp"], entry["batchId"])


@dataclass(frozen=True)
class Retention:
    """How the log stays small (Spark: `spark.sql.streaming.fileSource.log.*`, `minBatchesToRetain`).

    `compact_interval`: one entry in so many is a compacted one. `entries_kept`: how many of the newest stay.
    """

    compact_interval: int = 10
    entries_kept: int = 100
    cleanup_delay_ms: int = 10 * 60 * 1000


class FileLog:
    """The log in `folder`. One writer at a time: a second one fails when it adds an entry."""

    def __init__(self, folder: Path, clock: Clock, retention: Retention | None = None) -> None:
        self._folder = folder
        self._clock = clock
        self._retention = retention or Retention()
        self._files = {int(path.name.removesuffix(_COMPACT)): path for path in _log_files(folder)}
        self._interval = compatible_interval(sorted(self._compacted()), self._retention.compact_interval)
        self._cache: dict[int, list[FileEntry]] = {}

    def latest(self) -> int:
        """The newest entry, -1 if there is none."""
        return max(self._files, default=-1)

    def add(self, offset: int, entries: Sequence[FileEntry]) -> None:
        """Write entry `offset`, durable when this returns.

        Raises IllegalStateError if it is there already, and as `all_entries`.
        """
        compact = (offset + 1) % self._interval == 0
        path = self._folder / (f"{offset}{_COMPACT}" if compact else str(offset))
        logged = [*self.all_entries(offset - 1), *entries] if compact else entries
        try:
            write_new(path, "\n".join([VERSION, *(entry.to_json() for entry in logged)]))
        except FileExistsError:
            raise IllegalStateError(
                f"Concurrent update to the log. Multiple streaming jobs detected for {offset} in {self._folder}. "
                "Run one query at a time on a checkpoint."
            ) from None
        self._files[offset] = path
        self._cache = {offset: list(entries)}
        self._remove_expired(offset)

    def between(self, start: int, end: int) -> list[FileEntry]:
        """The files that the entries after `start` up to `end` added, in order. Raises as `all_entries`."""
        return [entry for offset in range(start + 1, end + 1) for entry in self._added_by(offset)]

    def all_entries(self, offset: int) -> list[FileEntry]:
        """All files of the entries up to `offset`.

        Raises IllegalStateError for an entry that is missing or of another version.
        """
        first = max((one for one in self._compacted() if one <= offset), default=0)
        return [entry for one in range(first, offset + 1) for entry in self._read(one)]

    def _added_by(self, offset: int) -> list[FileEntry]:
        if offset not in self._cache:
            self._cache[offset] = [entry for entry in self._read(offset) if entry.offset == offset]
        return self._cache[offset]

    def _read(self, offset: int) -> Iterator[FileEntry]:
        path = self._files.get(offset, self._folder / str(offset))
        try:
            version, *lines = path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            raise IllegalStateError(
                f"{path} doesn't exist, but the checkpoint refers to it. Restore the checkpoint, or start a new one."
            ) from None
        if version != VERSION:
            raise IllegalStateError(f"Log file {path} is of version {version!r}; riacho reads {VERSION}.")
        return (FileEntry.from_json(line) for line in lines if line)

    def _compacted(self) -> list[int]:
        return [offset for offset, path in self._files.items() if path.suffix == _COMPACT]

    def _remove_expired(self, offset: int) -> None:
        """Remove what a compacted file old enough covers, when nobody can be reading it any more."""
        oldest_kept = offset + 1 - self._retention.entries_kept
        covering = max((one for one in self._compacted() if one < oldest_kept), default=0)
        before_ms = self._clock.now_ms() - self._retention.cleanup_delay_ms
        for old in [one for one in self._files if one < covering]:
            if self._files[old].stat().st_mtime_ns // 1_000_000 <= before_ms:
                self._files.pop(old).unlink(missing_ok=True)


def _log_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.name.removesuffix(_COMPACT).isdigit()]


def compatible_interval(compacted: Sequence[int], wanted: int) -> int:
    """After how many entries to compact, so that it fits the compacted entries already there (Spark must find them)."""
    if len(compacted) >= 2:
        return compacted[-1] - compacted[-2]
    if not compacted:
        return wanted
    entries = compacted[0] + 1
    if entries <= wanted:
        return entries
    return next((n for n in range(wanted, entries // 2 + 1) if entries % n == 0), entries)
