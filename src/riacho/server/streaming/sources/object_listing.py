"""Which files there are in an object store, as Spark's file index sees a path: see `listing`.

There are no folders, and no times that would say that nothing changed: each look is a listing, a thousand objects with
each request, and no request is made for a single object. Objects without bytes are left out: they have no rows, and a
store keeps its markers of folders as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeAlias

from riacho.options import Options
from riacho.server.streaming.sources.globs import expand_braces, glob_expression, is_glob
from riacho.server.streaming.sources.listing import FileListing, FileStatus, FolderCache, KnownNames, is_hidden
from riacho.storage import ObjectPath, carried, is_object, place_of

_AT_ONCE: Final = 8
"""How many folders are listed at a time."""


class ObjectListing:
    """The files of one path, which may be a glob. See `listing.FileListing`, whose methods these are.

    `recursive`: folders of any name are looked into, else those of partitions (`k=v`).
    """

    def __init__(self, path: str, *, recursive: bool = False, name_pattern: re.Pattern[str] | None = None) -> None:
        self.path = path
        self._recursive = recursive
        self._name_pattern = name_pattern
        self._is_file: bool | None = None

    def roots(self) -> list[str]:
        """The files and folders that the path names."""
        return sorted(str(place) for place, _ in self._roots())

    def files(self, known: KnownNames | None = None, start_after: str | None = None) -> Iterator[FileStatus]:
        """The visible files that are not known, in no order.

        `start_after`: only those whose paths come after it; it makes the listing of a path that is no glob shorter.
        """
        for place, file in self._roots():
            if file is not None:
                if file.size and self._wanted(place.name):
                    yield file
            else:
                yield from self._inside(place, known, start_after)

    def paths(self) -> Iterator[str]:
        """The paths of all visible files, in no order."""
        return (file.path for file in self.files())

    def partition_folders(self) -> Iterator[str]:
        """The folders `k=v` below a folder, at any depth, that hold a visible file."""
        below = len(self.path) + 1
        folders = {file.path.rpartition("/")[0] for file in self.files()} - {self.path}
        return (folder for folder in folders if all("=" in part for part in folder[below:].split("/")))

    def unchanged(self) -> bool:
        """Never known."""
        return False

    def _inside(self, root: ObjectPath, known: KnownNames | None, start_after: str | None) -> Iterator[FileStatus]:
        """The files of a folder."""
        return self._below(root, known, start_after) if self._recursive else self._in_partitions(root, known)

    def _in_partitions(self, root: ObjectPath, known: KnownNames | None) -> Iterator[FileStatus]:
        """The files right in a folder, and those in its partition folders."""
        children = root.children()
        objects = [(one.place.key, one.size, one.modified_ns // 1_000_000) for one in children if not one.is_folder]
        yield from self._fitting(root, objects, known)
        folders = [one.place for one in children if one.is_folder and "=" in one.place.name]
        visible = [place for place in folders if not is_hidden(place.name)]
        if len(visible) <= 1:
            for place in visible:
                yield from self._below(place, known, None)
            return
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="riacho-list") as pool:
            list_one = carried(lambda place: list(self._below(place, known, None)))
            for files in pool.map(list_one, visible):
                yield from files

    def _below(self, root: ObjectPath, known: KnownNames | None, start_after: str | None) -> Iterator[FileStatus]:
        after = None if start_after is None else start_after[len(str(root.at(""))) + 1 :]
        for chunk in root.listed(after):
            yield from self._fitting(root, chunk, known)

    def _fitting(
        self, root: ObjectPath, found: Iterable[tuple[str, int, int]], known: KnownNames | None
    ) -> Iterator[FileStatus]:
        """Those of the objects below a folder that are files of this listing."""
        bucket = f"{root.scheme}://{root.bucket}/"
        below = len(root.key) + 1 if root.key else 0
        by_folder: dict[str, dict[str, tuple[int, int]]] = {}
        for key, size, modified_ms in found:
            folder, _, name = key.rpartition("/")
            if size and len(key) > below and not is_hidden(name) and self._wanted(name):
                by_folder.setdefault(folder, {})[name] = size, modified_ms
        for folder, names in by_folder.items():
            if len(folder) >= below and not all(map(self._may_hold, folder[below:].split("/"))):
                continue
            shown = bucket + folder if folder else bucket[:-1]
            for name in names if known is None else known.unknown(shown, names):
                size, modified_ms = names[name]
                yield FileStatus(modified_ms, f"{shown}/{name}", size)

    def _may_hold(self, folder: str) -> bool:
        """Whether the files of a folder of that name count."""
        return not folder or (not is_hidden(folder) and (self._recursive or "=" in folder))

    def _wanted(self, name: str) -> bool:
        return self._name_pattern is None or self._name_pattern.fullmatch(name) is not None

    def _roots(self) -> Iterator[tuple[ObjectPath, FileStatus | None]]:
        """What the path names: files with their status, and folders, which need not hold anything."""
        if not is_glob(self.path):
            place = _object(self.path)
            file = None if self._is_file is False else object_status(place)
            self._is_file = file is not None
            yield place, file
            return
        seen: set[str] = set()
        for pattern in expand_braces(self.path):
            for place, file in _matching(pattern):
                if str(place) not in seen:
                    seen.add(str(place))
                    yield place, file


def _matching(pattern: str) -> Iterator[tuple[ObjectPath, FileStatus | None]]:
    """The files and folders that match a pattern without braces, part by part."""
    scheme, _, rest = pattern.partition("://")
    bucket, *parts = [part for part in rest.split("/") if part]
    places = [_object(f"{scheme}://{bucket}")]
    for at, part in enumerate(parts):
        is_last = at == len(parts) - 1
        if not is_glob(part):
            places = [place / part for place in places]
            if is_last:
                yield from ((place, file) for place in places for file in _there(place))
            continue
        expression = glob_expression(part)
        found = [one for place in places for one in place.children() if expression.fullmatch(one.place.name)]
        if is_last:
            for one in found:
                file = FileStatus(one.modified_ns // 1_000_000, str(one.place), one.size)
                yield one.place, None if one.is_folder else file
        places = [one.place for one in found if one.is_folder]


def _there(place: ObjectPath) -> Sequence[FileStatus | None]:
    """What is at a place: the status of a file, None for a folder, or nothing."""
    file = object_status(place)
    if file is not None:
        return [file]
    return [None] if place.is_dir() else []


Listing: TypeAlias = FileListing | ObjectListing


def listing_of(path: str, *, recursive: bool = False, name_pattern: str | None = None) -> Listing:
    """The files of a path, wherever they are. `name_pattern`: a glob for their names (`pathGlobFilter`)."""
    pattern = None if name_pattern is None else glob_expression(name_pattern)
    if is_object(path):
        return ObjectListing(path, recursive=recursive, name_pattern=pattern)
    return FileListing(path, FolderCache(), recursive=recursive, name_pattern=pattern)


def listing_for(path: str, options: Options) -> Listing:
    """The same as the options of a file source say."""
    pattern = options.maybe("pathGlobFilter")
    return listing_of(path, recursive=options.flag("recursiveFileLookup"), name_pattern=pattern)


def object_status(place: ObjectPath) -> FileStatus | None:
    """What the store says of an object, or None if there is none."""
    try:
        found = place.stat()
    except FileNotFoundError:
        return None
    return FileStatus(found.st_mtime_ns // 1_000_000, str(place), found.st_size)


def _object(path: str) -> ObjectPath:
    place = place_of(path)
    assert not isinstance(place, Path), path
    return place
