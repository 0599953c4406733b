"""dropDuplicates and dropDuplicatesWithinWatermark on streams: a row comes out if its key is new.

State is the set of keys seen. `dropDuplicates` forgets a key when a key column with event time falls behind the
watermark, and never if there is none; `dropDuplicatesWithinWatermark` forgets it when the watermark passes the event
time of the key's first row plus the delay. Rows behind the watermark are dropped as late in both. Of several rows
with one key in a batch the first one comes out, in the order of the input. Source: `BaseStreamingDeduplicateExec`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.state.hashing import first_places, hash_keys
from riacho.server.state.run import NEVER
from riacho.server.state.store import BEGINNING, Changes
from riacho.server.streaming.operators.operator import (
    BatchContext,
    Operator,
    OperatorProgress,
    OperatorTools,
    event_times,
    late,
    never,
)
from riacho.storage import Place


@dataclass(frozen=True)
class Deduplicate:
    """What to deduplicate by. Columns are positions in the input's schema.

    `event_time`: the column with a watermark, if there is one. `delay_us`: set for `dropDuplicatesWithinWatermark`.
    """

    keys: Sequence[int]
    event_time: int | None
    delay_us: int | None = None

    @property
    def forgets(self) -> bool:
        return self.delay_us is not None or self.event_time in self.keys


class Deduplication(Operator):
    """See the module and `operator.Operator`."""

    def __init__(self, what: Deduplicate, schema: pa.Schema, folder: Place, tools: OperatorTools) -> None:
        self._what = what
        self._tools = tools
        fields = [schema.field(i) for i in what.keys]
        self._key_schema = pa.schema([field.with_name(f"_key{i}") for i, field in enumerate(fields)])
        self._store = tools.store(folder / "default", types.nullable(self._key_schema), unique=True)
        super().__init__(self._store, ends=True, late_inputs=[] if what.event_time is None else [0])

    def run(self, inputs: Sequence[pb.Relation], batch: BatchContext) -> tuple[pb.Relation, OperatorProgress]:
        within = self._what.delay_us is not None
        progress = OperatorProgress("dedupeWithinWatermark" if within else "dedupe")
        with progress.timed("updates_ms"):
            rows = self._on_time(self._tools.collect(inputs[0], batch.time), batch, progress)
            keys = hash_keys([rows.column(i) for i in self._what.keys], rows.num_rows)
            first = first_places(keys)
            known = self._store.find(keys.take(first), []).probe
            fresh = np.delete(first, known)
            progress.custom["numDroppedDuplicateRows"] = rows.num_rows - len(fresh)
            out = rows.take(pa.array(fresh))
        with progress.timed("removals_ms"):
            forget_us = batch.evict_us if self._what.forgets else BEGINNING
            time = self._expiry(out)
            alive = time > forget_us
            gone = sum(len(part) for part in self._store.leaving(forget_us, []))
        progress.updated = len(fresh)
        progress.removed = gone + int(np.count_nonzero(~alive))
        progress.total = self._store.rows + progress.updated - progress.removed
        with progress.timed("commit_ms"):
            kept = np.flatnonzero(alive)
            columns = [out.column(i).take(pa.array(kept)) for i in self._what.keys]
            changes = Changes(
                keys.take(fresh[kept]),
                np.zeros(len(kept), dtype=np.int64),
                time[kept],
                pa.Table.from_arrays(columns, names=self._key_schema.names),
            )
            self._store.write(batch.version, changes, rows=progress.total, floor=max(forget_us, self._store.floor))
        return self._tools.stand_in(out, self.apart), progress

    def _on_time(self, rows: pa.Table, batch: BatchContext, progress: OperatorProgress) -> pa.Table:
        if self._what.event_time is None:
            return rows
        times = event_times(rows.column(self._what.event_time))
        behind = late(times, batch.late_us)
        progress.dropped = int(np.count_nonzero(behind))
        if not progress.dropped:
            return rows
        if batch.late_rows is not None:
            batch.late_rows.append(self._tools.late(rows, times, behind))
        return rows.filter(pa.array(~behind))

    def _expiry(self, rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Until when each row's key is kept."""
        if not self._what.forgets or self._what.event_time is None:
            return never(rows.num_rows)
        time = event_times(rows.column(self._what.event_time))
        if self._what.delay_us is None:
            return time
        # Spark reads a missing event time as 0.
        return np.where(time == NEVER, 0, time) + self._what.delay_us
