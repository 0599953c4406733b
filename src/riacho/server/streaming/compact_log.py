"""Spark's logs that say all they ever said: one file for each batch, and now and then one with everything so far.

    <folder>/<N>           v1, then one entry a line
    <folder>/<N>.compact   the same with all entries so far, at every tenth N; older files may be removed

The file source keeps one, and the file sink another; they differ in their entries. Source: `CompactibleFileStreamLog`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final, Generic, TypeVar

import pyarrow as pa
import pyarrow.json as pj

from riacho.clock import Clock
from riacho.errors import IllegalStateError
from riacho.server.streaming.checkpoint import VERSION, write_new
from riacho.storage import Place

COMPACT: Final = ".compact"
_CHUNK_BYTES: Final = 1 << 20
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
    """How entries are written.

    `columns`: the fields of their JSON that matter; `make` makes an entry of their values. `kept`: whether an entry
    goes into compacted files, at that time in milliseconds; without it, all do, as they stand in the log.
    """

    to_json: Callable[[Entry], str]
    make: Callable[..., Entry]
    columns: pa.Schema
    kept: Callable[[Entry, int], bool] | None = None


class EntryTakenError(IllegalStateError):
    """Another writer has added a batch of that number."""


class CompactLog(Generic[Entry]):
    """The log in `folder`. One writer at a time: a second one fails when it adds a batch."""

    def __init__(
        self, folder: Place, form: EntryFormat[Entry], clock: Clock, retention: Retention | None = None
    ) -> None:
        self._folder = folder
        self._form = form
        self._clock = clock
        self._retention = retention or Retention()
        self._files = {int(path.name.removesuffix(COMPACT)): path for path in log_files(folder)}
        self._written_ms: dict[int, int] = {}
        self._interval = compatible_interval(sorted(self._compacted()), self._retention.compact_interval)

    def latest(self) -> int:
        """The newest batch, -1 if there is none."""
        return max(self._files, default=-1)

    def add(self, batch: int, entries: Sequence[Entry]) -> None:
        """Write what `batch` added, durable when this returns.

        Raises EntryTakenError if it is there already, and as `all_entries`.
        """
        compact = (batch + 1) % self._interval == 0
        path = self._folder / (f"{batch}{COMPACT}" if compact else str(batch))
        now_ms = self._clock.now_ms()
        earlier: Iterable[bytes] = ()
        kept = self._form.kept
        if compact and kept is None:
            earlier = self._lines(batch - 1)
        elif compact and kept is not None:
            entries = [entry for entry in (*self.all_entries(batch - 1), *entries) if kept(entry, now_ms)]
        lines = "".join(f"\n{self._form.to_json(entry)}" for entry in entries)
        try:
            write_new(path, (VERSION.encode(), *earlier, lines.encode()))
        except FileExistsError:
            raise EntryTakenError(
                f"Concurrent update to the log. Multiple streaming jobs detected for {batch} in {self._folder}. "
                "Run one query at a time on a checkpoint."
            ) from None
        self._files[batch] = path
        if self._retention.deletes:
            self._remove_expired(batch, now_ms)

    def all_entries(self, batch: int) -> list[Entry]:
        """What all batches up to `batch` added.

        Raises IllegalStateError for one that is missing, damaged or of another version.
        """
        return [entry for found in self.all_columns(batch) for entry in self.entries(found)]

    def all_columns(self, batch: int) -> Iterator[pa.RecordBatch]:
        """The same, many at once as the values of the format's columns. Raises as `all_entries`."""
        for one in self._up_to(batch):
            yield from self.columns(one)

    def entries(self, found: pa.RecordBatch) -> Iterator[Entry]:
        """The entries of values of the format's columns."""
        columns = (column.to_pylist() for column in found.columns)
        return (self._form.make(*values) for values in zip(*columns, strict=True))

    def columns(self, batch: int) -> Iterator[pa.RecordBatch]:
        """The entries of one file. Raises as `all_entries`."""
        columns = self._form.columns
        parse = pj.ParseOptions(explicit_schema=columns, unexpected_field_behavior="ignore")
        with self._open(batch) as file:
            if not _has_more(file):
                return
            try:
                for found in pj.open_json(file, parse_options=parse):
                    yield found.select(columns.names)
            except pa.ArrowInvalid as error:
                raise IllegalStateError(
                    f"Log file {self._path(batch)} is damaged: {error}. Restore the checkpoint, or start a new one."
                ) from None

    def _up_to(self, batch: int) -> range:
        """The files that together hold what all batches up to `batch` added."""
        return range(max((one for one in self._compacted() if one <= batch), default=0), batch + 1)

    def _lines(self, batch: int) -> Iterator[bytes]:
        """The entries of all batches up to `batch` as they stand in the log, each after a line break."""
        for one in self._up_to(batch):
            with self._open(one) as file:
                if chunk := file.read(_CHUNK_BYTES):
                    yield b"\n"
                while chunk:
                    yield chunk
                    chunk = file.read(_CHUNK_BYTES)

    def _path(self, batch: int) -> Place:
        return self._files.get(batch, self._folder / str(batch))

    def _open(self, batch: int) -> IO[bytes]:
        """A batch's file, after its version."""
        path = self._path(batch)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise IllegalStateError(
                f"{path} doesn't exist, but the checkpoint refers to it. Restore the checkpoint, or start a new one."
            ) from None
        version = file.readline().rstrip(b"\n").decode(errors="replace")
        if version != VERSION:
            file.close()
            raise IllegalStateError(f"Log file {path} is of version {version!r}; riacho reads {VERSION}.")
        return file

    def _compacted(self) -> list[int]:
        return [batch for batch, path in self._files.items() if path.suffix == COMPACT]

    def _remove_expired(self, batch: int, now_ms: int) -> None:
        """Remove what a compacted file old enough covers, when nobody can be reading it any more."""
        oldest_kept = batch + 1 - self._retention.entries_kept
        covering = max((one for one in self._compacted() if one < oldest_kept), default=0)
        before_ms = now_ms - self._retention.cleanup_delay_ms
        for old in [one for one in self._files if one < covering]:
            if old not in self._written_ms:  # asked for once: it is a request where the log is in an object store
                self._written_ms[old] = self._files[old].stat().st_mtime_ns // 1_000_000
            if self._written_ms[old] <= before_ms:
                path = self._files.pop(old)
                del self._written_ms[old]
                path.unlink(missing_ok=True)
                (path.parent / f".{path.name}.crc").unlink(missing_ok=True)  # Hadoop's checksum, if Spark wrote it


def log_files(folder: Place) -> list[Place]:
    """The files of a log, in no order."""
    try:
        return [path for path in folder.iterdir() if path.name.removesuffix(COMPACT).isdigit()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _has_more(file: IO[bytes]) -> bool:
    at = file.tell()
    more = bool(file.read(1))
    file.seek(at)
    return more


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
