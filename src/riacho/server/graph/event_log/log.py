"""Events on their way into the table. Recording one costs a line in the journal; one thread writes the table."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from riacho import storage
from riacho.clock import Clock
from riacho.errors import SparkError, SparkGeneralError
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.graph.event_log.journal import Journal, Segment, leftovers, open_journal
from riacho.server.graph.event_log.rows import EventRow, Origin
from riacho.server.graph.event_log.table import EventTable
from riacho.server.graph.events import PipelineEvent
from riacho.storage import Place

_log = logging.getLogger(__name__)

SYSTEM: Final = "system"
EVENTS: Final = "events"
JOURNAL: Final = "journal"
FLUSH_S: Final = 1.0
MOST_ROWS: Final = 50_000
"""So many events wait in memory, if the table cannot be written; more than these wait in the journal alone."""
STOP_LIMIT_S: Final = 60.0
CLEAN_MS: Final = 3_600_000.0
"""How often it is looked whether there are events past the retention. A run of less than a second does not look."""


class EventRecorder(Protocol):
    """Takes events."""

    def record(self, event: PipelineEvent) -> None:
        """Take an event. When this returns, no kill loses one of a batch any more. Raises OSError, SparkError."""


class Unrecorded:
    """Takes events and forgets them."""

    def record(self, event: PipelineEvent) -> None:
        """Nothing to do."""


def events_place(root: Place) -> Place:
    """Where in a pipeline's storage the table of events lies."""
    return root / SYSTEM / EVENTS


@dataclass
class _Unflushed:
    """Events that are to go into the table, and where the journal has them."""

    rows: list[EventRow]
    segment: Segment


@dataclass
class EventLog:
    """The event log of one run over a pipeline's storage. `record` may be called from any thread.

    `open` before the first event, `close` after the last. A table that cannot be written does not hold up the run:
    its events stay in the journal, and the next run brings them there.
    """

    root: Place
    origin: Origin
    clock: Clock
    housekeeper: Housekeeper | None = None
    retention_ms: int | None = None
    flush_s: float = FLUSH_S
    _buffer: list[EventRow] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _waiting: list[_Unflushed] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def open(self) -> None:
        """Make the table, if need be, take over what killed runs left, and begin. Raises SparkError."""
        folder = self.root / SYSTEM
        self._table = EventTable(folder / EVENTS, self.clock, self.housekeeper)
        try:
            self._table.make()
            self._journal: Journal = open_journal(folder / JOURNAL, self.origin.update_id)
        except OSError as failure:
            raise SparkGeneralError(
                f"The event log in {folder} cannot be written: {failure}. Make the pipeline's storage writable, or "
                "give the pipeline another one."
            ) from failure
        try:
            take_over(folder / JOURNAL, self._table)
        except Exception as failure:  # noqa: BLE001 - what is left stays for the next run; this one goes on
            _log.warning("What a run left in %s is not in the event log yet: %s", folder / JOURNAL, failure)
        self._thread = threading.Thread(target=storage.carried(self._work), name="riacho-events", daemon=True)
        self._thread.start()

    def record(self, event: PipelineEvent) -> None:
        """See `EventRecorder`."""
        with self._lock:
            row = self.origin.row(event)
            try:
                self._journal.add(row)
            except (OSError, SparkError) as failure:
                # Only events of batches are promised to survive a kill; whoever commits the batch must know.
                if row.once is not None:
                    raise
                _log.warning("An event could not be kept in the journal of %s: %s", self._table.place, failure)
            self._buffer.append(row)

    def close(self) -> None:
        """Bring what is left into the table and end. What cannot be brought there waits for the next run."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_LIMIT_S)
            self._thread = None

    def _work(self) -> None:
        clean_ms = -math.inf
        while not self._stop.wait(self.flush_s):
            self._flush()
            if self.clock.monotonic_ms() - clean_ms >= CLEAN_MS:
                self._clean()
                clean_ms = self.clock.monotonic_ms()
        self._flush()
        for waiting in self._waiting:
            waiting.segment.release()

    def _flush(self) -> None:
        with self._lock:
            if self._buffer:
                self._waiting.append(_Unflushed(self._buffer, self._journal.cut()))
                self._buffer = []
        try:
            self._carry()
        except Exception as failure:  # noqa: BLE001 - whatever it is, the next events are to be written
            _log.warning("Events could not be written to %s; they wait in the journal: %s", self._table.place, failure)
            while sum(len(waiting.rows) for waiting in self._waiting) > MOST_ROWS:
                self._waiting.pop(0).segment.release()

    def _carry(self) -> None:
        """Bring what waits into the table, in one commit."""
        if not self._waiting:
            return
        self._table.append([row for waiting in self._waiting for row in waiting.rows])
        while self._waiting:
            self._waiting.pop(0).segment.carried()

    def _clean(self) -> None:
        if self.retention_ms is None:
            return
        try:
            self._table.remove_old(self.retention_ms)
        except (OSError, SparkError) as failure:
            _log.warning("Old events of %s are not removed yet: %s", self._table.place, failure)


def take_over(journal: Place, table: EventTable) -> None:
    """Bring what killed runs left into the table. Raises OSError, SparkError."""
    with leftovers(journal) as found:
        rows: Sequence[EventRow] = [row for each in found for row in each.rows]
        if rows:
            table.append(rows)
        for each in found:
            each.carried()
