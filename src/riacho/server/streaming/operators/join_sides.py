"""The sides of a stream-stream join: how each is kept, what of it takes part in a batch, and what leaves.

Rows waiting under a key may be very many, so they are handed on in parts of bounded size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.apart import NUMBER, Apart
from riacho.server.plan.restore_names import restore_names
from riacho.server.state.hashing import KeyHash, hash_keys, unique
from riacho.server.state.run import Mask, Rows
from riacho.server.state.store import BEGINNING, Changes, Found
from riacho.server.streaming.operators.operator import (
    BatchContext,
    OperatorProgress,
    OperatorTools,
    late,
    never,
    numbers,
)
from riacho.server.streaming.operators.operator import event_times as times_of
from riacho.storage import Place

MATCHED = "_matched"
"""The column in state that tells whether a row has found a partner."""


@dataclass(frozen=True)
class SideState:
    """How one side of a join keeps its rows.

    `keys`: the expressions that must equal those of the other side, brought to one type. `only`: conditions on this
    side alone, that a row must meet to be kept (outer joins; elsewhere they stand below the join). `event_time`: the
    position of the column that makes rows late, if there is one. `time_key`, `time_column`: what the row's life
    depends on, a key or a column; both None if it lives for ever. `lag_us`: how far behind the watermark a row may be
    and still live. `pads`: whether unmatched rows come out. `original`: the side in the plan; `apart`: how rows stand
    in for it, where `restore_names` is not enough.
    """

    relation: pb.Relation
    keys: Sequence[build.Expression]
    only: Sequence[build.Expression]
    event_time: int | None
    time_key: int | None
    time_column: int | None
    lag_us: int
    pads: bool
    original: pb.Relation
    apart: Apart | None

    @property
    def ends(self) -> bool:
        """Whether rows leave the state."""
        return self.time_key is not None or self.time_column is not None

    def floor(self, watermark_us: int) -> int:
        """The time at or before which rows of this side are dead."""
        return watermark_us - self.lag_us if self.ends else BEGINNING


@dataclass(frozen=True)
class Fresh:
    """The new rows of a batch. `filtered`: others that no row of the other side can match, and that are not kept."""

    table: pa.Table
    keys: KeyHash
    seq: Rows
    time: Rows
    filtered: pa.Table


class Meeting:
    """One side's rows in a batch: those waiting that the batch touches, then the new ones.

    All arrays are per row, in that order. `seq` identifies rows across batches; `matched`: they had a partner before.
    """

    def __init__(self, waiting: Found, fresh: Fresh, schema: pa.Schema) -> None:
        self._waiting = waiting
        self._schema = schema
        self.fresh = fresh
        self.keys = KeyHash(
            np.concatenate([waiting.keys.high, fresh.keys.high]), np.concatenate([waiting.keys.low, fresh.keys.low])
        )
        self.seq = np.concatenate([waiting.seq, fresh.seq])
        self.time = np.concatenate([waiting.time, fresh.time])
        self.is_new = np.arange(len(self.seq)) >= len(waiting)
        before = waiting.column(MATCHED).to_numpy()
        self.matched = np.concatenate([before.astype(np.bool_), np.zeros(len(fresh.seq), dtype=np.bool_)])

    def parts(self) -> Iterator[pa.Table]:
        """All rows."""
        yield from self._waiting.select(self._schema.names).blocks()
        yield self.fresh.table

    def those(self, keep: Mask) -> Iterator[pa.Table]:
        """The rows that `keep` marks."""
        old = len(self._waiting)
        yield from self._waiting.select(self._schema.names).filter(keep[:old]).blocks()
        yield self.fresh.table.filter(pa.array(keep[old:]))


class SideStore:
    """The state of one side, `input_` of the join."""

    def __init__(self, state: SideState, input_: int, folder: Place, tools: OperatorTools) -> None:
        self.state = state
        self._tools = tools
        self._input = input_
        schema = types.normalise_schema(tools.session.schema(state.relation))
        if state.apart is not None:
            schema = pa.schema([f.with_name(name) for f, name in zip(schema, state.apart.stored, strict=True)])
        self.schema = types.nullable(schema)
        stored = self.schema.append(pa.field(MATCHED, pa.bool_()))
        self.store = tools.store(folder, stored, unique=False)

    def collect(self, relation: pb.Relation, batch: BatchContext, progress: OperatorProgress) -> Fresh:
        """The new rows of a batch, without late ones."""
        state = self.state
        keys = [build.alias(key, f"_key{i}") for i, key in enumerate(state.keys)]
        passes = [build.alias(_all(state.only), "_passes")] if state.only else []
        table = self._tools.collect(build.project(relation, [*keys, *passes, build.star()]), batch.time)
        before = len(keys) + len(passes)
        rows = pa.Table.from_arrays(table.columns[before:], schema=self.schema)
        kept = np.ones(table.num_rows, dtype=np.bool_)
        if state.event_time is not None:
            times = times_of(rows.column(state.event_time))
            behind = late(times, batch.late_us)
            dropped = int(np.count_nonzero(behind))
            progress.dropped += dropped
            if dropped and batch.late_rows is not None:
                named = rows if state.apart is None else rows.rename_columns(list(state.apart.names))
                batch.late_rows.append(self._tools.late(named, times, behind, self._input))
            kept &= ~behind
        filtered = np.zeros(table.num_rows, dtype=np.bool_)
        if passes:
            filtered = kept & ~table.column("_passes").to_numpy().astype(np.bool_)
            kept &= ~filtered
        hashed = hash_keys(table.columns[: len(keys)], table.num_rows)
        if state.time_key is not None:
            time = times_of(table.column(state.time_key))
        elif state.time_column is not None:
            time = times_of(rows.column(state.time_column))
        else:
            time = never(table.num_rows)
        count = int(np.count_nonzero(kept))
        seq = numbers(batch.version, count)
        mask = pa.array(kept)
        return Fresh(rows.filter(mask), hashed.take(kept), seq, time[kept], rows.filter(pa.array(filtered)))

    def standing_in(self, parts: Iterator[pa.Table], further: Sequence[pa.Field], used: frozenset[int]) -> pb.Relation:
        """The side's relation in the plan, of rows of it that have further columns. `used`: see `plan_ids_used`."""
        apart = self.state.apart
        schema = pa.schema([*self.schema, *further])
        if apart is None:
            return restore_names(self._tools.read_parts(parts, schema), self.state.original, used)
        read = self._tools.read_parts(apart.numbered(parts), schema.append(NUMBER))
        return apart.dressed(read, [field.name for field in further])

    def meet(self, fresh: Fresh, others: KeyHash) -> Meeting:
        """The rows that take part in a batch: those waiting under the keys `others`, and the new ones."""
        return Meeting(self.store.find(unique(others)), fresh, self.schema)

    def write(self, met: Meeting, now: Mask, put: Mask, done: Mask, floor: int, total: int, version: int) -> None:
        """Put the rows `put`, those waiting that were matched for the first time, where it matters; remove `done`."""
        again = now & ~met.is_new & ~met.matched & (met.time > floor) & ~done if self.state.pads else done
        rows = np.flatnonzero(put | again)
        table = pa.concat_tables(met.those(put | again)).append_column(MATCHED, pa.array((met.matched | now)[rows]))
        changes = Changes(met.keys.take(rows), met.seq[rows], met.time[rows], table, done[rows])
        self.store.write(version, changes, rows=total, floor=max(floor, self.store.floor))


class Leaving:
    """The rows of a side that leave the state with a batch. `floor`: those whose time is at or before it.

    `count` of them are in state before the batch; it is right once `unmatched` or `pass_over` has gone through them.
    """

    def __init__(self, side: SideStore, floor: int, met: Meeting) -> None:
        self._side = side
        self._met = met
        self.floor = floor
        self.count = 0

    def alone(self, now: Mask) -> Mask:
        """Which rows of the batch leave and come out without a partner. `now`: those that find one in the batch."""
        met = self._met
        rows: Mask = (met.time <= self.floor) & ~met.matched & ~now & self._side.state.pads
        return rows

    def unmatched(self) -> Iterator[pa.Table]:
        """Those that the batch does not touch and that come out without a partner. To be read before the write."""
        if not self._side.state.pads:
            self.pass_over()
            return
        for part in self._side.store.leaving(self.floor):
            self.count += len(part)
            matched = part.column(MATCHED).to_numpy().astype(np.bool_)
            alone = part.filter(~matched & ~np.isin(part.seq, self._met.seq))
            yield from alone.select(self._side.schema.names).blocks()
        yield self._met.fresh.filtered

    def pass_over(self) -> None:
        """Count them only."""
        self.count = sum(len(part) for part in self._side.store.leaving(self.floor, []))


def _all(conditions: Sequence[build.Expression]) -> build.Expression:
    """Whether all conditions are true; null counts as false."""
    condition = conditions[0]
    for other in conditions[1:]:
        condition = build.call("and", condition, other)
    return build.call("coalesce", condition, build.boolean(False))
