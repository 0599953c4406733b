"""The loop of one query run: plan a batch, log it, run it, commit it.

Everything here happens on the query's own thread. Source: `MicroBatchExecution` of Spark; the steps and what a crash
between them means are described in `batch.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from riacho.clock import Clock
from riacho.conf import IDLE_PROGRESS_INTERVAL, NO_DATA_BATCHES, POLLING_DELAY
from riacho.errors import EngineLost, SparkGeneralError
from riacho.ids import BatchId, Offset, QueryId, RunId
from riacho.protos import pb
from riacho.server.engine.base import Spool
from riacho.server.streaming import confs, progress
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.checkpoint import BatchLog, Checkpoint, batches_to_retain, recover
from riacho.server.streaming.definition import QueryDefinition, SourceUse
from riacho.server.streaming.execution import BatchInput, BatchOutput, Execution
from riacho.server.streaming.observed import named
from riacho.server.streaming.parts import SpooledSource
from riacho.server.streaming.progress import Durations, Progress, SourceProgress
from riacho.server.streaming.quality import CountsRows, counted
from riacho.server.streaming.query_status import WAITING, Listener, QueryStatus, StatusMessage
from riacho.server.streaming.sinks.base import SinkBatch, SinkWriter
from riacho.server.streaming.sources.base import (
    KnowsBatch,
    ReadLimit,
    SourceData,
    SourceReader,
    TellsNews,
    TellsOthers,
    batch_schema,
)
from riacho.server.streaming.trigger import AvailableNow, Once, OnNews, ProcessingTime
from riacho.server.streaming.watermark import WatermarkPolicy, WatermarkTracker

ENGINE_ATTEMPTS = 4

UNHEARD_MS = 100
"""Between looks for what sources that tell news do not hear of: what other processes commit."""


@dataclass(frozen=True)
class RunContext:
    """All that a run works with, opened by the query that owns it."""

    query_id: QueryId
    run_id: RunId
    definition: QueryDefinition
    checkpoint: Checkpoint
    readers: Sequence[SourceReader]
    writer: SinkWriter
    execution: Execution
    spool: Spool
    clock: Clock
    status: QueryStatus
    listener: Listener
    after: Callable[[BatchStep, BatchId], None]


@dataclass(frozen=True)
class _PlannedBatch:
    """A batch that is due: what is logged of it, where each source starts, the watermark that drops late rows."""

    batch_id: BatchId
    start: Sequence[Offset | None]
    log: BatchLog
    late_ms: int

    @property
    def has_data(self) -> bool:
        return any(end != start for start, end in zip(self.start, self.log.offsets, strict=True))


@dataclass(frozen=True)
class BatchParts:
    """A batch's rows: of the only source part by part, or of several sources together."""

    sources: Sequence[SpooledSource]

    def __iter__(self) -> Iterator[Sequence[pb.Relation]]:
        return zip(*self.sources, strict=True)


class MicroBatchRun:
    """See the module. Raises what fails the query; `Stopped` when somebody asked it to stop."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._status = context.status
        self._clock = context.clock
        self._trigger = context.definition.trigger
        self._places = context.definition.places
        recovery = recover(context.checkpoint, len(self._places))
        self._conf = confs.after_restart(context.definition.conf, recovery.conf)
        self._retain = batches_to_retain(self._conf)
        self._polling_delay_ms = max(POLLING_DELAY.of(self._conf), 0)
        hears_all = all(isinstance(reader, TellsNews) and reader.tells_news for reader in context.readers)
        self._unheard_ms = max(self._polling_delay_ms, UNHEARD_MS) if hears_all else self._polling_delay_ms
        self._idle_interval_ms = IDLE_PROGRESS_INTERVAL.of(self._conf)
        policy = WatermarkPolicy.of(self._conf)
        self._tracker = WatermarkTracker(context.execution.watermark_delays_ms, policy, recovery.watermark_ms)
        self._next = recovery.batch_id
        self._starts = self._per_source(recovery.start)
        self._late_ms = recovery.late_ms
        self._pending = recovery.pending
        self._in_parts = context.execution.row_by_row and context.writer.takes_parts and len(context.readers) == 1
        self._frozen = False
        self._ran_before = False
        self._last_trigger_ms: int | None = None
        self._last_report_ms: int | None = None
        self._status.committed = self._status.available = tuple(self._starts)
        context.execution.restore(self._next)

    def loop(self) -> None:
        """Trigger after trigger, until the trigger says it was the last."""
        while True:
            started_ms = self._clock.now_ms()
            ran = self._run_trigger(started_ms)
            match self._trigger:
                case ProcessingTime(interval_ms=0):
                    if ran:
                        self._status.check_stop()
                    else:
                        self._wait_for_data(self._polling_delay_ms)
                case OnNews():
                    if not ran:
                        self._wait_for_data(self._unheard_ms)
                    elif self._trigger.least_ms:
                        due_ms = started_ms + self._trigger.least_ms
                        self._wait(max(due_ms - self._clock.now_ms(), 0), "Waiting for next trigger")
                    else:
                        self._status.check_stop()
                case ProcessingTime():
                    due_ms = self._trigger.next_start_ms(started_ms)
                    self._wait(max(due_ms - self._clock.now_ms(), 0), "Waiting for next trigger")
                case AvailableNow():
                    if not ran:
                        return
                    self._status.check_stop()
                case Once():
                    return

    def _run_trigger(self, started_ms: int) -> bool:
        """One trigger; whether a batch ran."""
        durations = Durations(self._clock)
        entry = None
        interval_ms = math.inf if self._last_trigger_ms is None else started_ms - self._last_trigger_ms
        self._last_trigger_ms = started_ms
        with durations.timed("triggerExecution"):
            batch = self._due(durations)
            if batch is not None:
                entry = self._execute(batch, started_ms, interval_ms, durations)
        if entry is None:
            self._report_idle(started_ms, durations)
            return False
        self._report(replace(entry, durations_ms=durations.as_ms()))
        return True

    def _due(self, durations: Durations) -> _PlannedBatch | None:
        """The next batch, logged; None if there is nothing to do. One that was cut off goes first, as it was logged."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            logged = replace(pending, offsets=self._per_source(pending.offsets))
            return _PlannedBatch(self._next, tuple(self._starts), logged, self._late_ms)
        self._freeze_if_available_now()
        limit = ReadLimit(everything=isinstance(self._trigger, Once))
        ends = [
            self._end_of(reader, start, limit, durations)
            for reader, start in zip(self._context.readers, self._starts, strict=True)
        ]
        log = BatchLog(ends, self._tracker.value_ms, self._clock.now_ms(), confs.to_keep(self._conf))
        batch = _PlannedBatch(self._next, tuple(self._starts), log, self._late_ms)
        if not batch.has_data and not self._cleans_up(log.watermark_ms):
            return None
        self._context.after(BatchStep.PLANNED, batch.batch_id)
        self._log(batch, durations)
        self._context.after(BatchStep.LOGGED, batch.batch_id)
        return batch

    def _freeze_if_available_now(self) -> None:
        if isinstance(self._trigger, AvailableNow) and not self._frozen:
            for reader in self._context.readers:
                reader.prepare_available_now()
            self._frozen = True

    def _end_of(
        self, reader: SourceReader, start: Offset | None, limit: ReadLimit, durations: Durations
    ) -> Offset | None:
        self._status.check_stop()
        self._say(f"Getting offsets from {reader.description}")
        with durations.timed("latestOffset"):
            return reader.latest_offset(start, limit)

    def _per_source(self, per_place: Sequence[Offset | None]) -> list[Offset | None]:
        """The offset log has a line for each place where a source is read, so a source may stand there twice."""
        found = dict(zip(self._places, per_place, strict=True))
        return [found[index] for index in range(len(self._context.readers))]

    def _cleans_up(self, watermark_ms: int) -> bool:
        """Whether a batch without data is due. As in Spark, only this run's own last batch can ask for one."""
        if not self._ran_before or isinstance(self._trigger, Once):
            return False
        if not NO_DATA_BATCHES.of(self._conf):
            return False
        return self._context.execution.wants_no_data_batch(watermark_ms)

    def _log(self, batch: _PlannedBatch, durations: Durations) -> None:
        self._say("Writing offsets to log")
        with durations.timed("walCommit"):
            per_place = [batch.log.offsets[index] for index in self._places]
            self._context.checkpoint.log_batch(batch.batch_id, replace(batch.log, offsets=per_place))
            if batch.batch_id > 0:
                for reader, start in zip(self._context.readers, batch.start, strict=True):
                    if start is not None:
                        reader.commit(start)
            if batch.batch_id > self._retain:
                self._context.checkpoint.purge(BatchId(batch.batch_id - self._retain))

    def _execute(self, batch: _PlannedBatch, started_ms: int, interval_ms: float, durations: Durations) -> Progress:
        """Run a batch that was logged; what came of it, with the durations so far."""
        context = self._context
        self._status.available = tuple(batch.log.offsets)
        self._say("Processing new data" if batch.has_data else "No new data but cleaning up state", data=batch.has_data)
        with durations.timed("getBatch"):
            for reader in context.readers:
                if isinstance(reader, KnowsBatch):
                    reader.begin(batch.batch_id)
            read = [
                self._read(reader, use, start, end)
                for reader, use, start, end in zip(
                    context.readers, context.definition.sources, batch.start, batch.log.offsets, strict=True
                )
            ]
        context.after(BatchStep.READ, batch.batch_id)
        given = BatchInput(
            batch.batch_id, BatchParts(read), batch.late_ms, batch.log.watermark_ms, batch.log.timestamp_ms
        )
        output, rows = self._run_and_write(given, durations, self._source_text(batch))
        next_watermark_ms = self._tracker.advance(output.event_times)
        sources = [
            SourceProgress(
                reader.description,
                start,
                end,
                reader.latest() or end,
                spooled.rows,
                spooled.metrics,
                self._places.count(index),
            )
            for index, (reader, start, end, spooled) in enumerate(
                zip(context.readers, batch.start, batch.log.offsets, read, strict=True)
            )
        ]
        counts = isinstance(context.writer, CountsRows)
        found = context.writer.quality if isinstance(context.writer, CountsRows) else None
        quality = None if found is None else found.with_state(output.state)
        entry = replace(
            self._outcome(batch, output, started_ms, durations),
            sources=sources,
            output_rows=rows,
            interval_ms=interval_ms,
            expectations=[*(() if quality is None else quality.expectations), *counted(named(output.observed))],
            quality=quality,
            # What a sink that counts does not know cannot be held against what was read.
            shape=None if counts and quality is None else context.definition.shape,
        )
        if context.listener.on_batch is not None:
            context.listener.on_batch(entry)
        with durations.timed("commitOffsets"):
            context.checkpoint.log_commit(batch.batch_id, next_watermark_ms)
        context.execution.committed(batch.batch_id)
        for reader, end in zip(context.readers, batch.log.offsets, strict=True):
            if end is not None and isinstance(reader, TellsOthers):
                reader.committed(end)
        context.after(BatchStep.COMMITTED, batch.batch_id)
        context.spool.clear()
        self._ran_before = True
        self._starts = list(batch.log.offsets)
        self._status.committed = batch.log.offsets
        self._status.batches += 1
        self._late_ms = batch.log.watermark_ms
        self._next = BatchId(batch.batch_id + 1)
        return entry

    def _read(self, reader: SourceReader, use: SourceUse, start: Offset | None, end: Offset | None) -> SpooledSource:
        """Put a source's rows into the spool. One without news gives no rows, and the plan runs all the same."""
        self._status.check_stop()

        def read() -> SourceData:
            if end is None or end == start:
                return SourceData(batch_schema(use.source, with_metadata=use.with_metadata), iter(()))
            return reader.read(start, end)

        return SpooledSource(read, self._context.spool, in_parts=self._in_parts, check_stop=self._status.check_stop)

    def _source_text(self, batch: _PlannedBatch) -> str:
        """Which part of each source a batch is, as JSON."""
        places = zip(self._context.readers, batch.start, batch.log.offsets, strict=True)
        parts = [{"source": reader.description, "start": start, "end": end} for reader, start, end in places]
        return json.dumps(parts, ensure_ascii=False)

    def _run_and_write(self, given: BatchInput, durations: Durations, source: str) -> tuple[BatchOutput, int | None]:
        """Run the plan and let the sink commit; the whole again if the engine's process goes away meanwhile."""
        for attempt in range(1, ENGINE_ATTEMPTS + 1):
            self._status.check_stop()
            try:
                with durations.timed("queryPlanning"):
                    output = self._context.execution.run(given)
                self._context.after(BatchStep.RAN, given.batch_id)
                with durations.timed("addBatch"):
                    batch = SinkBatch(given.batch_id, output.relations, self._context.definition.schema, source)
                    rows = self._context.writer.add_batch(batch)
                self._context.after(BatchStep.WRITTEN, given.batch_id)
            except EngineLost:
                if attempt < ENGINE_ATTEMPTS:
                    self._context.execution.restore(given.batch_id)
                    continue
                raise SparkGeneralError(
                    f"The engine's process died {ENGINE_ATTEMPTS} times in a row while it ran batch {given.batch_id}. "
                    "The batch may need more memory than there is: give the source a limit such as maxFilesPerTrigger."
                ) from None
            return output, rows
        raise AssertionError("unreachable")

    def _outcome(self, batch: _PlannedBatch, output: BatchOutput, started_ms: int, durations: Durations) -> Progress:
        seen = [event_time for event_time in output.event_times if event_time is not None]
        return replace(
            self._entry(started_ms, durations),
            batch_id=batch.batch_id,
            watermark_ms=batch.log.watermark_ms if self._context.execution.watermark_delays_ms else None,
            event_time=seen[0] if seen else None,
            state=output.state,
            observed=output.observed,
        )

    def _report(self, entry: Progress) -> None:
        self._status.post(entry)
        self._last_report_ms = entry.timestamp_ms
        self._context.listener.on_progress(progress.progress_event(entry))

    def _report_idle(self, now_ms: int, durations: Durations) -> None:
        self._status.found_nothing()
        if self._last_report_ms is None:
            # The first look found nothing: that is worth an entry, but no event.
            self._last_report_ms = now_ms
            self._status.post(self._entry(now_ms, durations))
        elif now_ms - self._last_report_ms >= self._idle_interval_ms:
            self._last_report_ms = now_ms
            last = self._status.last or self._entry(now_ms, durations)
            self._status.post(last.idle(self._next, now_ms, durations.as_ms()))
            self._context.listener.on_idle(progress.idle_event(self._context.query_id, self._context.run_id, now_ms))

    def _entry(self, now_ms: int, durations: Durations) -> Progress:
        """A progress entry without a batch."""
        context = self._context
        return Progress(
            query_id=context.query_id,
            run_id=context.run_id,
            name=context.definition.name,
            timestamp_ms=now_ms,
            batch_id=self._next,
            durations_ms=durations.as_ms(),
            sources=[
                SourceProgress(reader.description, start, start, reader.latest())
                for reader, start in zip(context.readers, self._starts, strict=True)
            ],
            sink=context.writer.description,
        )

    def _say(self, message: str, *, data: bool = False) -> None:
        self._status.current = StatusMessage(message, is_data_available=data, is_trigger_active=True)

    def _wait_for_data(self, ms: float) -> None:
        self._status.current = StatusMessage(WAITING)
        self._status.sleep_until_woken(ms)

    def _wait(self, ms: float, message: str) -> None:
        self._status.current = StatusMessage(message)
        self._status.sleep(ms)
