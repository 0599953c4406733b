"""Where the files of a store lie: a folder of a disk, or of an object store with a copy of what is in use on a disk.

Runs are mapped files, so in an object store they are uploaded when they are written, and fetched when a version that
has them is restored. A file of a run is never replaced there: two servers that by mistake run one query must not
change what the other has written down.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

from riacho.storage import ObjectPath, Place, carried, upload

_AT_ONCE: Final = 8
_STRAY_NS: Final = 24 * 3_600 * 1_000_000_000
"""How old a file is that no version names and nobody will name any more."""


class StatePlace(Protocol):
    """The files of one store, by name. Raises OSError, StorageError."""

    folder: Path
    """Where files are written, renamed and mapped."""
    shown: str
    """The place as messages show it."""
    alone: bool
    """Whether nobody else can be at work there, as long as nobody shares the disk."""

    def run_name(self, name: str) -> str:
        """The name of a run that is about to be written, given what it holds."""

    def keep(self, name: str) -> None:
        """Make a file that has been written into `folder` durable."""

    def fetch(self, names: Iterable[str]) -> None:
        """Have these files in `folder`; those that are nowhere are left out."""

    def names(self) -> list[str]:
        """All files that are kept; none if there is no folder."""

    def read_text(self, name: str) -> str:
        """Raises FileNotFoundError."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, if they are there."""

    def left_behind(self) -> list[str]:
        """The files of `names` that whoever wrote them has no more use for, unless a version names them."""

    def close(self) -> None:
        """Nobody will use it any more."""


def state_place(place: Place) -> StatePlace:
    """The files of the store at a place."""
    return _OnDisk(place) if isinstance(place, Path) else _InStore(place)


class _OnDisk:
    alone = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown = str(folder)

    def run_name(self, name: str) -> str:
        return name

    def keep(self, name: str) -> None:
        """It is there."""

    def fetch(self, names: Iterable[str]) -> None:
        """They are there."""

    def names(self) -> list[str]:
        try:
            return os.listdir(self.folder)  # noqa: PTH208 - names are all we want
        except FileNotFoundError:
            return []

    def read_text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def left_behind(self) -> list[str]:
        return self.names()

    def close(self) -> None:
        """Nothing is held."""


class _InStore:
    alone = False

    def __init__(self, place: ObjectPath) -> None:
        self._place = place
        self.shown = str(place)
        # The owner's pid in the name lets a later start remove what a killed one left behind.
        self.folder = Path(tempfile.mkdtemp(prefix=f"riacho-{os.getpid()}-state-"))

    def run_name(self, name: str) -> str:
        stem, _, suffix = name.rpartition(".")
        return f"{stem}.{uuid4().hex[:12]}.{suffix}"

    def keep(self, name: str) -> None:
        upload(self.folder / name, self._place / name)

    def fetch(self, names: Iterable[str]) -> None:
        wanted = [name for name in dict.fromkeys(names) if not (self.folder / name).exists()]
        if not wanted:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="riacho-state-fetch") as pool:
            list(pool.map(carried(self._fetch_one), wanted))

    def _fetch_one(self, name: str) -> None:
        aside = self.folder / f".{name}.tmp"
        try:
            with aside.open("wb") as file:
                for chunk in (self._place / name).chunks():
                    file.write(chunk)
        except FileNotFoundError:
            aside.unlink(missing_ok=True)
            return
        aside.rename(self.folder / name)

    def names(self) -> list[str]:
        return [place.name for place in self._place.iterdir()]

    def read_text(self, name: str) -> str:
        return (self._place / name).read_text()

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
            (self._place / name).unlink(missing_ok=True)

    def left_behind(self) -> list[str]:
        """Those that are old: another server may just be writing the others."""
        before_ns = time.time_ns() - _STRAY_NS
        return [one.place.name for one in self._place.children() if not one.is_folder and one.modified_ns < before_ns]

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
