"""The catalog of a warehouse folder. See `server/catalog/base.py` for what each method promises."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from riacho.clock import Clock, SystemClock
from riacho.errors import AnalysisError
from riacho.ids import new_uuid
from riacho.server.catalog import failures, names
from riacho.server.catalog.base import CATALOG_NAME, DEFAULT_DATABASE, Table, TableName, View
from riacho.server.catalog.listing import TableEntry, WarehouseListing, Watch, scan
from riacho.server.catalog.records import Records, TableRecord, ViewRecord
from riacho.server.delta import schema as schemas
from riacho.server.delta import tables
from riacho.server.delta.changes import TableDefinition, partition_columns
from riacho.server.delta.log import LOG_FOLDER, DeltaLog
from riacho.server.delta.state import TableState, not_a_table
from riacho.server.delta.writer import DeltaWriter
from riacho.server.plan.formats import data_source_not_found
from riacho.storage import ObjectEntry, Place, delete_tree, matching, move, on_disk, rebound

FILE_FORMATS = frozenset({"parquet", "json", "csv", "text", "avro", "orc", "xml", "binaryfile"})
"""Formats a table may have besides Delta: a folder of files."""


class WarehouseCatalog:
    """See `catalog.base.Catalog`. May be used by any thread; other processes may use the same folder.

    Names are folders (see `catalog.listing`), so tables that others write show up by themselves, and everything is
    there again after a restart.
    """

    def __init__(self, warehouse: Place, clock: Clock | None = None) -> None:
        self.warehouse = warehouse.absolute()
        self.warehouse.mkdir(parents=True, exist_ok=True)
        self._clock = clock or SystemClock()
        self._records = Records(self.warehouse)
        self._lock = threading.RLock()
        self._generation = 0
        self._listing = WarehouseListing({}, {}, {})
        self._watch = Watch()
        self._logs: dict[Place, DeltaWriter] = {}

    @property
    def generation(self) -> int:
        """Grows with each change of names, those by others included. A few microseconds when there was none."""
        self._look()
        return self._generation

    def qualify(self, parts: Sequence[str] | str, current_database: str = DEFAULT_DATABASE) -> TableName:
        return names.qualify(parts, current_database)

    def databases(self) -> list[str]:
        return sorted(self._look().databases)

    def database_comment(self, name: str) -> str | None:
        """The comment of a database. Raises SCHEMA_NOT_FOUND."""
        self.database_location(name)
        return "default database" if name == DEFAULT_DATABASE else self._records.database_comment(name)

    def database_location(self, name: str) -> Place:
        """The folder of a database. Raises SCHEMA_NOT_FOUND."""
        found = self._look().databases.get(name)
        if found is None:
            raise failures.schema_not_found(name)
        return found

    def tables(self, database: str) -> list[TableName]:
        self.database_location(database)
        listing = self._look()
        return sorted(name for name in {*listing.tables, *listing.views} if name.database == database)

    def table(self, name: TableName) -> Table | None:
        entry = self._find(name)
        if entry is None:
            return None
        if entry.format != "delta":
            return _recorded(name, entry)
        state = self._state(entry.location)
        if state is None:
            # Its folder has gone since we looked.
            return None
        external = name.path is not None or (entry.record is not None and entry.record.external)
        return _delta(name, entry.location, state, external=external)

    def table_at(self, folder: Place) -> Table:
        """The Delta table in a folder, named as ``delta.`folder` ``. Raises DELTA_PATH_DOES_NOT_EXIST."""
        state = self._state(folder)
        if state is None:
            raise not_a_table(folder)
        return _delta(TableName(CATALOG_NAME, "delta", str(folder)), folder, state, external=True)

    def view(self, name: TableName) -> View | None:
        listing = self._look()
        found = listing.views.get(name)
        if found is None and name not in listing.tables and self._is_new(name):
            self._watch = Watch()
            found = self._look().views.get(name)
        return None if found is None else View(name, found.text, found.comment)

    def listing(self) -> WarehouseListing:
        """All names at once, for those that register them elsewhere."""
        return self._look()

    def changed(self) -> None:
        """To be called by whoever has just made a table's folder: the next look is sure to see it."""
        self._watch = Watch()

    def create_database(self, name: str, *, if_not_exists: bool = False, comment: str | None = None) -> None:
        """Raises SCHEMA_ALREADY_EXISTS, INVALID_SCHEMA_OR_RELATION_NAME."""
        name = name.lower()
        names.require_valid(name)
        with self._changing():
            if name in self._look().databases:
                if if_not_exists:
                    return
                raise failures.schema_already_exists(name)
            self._records.put_database(name, comment)
            (self.warehouse / f"{name}{names.DATABASE_SUFFIX}").mkdir()

    def set_database_comment(self, name: str, comment: str) -> None:
        """COMMENT ON DATABASE. Raises SCHEMA_NOT_FOUND."""
        self.database_location(name)
        self._records.put_database(name, comment)

    def drop_database(self, name: str, *, if_exists: bool = False, cascade: bool = False) -> None:
        """Raises SCHEMA_NOT_FOUND, SCHEMA_NOT_EMPTY, UNSUPPORTED_FEATURE (the default database)."""
        name = name.lower()
        if name == DEFAULT_DATABASE:
            raise AnalysisError.of(
                "UNSUPPORTED_FEATURE.DROP_DATABASE",
                "The feature is not supported: Drop the default database `default`.",
                sql_state="0A000",
                database="`default`",
            )
        with self._changing():
            listing = self._look()
            if name not in listing.databases:
                if if_exists:
                    return
                raise failures.schema_not_found(name)
            inside = self.tables(name)
            if inside and not cascade:
                raise failures.schema_not_empty(name)
            for table in inside:
                if table in listing.views:
                    self.drop_view(table)
                else:
                    self.drop_table(table)
            self._remove_folder(listing.databases[name])
            self._records.drop_database(name)

    def create_table(
        self,
        name: TableName,
        schema: pa.Schema,
        *,
        format: str = "delta",
        partition_by: Sequence[str] = (),
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        location: Place | None = None,
        if_not_exists: bool = False,
        options: Mapping[str, str] | None = None,
    ) -> Table:
        """As the contract says, and raises; besides, `options` are the reader's, for tables that are files."""
        with self._changing():
            if name.path is None:
                self.database_location(name.database)
                names.require_valid(name.table)
            if self._find(name) is not None or self._look().has(name):
                existing = self.table(name)
                if if_not_exists and existing is not None:
                    return existing
                raise failures.already_exists(name)
            folder = (location or self.location_for(name)).absolute()
            kind = format.lower()
            if kind == "delta":
                if _holds_files(folder) and not DeltaLog(folder).exists():
                    raise failures.location_not_empty(name, folder)
                definition = TableDefinition(schema, tuple(partition_by), comment, dict(properties or {}))
                is_new = tables.create(folder, definition, self._clock, adopt=location is not None)
                # A table of the warehouse that was not there above: another process has just made it.
                if location is None and not is_new and not if_not_exists:
                    raise failures.already_exists(name)
                if location is not None:
                    self._records.put_table(name, TableRecord(str(folder), kind, external=True))
            elif kind in FILE_FORMATS:
                partition_columns(schema, partition_by)
                folder.mkdir(parents=True, exist_ok=True)
                text = schemas.to_json(schema) if len(schema) else None
                self._records.put_table(
                    name,
                    TableRecord(
                        str(folder),
                        kind,
                        location is not None,
                        text,
                        tuple(partition_by),
                        comment,
                        dict(properties or {}),
                        dict(options or {}),
                    ),
                )
            else:
                raise data_source_not_found(format)
            self._watch = Watch()
            made = self.table(name)
            assert made is not None
            return made

    def register_table(self, name: TableName, location: Place) -> None:
        """Give a Delta table that lies elsewhere a name. Raises as `create_table`."""
        self.create_table(name, pa.schema([]), location=location)

    def location_for(self, name: TableName) -> Place:
        """Where a managed table of that name lies or would lie, or the path that is the name.

        Raises SCHEMA_NOT_FOUND, INVALID_SCHEMA_OR_RELATION_NAME.
        """
        if name.path is not None:
            return name.path
        names.require_valid(name.table)
        return self.database_location(name.database) / name.table

    def replace_table(
        self,
        name: TableName,
        schema: pa.Schema,
        *,
        partition_by: Sequence[str] = (),
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> Table:
        """CREATE OR REPLACE of a Delta table: another schema, no rows, in one commit; id and history stay.

        Raises TABLE_OR_VIEW_NOT_FOUND, DELTA_TABLE_ONLY_OPERATION.
        """
        entry = self._entry(name, "REPLACE TABLE")
        if entry.format != "delta":
            raise failures.not_delta(name, "REPLACE TABLE")
        definition = TableDefinition(schema, tuple(partition_by), comment, dict(properties or {}))
        tables.redefine(entry.location, definition, self._clock)
        return self._reread(name)

    def drop_table(self, name: TableName, *, if_exists: bool = False) -> None:
        """Raises TABLE_OR_VIEW_NOT_FOUND."""
        with self._changing():
            listing = self._look()
            if name in listing.views:
                # As Spark does where Delta tables are in its catalog.
                self._records.drop_view(name)
                return
            entry = self._find(name)
            if entry is None:
                if if_exists:
                    return
                raise failures.table_not_found(name)
            if name.path is not None:
                return  # there is no name to drop, and the files stay, as with Delta on Spark
            self._records.drop_table(name)
            self._logs.pop(entry.location, None)
            if entry.record is None or not entry.record.external:
                self._remove_folder(entry.location)

    def rename_table(self, name: TableName, to: TableName) -> None:
        """Give a table another name; a managed one moves to the folder of that name.

        Raises TABLE_OR_VIEW_NOT_FOUND, TABLE_OR_VIEW_ALREADY_EXISTS, AnalysisError for a path.
        """
        if name.database != to.database and None in (name.path, to.path) and (name.path or to.path):
            raise AnalysisError(
                f"RENAME TABLE source and destination databases do not match: '{name.database}' != '{to.database}'.",
                condition="_LEGACY_ERROR_TEMP_1073",
            )
        with self._changing():
            entry = self._entry(name, "RENAME TABLE")
            folder = self.location_for(to)
            if self._look().has(to) or folder.exists():
                raise failures.already_exists(to)
            self._logs.pop(entry.location, None)
            if entry.record is None or not entry.record.external:
                move(entry.location, folder, last=_is_of_log)
            if entry.record is not None:
                location = entry.record.location if entry.record.external else str(folder)
                self._records.put_table(to, replace(entry.record, location=location))
                self._records.drop_table(name)

    def evolve(
        self,
        name: TableName,
        schema: pa.Schema | None = None,
        *,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        unset: Sequence[str] = (),
        operation: str = "SET TBLPROPERTIES",
    ) -> Table:
        """As the contract says, and raises.

        Besides, `schema` None leaves the columns, and `unset` properties are taken away.
        """
        entry = self._entry(name, operation)
        if entry.format != "delta":
            assert entry.record is not None
            old = entry.record
            kept = {k: v for k, v in {**old.properties, **(properties or {})}.items() if k not in unset}
            text = old.schema if schema is None else schemas.to_json(schema)
            changed = replace(old, schema=text, comment=comment or old.comment, properties=kept)
            with self._changing():
                self._records.put_table(name, changed)
            return self._reread(name)

        tables.alter(
            entry.location,
            self._clock,
            operation,
            schema=schema,
            comment=comment,
            properties=properties,
            unset=unset,
        )
        return self._reread(name)

    def truncate(self, name: TableName) -> None:
        entry = self._entry(name, "TRUNCATE TABLE")
        if entry.format == "delta":
            tables.truncate(entry.location, self._clock)
            return
        for child in matching(entry.location, "*"):
            if child.is_dir():
                delete_tree(child)
            else:
                child.unlink()

    def create_view(self, view: View, *, replace: bool = False) -> None:
        """Raises TABLE_OR_VIEW_ALREADY_EXISTS, and EXPECT_VIEW_NOT_TABLE where a table has the name."""
        with self._changing():
            listing = self._look()
            self.database_location(view.name.database)
            names.require_valid(view.name.table)
            if view.name in listing.tables:
                if replace:
                    raise failures.expect_view("CREATE OR REPLACE VIEW", view.name)
                raise failures.already_exists(view.name)
            if view.name in listing.views and not replace:
                raise failures.already_exists(view.name)
            number = 1 + max((found.number for found in listing.views.values()), default=0)
            self._records.put_view(view.name, ViewRecord(view.text, number, view.comment))
            # A replaced view changes no folder's list of names when its file is exchanged, yet sessions must see it.
            self._generation += 1

    def drop_view(self, name: TableName, *, if_exists: bool = False) -> None:
        """Forget a view. Raises TABLE_OR_VIEW_NOT_FOUND, WRONG_COMMAND_FOR_OBJECT_TYPE."""
        with self._changing():
            listing = self._look()
            if name in listing.tables:
                raise failures.drop_view_of_table(name)
            if name not in listing.views:
                if if_exists:
                    return
                raise failures.table_not_found(name)
            self._records.drop_view(name)

    def _look(self) -> WarehouseListing:
        with self._lock:
            if not self._watch.unchanged():
                listing, self._watch = scan(self.warehouse, self._records)
                if listing != self._listing:
                    self._listing = listing
                    self._generation += 1
            return self._listing

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A change of names: one at a time, and the warehouse is looked at again after it."""
        with self._lock:
            try:
                yield
            finally:
                self._watch = Watch()

    def _entry(self, name: TableName, operation: str) -> TableEntry:
        if name in self._look().views:
            raise failures.expect_table(operation, name)
        entry = self._find(name)
        if entry is None:
            raise failures.table_not_found(name) if name.path is None else failures.missing_delta_table(name.path)
        return entry

    def entry(self, name: TableName) -> TableEntry | None:
        """Where the table of that name lies, if there is one; its log is not read."""
        return self._find(name)

    @property
    def has_objects(self) -> bool:
        """Whether a table may lie in object storage."""
        return not isinstance(self.warehouse, Path) or self._look().has_objects

    def _find(self, name: TableName) -> TableEntry | None:
        """The table of that name, if there is one."""
        if name.path is None:
            found = self._look().tables.get(name)
            if found is None and self._is_new(name):
                self._watch = Watch()
                found = self._look().tables.get(name)
            if found is None or found.record is None or not found.record.external:
                return found
            return replace(found, location=rebound(found.location))
        return TableEntry(name.path, "delta") if DeltaLog(name.path).exists() else None

    def _is_new(self, name: TableName) -> bool:
        """Whether somebody has made it since the warehouse was looked at; on a disk, the look would have shown it."""
        if isinstance(self.warehouse, Path) or name.path is not None:
            return False
        if self._records.has(name):
            return True
        database = "" if name.database == DEFAULT_DATABASE else f"{name.database}{names.DATABASE_SUFFIX}"
        return DeltaLog(self.warehouse / database / name.table).exists()

    def _reread(self, name: TableName) -> Table:
        found = self.table(name)
        if found is None:
            raise failures.table_not_found(name)
        return found

    def _state(self, location: Place) -> TableState | None:
        with self._lock:
            return self._logs.setdefault(location, DeltaWriter(location)).state()

    def _remove_folder(self, folder: Place) -> None:
        """Take a folder away in one step; what is in it goes afterwards.

        In object storage there is no such step: the log goes first, its newest version before the older ones, so that
        what a reader sees meanwhile was the table once.
        """
        if not isinstance(folder, Path):
            delete_tree(folder, first=_is_of_log)
            return
        trash = on_disk(self._records.root, "A record of a local warehouse") / "trash" / new_uuid()
        trash.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(trash)
        except FileNotFoundError:
            return
        shutil.rmtree(trash, ignore_errors=True)


def _is_of_log(entry: ObjectEntry) -> bool:
    return entry.place.parent.name == LOG_FOLDER


def _delta(name: TableName, folder: Place, state: TableState, *, external: bool) -> Table:
    metadata = state.metadata
    return Table(
        name,
        folder,
        "delta",
        schemas.to_arrow(metadata.schema_json),
        metadata.partition_columns,
        metadata.description,
        dict(metadata.configuration),
        external,
    )


def _recorded(name: TableName, entry: TableEntry) -> Table:
    record = entry.record
    assert record is not None, "a table that is not Delta has a record"
    return Table(
        name,
        entry.location,
        entry.format,
        record.arrow,
        record.partition_by,
        record.comment,
        dict(record.properties),
        record.external,
        dict(record.options),
    )


def _holds_files(folder: Place) -> bool:
    """Whether there is more than the folder of a Delta log, in which somebody may be making the same table just now."""
    return folder.is_dir() and any(path.name != LOG_FOLDER for path in folder.iterdir())
