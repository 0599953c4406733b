"""A folder of small files that a log is made of: looked at by name, all the time, so that each look must be cheap.

On a disk a look is a system call or two; in an object store it is one request.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeAlias

from riacho.storage.files import create_new
from riacho.storage.places import ObjectPath, Place

Stamp: TypeAlias = tuple[int | str, int]
"""Tells one content of a file from another."""


class Folder(Protocol):
    """The files of one folder, by name. Holds no state. Raises OSError, StorageError."""

    def path(self, name: str) -> str:
        """Where the file of that name stands or will stand, as text."""

    def has(self, name: str) -> bool:
        """Whether it is there."""

    def stamp(self, name: str) -> Stamp | None:
        """What tells its content from another of that name; None if it is not there."""

    def read(self, name: str) -> tuple[bytes, int]:
        """Its content, and when it was written, in ms since 1970. Raises FileNotFoundError."""

    def names(self, after: str = "", most: int | None = None) -> list[str]:
        """The names of its files, none if there is no folder.

        In object storage only those that come `after` a name, and so `most` that come first; a disk gives all at once.
        """

    def put_new(self, name: str, content: bytes) -> bool:
        """See `storage.create_new`."""

    def make(self) -> None:
        """Make the folder, if it is not there."""


def folder_of(place: Place) -> Folder:
    """The folder at a place."""
    return _DiskFolder(place) if isinstance(place, Path) else _StoreFolder(place)


class _DiskFolder:
    def __init__(self, place: Path) -> None:
        self._place = place
        self._prefix = str(place) + os.sep

    def path(self, name: str) -> str:
        return self._prefix + name

    def has(self, name: str) -> bool:
        return os.path.exists(self._prefix + name)  # noqa: PTH110 (ten times faster than pathlib on the idle path)

    def stamp(self, name: str) -> Stamp | None:
        try:
            found = os.stat(self._prefix + name)  # noqa: PTH116 (as in `has`)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def read(self, name: str) -> tuple[bytes, int]:
        with open(self._prefix + name, "rb") as file:  # noqa: PTH123 (as in `has`)
            modified_ms = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
            return file.read(), modified_ms

    def names(self, after: str = "", most: int | None = None) -> list[str]:  # noqa: ARG002 - see `Folder`
        try:
            return os.listdir(self._place)  # noqa: PTH208 (names are all we want of thousands of files)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def put_new(self, name: str, content: bytes) -> bool:
        return create_new(self._place / name, content)

    def make(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True)


class _StoreFolder:
    def __init__(self, place: ObjectPath) -> None:
        self._place = place

    def path(self, name: str) -> str:
        return str(self._place / name)

    def has(self, name: str) -> bool:
        return (self._place / name).is_file()

    def stamp(self, name: str) -> Stamp | None:
        try:
            found = (self._place / name).stat()
        except FileNotFoundError:
            return None
        return found.version, found.st_mtime_ns

    def read(self, name: str) -> tuple[bytes, int]:
        return (self._place / name).read_dated()

    def names(self, after: str = "", most: int | None = None) -> list[str]:
        below = len(self._place.key) + 1
        start = f"{self._place.key}/{after}" if after else None
        found = islice((entry.place.key[below:] for entry in self._place.listing(start)), most)
        return [name for name in found if "/" not in name]

    def put_new(self, name: str, content: bytes) -> bool:
        return create_new(self._place / name, content)

    def make(self) -> None:
        """Nothing: it is there when an object lies below."""
