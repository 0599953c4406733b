"""The files of `_delta_log`: which versions there are, read one, put the next one in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from riacho.server.delta.actions import Commit, parse_commit
from riacho.storage import Place, Stamp, folder_of

LOG_FOLDER = "_delta_log"
_LAST_CHECKPOINT = "_last_checkpoint"
_FEW_NAMES = 1000
_READERS = 16
"""How many commits are read at once from object storage."""

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(
    r"(?P<version>\d{20})\.checkpoint"
    r"(?:\.(?P<part>\d{10})\.(?P<parts>\d{10})\.parquet|\.(?P<uuid>[0-9a-f-]{36})\.(?:json|parquet)|\.parquet)"
)


@dataclass(frozen=True)
class LogCheckpoint:
    """A summary of all versions up to `version`: one file, or all parts of a checkpoint in several."""

    version: int
    files: tuple[Place, ...]


class DeltaLog:
    """The log of the table in folder `table`. Holds no state: every call looks at the disk or the object store."""

    def __init__(self, table: Place) -> None:
        self.table = table
        self.directory = table / LOG_FOLDER
        self._files = folder_of(self.directory)

    def path(self, version: int) -> str:
        """Where the commit of `version` stands or will stand."""
        return self._files.path(_name(version))

    def has(self, version: int) -> bool:
        """Whether the commit of `version` is there: one look, a few microseconds on a disk."""
        return self._files.has(_name(version))

    def stamp(self, version: int) -> Stamp | None:
        """What tells the commit file of `version` from another of that name, or None if there is none."""
        return self._files.stamp(_name(version))

    def exists(self) -> bool:
        """Whether there is a table at all. A table's first version may be gone, then a checkpoint is there."""
        return self.has(0) or self.newest() is not None

    def read(self, version: int) -> Commit:
        """The commit of `version`. Raises FileNotFoundError."""
        content, modified_ms = self._files.read(_name(version))
        return parse_commit(version, content, modified_ms)

    def commits(self, first: int, last: int) -> Iterator[Commit]:
        """The commits of these versions in order, both included. Raises FileNotFoundError at one that is gone."""
        if isinstance(self.table, Path) or last - first < 2:
            yield from map(self.read, range(first, last + 1))
            return
        with ThreadPoolExecutor(_READERS, thread_name_prefix="riacho-log") as pool:
            reading = [pool.submit(self.read, version) for version in range(first, last + 1)]
            try:
                for commit in reading:
                    yield commit.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def versions(self) -> list[int]:
        """All versions whose commit is there, ascending; the oldest may have been cleaned up."""
        return _versions(self._files.names())

    def newest(self) -> tuple[int, LogCheckpoint | None] | None:
        """The newest version and the newest complete checkpoint, by one look; None if there is no table."""
        names = self._recent_names()
        versions, checkpoint = _versions(names), self._checkpoint(names, None)
        known = max([*versions[-1:], *([checkpoint.version] if checkpoint else [])], default=None)
        return None if known is None else (known, checkpoint)

    def latest_version(self, known: int | None = None) -> int | None:
        """The newest version, or None if there is no table. With a `known` one, only newer ones are looked for."""
        if known is None:
            newest = self.newest()
            if newest is None:
                return None
            known = newest[0]
        while self.has(known + 1):
            known += 1
        return known

    def latest_checkpoint(self, at_most: int | None = None) -> LogCheckpoint | None:
        """The newest complete checkpoint, of a version up to `at_most`."""
        return self._checkpoint(self._files.names(), at_most)

    def _checkpoint(self, names: Iterable[str], at_most: int | None) -> LogCheckpoint | None:
        found: dict[tuple[int, str], list[Place]] = {}
        wanted: dict[tuple[int, str], int] = {}
        for name in names:
            match = _CHECKPOINT.fullmatch(name)
            if match is None or (at_most is not None and int(match["version"]) > at_most):
                continue
            key = int(match["version"]), match["parts"] or match["uuid"] or ""
            found.setdefault(key, []).append(self.directory / name)
            wanted[key] = int(match["parts"] or 1)
        complete = [key for key, files in found.items() if len(files) == wanted[key]]
        if not complete:
            return None
        newest = max(complete)
        return LogCheckpoint(newest[0], tuple(sorted(found[newest], key=str)))

    def _recent_names(self) -> list[str]:
        """The names of the log's files, of a long log in object storage perhaps only those since the last checkpoint.

        There, a thousand names take a request.
        """
        names = self._files.names(most=_FEW_NAMES)
        if isinstance(self.table, Path) or len(names) < _FEW_NAMES:
            return names
        try:
            version = int(json.loads(self._files.read(_LAST_CHECKPOINT)[0])["version"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return self._files.names()
        recent = self._files.names(after=f"{version:020d}")
        return recent if self._checkpoint(recent, None) is not None else self._files.names()

    def put(self, version: int, content: bytes) -> bool:
        """Make `content` the commit of `version`, unless somebody was first: then False, and nothing has changed.

        The commit appears whole or not at all. Raises as `storage.create_new`.
        """
        return self._files.put_new(_name(version), content)

    def make_folder(self) -> None:
        """Make the log's folder, if it is not there."""
        self._files.make()


def _versions(names: Iterable[str]) -> list[int]:
    return sorted(int(found[1]) for name in names if (found := _COMMIT.fullmatch(name)))


def _name(version: int) -> str:
    return f"{version:020d}.json"
