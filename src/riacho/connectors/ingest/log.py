"""A log as readers see it: how far it goes, what lies where, and who has read how much."""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from riacho.connectors.ingest import frames
from riacho.connectors.ingest.frames import LogFrame

_DURABLE: Final = "durable"
_DURABLE_FORM: Final = "<QI4x"
_READERS: Final = "readers"


@dataclass(frozen=True)
class ReaderPosition:
    """How far a reader has come: the offset of the first event that it has not committed; milliseconds since 1970."""

    name: str
    offset: int
    time_ms: int


class LogFolder:
    """The log of one endpoint. Nothing is written here but what readers tell of themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: LogFrame | None = None
        """A frame that was found lately: the next search begins there."""

    def begin(self) -> int:
        """The offset of the first event that is still there."""
        found = frames.segments(self.folder)
        return found[0][0] if found else 0

    def end(self) -> int:
        """The offset behind the last event that is on disk for good. Events beyond it may still be lost."""
        try:
            offset, check = struct.unpack(_DURABLE_FORM, (self.folder / _DURABLE).read_bytes())
        except (FileNotFoundError, struct.error):
            return self._end_by_looking()
        return int(offset) if check == _check(offset) else self._end_by_looking()

    def ends_before(self, offset: int) -> bool:
        """Whether that offset was never given, as far as anything on disk tells: the log is another than it was."""
        return max(self.end(), self._end_by_looking()) < offset

    def say_durable(self, offset: int, file: int | None = None) -> int:
        """Tell readers that all before `offset` is on disk; for the writer, which keeps the file that this returns."""
        if file is None:
            file = os.open(self.folder / _DURABLE, os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(file, struct.pack(_DURABLE_FORM, offset, _check(offset)), 0)
        return file

    def find(self, start: int, end: int) -> list[LogFrame]:
        """The frames with events in [start, end), in order. What retention has removed is not among them."""
        found: list[LogFrame] = []
        for frame in self._from(start):
            if frame.first >= end:
                break
            if frame.end > start:
                found.append(frame)
        if found:
            self._known = found[-1]
        return found

    def _from(self, start: int) -> Iterator[LogFrame]:
        every = frames.segments(self.folder)
        later = [first for first, _ in every if first <= start]
        begin = later[-1] if later else 0
        known = self._known
        for first, segment in every:
            if first < begin:
                continue
            near = known is not None and known.segment == segment and known.first <= start
            try:
                yield from frames.walk(segment, known.position if known is not None and near else 0)
            except FileNotFoundError:
                continue

    def _end_by_looking(self) -> int:
        every = frames.segments(self.folder)
        end = every[-1][0] if every else 0
        for frame in frames.walk(every[-1][1]) if every else ():
            if not frames.is_whole(frame):
                break
            end = frame.end
        return end

    def tell(self, name: str, offset: int) -> None:
        """A reader has committed all before `offset`. Does nothing if there is no log yet."""
        folder = self.folder / _READERS
        if not self.folder.exists():
            return
        folder.mkdir(exist_ok=True)
        path = folder / f"{_safe(name)}.json"
        new = path.with_suffix(f".{os.getpid()}.new")
        new.write_text(json.dumps({"name": name, "offset": offset, "time_ms": time.time_ns() // 1_000_000}))
        new.replace(path)

    def readers(self) -> list[ReaderPosition]:
        """Who reads the log, as far as they have told, by name."""
        found = []
        for path in (self.folder / _READERS).glob("*.json"):
            try:
                told = json.loads(path.read_text())
                found.append(ReaderPosition(str(told["name"]), int(told["offset"]), int(told["time_ms"])))
            except (ValueError, KeyError, FileNotFoundError):
                continue
        return sorted(found, key=lambda reader: reader.name)

    def forget(self, name: str) -> bool:
        """Wait for that reader no longer; whether there was one."""
        path = self.folder / _READERS / f"{_safe(name)}.json"
        there = path.exists()
        path.unlink(missing_ok=True)
        return there

    def size(self) -> int:
        """Bytes of its segments."""
        return sum(path.stat().st_size for _, path in frames.segments(self.folder) if path.exists())


def _check(offset: int) -> int:
    return zlib.crc32(offset.to_bytes(8, "little"))


def _safe(name: str) -> str:
    """A name as part of a file's name."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:80]
    return plain if plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"
