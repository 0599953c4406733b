"""Which files there are, as Spark's file index sees a path, at little cost while nothing changes.

A path is a file, a folder or a glob of either. Of a folder, Spark reads the files directly inside, and those in
partition folders (`k=v`) at any depth; `recursiveFileLookup` reads all sub-folders. Names that start with `_` (unless
they hold a `=`) or `.`, or end with `._COPYING_`, are hidden. Sources: `InMemoryFileIndex`,
`HadoopFSUtils.shouldFilterOutPathName`.

A folder is read again only after it changed. Its modification time says so, except for a change within the same tick
of the file system's clock, so a folder that was changed a moment before it was read is read once more. Then its names
are told apart at once from those of files that are known, of which there may be millions; only others are looked at.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from riacho.server.streaming.sources.globs import expand_braces, glob_expression, is_glob
from riacho.storage import place_at

_SETTLED_NS: Final = 2_000_000_000
"""A folder unchanged for so long before it was read cannot have changed unseen afterwards."""


@dataclass(frozen=True, order=True)
class FileStatus:
    """A file as it was found: its path (`/x` or `s3a://bucket/x`), its modification time (ms since the epoch), its size
    in bytes.
    """

    modified_ms: int
    path: str
    size: int


class KnownNames(Protocol):
    """Files that need no look at them."""

    def unknown(self, folder: str, names: Iterable[str]) -> list[str]:
        """Those of a folder's names that are not known."""


@dataclass(frozen=True)
class _ReadFolder:
    """What was in a folder when it was read, but for known files. The times are in ns since the epoch."""

    changed_ns: int
    read_ns: int
    names: list[str]


class FolderCache:
    """The names in folders, read again only after a change."""

    def __init__(self) -> None:
        self._read: dict[str, _ReadFolder] = {}

    def names(self, folder: str, known: KnownNames | None = None, changed_ns: int | None = None) -> list[str]:
        """What is in `folder`, but for known files; nothing if it does not exist.

        What was known once is never given again. `changed_ns`: the folder's modification time, if that was asked for.
        """
        try:
            if changed_ns is None:
                changed_ns = os.stat(folder).st_mtime_ns  # noqa: PTH116 - twice as fast as Path.stat, and called always
            read = self._read.get(folder)
            if read is None or not _is_current(read, changed_ns):
                read = _ReadFolder(changed_ns, time.time_ns(), os.listdir(folder))  # noqa: PTH208 - names, a million a second
        except (FileNotFoundError, NotADirectoryError):
            self._read.pop(folder, None)
            return []
        if known is not None and read.names:
            read = replace(read, names=known.unknown(folder, read.names))
        self._read[folder] = read
        return read.names

    def unchanged(self) -> bool:
        """Whether every folder read so far still has the same entries."""
        try:
            return bool(self._read) and all(
                _is_current(read, os.stat(folder).st_mtime_ns)  # noqa: PTH116 - as above
                for folder, read in self._read.items()
            )
        except FileNotFoundError:
            return False


def _is_current(read: _ReadFolder, changed_ns: int) -> bool:
    return read.changed_ns == changed_ns and read.read_ns - changed_ns > _SETTLED_NS


def is_hidden(name: str) -> bool:
    return (name.startswith("_") and "=" not in name) or name.startswith(".") or name.endswith("._COPYING_")


@dataclass(frozen=True)
class FileListing:
    """The files of one path. `name_pattern`: only names that match it (`pathGlobFilter`)."""

    path: str
    folders: FolderCache
    recursive: bool = False
    name_pattern: re.Pattern[str] | None = None

    def roots(self) -> list[str]:
        """The files and folders that the path names."""
        return sorted(path for path, _ in self._roots(None))

    def files(self, known: KnownNames | None = None) -> Iterator[FileStatus]:
        """The visible files that are not known, in no order. Each costs one look at it; known ones cost none."""
        for path, found in self._roots(known):
            if stat.S_ISDIR(found.st_mode):
                yield from self._inside(path, found, known)
            elif self._wanted(path.rpartition("/")[2]) and (file := _status(path, found)) is not None:
                yield file

    def paths(self) -> Iterator[str]:
        """The local paths of all visible files, in no order."""
        return (file.path for file in self.files())

    def partition_folders(self) -> Iterator[str]:
        """The folders `k=v` below a folder, at any depth, that hold a visible file. Few files are looked at."""
        pending = [self.path]
        while pending:
            folder = pending.pop()
            names = self.folders.names(folder)
            inner = [name for name in names if "=" in name and not is_hidden(name) and _is_folder(f"{folder}/{name}")]
            pending.extend(f"{folder}/{name}" for name in inner)
            if folder != self.path and self._holds_file(folder, names):
                yield folder

    def _holds_file(self, folder: str, names: Iterable[str]) -> bool:
        visible = (name for name in names if not is_hidden(name) and self._wanted(name))
        return any(file_status(f"{folder}/{name}") is not None for name in visible)

    def unchanged(self) -> bool:
        """Whether `files` would give the same as before. Never known of a glob: it looks at more than folders."""
        return not is_glob(self.path) and self.folders.unchanged()

    def _inside(self, folder: str, found: os.stat_result, known: KnownNames | None) -> Iterator[FileStatus]:
        for name in self.folders.names(folder, known, found.st_mtime_ns):
            wanted = self._wanted(name)
            may_be_folder = self.recursive or "=" in name
            if is_hidden(name) or not (wanted or may_be_folder):
                continue
            path = f"{folder}/{name}"
            if (inner := _stat(path)) is None:
                continue
            if stat.S_ISDIR(inner.st_mode):
                if may_be_folder:
                    yield from self._inside(path, inner, known)
            elif wanted and (file := _status(path, inner)) is not None:
                yield file

    def _wanted(self, name: str) -> bool:
        return self.name_pattern is None or self.name_pattern.fullmatch(name) is not None

    def _roots(self, known: KnownNames | None) -> Iterator[tuple[str, os.stat_result]]:
        """The files and folders that the path names, but for known files."""
        paths = [self.path] if not is_glob(self.path) else [
            found for one in expand_braces(self.path) for found in self._glob(one, known)
        ]  # fmt: skip
        for path in dict.fromkeys(paths):
            if (found := _stat(path)) is not None:
                yield path, found

    def _glob(self, pattern: str, known: KnownNames | None) -> list[str]:
        """Paths that may match a pattern without braces, part by part."""
        found = [""]
        *folders, last = Path(pattern).parts[1:]
        for part in folders:
            found = self._matching(found, part, None)
        return self._matching(found, last, known)

    def _matching(self, folders: Sequence[str], part: str, known: KnownNames | None) -> list[str]:
        if not is_glob(part):
            return [f"{folder}/{part}" for folder in folders]
        expression = glob_expression(part)
        return [
            f"{folder}/{name}"
            for folder in folders
            for name in self.folders.names(folder or "/", known)
            if expression.fullmatch(name)
        ]


def file_status(path: str) -> FileStatus | None:
    """What the file system or the object store says of a file, or None if it is gone or no plain file."""
    if not path.startswith("/"):
        try:
            stat = place_at(path).stat()
        except FileNotFoundError:
            return None
        return FileStatus(stat.st_mtime_ns // 1_000_000, path, stat.st_size)
    found = _stat(path)
    return None if found is None else _status(path, found)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - called for every new file
    except (FileNotFoundError, NotADirectoryError):
        return None


def _status(path: str, found: os.stat_result) -> FileStatus | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    return FileStatus(found.st_mtime_ns // 1_000_000, path, found.st_size)


def _is_folder(path: str) -> bool:
    found = _stat(path)
    return found is not None and stat.S_ISDIR(found.st_mode)
