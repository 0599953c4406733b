"""The event log of one run: opened before anything of it can go wrong, told how it ends, closed with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from riacho.clock import Clock
from riacho.conf import EVENT_LOG, EVENT_RETENTION
from riacho.errors import IllegalArgumentError
from riacho.ids import new_uuid
from riacho.server.catalog.base import Catalog
from riacho.server.delta.maintenance import Housekeeper, MaintenanceStep
from riacho.server.engine.base import EngineSession
from riacho.server.graph import definition_events, events, names
from riacho.server.graph.event_log import EventLog
from riacho.server.graph.event_log.log import events_place
from riacho.server.graph.event_log.rows import SCHEMA, Origin, stable_id
from riacho.server.graph.events import PipelineEvent
from riacho.server.graph.graph import DataflowGraph
from riacho.server.graph.names import Identifier
from riacho.server.graph.runner import RunCanceledError
from riacho.server.graph.storage import Storage
from riacho.storage import Place


@dataclass(frozen=True)
class UpdateLog:
    """See `event_log.EventRecorder`."""

    update_id: str
    user_id: str
    _log: EventLog
    _clock: Clock
    _catalog: Catalog
    _housekeeper: Housekeeper | None

    def record(self, event: PipelineEvent) -> None:
        """Take an event; one without a time has happened now."""
        self._log.record(event if event.time_ms else event.at(self._clock.now_ms()))

    def record_all(self, several: Iterable[PipelineEvent]) -> None:
        """Take events, one after the other."""
        for event in several:
            self.record(event)

    @contextmanager
    def watching(self, tables: Iterable[Identifier]) -> Iterator[None]:
        """Record the maintenance of these tables while the block runs."""
        names = list(tables)

        def watch(place: Place, steps: Sequence[MaintenanceStep], failure: Exception | None) -> None:
            for name in names:
                table = self._catalog.table(name.table_name)
                if table is not None and table.location == place:
                    self.record(definition_events.maintained(name, steps, failure))

        with nullcontext() if self._housekeeper is None else self._housekeeper.watched(watch):
            yield


@dataclass(frozen=True)
class UpdateLogs:
    """Opens the logs of runs."""

    catalog: Catalog
    clock: Clock
    housekeeper: Housekeeper | None

    @contextmanager
    def log_of(self, graph: DataflowGraph, storage: Storage, engine: EngineSession) -> Iterator[UpdateLog]:
        """The log of a run, for as long as the block runs; what the block raises is logged as the run's end.

        Raises OSError and SparkError if events cannot be kept, and IllegalArgumentError for the conf that names the
        table.
        """

        def get_conf(key: str) -> str | None:
            return graph.conf.get(key) or engine.get_conf(key)

        origin = Origin(
            pipeline_id=stable_id("pipeline", storage.root),
            pipeline_name=storage.root.name,
            update_id=new_uuid(),
            user_id=engine.user_id or None,
            clock=self.clock,
        )
        log = EventLog(storage.root, origin, self.clock, self.housekeeper, EVENT_RETENTION.read(get_conf))
        log.open()
        update = UpdateLog(origin.update_id, engine.user_id, log, self.clock, self.catalog, self.housekeeper)
        try:
            if published := get_conf(EVENT_LOG.key):
                self._publish(published, graph, events_place(storage.root))
            yield update
        except (GeneratorExit, RunCanceledError):
            update.record(events.update("CANCELED", f"Update {update.update_id} is CANCELED."))
            raise
        except Exception as error:
            update.record(events.update("FAILED", f"Update {update.update_id} has FAILED.", error))
            raise
        finally:
            log.close()

    def _publish(self, published: str, graph: DataflowGraph, place: Place) -> None:
        """Show the table in the catalog. Raises IllegalArgumentError if another table has that name."""
        name = graph.scope.qualify(names.parse(published)).table_name
        existing = self.catalog.table(name)
        if existing is None:
            self.catalog.create_table(name, SCHEMA, location=place, if_not_exists=True)
        elif existing.location != place.absolute():
            raise IllegalArgumentError(
                f"{EVENT_LOG.key} is {published}, but there is another table of that name, at {existing.location}. "
                "Give the event log a name of its own."
            )
