"""Make an engine's sessions see the catalog.

The engine has a catalog per session, in memory and empty at first. Before a request the session is brought up to date:
what is missing is registered, what has gone is dropped. A Delta table is registered by its folder alone, so new
versions and columns of it are seen without any of this; only names count. Registrations are messages, not SQL text,
where the engine takes them, because it keeps memory for each text.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import pyarrow as pa

from riacho import types
from riacho.errors import SparkError
from riacho.identifiers import quoted
from riacho.protos import pb
from riacho.server.catalog.base import DEFAULT_DATABASE, TableName
from riacho.server.catalog.listing import TableEntry, WarehouseListing
from riacho.server.catalog.records import ViewRecord
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.engine.base import EngineSession
from riacho.server.sql.references import table_references
from riacho.server.sql.tokens import Edit, splice
from riacho.storage import ObjectPath

_log = logging.getLogger(__name__)


@dataclass
class _Known:
    """What a session of the engine has been told. `epoch`: which process of the engine was told."""

    epoch: int = -1
    generation: int = -1
    databases: set[str] = field(default_factory=lambda: {DEFAULT_DATABASE})
    tables: dict[TableName, TableEntry] = field(default_factory=dict)
    views: dict[TableName, ViewRecord] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    updating: bool = False
    """Set while this session is told something: the calls for that come by here again."""


class SessionRegistry:
    """Keeps the sessions of one engine up to date with one catalog."""

    def __init__(self, catalog: WarehouseCatalog) -> None:
        self._catalog = catalog
        self._known: WeakKeyDictionary[EngineSession, _Known] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def sync(self, session: EngineSession) -> None:
        """Bring `session` up to date. Called before each request; costs microseconds when nothing changed.

        A table or view that the engine will not take is left out and logged: a request that needs it fails with the
        engine's own words, all others run. Raises EngineLost.
        """
        with self._lock:
            known = self._known.setdefault(session, _Known())
        generation = self._catalog.generation
        epoch = getattr(session, "epoch", 0)
        if (known.epoch, known.generation) == (epoch, generation):
            return
        with known.lock:
            if known.updating:
                return
            known.updating = True
            try:
                if known.epoch != epoch:
                    self._forget(known)
                _update(session, known, self._catalog.listing())
                # Epoch 0 means that no process knew the session; the calls just made have changed that.
                known.epoch = epoch or getattr(session, "epoch", 0)
                known.generation = generation
            finally:
                known.updating = False

    @staticmethod
    def _forget(known: _Known) -> None:
        """Another process serves the session now: it knows nothing yet."""
        known.databases, known.tables, known.views = {DEFAULT_DATABASE}, {}, {}


def _update(session: EngineSession, known: _Known, listing: WarehouseListing) -> None:
    """Tell `session` the difference between what it knows and `listing`."""
    wanted_databases = set(listing.databases)
    for name in [name for name, view in known.views.items() if listing.views.get(name) != view]:
        _tell_sql(session, f"DROP VIEW IF EXISTS {_short(name)}")
        del known.views[name]
    for name in [name for name, entry in known.tables.items() if listing.tables.get(name) != entry]:
        _tell_sql(session, f"DROP TABLE IF EXISTS {_short(name)}")
        del known.tables[name]
    for database in known.databases - wanted_databases:
        _tell_sql(session, f"DROP DATABASE IF EXISTS {quoted((database,))} CASCADE")
    for database in sorted(wanted_databases - known.databases):
        _tell_sql(session, f"CREATE DATABASE IF NOT EXISTS {quoted((database,))}")
    known.databases = wanted_databases
    for name, entry in listing.tables.items():
        if isinstance(entry.location, ObjectPath):
            continue  # what reads it is marked as riacho's own: `batch.delta_reads`
        if name not in known.tables and _tell(session, _create_table(name, entry), f"create table {name}"):
            known.tables[name] = entry
    missing = [(view.number, name, view) for name, view in listing.views.items() if name not in known.views]
    for _, name, view in sorted(missing, key=lambda found: found[0]):
        text = qualified(view.text, name.database)
        # Who reads a view gets its text, prepared as any query's; the engine has only to know of the name.
        with suppress(SparkError):
            session.sql(f"CREATE OR REPLACE VIEW {_short(name)} AS {text}")
            known.views[name] = view


def _tell(session: EngineSession, relation: pb.Relation, what: str) -> bool:
    try:
        session.run(relation)
    except SparkError as failure:
        _log.warning("The engine refused to %s: %s", what, failure)
        return False
    return True


def qualified(text: str, database: str) -> str:
    """A view's text with `database` before each table's name that has none: the engine would look where it is."""
    edits = [
        Edit(reference.start, reference.end, quoted((database, *reference.parts)))
        for reference in table_references(text)
        if len(reference.parts) == 1
    ]
    return splice(text, edits)


def _short(name: TableName) -> str:
    return quoted((name.database, name.table))


def _tell_sql(session: EngineSession, text: str) -> bool:
    """For what the engine takes as text alone."""
    try:
        session.sql(text)
    except SparkError as failure:
        _log.warning("The engine refused: %s: %s", text, failure)
        return False
    return True


def _create_table(name: TableName, entry: TableEntry) -> pb.Relation:
    relation = pb.Relation()
    create = relation.catalog.create_table
    create.table_name = _short(name)
    create.path = str(entry.location)
    create.source = entry.format
    schema = entry.record.arrow if entry.record is not None else pa.schema([])
    create.schema.CopyFrom(types.schema_to_proto(schema))
    if entry.record is not None:
        create.options.update(entry.record.options)
    return relation
