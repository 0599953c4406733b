"""Session windows: groups that grow and merge.

A row at time t with gap g opens the session [t, t+g) of its key; sessions of a key that touch or overlap are one. So
a new row may stretch a session, or join two that were apart. State holds one row per session (or the sessions' rows,
where an aggregate cannot be taken apart), found by the key without the session. In a batch all sessions of the keys
touched are read, new ones are laid beside them in order of time, and a new session begins wherever a start lies
behind all ends so far. Source: `UpdatingSessionsIterator`, `SessionWindowStateStoreSaveExec`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.errors import AnalysisError, IllegalArgumentError, ParseError, UnsupportedOperationError
from riacho.intervals import interval_us
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.event_time import Delays
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.session_window import is_session_window, session_of_row
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import expressions
from riacho.server.sql.tokens import Edit, splice, tokenize
from riacho.server.state.hashing import KeyHash, distinct, hash_keys, unique
from riacho.server.state.run import Mask
from riacho.server.state.run import Rows as Times
from riacho.server.state.store import BEGINNING, Changes
from riacho.server.streaming.operators.aggregate import AggregationBuffer, Partials, buffer_for
from riacho.server.streaming.operators.calls import output_of
from riacho.server.streaming.operators.grouping import Grouping, grouping_of
from riacho.server.streaming.operators.late import LateRows
from riacho.server.streaming.operators.operator import (
    BatchContext,
    Operator,
    OperatorProgress,
    OperatorTools,
    late,
    numbers,
)
from riacho.server.streaming.sinks.base import OutputMode
from riacho.storage import Place


@dataclass(frozen=True)
class _SessionRows:
    """Rows of state and new ones, in order of key and start; those of one session stand together.

    `start`, `end`: of the piece that a row brings. `session`: the number of its session, from 0. `old`: it comes from
    state.
    """

    table: pa.Table
    keys: KeyHash
    seq: Times
    start: Times
    end: Times
    session: Times
    old: Mask

    @property
    def count(self) -> int:
        """How many sessions."""
        return int(self.session[-1]) + 1 if len(self.session) else 0

    @property
    def firsts(self) -> Times:
        """The first row of each session."""
        return np.searchsorted(self.session, np.arange(self.count))

    def spans(self) -> tuple[Times, Times]:
        """Start and end of each session."""
        if not self.count:
            return self.start, self.end
        return self.start[self.firsts], np.maximum.reduceat(self.end, self.firsts)

    def any(self, which: Mask) -> Mask:
        """Which sessions have one of these rows."""
        return np.bincount(self.session[which], minlength=self.count) > 0


class SessionAggregation(Operator):
    """See the module and `operator.Operator`. `session`: which key of `grouping` is the session, a struct of times."""

    def __init__(
        self,
        buffer: AggregationBuffer,
        grouping: Grouping,
        session: int,
        mode: OutputMode,
        folder: Place,
        tools: OperatorTools,
    ) -> None:
        self._buffer = buffer
        self._column = grouping.columns[session]
        self._others = [name for name in grouping.columns if name != self._column]
        self._span = _unaliased(grouping.expressions[session])
        self._mode = mode
        self._tools = tools
        # Complete mode keeps every session, but late rows do not come in: not so with other windows, in Spark either.
        self._drops = grouping.event_key is not None
        self._evicts = self._drops and mode is OutputMode.APPEND
        self._store = tools.store(folder / "default", buffer.schema, unique=False)
        late_inputs = [0] if self._drops else []
        super().__init__(self._store, ends=mode is not OutputMode.COMPLETE, late_inputs=late_inputs)

    def run(self, inputs: Sequence[pb.Relation], batch: BatchContext) -> tuple[pb.Relation, OperatorProgress]:
        progress = OperatorProgress("sessionWindowStateStoreSaveExec")
        evict_us = batch.evict_us if self._evicts else BEGINNING
        with progress.timed("updates_ms"):
            rows = self._with_span(inputs[0])
            fresh = self._on_time(self._buffer.collect(rows, self._tools, batch.time), batch, progress)
            if progress.dropped and batch.late_rows is not None:
                span = build.alias(self._span, self._column)
                batch.late_rows.append(LateRows(0, build.project(rows, [span, build.star()]), is_window=True))
            pieces = self._beside_state(fresh, batch.version)
            starts, ends = pieces.spans()
            touched, closed = pieces.any(~pieces.old), ends <= evict_us
            merged = self._one_row_each(pieces) if self._buffer.one_row else self._stretched(pieces)
        with progress.timed("removals_ms"):
            gone = self._leaving(evict_us, pieces.keys, progress)
            session = np.arange(pieces.count) if self._buffer.one_row else pieces.session
            out = self._emitted(gone, merged.filter(pa.array(closed[session])), batch)
        old_sessions = _sessions_in(pieces.keys.take(pieces.old), pieces.start[pieces.old])
        kept_start = pieces.any(pieces.old & (pieces.start == starts[pieces.session]))
        leaving = int(np.count_nonzero(closed)) + progress.removed
        progress.updated = pieces.count  # Spark writes all sessions of a key that was touched
        progress.removed = old_sessions - int(np.count_nonzero(kept_start)) + leaving
        progress.total = self._store.rows + pieces.count - old_sessions - leaving
        with progress.timed("commit_ms"):
            changes = self._changes(pieces, merged, ends, touched & ~closed)
            self._store.write(batch.version, changes, rows=progress.total, floor=max(evict_us, self._store.floor))
        if out is None:
            out = self._buffer.finalize(self._store.alive(), self._tools, batch.time)
        return out, progress

    def _leaving(self, evict_us: int, but: KeyHash, progress: OperatorProgress) -> Iterator[pa.Table]:
        """The sessions of keys that the batch does not touch, if they leave; counted in `progress` as they are read."""
        for part in self._store.leaving(evict_us, but=but):
            progress.removed += _sessions_in(part.keys, _micros(part.column(self._column), 0))
            yield from part.blocks()

    def _emitted(self, gone: Iterator[pa.Table], closed: pa.Table, batch: BatchContext) -> pb.Relation | None:
        """The result for the sessions that come out. None in complete mode: not known before the write."""
        if self._mode is OutputMode.COMPLETE:
            return None
        return self._buffer.finalize(chain(gone, [closed]), self._tools, batch.time)

    def _with_span(self, relation: pb.Relation) -> pb.Relation:
        """The new rows, without those that have no time or no gap."""
        start, end = build.field_of(self._span, "start"), build.field_of(self._span, "end")
        return build.where(relation, build.call(">", end, start))

    def _on_time(self, table: pa.Table, batch: BatchContext, progress: OperatorProgress) -> pa.Table:
        if not self._drops:
            return table
        span = table.column(self._column)
        behind = late(_micros(span, 1), batch.late_us)
        dropped = table.filter(pa.array(behind))
        keys = hash_keys(dropped.select([*self._others, self._column]).columns, dropped.num_rows)
        progress.dropped = distinct(keys)
        return table.filter(pa.array(~behind))

    def _beside_state(self, fresh: pa.Table, version: int) -> _SessionRows:
        """The new rows and all that state has of their keys, cut into sessions."""
        hashed = hash_keys(fresh.select(self._others).columns, fresh.num_rows)
        known = self._store.find(unique(hashed))
        table = pa.concat_tables([known.table, fresh])
        keys = KeyHash(np.concatenate([known.keys.high, hashed.high]), np.concatenate([known.keys.low, hashed.low]))
        seq = np.concatenate([known.seq, numbers(version, fresh.num_rows)])
        old = np.arange(table.num_rows) < len(known)
        start, end = (_micros(table.column(self._column), i) for i in (0, 1))
        order = np.lexsort((seq, start, keys.low, keys.high))
        keys, start, end = keys.take(order), start[order], end[order]
        return _SessionRows(
            table.take(pa.array(order)), keys, seq[order], start, end, _number_sessions(keys, start, end), old[order]
        )

    def _one_row_each(self, pieces: _SessionRows) -> pa.Table:
        """One row per session: its pieces' partial numbers merged, two neighbours at a time until one is left."""
        buffer = self._buffer
        assert isinstance(buffer, Partials)
        table, session = pieces.table, pieces.session
        while len(session) > pieces.count:
            place = np.arange(len(session)) - np.searchsorted(session, session)
            left = np.flatnonzero(place % 2 == 0)
            right = np.flatnonzero(place % 2 == 1)
            paired = np.isin(left + 1, right)
            both = buffer.combine(table.take(pa.array(left[paired])), table.take(pa.array(right)), _all(len(right)))
            alone = table.take(pa.array(left[~paired]))
            back = np.argsort(np.concatenate([np.flatnonzero(paired), np.flatnonzero(~paired)]))
            table = pa.concat_tables([both, alone]).take(pa.array(back))
            session = session[left]
        return self._with_spans(table, *pieces.spans())

    def _stretched(self, pieces: _SessionRows) -> pa.Table:
        """The rows with the span of the session that they belong to now."""
        starts, ends = pieces.spans()
        return self._with_spans(pieces.table, starts[pieces.session], ends[pieces.session])

    def _with_spans(self, table: pa.Table, start: Times, end: Times) -> pa.Table:
        kind = table.schema.field(self._column).type
        fields = [pa.array(values, pa.int64()).cast(kind.field(i).type) for i, values in enumerate((start, end))]
        span = pa.StructArray.from_arrays(fields, fields=list(kind))
        return table.set_column(table.schema.get_field_index(self._column), table.schema.field(self._column), span)

    def _changes(self, pieces: _SessionRows, merged: pa.Table, ends: Times, sessions: Mask) -> Changes:
        """What to write for these sessions: their new rows, and that the old ones are gone."""
        if not self._buffer.one_row:
            rows = np.flatnonzero(sessions[pieces.session])
            table = merged.take(pa.array(rows))
            return Changes(pieces.keys.take(rows), pieces.seq[rows], ends[pieces.session[rows]], table)
        put = np.flatnonzero(sessions)
        last = np.searchsorted(pieces.session, put, "right") - 1
        newest = np.maximum.reduceat(pieces.seq, pieces.firsts)[put] if len(put) else last
        gone = np.flatnonzero(pieces.old & sessions[pieces.session])
        gone = gone[~np.isin(pieces.seq[gone], newest)]
        keys = pieces.keys
        return Changes(
            KeyHash(
                np.concatenate([keys.high[last], keys.high[gone]]), np.concatenate([keys.low[last], keys.low[gone]])
            ),
            np.concatenate([newest, pieces.seq[gone]]),
            np.concatenate([ends[put], pieces.end[gone]]),
            pa.concat_tables([merged.take(pa.array(put)), pieces.table.take(pa.array(gone))]),
            np.arange(len(put) + len(gone)) >= len(put),
        )


def session_aggregation(
    aggregate: pb.Aggregate, marks: Delays, mode: OutputMode, folder: Place, tools: OperatorTools
) -> SessionAggregation:
    """The operator for an aggregate with a session window, over leaves that can be analysed.

    Raises IllegalArgumentError for a gap in months, AnalysisError if the session is the only key or the gap no text,
    UnsupportedOperationError for a gap that is a column of text.
    """
    if len(aggregate.grouping_expressions) == 1:
        raise AnalysisError(
            "Global aggregation with session window in streaming query is not supported.",
            condition="_LEGACY_ERROR_TEMP_3068",
        )
    place = next(i for i, e in enumerate(aggregate.grouping_expressions) if is_session_window(e))
    plain = pb.Aggregate()
    plain.CopyFrom(aggregate)
    written = _unaliased(aggregate.grouping_expressions[place]).unresolved_function.arguments[1]
    if pa.types.is_duration(tools.session.schema(build.project(aggregate.input, [written])).types[0]):
        raise AnalysisError(
            "Gap duration expression used in session window must be CalendarIntervalType, but got DayTimeIntervalType. "
            "Write it as text: '5 minutes'.",
            condition="_LEGACY_ERROR_TEMP_1040",
        )
    gap = _gap(written)
    if pa.types.is_string(tools.session.schema(build.project(aggregate.input, [gap])).types[0]):
        raise UnsupportedOperationError(
            f"riacho does not read the gap of a session from text in a column ({column_name(gap)}). Choose among "
            "constants instead, such as when(col == value, '5 minutes').otherwise('1 minute')."
        )
    plain.grouping_expressions[place].CopyFrom(session_of_row(aggregate.grouping_expressions[place], gap))
    output = output_of(plain, tools)
    grouping = grouping_of(plain, output, marks)
    return SessionAggregation(buffer_for(plain, grouping, output, tools), grouping, place, mode, folder, tools)


def _gap(expression: build.Expression) -> build.Expression:
    """The gap with the intervals in it, which are written as text, made intervals."""
    gap = pb.Filter(condition=structured(expression))
    for node in expressions(gap):
        if node.HasField("literal") and node.literal.HasField("string"):
            micros = _constant_us(node.literal.string)
            if micros is not None:
                node.literal.day_time_interval = micros
        elif node.HasField("expression_string"):
            sql = node.expression_string.expression
            strings = [(token, _constant_us(token.text[1:-1])) for token in tokenize(sql) if token.kind == "string"]
            edits = [Edit(t.start, t.end, f"INTERVAL '{us / 1e6}' SECOND") for t, us in strings if us is not None]
            node.expression_string.expression = splice(sql, edits)
    return gap.condition


def _constant_us(text: str) -> int | None:
    """The microseconds of an interval; None for any other text, such as one that a condition compares with."""
    try:
        months, micros = interval_us(text)
    except ParseError:
        return None
    if months:
        raise IllegalArgumentError(f"Intervals greater than a month is not supported ({text}).")
    return micros


def _number_sessions(keys: KeyHash, start: Times, end: Times) -> Times:
    """The session of each row. Rows are sorted by key and start; a session begins behind all ends so far of its key."""
    if not len(start):
        return start
    new_key = np.ones(len(start), dtype=np.bool_)
    new_key[1:] = (keys.high[1:] != keys.high[:-1]) | (keys.low[1:] != keys.low[:-1])
    # As ranks, times of one key can be lifted above those of the key before, so that one running maximum serves all.
    _, ranks = np.unique(np.concatenate([start, end]), return_inverse=True)
    lift = (np.cumsum(new_key) - 1) * (2 * len(start))
    starts, ends = ranks[: len(start)] + lift, ranks[len(start) :] + lift
    furthest = np.maximum.accumulate(ends)
    begins = new_key.copy()
    begins[1:] |= starts[1:] > furthest[:-1]
    return np.asarray(np.cumsum(begins) - 1, dtype=np.int64)


def _sessions_in(keys: KeyHash, start: Times) -> int:
    """How many sessions rows of state belong to: all rows of a session have its start."""
    return len(np.unique(np.stack([keys.high, keys.low, start.view(np.uint64)]), axis=1).T) if len(start) else 0


def _all(rows: int) -> Mask:
    return np.ones(rows, dtype=np.bool_)


def _micros(span: pa.ChunkedArray, field: int) -> Times:
    values: Times = pc.struct_field(span.combine_chunks(), field).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return values.astype(np.int64)


def _unaliased(expression: build.Expression) -> build.Expression:
    return expression.alias.expr if expression.HasField("alias") else expression
