"""Stream-stream joins: each side's rows wait in state for rows of the other that are still to come.

In a batch the new rows of one side meet the waiting and the new rows of the other, so each pair comes out once. To find
them only rows of keys that the batch touches are read from state, and the engine joins those under the join's own
condition:

    new left      (round 0) ──join── (round 0) waiting and new right
    waiting left  (round 1) ──join── (round 1) new right

Both are one join with the round as one more key, so that rows which met before are not paired again, however many wait
under a key.

A row leaves the state when nothing can match it any more: when a key with event time falls behind the watermark, or
when a bound between the two times tells it (see `SideState`). In an outer join a row that leaves without ever having
found a partner comes out then, padded with nulls; so state remembers who was matched. In a left semi join a left row
comes out with its first match, and is kept no longer.

The order within a batch shows in one place. Spark takes the left side first, but in a left semi join the right one, and
never keeps a right row that the batch's own watermark removes: so new left rows of a semi join do not find it, though
waiting ones do. Source: `StreamingSymmetricHashJoinExec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.identifiers import last_part
from riacho.protos import pb
from riacho.server.engine.spool import empty
from riacho.server.plan import build
from riacho.server.plan.apart import apart
from riacho.server.plan.event_time import Delays, EventTimes
from riacho.server.plan.join_condition import JoinCondition, Key, Side, Sides, read_condition
from riacho.server.state.run import Mask, Rows
from riacho.server.streaming.operators.join_sides import Leaving, Meeting, SideState, SideStore
from riacho.server.streaming.operators.operator import (
    US_PER_MS,
    BatchContext,
    Operator,
    OperatorProgress,
    OperatorTools,
)
from riacho.storage import Place

_NEVER_MEETS = 2
"""The round of rows that come out alone."""


@dataclass(frozen=True)
class _Tags:
    """Names of the columns that the rows of a side have besides: number, round, and whether to come out unmatched."""

    seq: str
    round: str
    emit: str

    @property
    def fields(self) -> list[pa.Field]:
        return [pa.field(self.seq, pa.int64()), pa.field(self.round, pa.int8()), pa.field(self.emit, pa.bool_())]

    def on(self, parts: Iterable[pa.Table], seq: Rows, round_: npt.NDArray[np.int8], emit: Mask) -> Iterator[pa.Table]:
        """`parts` with these columns; the arrays run over all of them."""
        start = 0
        for part in parts:
            stop = start + part.num_rows
            tags = [pa.array(values[start:stop]) for values in (seq, round_, emit)]
            yield pa.Table.from_arrays([*part.columns, *tags], schema=pa.schema([*part.schema, *self.fields]))
            start = stop

    def alone(self, parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """`parts` with these columns, as rows that come out without having met anybody."""
        for part in parts:
            seq, emit = np.zeros(part.num_rows, dtype=np.int64), np.ones(part.num_rows, dtype=np.bool_)
            yield from self.on([part], seq, np.full(part.num_rows, _NEVER_MEETS, dtype=np.int8), emit)


class Join(Operator):
    """See the module and `operator.Operator`. `node`: the join in the plan; `used_ids` as in `plan.restore_names`."""

    def __init__(
        self,
        node: pb.Join,
        left: SideState,
        right: SideState,
        folder: Place,
        tools: OperatorTools,
        used_ids: frozenset[int],
    ) -> None:
        self._node = node
        self._tools = tools
        self._used_ids = used_ids
        self._left = SideStore(left, 0, folder / "left", tools)
        self._right = SideStore(right, 1, folder / "right", tools)
        late_inputs = [i for i, side in enumerate((left, right)) if side.event_time is not None]
        super().__init__(self._left.store, self._right.store, ends=left.ends or right.ends, late_inputs=late_inputs)
        self._semi = node.join_type == pb.Join.JOIN_TYPE_LEFT_SEMI
        # A join with USING takes no condition, but the round can be one more of its columns.
        rounds = ("_round", "_round") if node.using_columns else ("_left_round", "_right_round")
        self._left_tags, self._right_tags = (
            _Tags(f"_{side}_seq", name, f"_{side}_emit") for side, name in zip(("left", "right"), rounds, strict=True)
        )

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
            gone_left = Leaving(self._left, self._left.state.floor(batch.evict_us), left)
            gone_right = Leaving(self._right, self._right.state.floor(batch.evict_us), right)
            out = self._output(left, right, pairs, gone_left, gone_right)
        with progress.timed("commit_ms"):
            self._keep_left(left, pairs, gone_left, batch, progress)
            self._keep_right(right, pairs, gone_right, batch, progress)
        progress.total = self._left.store.rows + self._right.store.rows
        return out, progress

    def _pairs(self, left: Meeting, right: Meeting, batch: BatchContext) -> _Matches:
        """Which rows find a partner in this batch, of the sides where that matters."""
        left_now, right_now = np.zeros_like(left.is_new), np.zeros_like(right.is_new)
        if len(left.seq) and len(right.seq):
            if self._left.state.pads or self._semi:
                left_now = np.isin(left.seq, self._partnered(left, right, Side.LEFT, batch))
            if self._right.state.pads:
                right_now = np.isin(right.seq, self._partnered(left, right, Side.RIGHT, batch))
        return _Matches(left_now, right_now)

    def _partnered(self, left: Meeting, right: Meeting, side: Side, batch: BatchContext) -> Rows:
        """The numbers of the rows of a side that find a partner in this batch: a semi join never counts the pairs."""
        relation = self._join(
            self._left_rows(left, np.zeros_like(left.is_new)),
            self._right_rows(right, np.zeros_like(right.is_new), self._unseen(right, batch)),
            pb.Join.JOIN_TYPE_LEFT_SEMI,
        )
        tags = self._left_tags
        if side is Side.RIGHT:
            tags = self._right_tags
            swapped = pb.Join(left=relation.join.right, right=relation.join.left)
            relation.join.left.CopyFrom(swapped.left)
            relation.join.right.CopyFrom(swapped.right)
        found = self._tools.collect(build.project(relation, [build.col(tags.seq)]), batch.time)
        seq: Rows = found.column(0).to_numpy()
        return seq

    def _left_rows(self, left: Meeting, emit: Mask) -> Iterator[pa.Table]:
        """The left rows of a batch, each in one round."""
        return self._left_tags.on(left.parts(), left.seq, (~left.is_new).astype(np.int8), emit)

    def _unseen(self, right: Meeting, batch: BatchContext) -> Mask | None:
        """The right rows that new left rows do not find: in a semi join the new ones that leave at once."""
        return right.is_new & (right.time <= self._right.state.floor(batch.evict_us)) if self._semi else None

    def _right_rows(self, right: Meeting, emit: Mask, unseen: Mask | None = None) -> Iterator[pa.Table]:
        """The right rows of a batch: all but those `unseen` in round 0, the new ones in round 1 as well."""
        parts, seq = right.parts(), right.seq
        if unseen is not None and unseen.any():
            parts, seq, emit = right.those(~unseen), seq[~unseen], emit[~unseen]
        yield from self._right_tags.on(parts, seq, np.zeros(len(seq), dtype=np.int8), emit)
        new = right.fresh
        again = np.ones(len(new.seq), dtype=np.int8)
        yield from self._right_tags.on([new.table], new.seq, again, np.zeros(len(new.seq), dtype=np.bool_))

    def _join(
        self, left: Iterable[pa.Table], right: Iterable[pa.Table], join_type: pb.Join.JoinType.ValueType
    ) -> pb.Relation:
        """The join of the plan over tagged rows, within their rounds."""
        relation = pb.Relation()
        relation.join.CopyFrom(self._node)
        relation.join.join_type = join_type
        for rows, side, tags, under in (
            (left, self._left, self._left_tags, relation.join.left),
            (right, self._right, self._right_tags, relation.join.right),
        ):
            under.CopyFrom(side.standing_in(iter(rows), tags.fields, self._used_ids))
        if self._node.using_columns:
            relation.join.using_columns.append(self._left_tags.round)
        else:
            same_round = build.call("==", build.col(self._left_tags.round), build.col(self._right_tags.round))
            relation.join.join_condition.CopyFrom(build.call("and", self._node.join_condition, same_round))
        return relation

    def _output(
        self, left: Meeting, right: Meeting, pairs: _Matches, gone_left: Leaving, gone_right: Leaving
    ) -> pb.Relation:
        """Pairs with a new row, and rows that come out alone: they leave unmatched, or cannot match at all.

        What leaves is read from state here, so this comes before the write.
        """
        if self._semi:
            gone_left.pass_over()
            gone_right.pass_over()
            return self._left.standing_in(left.those(pairs.left_now), [], self._used_ids)
        joined = self._join(
            chain(
                self._left_rows(left, gone_left.alone(pairs.left_now)),
                self._left_tags.alone(gone_left.unmatched()),
            ),
            chain(
                self._right_rows(right, gone_right.alone(pairs.right_now)),
                self._right_tags.alone(gone_right.unmatched()),
            ),
            self._node.join_type,
        )
        if self._left.state.pads or self._right.state.pads:
            col, call = build.col, build.call
            tags = self._left_tags, self._right_tags
            is_pair = call("and", *(call("isnotnull", col(tag.seq)) for tag in tags))
            alone = call("or", *(call("coalesce", col(tag.emit), build.boolean(False)) for tag in tags))
            joined = build.where(joined, call("or", is_pair, alone))
        names = dict.fromkeys(field.name for tag in (self._left_tags, self._right_tags) for field in tag.fields)
        return build.drop(joined, list(names))

    def _keep_left(
        self, met: Meeting, pairs: _Matches, gone: Leaving, batch: BatchContext, progress: OperatorProgress
    ) -> None:
        """New left rows are put even if they leave at once; in a semi join those that found a partner are not kept."""
        put = met.is_new & ~pairs.left_now if self._semi else met.is_new
        done = pairs.left_now & ~met.is_new if self._semi else np.zeros_like(put)
        leaving = put & (met.time <= gone.floor)
        removed = gone.count + int(np.count_nonzero(leaving)) + int(np.count_nonzero(done & (met.time > gone.floor)))
        progress.updated += int(np.count_nonzero(put))
        if not self._left.state.pads:
            progress.removed += removed
        total = self._left.store.rows + int(np.count_nonzero(put)) - removed
        self._left.write(met, pairs.left_now, put & ~leaving, done, gone.floor, total, batch.version)

    def _keep_right(
        self, met: Meeting, pairs: _Matches, gone: Leaving, batch: BatchContext, progress: OperatorProgress
    ) -> None:
        """New right rows that leave in this batch have met everybody and are not put, unless they come out alone."""
        leaving = met.is_new & (met.time <= gone.floor)
        pads = self._right.state.pads
        progress.updated += int(np.count_nonzero(met.is_new & ~leaving))
        if pads:
            progress.updated += int(np.count_nonzero(leaving & ~pairs.right_now))
        else:
            progress.removed += gone.count
        put = met.is_new & ~leaving
        total = self._right.store.rows + int(np.count_nonzero(put)) - gone.count
        self._right.write(met, pairs.right_now, put, np.zeros_like(put), gone.floor, total, batch.version)


@dataclass(frozen=True)
class _Matches:
    """Who found a partner in this batch, aligned with the sides' rows."""

    left_now: Mask
    right_now: Mask


def side_states(
    node: pb.Join,
    analysable: Callable[[pb.Relation], pb.Relation],
    event_times: EventTimes,
    tools: OperatorTools,
    used_ids: frozenset[int],
) -> tuple[SideState, SideState]:
    """How the two sides of a stream-stream join are kept. `analysable` makes a part of the plan known to the engine.

    `used_ids`: as in `plan_ids_used`. Raises AnalysisError for a join without keys.
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
                original=relation,
                apart=apart(relation, used_ids, event_times.columns),
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
    sides: tuple[pb.Relation, pb.Relation], keys: Sequence[Key], tools: OperatorTools
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
