"""What a kill leaves of events that were not in the table yet.

On a disk: a file of lines for each run, held with a lock for as long as the run lives, so that nobody takes it for one
that was left.

    <storage>/system/journal/<update>.jsonl

In object storage nothing can be appended, so each event of a batch is an object of its own, and other events are not
kept. Objects of runs that live may be taken for left ones: that does no harm, for the table has each batch once.

    <storage>/system/journal/<update>/<number>.json
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from riacho.server.graph.event_log.rows import EventRow
from riacho.storage import ObjectPath, Place, create_new
from riacho.storage.files import delete_objects

_LINES: Final = ".jsonl"
_OBJECT: Final = ".json"


class Segment(Protocol):
    """Events that were added between two cuts. Nobody else takes it until it is released."""

    def carried(self) -> None:
        """They are in the table: forget them. Raises OSError, StorageError."""

    def release(self) -> None:
        """Leave them to the next run."""


class Journal(Protocol):
    """Of one run. Not for several threads at once."""

    def add(self, row: EventRow) -> None:
        """Keep an event, beyond the end of this process if it has `once`. Raises OSError, StorageError."""

    def cut(self) -> Segment:
        """What was added since the last cut. Raises nothing."""


class Leftover(Protocol):
    """What is left of a run, held by whoever takes it."""

    rows: list[EventRow]

    def carried(self) -> None:
        """It is in the table. Raises OSError, StorageError."""


def open_journal(folder: Place, name: str) -> Journal:
    """A new journal in `folder`. Raises OSError, StorageError."""
    return FileJournal(folder, name) if isinstance(folder, Path) else ObjectJournal(folder / name)


@contextlib.contextmanager
def leftovers(folder: Place) -> Iterator[Sequence[Leftover]]:
    """What killed runs left in `folder`; nobody else takes it while the block runs. Raises OSError, StorageError."""
    with contextlib.ExitStack() as held:
        if isinstance(folder, Path):
            yield [found for path in sorted(folder.glob(f"*{_LINES}")) if (found := _taken(path, held)) is not None]
        else:
            yield [_ObjectLeftover(e.place) for e in folder.listing() if e.place.name.endswith(_OBJECT)]


class FileJournal:
    """See the module and `Journal`. A new file is begun at each cut."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = name
        self._number = 0
        self._segment = FileSegment()

    def add(self, row: EventRow) -> None:
        if self._segment.file is None:
            self._segment.open(self._folder, f"{self._name}-{self._number}")
            self._number += 1
        self._segment.append(row.to_line())

    def cut(self) -> FileSegment:
        segment, self._segment = self._segment, FileSegment()
        return segment


class FileSegment:
    """One file of lines; there is none as long as there are no lines."""

    file: int | None = None
    _path: Path

    def open(self, folder: Path, name: str) -> None:
        """Make the file. It gets its name when it is locked: nobody finds it without. Raises OSError."""
        hidden = folder / f".{name}.tmp"
        file = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path = hidden.rename(folder / f"{name}{_LINES}")
        except OSError:
            os.close(file)
            hidden.unlink(missing_ok=True)
            raise
        self.file = file

    def append(self, line: bytes) -> None:
        """Raises OSError; then nothing of the line is there, which would spoil the next one."""
        assert self.file is not None
        rest = memoryview(line)
        size = os.fstat(self.file).st_size
        try:
            while rest:
                rest = rest[os.write(self.file, rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.file, size)
            raise

    def carried(self) -> None:
        if self.file is not None:
            self._path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        if self.file is not None:
            os.close(self.file)
            self.file = None


class ObjectJournal:
    """See the module and `Journal`."""

    def __init__(self, folder: ObjectPath) -> None:
        self._folder = folder
        self._number = 0
        self._segment = ObjectSegment()

    def add(self, row: EventRow) -> None:
        if row.once is None:
            return
        place = self._folder / f"{self._number:012d}{_OBJECT}"
        self._number += 1
        self._segment.places.append(place)
        create_new(place, row.to_line())

    def cut(self) -> ObjectSegment:
        segment, self._segment = self._segment, ObjectSegment()
        return segment


class ObjectSegment:
    """Some objects."""

    def __init__(self) -> None:
        self.places: list[ObjectPath] = []

    def carried(self) -> None:
        delete_objects(self.places)

    def release(self) -> None:
        """Nobody holds an object."""


class _FileLeftover:
    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_bytes().splitlines() if path.exists() else []
        self.rows = [row for line in lines if (row := EventRow.of_line(line)) is not None]

    def carried(self) -> None:
        self._path.unlink(missing_ok=True)


class _ObjectLeftover:
    def __init__(self, place: ObjectPath) -> None:
        self._place = place
        try:
            row = EventRow.of_line(place.read_bytes())
        except FileNotFoundError:  # its run carried it just now
            row = None
        self.rows = [] if row is None else [row]

    def carried(self) -> None:
        self._place.unlink(missing_ok=True)


def _taken(path: Path, held: contextlib.ExitStack) -> _FileLeftover | None:
    """A file that no run holds, held until `held` is left."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    held.callback(os.close, file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    return _FileLeftover(path)
