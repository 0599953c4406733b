"""What a materialized view reads, and whether any of it has changed: when a continuous pipeline refreshes the view.

Commits of this process are heard of at once. Other processes may write to a Delta table too, so its log is looked at
now and then. Of anything else that a view may read (files, other systems, the session's views) nobody knows when it
changes; such a view is refreshed at intervals.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from riacho import storage
from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.catalog.base import CATALOG_NAME, CatalogReader
from riacho.server.delta.commits import COMMITS, Subscription
from riacho.server.delta.log import DeltaLog
from riacho.server.graph import reads
from riacho.server.graph.names import CurrentNamespace, Identifier
from riacho.server.plan.walk import walk
from riacho.server.sql.references import table_references
from riacho.storage import Place

LOOK_S = 1.0
"""Between looks for what other processes commit."""
UNKNOWN_S = 600.0
"""Between refreshes of a view that reads more than Delta tables, as in Lakeflow."""


@dataclass(frozen=True)
class WatchedInputs:
    """The Delta tables that a view reads, and whether it reads anything else whose changes cannot be seen."""

    tables: tuple[Place, ...]
    others: bool = False


def inputs_of(relation: pb.Relation, catalog: CatalogReader, scope: CurrentNamespace) -> WatchedInputs:
    """What `relation` reads, by name or by path, also through views of the catalog."""
    found = _InputSearch(catalog)
    found.take(relation, scope)
    return WatchedInputs(tuple(dict.fromkeys(found.tables)), found.others)


class _InputSearch:
    def __init__(self, catalog: CatalogReader) -> None:
        self._catalog = catalog
        self._seen: set[Identifier] = set()
        self.tables: list[Place] = []
        self.others = False

    def take(self, relation: pb.Relation, scope: CurrentNamespace) -> None:
        for node in walk(relation):
            if node.WhichOneof("rel_type") == "read" and node.read.HasField("data_source"):
                self._take_source(node.read.data_source)
        for read in reads.reads(relation):
            self._take_name(read.name, scope)

    def _take_source(self, source: pb.Read.DataSource) -> None:
        if (
            source.format.lower() == "delta"
            and source.paths
            and "versionasof" not in {k.lower() for k in source.options}
        ):
            self.tables.extend(storage.place_of(path) for path in source.paths)
        else:
            self.others = True

    def _take_name(self, name: Identifier, scope: CurrentNamespace) -> None:
        if reads.is_path(name):
            if name.parts[0].lower() == "delta":
                self.tables.append(storage.place_of(name.parts[1]))
            else:
                self.others = True
            return
        try:
            full = scope.qualify(name)
            table_name = full.table_name
        except SparkError:
            self.others = True
            return
        if full in self._seen:
            return
        self._seen.add(full)
        table = self._catalog.table(table_name)
        view = self._catalog.view(table_name) if table is None else None
        if table is not None and table.format.lower() == "delta":
            self.tables.append(table.location)
        elif view is not None:
            inside = CurrentNamespace(CATALOG_NAME, view.name.database)
            for each in table_references(view.text):
                self._take_name(Identifier(each.parts), inside)
        else:
            self.others = True


@dataclass
class ChangeWatch:
    """Waits for changes of what a view reads. `note` before each refresh, `wait` after it, `close` at the end.

    Used by one thread. `told` is called at once by whoever of this process commits.
    """

    inputs: WatchedInputs
    told: Callable[[], None] = lambda: None
    _changed: threading.Event = field(default_factory=threading.Event)
    _subscriptions: list[Subscription] = field(default_factory=list)
    _seen: dict[Place, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._subscriptions = [COMMITS.subscribe(table, self._hear) for table in self.inputs.tables]

    def _hear(self) -> None:
        # In this order: `note` in between leaves a change that is waited for twice, not one that is forgotten.
        self.told()
        self._changed.set()

    def note(self) -> None:
        """What is there now is about to be read; only what comes after this is a change."""
        self._changed.clear()
        for log in self._logs():
            self._seen[log.table] = log.latest_version(self._known(log)) or 0

    def wait(self, seconds: float) -> bool:
        """Wait for a change, at most so long; whether there is one. May be true without one."""
        if self._changed.wait(seconds):
            return True
        return any(not log.has(self._seen[log.table]) or log.has(self._seen[log.table] + 1) for log in self._logs())

    def close(self) -> None:
        """Hear of nothing more."""
        for subscription in self._subscriptions:
            subscription.close()

    def _logs(self) -> Iterator[DeltaLog]:
        return (DeltaLog(table) for table in self.inputs.tables)

    def _known(self, log: DeltaLog) -> int | None:
        """The version seen last, if the table is still the same one."""
        seen = self._seen.get(log.table)
        return seen if seen is not None and log.has(seen) else None
