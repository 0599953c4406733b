"""Spark's logs that say all they ever said: one file for each batch, and now and then one with everything so far.

    <folder>/<N>           v1, then one entry a line
    <folder>/<N>.compact   the same with all entries so far, at every tenth N; older files may be removed

The file source keeps one, and the file sink another; they differ in their entries. Source: `CompactibleFileStreamLog`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from riacho.clock import Clock
from riacho.errors import IllegalStateError
from riacho.server.streaming.checkpoint import VERSION, write_new

COMPACT: Final = ".compact"
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Retention:
    """How a log stays small (Spark: `spark.sql.streaming.fileSource.log.*`, `fileSink.log.*`, `minBatchesToRetain`).

    `compact_interval`: one entry in so many is a compacted one. `entries_kept`: how many of the newest stay; with
    `deletes`, older ones go when a compacted one has them and they are older than `cleanup_delay_ms`.
    """

    compact_interval: int = 10
    entries_kept: int = 100
    cleanup_delay_ms: int = 10 * 60 * 1000
    deletes: bool = True


@dataclass(frozen=True)
class EntryFormat(Generic[Entry]):
    """How entries are written. `kept`: whether an entry goes into compacted files, at that time in milliseconds."""

    to_json: Callable[[Entry], str]
    from_json: Callable[[str], Entry]
    kept: Callable[[Entry, int], bool] = lambda _entry, _now_ms: True


class CompactLog(Generic[Entry]):
    """The log in `folder`. One writer at a time: a second one fails when it adds a batch."""

    def __init__(
        self, folder: Path, form: EntryFormat[Entry], clock: Clock, retention: Retention | None = None
    ) -> None:
        self._folder = folder
        self._form = form
        self._clock = clock
        self._retention = retention or Retention()
        self._files = {int(path.name.removesuffix(COMPACT)): path for path in log_files(folder)}
        self._interval = compatible_interval(sorted(self._compacted()), self._retention.compact_interval)

    def latest(self) -> int:
        """The newest batch, -1 if there is none."""
        return max(self._files, default=-1)

    def add(self, batch: int, entries: Sequence[Entry]) -> None:
        """Write what `batch` added, durable when this returns.

        Raises IllegalStateError if it is there already, and as `all_entries`.
        """
        compact = (batch + 1) % self._interval == 0
        path = self._folder / (f"{batch}{COMPACT}" if compact else str(batch))
        now_ms = self._clock.now_ms()
        logged = [*self.all_entries(batch - 1), *entries] if compact else entries
        lines = [self._form.to_json(entry) for entry in logged if not compact or self._form.kept(entry, now_ms)]
        try:
            write_new(path, "\n".join([VERSION, *lines]))
        except FileExistsError:
            raise IllegalStateError(
                f"Concurrent update to the log. Multiple streaming jobs detected for {batch} in {self._folder}. "
                "Run one query at a time on a checkpoint."
            ) from None
        self._files[batch] = path
        if self._retention.deletes:
            self._remove_expired(batch, now_ms)

    def all_entries(self, batch: int) -> list[Entry]:
        """What all batches up to `batch` added. Raises IllegalStateError for one missing or of another version."""
        first = max((one for one in self._compacted() if one <= batch), default=0)
        return [entry for one in range(first, batch + 1) for entry in self.read(one)]

    def read(self, batch: int) -> Iterator[Entry]:
        """The entries of one file. Raises as `all_entries`."""
        path = self._files.get(batch, self._folder / str(batch))
        try:
            version, *lines = path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            raise IllegalStateError(
                f"{path} doesn't exist, but the checkpoint refers to it. Restore the checkpoint, or start a new one."
            ) from None
        if version != VERSION:
            raise IllegalStateError(f"Log file {path} is of version {version!r}; riacho reads {VERSION}.")
        return (self._form.from_json(line) for line in lines if line)

    def _compacted(self) -> list[int]:
        return [batch for batch, path in self._files.items() if path.suffix == COMPACT]

    def _remove_expired(self, batch: int, now_ms: int) -> None:
        """Remove what a compacted file old enough covers, when nobody can be reading it any more."""
        oldest_kept = batch + 1 - self._retention.entries_kept
        covering = max((one for one in self._compacted() if one < oldest_kept), default=0)
        before_ms = now_ms - self._retention.cleanup_delay_ms
        for old in [one for one in self._files if one < covering]:
            if self._files[old].stat().st_mtime_ns // 1_000_000 <= before_ms:
                path = self._files.pop(old)
                path.unlink(missing_ok=True)
                (path.parent / f".{path.name}.crc").unlink(missing_ok=True)  # Hadoop's checksum, if Spark wrote it


def log_files(folder: Path) -> list[Path]:
    """The files of a log, in no order."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.name.removesuffix(COMPACT).isdigit()]


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
