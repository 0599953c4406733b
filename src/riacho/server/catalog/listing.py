"""What lies in a warehouse, found by looking: databases, tables and views, and when to look again.

    <warehouse>/<table>            a table of `default`
    <warehouse>/<db>.db/           a database
    <warehouse>/<db>.db/<table>    a table of it

A folder with a Delta log is a table, whoever wrote it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from riacho.server.catalog.base import CATALOG_NAME, DEFAULT_DATABASE, TableName
from riacho.server.catalog.names import DATABASE_SUFFIX
from riacho.server.catalog.records import Records, TableRecord, ViewRecord
from riacho.server.delta.log import LOG_FOLDER, DeltaLog
from riacho.storage import ObjectPath, Place, of_session, on_disk, place_of

_LOOKERS = 16
_NAME = re.compile(r"(?!_riacho$)\w+", re.ASCII)
"""Folders that may be tables: all but that of the catalog's own records. Spark lets names begin with `_` too."""
LOOK_AGAIN_S = 5.0
"""How long a listing of object storage holds, in which others may make tables without a trace."""
_SETTLED_NS = 50_000_000
"""A folder that was touched so recently may be touched again without its time changing: clocks of file systems tick."""


@dataclass(frozen=True)
class TableEntry:
    """A table: where it lies, and its record if it has one."""

    location: Place
    format: str
    record: TableRecord | None = None


@dataclass(frozen=True)
class WarehouseListing:
    """All names of a warehouse. `databases`: the folder of each."""

    databases: Mapping[str, Place]
    tables: Mapping[TableName, TableEntry]
    views: Mapping[TableName, ViewRecord]

    def has(self, name: TableName) -> bool:
        """Whether a table or a view has that name."""
        return name in self.tables or name in self.views

    @cached_property
    def has_objects(self) -> bool:
        """Whether there is a Delta table that lies in object storage."""
        return any(isinstance(entry.location, ObjectPath) and entry.format == "delta" for entry in self.tables.values())

    @cached_property
    def has_files(self) -> bool:
        """Whether there is a table that is files, and not Delta."""
        return any(entry.format != "delta" for entry in self.tables.values())


@dataclass(frozen=True)
class Watch:
    """The folders that a listing was read from, with their times: while all are as they were, so is the listing.

    In object storage folders have no times: a listing holds for a while (`read_s`: when it was made).
    """

    times: Mapping[Path, int] = field(default_factory=dict)
    settled: bool = False
    read_s: float | None = None

    def unchanged(self, for_s: float = LOOK_AGAIN_S) -> bool:
        if self.read_s is not None:
            return time.monotonic() - self.read_s < for_s
        return self.settled and all(_modified(folder) == then for folder, then in self.times.items())


def scan(warehouse: Place, records: Records) -> tuple[WarehouseListing, Watch]:
    """Look at the whole warehouse; tables that are records win over folders of the same name."""
    return _scan_disk(warehouse, records) if isinstance(warehouse, Path) else _scan_store(warehouse, records)


def _scan_disk(warehouse: Path, records: Records) -> tuple[WarehouseListing, Watch]:
    # Times are taken before the looking, so that whatever happens meanwhile shows as a change.
    watched = {folder: _modified(folder) for folder in [warehouse, *map(_on_disk, records.folders())]}
    databases: dict[str, Place] = {DEFAULT_DATABASE: warehouse}
    for child in _folders(warehouse):
        if child.name.endswith(DATABASE_SUFFIX):
            databases.setdefault(child.name.removesuffix(DATABASE_SUFFIX).lower(), child)
    tables: dict[TableName, TableEntry] = {}
    for database, place in databases.items():
        folder = _on_disk(place)
        watched[folder] = _modified(folder)
        for child in _folders(folder):
            if child.name.endswith(DATABASE_SUFFIX) or not _NAME.fullmatch(child.name):
                continue
            if DeltaLog(child).exists():
                tables.setdefault(TableName(CATALOG_NAME, database, child.name.lower()), TableEntry(child, "delta"))
            else:
                # It may become a table: somebody has made its folder and is about to commit its first version.
                watched |= {folder: _modified(folder) for folder in (child, child / LOG_FOLDER)}
    listing = _with_records(databases, tables, records)
    newest = max(watched.values(), default=0)
    return listing, Watch(watched, settled=time.time_ns() - newest > _SETTLED_NS)


def _scan_store(warehouse: ObjectPath, records: Records) -> tuple[WarehouseListing, Watch]:
    began_s = time.monotonic()
    databases: dict[str, Place] = {DEFAULT_DATABASE: warehouse}
    for child in _prefixes(warehouse):
        if child.name.endswith(DATABASE_SUFFIX):
            databases.setdefault(child.name.removesuffix(DATABASE_SUFFIX).lower(), child)
    for name in records.databases():
        databases.setdefault(name, warehouse / f"{name}{DATABASE_SUFFIX}")
    with ThreadPoolExecutor(_LOOKERS, thread_name_prefix="riacho-listing") as pool:
        inside = list(pool.map(_prefixes, databases.values()))
        found = [
            (database, child)
            for database, children in zip(databases, inside, strict=True)
            for child in children
            if not child.name.endswith(DATABASE_SUFFIX) and _NAME.fullmatch(child.name)
        ]
        are_tables = list(pool.map(lambda each: DeltaLog(each[1]).exists(), found))
    tables = {
        TableName(CATALOG_NAME, database, child.name.lower()): TableEntry(child, "delta")
        for (database, child), is_table in zip(found, are_tables, strict=True)
        if is_table
    }
    return _with_records(databases, tables, records), Watch(read_s=began_s)


def _with_records(
    databases: Mapping[str, Place], tables: dict[TableName, TableEntry], records: Records
) -> WarehouseListing:
    """The listing of these folders with what records say besides."""
    for name, record in records.tables().items():
        if name.database in databases:
            # Who asks for the table gets its place for the credentials of the session (`storage.rebound`).
            tables[name] = TableEntry(place_of(record.location, of_session({})), record.format, record)
    views = {name: view for name, view in records.views().items() if name.database in databases}
    return WarehouseListing(databases, tables, views)


def _on_disk(place: Place) -> Path:
    return on_disk(place, "A record of a local warehouse")


def _prefixes(place: Place) -> list[ObjectPath]:
    assert isinstance(place, ObjectPath)
    return [entry.place for entry in place.children() if entry.is_folder]


def _folders(parent: Path) -> Iterable[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []


def _modified(folder: Path) -> int:
    """When the folder's list of names last changed, in ns; -1 if there is no folder."""
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 (called for every folder before each request)
    except FileNotFoundError:
        return -1
