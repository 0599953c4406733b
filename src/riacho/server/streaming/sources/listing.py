"""Which files there are, as Spark's file index sees a path, at little cost while nothing changes.

A path is a file, a folder or a glob of either. Of a folder, Spark reads the files directly inside, and those in
partition folders (`k=v`) at any depth; `recursiveFileLookup` reads all sub-folders. Names that start with `_` (unless
they hold a `=`) or `.`, or end with `._COPYING_`, are hidden. Sources: `InMemoryFileIndex`,
`HadoopFSUtils.shouldFilterOutPathName`.

A folder is read again only after it changed. Its modification time says so, except for a change within the same tick
of the file system's clock, so a folder that was changed a moment before it was read is read once more.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Final

from riacho.options import Options

_SETTLED_NS: Final = 2_000_000_000
"""A folder unchanged for so long before it was read cannot have changed unseen afterwards."""

_GLOB: Final = re.compile(r"[*?\[\]{}]")


@dataclass(frozen=True, order=True)
class FileStatus:
    """A file as it was found: its local path, when it was last modified (ms since the epoch), its size in bytes."""

    modified_ms: int
    path: str
    size: int


@dataclass(frozen=True)
class _FolderEntry:
    name: str
    path: str
    is_folder: bool


class FolderCache:
    """The entries of folders, read again only after a change."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, tuple[_FolderEntry, ...]]] = {}

    def entries(self, folder: str) -> tuple[_FolderEntry, ...]:
        """What is in `folder`; nothing if it does not exist."""
        try:
            changed_ns = os.stat(folder).st_mtime_ns  # noqa: PTH116 - twice as fast as Path.stat, and called always
        except (FileNotFoundError, NotADirectoryError):
            self._known.pop(folder, None)
            return ()
        if self._is_current(folder, changed_ns):
            return self._known[folder][2]
        read_ns = time.time_ns()
        try:
            with os.scandir(folder) as found:
                entries = tuple(_FolderEntry(entry.name, entry.path, entry.is_dir()) for entry in found)
        except NotADirectoryError:
            entries = ()
        self._known[folder] = (changed_ns, read_ns, entries)
        return entries

    def unchanged(self) -> bool:
        """Whether every folder read so far still has the same entries."""
        try:
            return bool(self._known) and all(
                self._is_current(folder, os.stat(folder).st_mtime_ns)  # noqa: PTH116 - as above
                for folder in self._known
            )
        except FileNotFoundError:
            return False

    def _is_current(self, folder: str, changed_ns: int) -> bool:
        known = self._known.get(folder)
        return known is not None and known[0] == changed_ns and known[1] - changed_ns > _SETTLED_NS


def is_glob(path: str) -> bool:
    return _GLOB.search(path) is not None


def is_hidden(name: str) -> bool:
    return (name.startswith("_") and "=" not in name) or name.startswith(".") or name.endswith("._COPYING_")


@dataclass(frozen=True)
class FileListing:
    """The files of one path. `name_pattern`: only names that match it (`pathGlobFilter`)."""

    path: str
    folders: FolderCache
    recursive: bool = False
    name_pattern: re.Pattern[str] | None = None

    @classmethod
    def of(cls, path: str, options: Options, glob_option: str = "pathGlobFilter") -> FileListing:
        pattern = options.maybe(glob_option)
        return cls(
            path,
            FolderCache(),
            recursive=options.flag("recursiveFileLookup"),
            name_pattern=None if pattern is None else glob_expression(pattern),
        )

    def roots(self) -> list[str]:
        """The files and folders that the path names."""
        if not is_glob(self.path):
            return [self.path]
        return sorted(found for one in expand_braces(self.path) for found in self._glob(one))

    def paths(self) -> Iterator[str]:
        """The local paths of all visible files, in no order."""
        for root in self.roots():
            if Path(root).is_file():
                if self._wanted(Path(root).name):
                    yield root
            else:
                yield from self._inside(root)

    def unchanged(self) -> bool:
        """Whether `paths` would give the same as before. Never known of a glob: it looks at more than folders."""
        return not is_glob(self.path) and self.folders.unchanged()

    def _inside(self, folder: str) -> Iterator[str]:
        for entry in self.folders.entries(folder):
            if is_hidden(entry.name):
                continue
            if not entry.is_folder:
                if self._wanted(entry.name):
                    yield entry.path
            elif self.recursive or "=" in entry.name:
                yield from self._inside(entry.path)

    def _wanted(self, name: str) -> bool:
        return self.name_pattern is None or self.name_pattern.fullmatch(name) is not None

    def _glob(self, pattern: str) -> list[str]:
        """Paths that match a pattern without braces, part by part."""
        found = ["/"]
        for part in Path(pattern).parts[1:]:
            if not is_glob(part):
                found = [str(Path(base) / part) for base in found]
                continue
            expression = glob_expression(part)
            found = [
                entry.path for base in found for entry in self.folders.entries(base) if expression.fullmatch(entry.name)
            ]
        return [path for path in found if Path(path).exists()]


def file_status(path: str) -> FileStatus | None:
    """What the file system says of a file, or None if it is gone or no plain file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called for every new file
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return FileStatus(found.st_mtime_ns // 1_000_000, path, found.st_size)


def glob_expression(pattern: str) -> re.Pattern[str]:
    """A Hadoop glob for one name (`*`, `?`, `[ab]`, `[^a]`, `{a,b}`) as a regular expression."""
    return re.compile("|".join(translate(one.replace("[^", "[!")) for one in expand_braces(pattern)))


def expand_braces(pattern: str) -> list[str]:
    """`a{b,c{d,e}}` → `ab`, `acd`, `ace`."""
    opening = pattern.find("{")
    if opening < 0:
        return [pattern]
    depth, start, parts = 0, opening + 1, []
    for i in range(opening, len(pattern)):
        if pattern[i] == "{":
            depth += 1
        elif pattern[i] == "}":
            depth -= 1
        if (pattern[i] == "," and depth == 1) or depth == 0:
            parts.append(pattern[start:i])
            start = i + 1
        if depth == 0:
            return [one for part in parts for one in expand_braces(pattern[:opening] + part + pattern[i + 1 :])]
    return [pattern]
