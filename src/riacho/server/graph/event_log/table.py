"""The table of events: rows go in exactly once, whoever brings them and however often.

A batch's event carries the query and the batch; each commit notes in a `txn` action how far each query is in the table.
An event of a batch above that is new. What is not above it, and what a killed run left, is looked for by its id, and
the commit then stands only on the version that was looked at; otherwise it is looked at again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import pyarrow.parquet as pq

from riacho.clock import Clock, iso_utc
from riacho.server.delta import changes, files
from riacho.server.delta.actions import AddFile, Json, data_place, transaction
from riacho.server.delta.changes import TableDefinition, require_files
from riacho.server.delta.delta_rs import open_table, translated
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.delta.state import TableState
from riacho.server.delta.writer import DeltaWriter
from riacho.server.graph.event_log.rows import SCHEMA, EventRow, to_batch
from riacho.storage import Place, open_input

_log = logging.getLogger(__name__)

COMMENT: Final = "What happened in the runs of a pipeline."
_ATTEMPTS: Final = 100
_SLACK: Final = 10
"""Events are removed when the oldest are older than the retention by a tenth of it: not a few of them each second."""


class _TableMovedError(Exception):
    """What was looked up may no longer hold."""


class EventTable:
    """See the module. Not for several threads at once; other processes may write to the same table."""

    def __init__(self, place: Place, clock: Clock, housekeeper: Housekeeper | None = None) -> None:
        self.place = place
        self._clock = clock
        self._housekeeper = housekeeper
        self._writer = DeltaWriter(place, with_files=True)

    def make(self) -> None:
        """Make the table, if there is none. Raises SparkError, OSError."""
        self._writer.commit(lambda state: None if state is not None else self._creation())

    def append(self, rows: Sequence[EventRow]) -> int:
        """Add those rows that are not there yet; how many that were. Raises SparkError, OSError."""
        for _ in range(_ATTEMPTS):
            state = self._writer.state()
            doubtful = [row for row in rows if _may_be_there(state, row)]
            there = self._ids(state, doubtful) if doubtful and state is not None else set()
            new = _each_once(row for row in rows if row.id not in there)
            if not new:
                return 0
            try:
                self._commit(new, None if not doubtful else state)
            except _TableMovedError:
                continue
            return len(new)
        raise RuntimeError(f"{self.place} is written to by others all the time: events could not be added")

    def _commit(self, rows: Sequence[EventRow], looked_at: TableState | None) -> None:
        """`looked_at`: what the commit must stand on, if anything was looked up."""
        version = None if looked_at is None else looked_at.version
        written = files.write_batches([to_batch(rows)], self.place)

        def decide(state: TableState | None) -> list[Json]:
            if version is not None and (state is None or state.version != version):
                raise _TableMovedError
            if version is None and any(row.once is not None and _may_be_there(state, row) for row in rows):
                raise _TableMovedError
            now_ms = self._clock.now_ms()
            made = self._creation() if state is None else []
            info = changes.commit_info("WRITE", {"mode": "Append"}, now_ms, blind_append=version is None)
            reached = [transaction(_application(query), batch, now_ms) for query, batch in _reached(state, rows)]
            return [*(made or [info]), *reached, *(file.add.to_json() for file in written)]

        try:
            committed = self._writer.commit(decide)
        except _TableMovedError:
            files.discard(self.place, written)  # after any other error the commit may be there all the same
            raise
        if committed is not None and self._housekeeper is not None:
            self._housekeeper.after_commit(self.place, committed.version)

    def _creation(self) -> list[Json]:
        now_ms = self._clock.now_ms()
        definition = TableDefinition(SCHEMA, comment=COMMENT)
        return [changes.commit_info("CREATE TABLE", {}, now_ms), *changes.creation(definition, now_ms)]

    def _ids(self, state: TableState, wanted: Sequence[EventRow]) -> set[str]:
        """Which of these events are in the table. The newest files are looked at first: there they are, if anywhere."""
        missing = {row.id for row in wanted}
        first_us = None if any(row.once is not None for row in wanted) else min(row.time_us for row in wanted)
        found: set[str] = set()
        for file in sorted(require_files(state).values(), key=lambda file: -file.modification_time_ms):
            if not missing:
                break
            if first_us is not None and (latest := _bound_us(file, "maxValues")) is not None and latest < first_us:
                continue
            source = open_input(data_place(self.place, file.path), file.size)
            ids = set(pq.read_table(source, columns=["id"]).column("id").to_pylist()) & missing
            found |= ids
            missing -= ids
        return found

    def remove_old(self, retention_ms: int) -> bool:
        """Remove events older than that, when there are many of them; whether it was done. Raises SparkError, OSError.

        A commit of somebody else in between makes it fail, and it is done the next time.
        """
        state = self._writer.state()
        if state is None:
            return False
        limit_ms = self._clock.now_ms() - retention_ms
        oldest = [at for file in require_files(state).values() if (at := _bound_us(file, "minValues")) is not None]
        if not oldest or min(oldest) // 1000 >= limit_ms - retention_ms // _SLACK:
            return False
        with translated(self.place):
            done = open_table(self.place).delete(f"timestamp < '{iso_utc(limit_ms)}'")
        _log.info("Removed %s events older than the retention from %s", done.get("num_deleted_rows"), self.place)
        return True


def _application(query_id: str) -> str:
    return f"{query_id}/events"


def _may_be_there(state: TableState | None, row: EventRow) -> bool:
    """Whether to look for a row. One of a batch that is further than the table knows is surely not there."""
    if state is None:
        return False
    if row.once is None:
        return row.doubtful
    query_id, batch_id = row.once
    return state.transactions.get(_application(query_id), -1) >= batch_id


def _reached(state: TableState | None, rows: Iterable[EventRow]) -> list[tuple[str, int]]:
    """How far the queries of these rows are in the table then, where that is further than before."""
    reached: dict[str, int] = {}
    for row in rows:
        if row.once is not None and not _may_be_there(state, row):
            query_id, batch_id = row.once
            reached[query_id] = max(batch_id, reached.get(query_id, batch_id))
    return list(reached.items())


def _each_once(rows: Iterable[EventRow]) -> list[EventRow]:
    """The first row of each id."""
    by_id: dict[str, EventRow] = {}
    for row in rows:
        by_id.setdefault(row.id, row)
    return list(by_id.values())


def _bound_us(file: AddFile, bound: str) -> int | None:
    """The first or last time in a file, as its statistics say."""
    values: Mapping[str, str] = {} if file.stats is None else json.loads(file.stats).get(bound) or {}
    if not isinstance(text := values.get("timestamp"), str):
        return None
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)
