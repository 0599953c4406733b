"""The files of a batch read, and their partitions, as Spark's file index finds them.

All folders below a path are looked at. Where files lie in partition folders (`k=v`), at any depth, the table is
partitioned: it has the files below such folders, and no others. Where there are none, it has the files that lie right
in the folders that were named. Sources: `PartitioningAwareFileIndex`, `PartitioningUtils.parsePartitions`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from riacho.errors import IllegalArgumentError, SparkRuntimeError
from riacho.paths import local_path, qualified
from riacho.server.catalog.failures import path_not_found
from riacho.server.streaming.sources.globs import is_glob
from riacho.server.streaming.sources.listing import FileStatus, file_status, is_hidden
from riacho.server.streaming.sources.object_listing import listing_of
from riacho.server.streaming.sources.partitions import common_type, partition_folder
from riacho.server.streaming.sources.sink_log import has_sink_log, sink_files
from riacho.storage import is_object, place_at, place_of

Values: TypeAlias = tuple[str | None, ...]
"""The texts of a file's partition columns; None for NULL."""


@dataclass(frozen=True)
class FileIndex:
    """What a batch read reads: `files` by the values of their partition columns, which are `partitions`.

    `folder`: set if the files are just what a plain reader finds that lists this one folder and all below it.
    `known`: what an object store said of its files; a file of a disk is looked at when it is read.
    """

    partitions: pa.Schema
    files: Mapping[Values, Sequence[str]]
    folder: str | None = None
    known: Mapping[str, FileStatus] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        return [path for group in self.files.values() for path in group]


@dataclass(frozen=True)
class Rules:
    """How paths are read.

    `base`: where partition folders start to count. `recursive`: all files, no partitions. `wanted`: which files, by
    path; `fresh`: which, by their times in microseconds. `declared`: the partition columns of a table that has them by
    its definition, whatever lies elsewhere. `typed`: whether the values say what types the columns have; else they are
    STRING.
    """

    base: str | None = None
    recursive: bool = False
    wanted: Callable[[str], bool] | None = None
    fresh: Callable[[int], bool] | None = None
    declared: Sequence[str] | None = None
    typed: bool = True


def index(given: Sequence[str], rules: Rules) -> FileIndex:
    """The index of paths as users write them: files, folders and globs.

    Raises PATH_NOT_FOUND, CONFLICTING_DIRECTORY_STRUCTURES, CONFLICTING_PARTITION_COLUMN_NAMES, IllegalArgumentError.
    """
    roots = [root for path in given for root in roots_of(path)]
    by_log = len(given) == 1 and roots == [str(place_of(given[0]))] and has_sink_log(roots[0])
    tree = _Tree.logged(roots[0]) if by_log else _Tree.of(roots)
    names: tuple[str, ...] = ()
    if rules.recursive:
        found: dict[Values, list[str]] = {(): [path for paths in tree.by_folder.values() for path in paths]}
    else:
        names, folders = _partitions(tree.by_folder, _bases(roots, rules, tree), rules.declared)
        found = {}
        if names:
            for folder, values in folders.items():
                found.setdefault(values, []).extend(tree.by_folder[folder])
        else:
            found[()] = [path for root in roots for path in tree.right_at(root)]
    columns = [[values[i] for values in found] for i in range(len(names))]
    types = [common_type([v for v in column if v is not None]) if rules.typed else pa.string() for column in columns]
    files = {values: [path for path in paths if tree.fits(path, rules)] for values, paths in found.items()}
    return FileIndex(
        pa.schema([pa.field(name, arrow) for name, arrow in zip(names, types, strict=True)]),
        {values: paths for values, paths in files.items() if paths},
        tree.plain_root(roots, files, rules),
        tree.known,
    )


def roots_of(path: str) -> list[str]:
    """The files and folders that a path names. Raises PATH_NOT_FOUND."""
    local = str(place_of(path))
    found = listing_of(local).roots() if is_glob(local) else [local] if place_at(local).exists() else []
    if not found:
        raise path_not_found(qualified(local))
    return found


@dataclass(frozen=True)
class _Tree:
    """All visible files below some roots. `odd`: whether other readers may take other names for hidden.

    `known`: those of an object store.
    """

    by_folder: Mapping[str, list[str]]
    odd: bool
    known: Mapping[str, FileStatus] = field(default_factory=dict)

    @classmethod
    def of(cls, roots: Sequence[str]) -> _Tree:
        if any(map(is_object, roots)):
            return cls.of_objects(roots)
        by_folder: dict[str, list[str]] = {}
        odd = False
        pending = []
        for root in dict.fromkeys(roots):
            if Path(root).is_dir():
                pending.append(root)
            elif not is_hidden(Path(root).name):
                by_folder.setdefault(str(Path(root).parent), []).append(root)
        seen = set()
        while pending:
            folder = pending.pop()
            if folder in seen:
                continue
            seen.add(folder)
            files = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    odd |= is_hidden(entry.name) != entry.name.startswith((".", "_"))
                    if is_hidden(entry.name):
                        continue
                    if entry.is_dir():
                        pending.append(entry.path)
                    else:
                        files.append(entry.path)
                        odd |= "=" in entry.name
            if files:
                by_folder[folder] = sorted({*by_folder.get(folder, ()), *files})
        return cls(dict(sorted(by_folder.items())), odd)

    @classmethod
    def of_objects(cls, roots: Sequence[str]) -> _Tree:
        """The same of roots of which some are in an object store."""
        files: list[FileStatus] = []
        for root in dict.fromkeys(roots):
            files += listing_of(root, recursive=True).files()
        return cls._of_files(files)

    @classmethod
    def logged(cls, root: str) -> _Tree:
        """The files that a file sink's log names: those of failed batches lie beside them."""
        return cls._of_files(sink_files(root))

    @classmethod
    def _of_files(cls, files: Iterable[FileStatus]) -> _Tree:
        by_folder: dict[str, set[str]] = {}
        known = {}
        for file in files:
            by_folder.setdefault(_above(file.path), set()).add(file.path)
            if is_object(file.path):
                known[file.path] = file
        return cls({folder: sorted(by_folder[folder]) for folder in sorted(by_folder)}, True, known)

    def is_folder(self, root: str) -> bool:
        """Whether a root is no file."""
        return root not in self.known if is_object(root) else Path(root).is_dir()

    def fits(self, path: str, rules: Rules) -> bool:
        """Whether a file is wanted."""
        if rules.wanted is not None and not rules.wanted(path):
            return False
        if rules.fresh is None:
            return True
        file = self.known.get(path) or file_status(path)
        return file is not None and rules.fresh(file.modified_ms * 1000)

    def right_at(self, root: str) -> list[str]:
        """The files right in a root, or the root if it is one."""
        if self.is_folder(root):
            return self.by_folder.get(root, [])
        return [path for path in self.by_folder.get(_above(root), []) if path == root]

    def plain_root(self, roots: Sequence[str], files: Mapping[Values, Sequence[str]], rules: Rules) -> str | None:
        """The one folder whose files, at any depth, are all of `files` and show their partitions to any reader."""
        if self.odd or len(roots) != 1 or not Path(roots[0]).is_dir():
            return None
        if rules.base is not None and str(local_path(rules.base)) != roots[0]:
            return None
        if sum(map(len, files.values())) != sum(map(len, self.by_folder.values())):
            return None
        depths = {tuple("=" in part for part in Path(folder).relative_to(roots[0]).parts) for folder in self.by_folder}
        partitioned = next(iter(files), ())
        return roots[0] if depths <= {(True,) * len(partitioned)} else None


def _bases(roots: Sequence[str], rules: Rules, tree: _Tree) -> frozenset[str]:
    """The folders below which partition folders count. Raises IllegalArgumentError."""
    if rules.base is None:
        return frozenset(root if tree.is_folder(root) else _above(root) for root in roots)
    base = place_of(rules.base)
    if not base.is_dir():
        raise IllegalArgumentError("Option 'basePath' must be a directory")
    for root in roots:
        if not root.startswith(str(base)):
            raise IllegalArgumentError(f"Wrong basePath {rules.base} for the root path: {qualified(root)}")
    return frozenset({str(base)})


def _partitions(
    folders: Iterable[str], bases: frozenset[str], declared: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, Values]]:
    """The partition columns, and the values that each folder that counts has for them."""
    parsed = {folder: _parse(folder, bases) for folder in folders}
    if declared is not None:
        keys = [name.lower() for name in declared]
        return tuple(declared), {
            folder: tuple(columns[key] for key in keys)
            for folder, (pairs, _) in parsed.items()
            if (columns := {name.lower(): text for name, text in pairs}).keys() >= set(keys)
        }
    partitioned = {folder: pairs for folder, (pairs, _) in parsed.items() if pairs}
    if not partitioned:
        return (), {}
    starts = list(dict.fromkeys(start for _, start in parsed.values()))
    if len(starts) > 1:
        raise _conflicting_folders(starts)
    names = {folder: tuple(name for name, _ in pairs) for folder, pairs in partitioned.items()}
    if len({tuple(name.lower() for name in one) for one in names.values()}) > 1:
        raise _conflicting_columns(names)
    values = {folder: tuple(text for _, text in pairs) for folder, pairs in partitioned.items()}
    return next(iter(names.values())), values


def _parse(folder: str, bases: frozenset[str]) -> tuple[list[tuple[str, str | None]], str]:
    """The columns that a folder shows, and the folder where they start; itself if it shows none."""
    pairs: list[tuple[str, str | None]] = []
    at = folder
    while at not in bases and at != _above(at):
        pair = partition_folder(at.rpartition("/")[2])
        if pair is not None:
            pairs.insert(0, pair)
        elif pairs:
            break
        at = _above(at)
    return (pairs, at) if pairs else ([], folder)


def _above(path: str) -> str:
    """The folder in which a path lies; itself for a root and for a bucket."""
    return str(place_at(path).parent) if path.count("/") <= 3 else path.rpartition("/")[0]


def _conflicting_folders(starts: Sequence[str]) -> SparkRuntimeError:
    listed = "".join(f"\n\t{qualified(start)}" for start in starts) + "\n"
    return SparkRuntimeError.of(
        "CONFLICTING_DIRECTORY_STRUCTURES",
        f"Conflicting directory structures detected.\nSuspicious paths:\n{listed}\nIf provided paths are partition "
        'directories, please set "basePath" in the options of the data source to specify the root directory of the '
        "table.\nIf there are multiple root directories, please load them separately and then union them.",
        sql_state="KD009",
        discoveredBasePaths=listed,
    )


def _conflicting_columns(names: Mapping[str, tuple[str, ...]]) -> SparkRuntimeError:
    lists = "".join(
        f"\n\tPartition column name list #{i}: {', '.join(one)}"
        for i, one in enumerate(sorted(dict.fromkeys(names.values())))
    )
    folders = "".join(f"\n\t{qualified(folder)}" for folder in sorted(names))
    return SparkRuntimeError.of(
        "CONFLICTING_PARTITION_COLUMN_NAMES",
        f"Conflicting partition column names detected:\n{lists}\n\nFor partitioned table directories, data files "
        "should only live in leaf directories.\nAnd directories at the same level should have the same partition "
        "column name.\nPlease check the following directories for unexpected files or inconsistent partition column "
        f"names:\n{folders}",
        sql_state="KD009",
        distinctPartColLists=lists + "\n",
        suspiciousPaths=folders,
    )
