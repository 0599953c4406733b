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
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from riacho.server.catalog.base import CATALOG_NAME, DEFAULT_DATABASE, TableName
from riacho.server.catalog.names import DATABASE_SUFFIX
from riacho.server.catalog.records import Records, TableRecord, ViewRecord
from riacho.server.delta.log import LOG_FOLDER, DeltaLog

_NAME = re.compile(r"[^\W_]\w*", re.ASCII)
"""Folders that may be tables; what begins with `_` is hidden from every reader."""
_SETTLED_NS = 50_000_000
"""A folder that was touched so recently may be touched again without its time changing: clocks of file systems tick."""


@dataclass(frozen=True)
class TableEntry:
    """A table: where it lies, and its record if it has one."""

    location: Path
    format: str
    record: TableRecord | None = None


@dataclass(frozen=True)
class WarehouseListing:
    """All names of a warehouse. `databases`: the folder of each."""

    databases: Mapping[str, Path]
    tables: Mapping[TableName, TableEntry]
    views: Mapping[TableName, ViewRecord]

    def has(self, name: TableName) -> bool:
        """Whether a table or a view has that name."""
        return name in self.tables or name in self.views

    @cached_property
    def has_files(self) -> bool:
        """Whether there is a table that is files, and not Delta."""
        return any(entry.format != "delta" for entry in self.tables.values())


@dataclass(frozen=True)
class Watch:
    """The folders that a listing was read from, with their times: while all are as they were, so is the listing."""

    times: Mapping[Path, int] = field(default_factory=dict)
    settled: bool = False

    def unchanged(self) -> bool:
        return self.settled and all(_modified(folder) == then for folder, then in self.times.items())


def scan(warehouse: Path, records: Records) -> tuple[WarehouseListing, Watch]:
    """Look at the whole warehouse; tables that are records win over folders of the same name."""
    # Times are taken before the looking, so that whatever happens meanwhile shows as a change.
    watched = {folder: _modified(folder) for folder in [warehouse, *records.folders()]}
    databases = {DEFAULT_DATABASE: warehouse}
    for child in _folders(warehouse):
        if child.name.endswith(DATABASE_SUFFIX):
            databases.setdefault(child.name.removesuffix(DATABASE_SUFFIX).lower(), child)
    tables: dict[TableName, TableEntry] = {}
    for database, folder in databases.items():
        watched[folder] = _modified(folder)
        for child in _folders(folder):
            if child.name.endswith(DATABASE_SUFFIX) or not _NAME.fullmatch(child.name):
                continue
            if DeltaLog(child).exists():
                tables.setdefault(TableName(CATALOG_NAME, database, child.name.lower()), TableEntry(child, "delta"))
            else:
                # It may become a table: somebody has made its folder and is about to commit its first version.
                watched |= {folder: _modified(folder) for folder in (child, child / LOG_FOLDER)}
    for name, record in records.tables().items():
        if name.database in databases:
            tables[name] = TableEntry(Path(record.location), record.format, record)
    views = {name: view for name, view in records.views().items() if name.database in databases}
    newest = max(watched.values(), default=0)
    return WarehouseListing(databases, tables, views), Watch(watched, settled=time.time_ns() - newest > _SETTLED_NS)


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
