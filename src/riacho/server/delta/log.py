"""The files of `_delta_log`: which versions there are, read one, put the next one in place."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from riacho.server.delta.actions import Commit, parse_commit

LOG_FOLDER = "_delta_log"

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(
    r"(?P<version>\d{20})\.checkpoint"
    r"(?:\.(?P<part>\d{10})\.(?P<parts>\d{10})\.parquet|\.(?P<uuid>[0-9a-f-]{36})\.(?:json|parquet)|\.parquet)"
)


@dataclass(frozen=True)
class LogCheckpoint:
    """A summary of all versions up to `version`: one file, or all parts of a checkpoint in several."""

    version: int
    files: tuple[Path, ...]


class DeltaLog:
    """The log of the table in folder `table`. Holds no state: every call looks at the disk."""

    def __init__(self, table: Path) -> None:
        self.table = table
        self.directory = table / LOG_FOLDER
        self._prefix = str(self.directory) + os.sep

    def path(self, version: int) -> str:
        """Where the commit of `version` stands or will stand."""
        return f"{self._prefix}{version:020d}.json"

    def has(self, version: int) -> bool:
        """Whether the commit of `version` is there: one look at the disk, a few microseconds."""
        return os.path.exists(self.path(version))  # noqa: PTH110 (ten times faster than pathlib on the idle path)

    def stamp(self, version: int) -> tuple[int, int] | None:
        """What tells the commit file of `version` from another of that name, or None if there is none."""
        try:
            found = os.stat(self.path(version))  # noqa: PTH116 (as in `has`)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def exists(self) -> bool:
        """Whether there is a table at all. A table's first version may be gone, then a checkpoint is there."""
        return self.has(0) or bool(self.versions()) or self.latest_checkpoint() is not None

    def read(self, version: int) -> Commit:
        """The commit of `version`. Raises FileNotFoundError."""
        with open(self.path(version), "rb") as file:  # noqa: PTH123 (as in `has`)
            modified_ms = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
            return parse_commit(version, file.read(), modified_ms)

    def versions(self) -> list[int]:
        """All versions whose commit is there, ascending; the oldest may have been cleaned up."""
        return sorted(int(found[1]) for name in self._names() if (found := _COMMIT.fullmatch(name)))

    def latest_version(self, known: int | None = None) -> int | None:
        """The newest version, or None if there is no table. With a `known` one, only newer ones are looked for."""
        if known is None:
            versions, checkpoint = self.versions(), self.latest_checkpoint()
            known = max([*versions[-1:], *([checkpoint.version] if checkpoint else [])], default=None)
            if known is None:
                return None
        while self.has(known + 1):
            known += 1
        return known

    def latest_checkpoint(self, at_most: int | None = None) -> LogCheckpoint | None:
        """The newest complete checkpoint, of a version up to `at_most`."""
        found: dict[tuple[int, str], list[Path]] = {}
        wanted: dict[tuple[int, str], int] = {}
        for name in self._names():
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
        return LogCheckpoint(newest[0], tuple(sorted(found[newest])))

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.directory)  # noqa: PTH208 (names are all we want of thousands of files)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def put(self, version: int, content: bytes) -> bool:
        """Make `content` the commit of `version`, unless somebody was first: then False, and nothing has changed.

        The commit appears whole or not at all: it is written aside and linked into place, which fails if the name is
        taken. Where the disk has no hard links the name is taken first and then filled.
        """
        target = self.path(version)
        aside = f"{self._prefix}.{version:020d}.json.{uuid4()}.tmp"
        with open(aside, "wb") as file:  # noqa: PTH123
            file.write(content)
        try:
            os.link(aside, target)
        except FileExistsError:
            return False
        except OSError as failure:
            if failure.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
                raise
            return _create(target, content)
        finally:
            # Whoever sees an error takes the version for not made and deletes its files: a leftover is the lesser evil.
            with contextlib.suppress(OSError):
                os.unlink(aside)  # noqa: PTH108
        return True


def _create(target: str, content: bytes) -> bool:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return True
