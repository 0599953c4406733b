"""Streaming aggregation: `groupBy(window, keys).agg(...)` kept up to date batch by batch.

The aggregate of the plan is split in two. In a batch the engine groups the new rows ("partial"); what comes out, one
row per group touched, is merged with those groups' state; and a projection over the merged rows gives the columns
that the whole aggregate would have ("final"):

    new rows ──engine: group──► groups touched ──merge with state──► groups now ──engine: project──► result

What is kept per group is either partial numbers (see `partials`), or, if some function cannot be taken apart, the
rows of the group; the final step then is the aggregate itself, over the rows of the groups that come out.

Which groups come out, and when (Spark: `StateStoreSaveExec`):

    append     groups whose event time is at or before the eviction watermark, once, and they leave the state
    update     groups touched in this batch; those behind the watermark leave the state silently
    complete   all groups, always; nothing is dropped and nothing leaves
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import pyarrow as pa

from riacho import types
from riacho.identifiers import last_part
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.build import Expression
from riacho.server.plan.event_time import Delays
from riacho.server.plan.mentions import counts_rows, mentioned
from riacho.server.plan.rules.batch_time import BatchTime
from riacho.server.plan.walk import expression_paths
from riacho.server.state.hashing import KeyHash, distinct, hash_keys, unique
from riacho.server.state.run import Mask
from riacho.server.state.run import Rows as Times
from riacho.server.state.store import BEGINNING, Changes, StateStore
from riacho.server.streaming.operators.calls import Calls, copied, one_array, output_of, take_apart
from riacho.server.streaming.operators.grouping import Grouping, grouping_of
from riacho.server.streaming.operators.late import LateRows
from riacho.server.streaming.operators.operator import (
    BatchContext,
    Operator,
    OperatorProgress,
    OperatorTools,
    event_times,
    late,
    never,
    numbers,
)
from riacho.server.streaming.operators.panes import panes_of
from riacho.server.streaming.sinks.base import OutputMode
from riacho.storage import Place


@dataclass(frozen=True)
class Rows:
    """Rows of state or for it: their columns, the hash of each one's group, and the group's event time."""

    table: pa.Table
    keys: KeyHash
    time: Times

    def filter(self, keep: Mask) -> Rows:
        return Rows(self.table.filter(pa.array(keep)), self.keys.take(keep), self.time[keep])


class AggregationBuffer(Protocol):
    """What an aggregation keeps of each group, and how its result is computed from that."""

    schema: pa.Schema
    """The columns in state, the key's first."""
    one_row: bool
    """Whether a group is one row."""

    def collect(self, relation: pb.Relation, tools: OperatorTools, time: BatchTime) -> pa.Table:
        """The rows of a batch in the form in which they are kept."""

    def merge(self, fresh: Rows, store: StateStore) -> tuple[Rows, int]:
        """What to put in the store for a batch's rows, and how many of their groups it knew before."""

    def rest(self, keys: KeyHash, store: StateStore) -> Iterator[pa.Table]:
        """What the store has of these groups besides what `merge` gave, in parts."""

    def finalize(self, kept: Iterable[pa.Table], tools: OperatorTools, time: BatchTime) -> pb.Relation:
        """The aggregation's result for the groups in `kept`, which come in parts and are read at once."""


class Partials:
    """Keep a few numbers per group: `calls.partials`."""

    one_row = True

    def __init__(
        self, aggregate: pb.Aggregate, grouping: Grouping, calls: Calls, output: pa.Schema, tools: OperatorTools
    ) -> None:
        self._grouping = grouping
        self._calls = calls
        self._output = output
        self._panes = panes_of(grouping) if calls.any_order else None
        collected = grouping.schema(aggregate.input, self._partial, tools)
        self.schema = types.nullable(calls.updated(collected.empty_table()).schema)

    def _partial(self, relation: pb.Relation, keys: Sequence[Expression]) -> pb.Relation:
        return build.group(relation, keys, self._calls.aliased)

    def collect(self, relation: pb.Relation, tools: OperatorTools, time: BatchTime) -> pa.Table:
        grouping = self._grouping if self._panes is None else self._panes.grouping
        rows = self._calls.updated(grouping.collect(relation, self._partial, tools, time)).cast(self.schema)
        return rows if self._panes is None else self._panes.in_windows(rows, self._calls.merged)

    def merge(self, fresh: Rows, store: StateStore) -> tuple[Rows, int]:
        found = store.find(fresh.keys, self._calls.columns)
        if not len(found):
            return fresh, 0
        known = np.zeros(len(fresh.keys), dtype=np.bool_)
        known[found.probe] = True
        place = np.zeros(len(known), dtype=np.int64)
        place[found.probe] = np.arange(len(found))
        state = found.table.take(pa.array(place, mask=~known))
        return Rows(self.combine(state, fresh.table, known, keys_of=fresh.table), fresh.keys, fresh.time), len(found)

    def combine(self, state: pa.Table, batch: pa.Table, known: Mask, *, keys_of: pa.Table | None = None) -> pa.Table:
        """Aligned rows merged into one each; where `known` is false only one of the two sides has a row."""
        keys = (state if keys_of is None else keys_of).select(self._grouping.columns).columns
        old, new = ([one_array(side.column(name)) for name in self._calls.columns] for side in (state, batch))
        return pa.Table.from_arrays([*keys, *self._calls.merged(old, new, known)], schema=self.schema)

    def rest(self, keys: KeyHash, store: StateStore) -> Iterator[pa.Table]:  # noqa: ARG002
        return iter(())

    def finalize(self, kept: Iterable[pa.Table], tools: OperatorTools, time: BatchTime) -> pb.Relation:  # noqa: ARG002
        return _results(kept, self.schema, self._grouping, self._calls, self._output, tools)


class WholeRows:
    """Keep the rows of each group, as far as the aggregates need their columns, and aggregate them when asked."""

    one_row = False

    def __init__(
        self, aggregate: pb.Aggregate, grouping: Grouping, calls: Calls, output: pa.Schema, tools: OperatorTools
    ) -> None:
        self._grouping = grouping
        self._calls = calls
        self._output = output
        names = [name.lower() for name in tools.session.schema(aggregate.input).names]
        self._aggregates = [_over_rows(expression, names) for expression in calls.aliased]
        used = mentioned(self._aggregates).perhaps
        self._columns = [build.col(name) for name in sorted(set(names)) if name in used]
        self.schema = types.nullable(grouping.schema(aggregate.input, self._projected, tools))

    def _projected(self, relation: pb.Relation, keys: Sequence[Expression]) -> pb.Relation:
        return build.project(relation, [*keys, *self._columns])

    def collect(self, relation: pb.Relation, tools: OperatorTools, time: BatchTime) -> pa.Table:
        return self._grouping.collect(relation, self._projected, tools, time).cast(self.schema)

    def merge(self, fresh: Rows, store: StateStore) -> tuple[Rows, int]:
        return fresh, distinct(store.find(unique(fresh.keys), []).keys)

    def rest(self, keys: KeyHash, store: StateStore) -> Iterator[pa.Table]:
        return store.find(unique(keys)).blocks()

    def finalize(self, kept: Iterable[pa.Table], tools: OperatorTools, time: BatchTime) -> pb.Relation:
        keys = [build.alias(build.col(name), name) for name in self._grouping.columns]
        # In one piece the rows stay in the order in which they came, which `first` and `collect_list` show.
        rows = pa.concat_tables([self.schema.empty_table(), *kept]).combine_chunks()
        table = self._calls.updated(tools.collect(build.group(tools.read(rows), keys, self._aggregates), time))
        return _results([table], table.schema, self._grouping, self._calls, self._output, tools)


def _results(
    parts: Iterable[pa.Table],
    kept: pa.Schema,
    grouping: Grouping,
    calls: Calls,
    output: pa.Schema,
    tools: OperatorTools,
) -> pb.Relation:
    """The aggregation's columns, for groups with their keys and partials. `kept`: the schema of `parts`."""
    keys = grouping.renamed(output)
    fields = list(output)[len(keys) :]
    results = []
    for expression, field in zip(calls.results, fields, strict=True):
        results.append(build.alias(build.cast(expression, field.type), field.name))
    finalized = calls.finalized(kept.empty_table()).schema
    return build.project(tools.read_parts(map(calls.finalized, parts), finalized), [*keys, *results])


class Aggregation(Operator):
    """See the module and `operator.Operator`."""

    def __init__(
        self, buffer: AggregationBuffer, grouping: Grouping, mode: OutputMode, folder: Place, tools: OperatorTools
    ) -> None:
        self._buffer = buffer
        self._grouping = grouping
        self._mode = mode
        self._tools = tools
        self._store = tools.store(folder / "default", buffer.schema, unique=buffer.one_row)
        self._evicts = mode is not OutputMode.COMPLETE and grouping.event_key is not None
        late_inputs = [0] if self._evicts else []
        super().__init__(self._store, ends=mode is not OutputMode.COMPLETE, late_inputs=late_inputs)

    def run(self, inputs: Sequence[pb.Relation], batch: BatchContext) -> tuple[pb.Relation, OperatorProgress]:
        progress = OperatorProgress("stateStoreSave")
        evict_us = batch.evict_us if self._evicts else BEGINNING
        with progress.timed("updates_ms"):
            fresh = self._on_time(self._collect(inputs[0], batch.time), batch, progress)
            if progress.dropped and batch.late_rows is not None:
                batch.late_rows.append(self._late(inputs[0]))
            merged, known = self._buffer.merge(fresh, self._store)
            touched = self._count(merged.keys)
        with progress.timed("removals_ms"):
            closed = merged.filter(merged.time <= evict_us)
            progress.removed = self._count(closed.keys)
            gone = self._leaving(evict_us, merged.keys, progress)
            out = self._emitted(merged, closed, gone, batch)
        progress.updated = touched
        progress.total = self._store.rows + touched - known - progress.removed
        with progress.timed("commit_ms"):
            changes = _changes(merged.filter(merged.time > evict_us), batch.version, one_row=self._buffer.one_row)
            self._store.write(batch.version, changes, rows=progress.total, floor=max(evict_us, self._store.floor))
        return self.everything(batch.time) if out is None else out, progress

    def everything(self, time: BatchTime) -> pb.Relation:
        """The result for all groups that are kept."""
        return self._buffer.finalize(self._store.alive(), self._tools, time)

    def _collect(self, relation: pb.Relation, time_of_batch: BatchTime) -> Rows:
        table = self._buffer.collect(relation, self._tools, time_of_batch)
        keys = hash_keys(table.select(self._grouping.columns).columns, table.num_rows)
        event_key = self._grouping.event_key
        time = never(table.num_rows) if event_key is None else event_times(table.column(f"_key{event_key}"))
        return Rows(table, keys, time)

    def _on_time(self, rows: Rows, batch: BatchContext, progress: OperatorProgress) -> Rows:
        """Without the rows of late groups; each such group counts once, as Spark sees them grouped already."""
        if not self._evicts:
            return rows
        behind = late(rows.time, batch.late_us)
        progress.dropped = self._count(rows.keys.take(behind))
        return rows.filter(~behind) if progress.dropped else rows

    def _late(self, relation: pb.Relation) -> LateRows:
        """The rows behind groups that were dropped: what was collected are their groups."""
        assert self._grouping.event_key is not None
        rows = build.project(relation, [self._grouping.event_time, build.star()])
        return LateRows(0, rows, is_window=pa.types.is_struct(self._grouping.kinds[self._grouping.event_key]))

    def _leaving(self, evict_us: int, but: KeyHash, progress: OperatorProgress) -> Iterator[pa.Table]:
        """The groups that the batch does not touch and that leave the state, counted in `progress` as they are read."""
        columns = self._buffer.schema.names if self._mode is OutputMode.APPEND else []
        for part in self._store.leaving(evict_us, columns, but=but):
            progress.removed += self._count(part.keys)
            yield from part.blocks()

    def _emitted(self, merged: Rows, closed: Rows, gone: Iterator[pa.Table], batch: BatchContext) -> pb.Relation | None:
        """The result for the groups that come out, older rows first. None in complete mode: not known before the write.

        What leaves is read here, before the write.
        """
        if self._mode is OutputMode.COMPLETE:
            return None
        if self._mode is OutputMode.APPEND:
            kept = chain(gone, self._buffer.rest(closed.keys, self._store), [closed.table])
        else:
            deque(gone, maxlen=0)
            kept = chain(self._buffer.rest(merged.keys, self._store), [merged.table])
        return self._buffer.finalize(kept, self._tools, batch.time)

    def _count(self, keys: KeyHash) -> int:
        """How many groups."""
        return len(keys) if self._buffer.one_row else distinct(keys)


def aggregation(
    aggregate: pb.Aggregate, marks: Delays, mode: OutputMode, folder: Place, tools: OperatorTools
) -> Aggregation:
    """The operator for an aggregate over leaves that can be analysed. `marks`: those of the aggregate's output.

    Raises as `grouping_of`, and what the engine says of the aggregate.
    """
    output = output_of(aggregate, tools)
    grouping = grouping_of(aggregate, output, marks)
    buffer = buffer_for(aggregate, grouping, output, tools, once=mode is OutputMode.APPEND)
    return Aggregation(buffer, grouping, mode, folder, tools)


def buffer_for(
    aggregate: pb.Aggregate, grouping: Grouping, output: pa.Schema, tools: OperatorTools, *, once: bool = False
) -> AggregationBuffer:
    """What to keep for an aggregate: partial numbers if all its functions can be taken apart, else whole rows.

    `once`: a group comes out only when it is complete. Rows are then better than lists, which each batch would rewrite.
    """
    calls = take_apart(aggregate, grouping, tools)
    grows = any(partial.grows for partial in calls.partials)
    buffer = Partials if calls.merge and not (once and grows) else WholeRows
    return buffer(aggregate, grouping, calls, output, tools)


def _changes(rows: Rows, version: int, *, one_row: bool) -> Changes:
    count = len(rows.keys)
    seq = np.zeros(count, dtype=np.int64) if one_row else numbers(version, count)
    return Changes(rows.keys, seq, rows.time, rows.table)


def _over_rows(expression: Expression, names: Sequence[str]) -> Expression:
    """A copy for the rows kept: they have no DataFrame that a column could belong to, and more columns than `names`."""
    copy = copied(expression)
    for node in reversed([copy, *(found for _, found in expression_paths(copy))]):  # inner ones first
        if node.HasField("unresolved_attribute"):
            node.CopyFrom(build.col(last_part(node.unresolved_attribute.unparsed_identifier)))
        elif node.HasField("unresolved_function") and not counts_rows(node):
            _name_columns(node.unresolved_function, names)
    return copy


def _name_columns(function: Expression.UnresolvedFunction, names: Sequence[str]) -> None:
    """Put columns in place of a star among a function's arguments: `struct(*)`."""
    arguments = [copied(argument) for argument in function.arguments]
    del function.arguments[:]
    for argument in arguments:
        function.arguments.extend(map(build.col, names) if argument.HasField("unresolved_star") else [argument])
