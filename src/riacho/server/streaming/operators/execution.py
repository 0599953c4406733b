"""Run a plan with stateful operators, batch by batch.

The plan is cut at its sources, at each `withWatermark` and at each stateful operator. What lies between two cuts is a
`Fragment`, which the engine runs as it is; what stands at a cut is a `Cut`:

    Project                       fragment 0 ─── StatefulCut (aggregate)
      Aggregate window, count                      └─ fragment 1 ─── WatchCut (ts, 10 minutes)
        Project                                                       └─ fragment 2 ─── LeafCut 0
          WithWatermark ts
            Read (streaming)

A batch goes from the leaves up: each fragment becomes a batch relation once relations stand at its cuts. The relation
of fragment 0 is what the sink gets. Watermarks are values of the whole query, but an operator may hold them back for
those above it (an interval join does), so each operator is told the watermark that reaches it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from riacho.conf import BATCHES_TO_RETAIN, STATE_BOUND, STATE_BOUNDED, WATERMARK_FUTURE
from riacho.ids import BatchId
from riacho.protos import pb
from riacho.server.engine.base import Engine, EngineSession
from riacho.server.plan import build
from riacho.server.plan.restore_names import restore_names
from riacho.server.plan.rewrite import rewrite
from riacho.server.plan.rules.batch_time import BatchTime, fill_times
from riacho.server.plan.rules.metadata_columns import metadata_columns
from riacho.server.state.memory import SHARED, BlockPool, bound_bytes
from riacho.server.state.run import BLOCK_BYTES, NEVER
from riacho.server.streaming.checkpoint import Checkpoint, batches_to_retain
from riacho.server.streaming.execution import BatchInput, BatchOutput, EventTime
from riacho.server.streaming.observed import Observations
from riacho.server.streaming.operators.compiler import Compiler, Cut, Fragment, LeafCut, StatefulCut, WatchCut, put
from riacho.server.streaming.operators.late import DroppedRows, LateRows, LateTable, LateTarget
from riacho.server.streaming.operators.operator import (
    US_PER_MS,
    BatchContext,
    OperatorProgress,
    OperatorTools,
    event_times,
)
from riacho.server.streaming.planning import PlannedStream
from riacho.server.streaming.sinks.base import OutputMode
from riacho.server.streaming.sources.base import batch_schema
from riacho.server.streaming.watermark import delay_ms
from riacho.storage import Place

_CONFS = (BATCHES_TO_RETAIN, WATERMARK_FUTURE, STATE_BOUNDED, STATE_BOUND)


def prepare(
    planned: PlannedStream,
    mode: OutputMode,
    session: EngineSession,
    engine: Engine,
    checkpoint: Place,
    zone: str,
    late_target: LateTarget | None,
) -> StatefulExecution:
    """The execution of a plan that keeps state or has watermarks. Raises SparkError for what riacho does not run.

    `checkpoint`: the query's folder. `zone`: the session's time zone. `late_target`: where late rows go, if anywhere.
    """
    schemas = [batch_schema(use.source, with_metadata=use.with_metadata) for use in planned.sources]
    confs = session.get_confs({conf.key: conf.default or "" for conf in _CONFS})
    bound = bound_bytes(confs)
    spool = engine.spool("state", memory_limit=None if bound is None else BLOCK_BYTES, zone=zone)
    tools = OperatorTools(session, spool, batches_to_retain(confs), BlockPool() if bound is None else SHARED)
    plan = rewrite(planned.resolved, planned.context, (metadata_columns,))
    future = confs[WATERMARK_FUTURE.key]
    compiled = Compiler(plan, schemas, mode, checkpoint / "state", tools)
    late_table = None
    if late_target is not None:
        late_table = LateTable(late_target, Checkpoint(checkpoint).query_id(), compiled.late_inputs(), session)
    return StatefulExecution(
        compiled,
        tools,
        zone,
        max_future_ms=delay_ms(future) if future else None,
        bound_bytes=bound,
        late_table=late_table,
        observations=Observations(planned.context, session),
    )


class StatefulExecution:
    """See `streaming.execution.Execution`.

    `max_future_ms`: event times further ahead of a batch's time than this do not move a watermark; None for no bound.
    `bound_bytes`: how much of its state may be in memory; None for no bound.
    `late_table`: where late rows go; None if they are only counted. `observations`: what is watched besides.
    """

    def __init__(
        self,
        compiled: Compiler,
        tools: OperatorTools,
        zone: str = "UTC",
        *,
        max_future_ms: int | None = None,
        bound_bytes: int | None = None,
        late_table: LateTable | None = None,
        observations: Observations | None = None,
    ) -> None:
        if bound_bytes is not None:
            tools.pool.bind(self, bound_bytes)
        self._max_future_ms = max_future_ms
        self._late_table = late_table
        self._observations = observations
        self.row_by_row = False
        self.watermark_delays_ms: Sequence[int] = tuple(compiled.delays_ms)
        self._top = compiled.top
        self._used_ids = compiled.used_ids
        self._operators = compiled.operators
        self._tools = tools
        self._zone = zone
        self._last_evict_ms = 0

    def restore(self, batch_id: BatchId) -> None:
        for cut in self._operators:
            cut.operator.restore(batch_id)

    def run(self, batch: BatchInput) -> BatchOutput:
        self._tools.spool.clear()
        latest_ms = None if self._max_future_ms is None else batch.time_ms + self._max_future_ms
        drops: list[DroppedRows] | None = None if self._late_table is None else []
        time = BatchTime(batch.time_ms, self._zone)
        observed = self._observations.of(lambda: batch.leaves, time) if self._observations else {}
        work = _BatchExecution(batch, time, self._tools, self._used_ids, latest_ms, drops)
        relation = work.bind(self._top)
        if self._late_table is not None and drops:
            self._late_table.write(batch.batch_id, drops)
        self._last_evict_ms = batch.evict_ms
        return BatchOutput(
            [relation],
            [work.event_times.get(index) for index in range(len(self.watermark_delays_ms))],
            [work.progress[index].to_json() for index in sorted(work.progress)],
            observed,
        )

    def committed(self, batch_id: BatchId) -> None:
        for cut in self._operators:
            cut.operator.committed(batch_id + 1)

    def wants_no_data_batch(self, evict_ms: int) -> bool:
        return any(
            cut.operator.wants_batch(watermark_us(cut, evict_ms), watermark_us(cut, self._last_evict_ms))
            for cut in self._operators
        )

    def close(self) -> None:
        for cut in self._operators:
            cut.operator.close()
        self._tools.pool.release(self)
        self._tools.spool.close()


def watermark_us(operator: StatefulCut, watermark_ms: int) -> int:
    """The watermark that reaches an operator: the least that comes out of what is below, 0 if nothing has one."""
    reached: list[int] = []
    pending = list(operator.inputs)
    while pending:
        for _, cut in pending.pop().cuts:
            match cut:
                case WatchCut():
                    reached.append(watermark_ms * US_PER_MS)
                case StatefulCut():
                    reached.append(cut.operator.output_watermark_us(watermark_us(cut, watermark_ms)))
                case LeafCut():
                    pass
    return min(reached, default=0)


class _BatchExecution:
    """One batch on its way up the plan; what it notes on the way is kept by number of the cut.

    `drops`: gets the late rows; None if nobody wants them.
    """

    def __init__(
        self,
        batch: BatchInput,
        time: BatchTime,
        tools: OperatorTools,
        used_ids: frozenset[int],
        latest_ms: int | None,
        drops: list[DroppedRows] | None,
    ) -> None:
        self._latest_ms = latest_ms
        self._drops = drops
        self._batch = batch
        self._time = time
        self._tools = tools
        self._used_ids = used_ids
        self.event_times: dict[int, EventTime] = {}
        self.progress: dict[int, OperatorProgress] = {}

    def bind(self, fragment: Fragment) -> pb.Relation:
        """The fragment as a batch relation."""
        bound = pb.Relation()
        bound.CopyFrom(fragment.relation)
        fragment.times.fill(bound, self._time)
        for path, cut in fragment.cuts:
            put(bound, path, self._rows(cut))
        return bound

    def _rows(self, cut: Cut) -> pb.Relation:
        match cut:
            case LeafCut():
                return self._batch.leaves[cut.index]
            case WatchCut():
                return self._watch(cut)
            case StatefulCut():
                return self._operate(cut)

    def _watch(self, cut: WatchCut) -> pb.Relation:
        """Note the event times of a watermark's input. What cannot be read twice for nothing is computed once."""
        rows = self.bind(cut.input)
        if cut.input.is_bare:
            column = self._tools.collect(build.project(rows, [build.col(cut.column)]), self._time).column(0)
        else:
            table = self._tools.collect(rows, self._time)
            names = [name.lower() for name in table.schema.names]
            column = table.column(names.index(cut.column))
            rows = self._tools.stand_in(table, cut.apart)
        times = event_times(column)
        times = np.where(times == NEVER, 0, times) // US_PER_MS  # Spark counts a missing event time as 0
        if self._latest_ms is not None:
            times = times[times <= self._latest_ms]
        if len(times):
            self.event_times[cut.index] = EventTime(int(times.max()), int(times.min()), int(np.mean(times)), len(times))
        return rows if cut.apart is not None else restore_names(rows, cut.original, self._used_ids)

    def _operate(self, cut: StatefulCut) -> pb.Relation:
        inputs = [self.bind(fragment) for fragment in cut.inputs]
        late_rows: list[LateRows] | None = None if self._drops is None else []
        context = BatchContext(
            version=self._batch.batch_id + 1,
            late_us=watermark_us(cut, self._batch.late_ms),
            evict_us=watermark_us(cut, self._batch.evict_ms),
            time=self._time,
            late_rows=late_rows,
        )
        rows, progress = cut.operator.run(inputs, context)
        fill_times(rows, self._time)
        cut.operator.measure(progress)
        self.progress[cut.index] = progress
        if self._drops is not None and late_rows:
            self._drops += [DroppedRows(cut.index, progress.name, context.late_us, late) for late in late_rows]
        if cut.original.HasField("join"):
            return rows  # has its sides in it, with all their names
        if cut.operator.apart is not None:
            return rows
        return restore_names(rows, cut.original, self._used_ids)
