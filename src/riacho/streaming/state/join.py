"""Stream-stream joins: each side's rows wait in state for rows of the other that are still to come.

In a batch the new rows of one side meet the waiting and the new rows of the other, so each pair comes out once. To find
them only rows of keys that the batch touches are read from state, and the engine joins those under the join's own
condition:

    waiting left of touched keys  ┐                        ┌ waiting right of touched keys
    new left                      ┴─ join, where a row of ─┴ new right
                                     the pair is new

A row leaves the state when nothing can match it any more: when a key with event time falls behind the watermark, or
when a bound between the two times tells it (see `SideState`). In an outer join a row that leaves without ever having
found a partner comes out then, padded with nulls; so state remembers who was matched. In a left semi join a left row
comes out with its first match, and is kept no longer. Source: `StreamingSymmetricHashJoinExec`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from riacho import types
from riacho.engine.spool import empty
from riacho.errors import AnalysisError
from riacho.plan import build
from riacho.plan.dress import dress
from riacho.plan.event_time import Delays, EventTimes, last_part
from riacho.plan.join_condition import JoinCondition, Key, Side, Sides, read_condition
from riacho.protos import pb
from riacho.streaming.state.hashing import KeyHash, hash_keys, unique
from riacho.streaming.state.operator import (
    US_PER_MS,
    BatchContext,
    Operator,
    OperatorProgress,
    Tools,
    late,
    never,
    numbers,
)
from riacho.streaming.state.operator import event_times as times_of
from riacho.streaming.state.run import Mask, Rows
from riacho.streaming.state.store import BEGINNING, Changes, Found, StateStore

_MATCHED = "_matched"


@dataclass(frozen=True)
class SideState:
    """How one side of a join keeps its rows.

    `keys`: the expressions that must equal those of the other side, brought to one type. `only`: conditions on this
    side alone, that a row must meet to be kept (outer joins; elsewhere they stand below the join). `event_time`: the
    position of the column that makes rows late, if there is one. `time_key`, `time_column`: what the row's life
    depends on, a key or a column; both None if it lives for ever. `lag_us`: how far behind the watermark a row may be
    and still live. `pads`: whether unmatched rows come out.
    """

    relation: pb.Relation
    keys: Sequence[build.Expression]
    only: Sequence[build.Expression]
    event_time: int | None
    time_key: int | None
    time_column: int | None
    lag_us: int
    pads: bool

    @property
    def ends(self) -> bool:
        """Whether rows leave the state."""
        return self.time_key is not None or self.time_column is not None

    def floor(self, watermark_us: int) -> int:
        """The time at or before which rows of this side are dead."""
        return watermark_us - self.lag_us if self.ends else BEGINNING


@dataclass(frozen=True)
class _Side:
    """One side's rows in a batch: those waiting that the batch touches, then the new ones.

    `seq` identifies rows across batches. `is_new` and `matched` are per row; `filtered` are new rows that no row of the
    other side can match, and that are not kept.
    """

    table: pa.Table
    keys: KeyHash
    seq: Rows
    time: Rows
    is_new: Mask
    matched: Mask
    filtered: pa.Table

    def tagged(self, name: str, emit: Mask) -> pa.Table:
        """The rows with what the join needs to know of them, in columns whose names start with `name`."""
        tags = {"seq": self.seq, "new": self.is_new, "emit": emit}
        table = self.table
        for tag, values in tags.items():
            table = table.append_column(f"{name}_{tag}", pa.array(values))
        return table


class SideStore:
    """The state of one side, `input_` of the join."""

    def __init__(self, state: SideState, input_: int, folder: Path, tools: Tools) -> None:
        self.state = state
        self._tools = tools
        self._input = input_
        schema = types.normalise_schema(tools.session.schema(state.relation))
        self.schema = types.nullable(schema)
        stored = self.schema.append(pa.field(_MATCHED, pa.bool_()))
        self.store = StateStore(folder, stored, unique=False, retain=tools.retain)

    def collect(self, relation: pb.Relation, batch: BatchContext, progress: OperatorProgress) -> _Fresh:
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
                batch.late_rows.append(self._tools.late(rows, times, behind, self._input))
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
        return _Fresh(rows.filter(mask), hashed.take(kept), seq, time[kept], rows.filter(pa.array(filtered)))

    def meet(self, fresh: _Fresh, others: KeyHash) -> _Side:
        """The rows that take part in a batch: those waiting under the keys `others`, and the new ones."""
        waiting = self.store.find(unique(others))
        was_matched = waiting.table.column(_MATCHED).to_numpy().astype(np.bool_)
        return _Side(
            pa.concat_tables([waiting.table.drop_columns([_MATCHED]), fresh.table]),
            KeyHash(
                np.concatenate([waiting.keys.high, fresh.keys.high]), np.concatenate([waiting.keys.low, fresh.keys.low])
            ),
            np.concatenate([waiting.seq, fresh.seq]),
            np.concatenate([waiting.time, fresh.time]),
            np.concatenate([np.zeros(len(waiting), dtype=np.bool_), np.ones(len(fresh.seq), dtype=np.bool_)]),
            np.concatenate([was_matched, np.zeros(len(fresh.seq), dtype=np.bool_)]),
            fresh.filtered,
        )


@dataclass(frozen=True)
class _Fresh:
    table: pa.Table
    keys: KeyHash
    seq: Rows
    time: Rows
    filtered: pa.Table


class Join(Operator):
    """See the module and `operator.Operator`. `node`: the join in the plan; `used_ids` as in `plan.dress`."""

    def __init__(
        self, node: pb.Join, left: SideState, right: SideState, folder: Path, tools: Tools, used_ids: frozenset[int]
    ) -> None:
        self._node = node
        self._tools = tools
        self._used_ids = used_ids
        self._left = SideStore(left, 0, folder / "left", tools)
        self._right = SideStore(right, 1, folder / "right", tools)
        late_inputs = [i for i, side in enumerate((left, right)) if side.event_time is not None]
        super().__init__(self._left.store, self._right.store, ends=left.ends or right.ends, late_inputs=late_inputs)
        self._semi = node.join_type == pb.Join.JOIN_TYPE_LEFT_SEMI

    def output_watermark_us(self, input_us: int) -> int:
        """Rows may come out as old as the oldest in state."""
        floors = [side.state.floor(input_us) for side in (self._left, self._right) if side.state.ends]
        return min([input_us, *floors])

    def run(self, inputs: Sequence[pb.Relation], batch: BatchContext) -> tuple[pb.Relation, OperatorProgress]:
        progress = OperatorProgress("symmetricHashJoin")
        with progress.timed("updates_ms"):
            new_left = self._left.collect(inputs[0], batch, progress)
            new_right = self._right.collect(inputs[1], batch, progress)
            left = self._left.meet(new_left, new_right.keys)
            right = self._right.meet(new_right, new_left.keys)
            pairs = self._pairs(left, right, batch)
        with progress.timed("removals_ms"):
            floors = self._left.state.floor(batch.evict_us), self._right.state.floor(batch.evict_us)
            gone_left = self._left.store.expired(floors[0], None if self._left.state.pads else [])
            gone_right = self._right.store.expired(floors[1], None if self._right.state.pads else [])
        with progress.timed("commit_ms"):
            self._keep_left(left, pairs, gone_left, floors[0], batch, progress)
            self._keep_right(right, pairs, gone_right, floors[1], batch, progress)
        progress.total = self._left.store.rows + self._right.store.rows
        progress.memory_bytes = self.state_bytes
        if self._semi:
            matched = self._tools.read(left.table.filter(pa.array(pairs.left_now)))
            return dress(matched, self._node.left, self._used_ids), progress
        out_left = _with_unmatched(self._left, left, pairs.left_now, gone_left, floors[0], "_left")
        out_right = _with_unmatched(self._right, right, pairs.right_now, gone_right, floors[1], "_right")
        return self._joined(out_left, out_right), progress

    # -- who meets whom

    def _pairs(self, left: _Side, right: _Side, batch: BatchContext) -> _Pairs:
        """Which rows find a partner in this batch. An inner join need not know before it is run."""
        nobody = np.zeros(len(left.seq), dtype=np.bool_), np.zeros(len(right.seq), dtype=np.bool_)
        pads = self._left.state.pads or self._right.state.pads
        if not (pads or self._semi) or not len(left.seq) or not len(right.seq):
            return _Pairs(*nobody)
        joined = self._join(left.tagged("_left", nobody[0]), right.tagged("_right", nobody[1]), pb.Join.JOIN_TYPE_INNER)
        new = build.where(joined, build.call("or", build.col("_left_new"), build.col("_right_new")))
        found = self._tools.collect(build.project(new, [build.col("_left_seq"), build.col("_right_seq")]), batch.time)
        left_seq, right_seq = (column.to_numpy() for column in found.columns)
        return _Pairs(np.isin(left.seq, left_seq), np.isin(right.seq, right_seq))

    def _joined(self, left: pa.Table, right: pa.Table) -> pb.Relation:
        """The rows that come out: pairs with a new row, and those marked to come out alone."""
        col, call = build.col, build.call
        joined = self._join(left, right, self._node.join_type)
        is_pair = call("and", call("isnotnull", col("_left_seq")), call("isnotnull", col("_right_seq")))
        is_new = call("or", col("_left_new"), col("_right_new"))
        alone = call("or", *(call("coalesce", col(f"_{s}_emit"), build.boolean(False)) for s in ("left", "right")))
        wanted = call("or", call("and", is_pair, is_new), call("and", call("not", is_pair), alone))
        tags = [f"_{side}_{tag}" for side in ("left", "right") for tag in ("seq", "new", "emit")]
        return build.drop(build.where(joined, wanted), tags)

    def _join(self, left: pa.Table, right: pa.Table, join_type: pb.Join.JoinType.ValueType) -> pb.Relation:
        """The join of the plan over other rows."""
        relation = pb.Relation()
        relation.join.CopyFrom(self._node)
        relation.join.join_type = join_type
        relation.join.left.CopyFrom(dress(self._tools.read(left), self._node.left, self._used_ids))
        relation.join.right.CopyFrom(dress(self._tools.read(right), self._node.right, self._used_ids))
        return relation

    # -- what is kept

    def _keep_left(
        self, side: _Side, pairs: _Pairs, gone: Found, floor: int, batch: BatchContext, progress: OperatorProgress
    ) -> None:
        """New left rows are put even if they leave at once; in a semi join those that found a partner are not kept."""
        put = side.is_new & ~pairs.left_now if self._semi else side.is_new
        done = pairs.left_now & ~side.is_new if self._semi else np.zeros_like(put)
        leaving = put & (side.time <= floor)
        removed = len(gone) + int(np.count_nonzero(leaving)) + int(np.count_nonzero(done & (side.time > floor)))
        progress.updated += int(np.count_nonzero(put))
        if not self._left.state.pads:
            progress.removed += removed
        total = self._left.store.rows + int(np.count_nonzero(put)) - removed
        self._write(self._left, side, pairs.left_now, put & ~leaving, floor, total, batch.version, done)

    def _keep_right(
        self, side: _Side, pairs: _Pairs, gone: Found, floor: int, batch: BatchContext, progress: OperatorProgress
    ) -> None:
        """New right rows that leave in this batch have met everybody and are not put, unless they come out alone."""
        leaving = side.is_new & (side.time <= floor)
        pads = self._right.state.pads
        progress.updated += int(np.count_nonzero(side.is_new & ~leaving))
        if pads:
            progress.updated += int(np.count_nonzero(leaving & ~pairs.right_now))
        else:
            progress.removed += len(gone)
        put = side.is_new & ~leaving
        total = self._right.store.rows + int(np.count_nonzero(put)) - len(gone)
        self._write(self._right, side, pairs.right_now, put, floor, total, batch.version, np.zeros_like(put))

    def _write(
        self, to: SideStore, side: _Side, now: Mask, put: Mask, floor: int, total: int, version: int, done: Mask
    ) -> None:
        """Put new rows, and those waiting that were matched for the first time, where that matters; remove `done`."""
        again = now & ~side.is_new & ~side.matched & (side.time > floor) & ~done if to.state.pads else done
        rows = np.flatnonzero(put | again)
        matched = (side.matched | now)[rows]
        table = side.table.take(pa.array(rows)).append_column(_MATCHED, pa.array(matched))
        changes = Changes(side.keys.take(rows), side.seq[rows], side.time[rows], table, done[rows])
        to.store.write(version, changes, rows=total, floor=max(floor, to.store.floor))


@dataclass(frozen=True)
class _Pairs:
    """Who found a partner in this batch, aligned with the sides' rows."""

    left_now: Mask
    right_now: Mask


def _with_unmatched(store: SideStore, side: _Side, now: Mask, gone: Found, floor: int, name: str) -> pa.Table:
    """A side's rows for the output, with those that come out alone: they leave unmatched, or cannot match at all."""
    if not store.state.pads:
        return side.tagged(name, np.zeros_like(now))
    leaving = (side.time <= floor) & ~side.matched & ~now
    rows = side.tagged(name, leaving)
    unmatched = ~gone.table.column(_MATCHED).to_numpy().astype(np.bool_) & ~np.isin(gone.seq, side.seq)
    alone = pa.concat_tables([gone.filter(unmatched).table.drop_columns([_MATCHED]), side.filtered])
    seq, new, emit = (np.full(alone.num_rows, value) for value in (np.int64(0), False, True))
    for tag, values in (("seq", seq), ("new", new), ("emit", emit)):
        alone = alone.append_column(f"{name}_{tag}", pa.array(values))
    return pa.concat_tables([rows, alone])


def side_states(
    node: pb.Join, analysable: Callable[[pb.Relation], pb.Relation], event_times: EventTimes, tools: Tools
) -> tuple[SideState, SideState]:
    """How the two sides of a stream-stream join are kept. `analysable` makes a part of the plan known to the engine.

    Raises AnalysisError for a join without keys.
    """
    condition = read_condition(node, event_times.columns)
    if not condition.keys:
        raise AnalysisError(
            "Stream-stream join without equality predicate is not supported", condition="_LEGACY_ERROR_TEMP_3176"
        )
    marks = event_times.of(node.left), event_times.of(node.right)
    relations = analysable(node.left), analysable(node.right)
    keys = _same_types(relations, condition.keys, tools)
    event_key = _event_key(condition.keys, marks)
    sides = Sides(node, event_times.columns)
    outer = pb.Join.JOIN_TYPE_FULL_OUTER
    states = []
    for index, (side, relation, padded) in enumerate(
        (
            (Side.LEFT, node.left, {pb.Join.JOIN_TYPE_LEFT_OUTER, outer}),
            (Side.RIGHT, node.right, {pb.Join.JOIN_TYPE_RIGHT_OUTER, outer}),
        )
    ):
        pads = node.join_type in padded
        names = [name.lower() for name in event_times.columns(relation)]
        marked = _event_column(names, marks[index], [_name((key.left, key.right)[index]) for key in condition.keys])
        lag_us = _lag_us(condition, side, marks) if event_key is None and marked is not None else None
        states.append(
            SideState(
                relation=relations[index],
                keys=keys[index],
                only=[part for part in condition.rest if pads and sides.of(part) is side],
                event_time=marked,
                time_key=event_key,
                time_column=marked if lag_us is not None else None,
                lag_us=lag_us or 0,
                pads=pads,
            )
        )
    return states[0], states[1]


def _event_key(keys: Sequence[Key], marks: tuple[Delays, Delays]) -> int | None:
    """The first key that is a column with a watermark, on the left if there is one, else on the right."""
    for side in (0, 1):
        for index, key in enumerate(keys):
            if _name((key.left, key.right)[side]) in marks[side]:
                return index
    return None


def _event_column(names: list[str], marks: Delays, keys: Sequence[str]) -> int | None:
    """The column whose time makes rows late. If several are marked, a key: what is no key is often not used at all."""
    marked = [i for i, name in enumerate(names) if name in marks]
    return next((i for i in marked if names[i] in keys), marked[0] if marked else None)


def _name(expression: build.Expression) -> str:
    """The column that an expression is, in lower case; an empty string for any other expression."""
    if not expression.HasField("unresolved_attribute"):
        return ""
    return last_part(expression.unresolved_attribute.unparsed_identifier)


def _lag_us(condition: JoinCondition, side: Side, marks: tuple[Delays, Delays]) -> int | None:
    """How far behind the watermark a row of `side` can still find a partner; None if for ever.

    A limit that is itself allowed keeps a row one millisecond longer, as in Spark.
    """
    lags = []
    for bound in condition.bounds:
        limit = None
        if side is Side.LEFT and bound.right in marks[1] and bound.low_us is not None:
            limit = -bound.low_us
        if side is Side.RIGHT and bound.left in marks[0] and bound.high_us is not None:
            limit = bound.high_us
        if limit is not None:
            lags.append(limit if bound.strict else limit + US_PER_MS)
    return max(lags, default=None)


def _same_types(
    sides: tuple[pb.Relation, pb.Relation], keys: Sequence[Key], tools: Tools
) -> tuple[list[build.Expression], list[build.Expression]]:
    """The keys of both sides, cast where their types differ: equal values must have equal hashes."""
    left, right = [key.left for key in keys], [key.right for key in keys]
    found = [
        tools.session.schema(build.project(relation, [build.alias(e, f"k{i}") for i, e in enumerate(side)])).types
        for relation, side in zip(sides, (left, right), strict=True)
    ]
    for i, (one, other) in enumerate(zip(*found, strict=True)):
        if types.normalise(one) != types.normalise(other):
            both = pa.schema([("a", one), ("b", other)])
            common = build.project(empty(both), [build.call("coalesce", build.col("a"), build.col("b"))])
            [target] = tools.session.schema(common).types
            left[i], right[i] = build.cast(left[i], target), build.cast(right[i], target)
    return left, right


def _all(conditions: Sequence[build.Expression]) -> build.Expression:
    """Whether all conditions are true; null counts as false."""
    condition = conditions[0]
    for other in conditions[1:]:
        condition = build.call("and", condition, other)
    return build.call("coalesce", condition, build.boolean(False))
