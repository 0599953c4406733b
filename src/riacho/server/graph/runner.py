"""Carry out the stages of a run, and tell what happens as it happens.

One thread, that of the caller, decides: it walks the stages, then hands flows to a pool and waits for what they report.
Each flow is run by one thread of the pool. Both meet in one queue and nowhere else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue

from riacho import storage
from riacho.clock import Clock
from riacho.conf import FLOW_RETRIES, INCREMENTAL_VIEWS
from riacho.errors import EngineLost, SparkError, SparkGeneralError
from riacho.server.catalog.base import Catalog
from riacho.server.graph import definition_events, events, stages
from riacho.server.graph.batch_events import StreamReports, view_done
from riacho.server.graph.cdc.snapshot_flow import SnapshotRun
from riacho.server.graph.dag import Dag
from riacho.server.graph.event_log import EventRecorder, Unrecorded
from riacho.server.graph.events import PipelineEvent
from riacho.server.graph.inputs import ChangeWatch, inputs_of
from riacho.server.graph.materialized import aligned
from riacho.server.graph.names import Identifier
from riacho.server.graph.ports import FlowSessions, PipelineSession, StreamStarter, TableWriter
from riacho.server.graph.pulse import FlowPulse, RefreshPace
from riacho.server.graph.resolve import Resolution
from riacho.server.graph.schedule import Schedule
from riacho.server.graph.settings import PipelineSettings, least_interval_ms
from riacho.server.graph.stages import FlowRun, RecomputeFlow, RunFlows, SnapshotFlow, Stage, StreamFlow
from riacho.server.graph.turns import ViewTurns
from riacho.server.streaming.quality import VIOLATED, BatchQuality, Checks, RowCounts

_log = logging.getLogger(__name__)

ABANDONED_S = 10.0
"""After how long a run whose events nobody reads may be taken for one whose client is gone."""
POLL_S = 0.5
"""How often a wait looks up to see whether the run was stopped."""


@dataclass(frozen=True)
class UpdateContext:
    """What a run works with."""

    catalog: Catalog
    writer: TableWriter
    streams: StreamStarter
    sessions: FlowSessions
    clock: Clock


@dataclass(frozen=True)
class _Ended:
    """A flow's attempt has ended, well if there is no `error`."""

    flow: Identifier
    error: SparkError | None


@dataclass(frozen=True)
class _Progressed:
    """A flow that keeps running has got somewhere."""

    flow: Identifier


class FlowStoppedError(SparkGeneralError):
    """A flow did not end by itself: it was stopped, as a rule with its run."""


class RunCanceledError(SparkGeneralError):
    """The run was stopped."""


@dataclass
class PipelineExecution:
    """One run of a pipeline. `stop` may be called from any thread; the rest belongs to whoever reads `events`."""

    resolution: Resolution
    session: PipelineSession
    tools: UpdateContext
    settings: PipelineSettings
    log: EventRecorder = field(default_factory=Unrecorded)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _reports: SimpleQueue[PipelineEvent | _Ended | _Progressed] = field(default_factory=SimpleQueue)
    _at_work: int = 0
    _at_work_changed: threading.Condition = field(default_factory=threading.Condition)
    _unread_since: float | None = None
    _turns: ViewTurns = field(default_factory=lambda: ViewTurns({}))

    def stop(self) -> None:
        """End the run: nothing more starts, streaming flows are stopped. Returns at once."""
        self._stopped.set()

    def wait_end(self, timeout_s: float) -> bool:
        """Wait until no flow is at work, once the run was stopped. Whether that came in time."""
        with self._at_work_changed:
            return self._at_work_changed.wait_for(lambda: not self._at_work, timeout_s)

    @property
    def is_abandoned(self) -> bool:
        """Whether it is over but for the news of it, or nobody has asked for news for a while: its client is gone."""
        if self._stopped.is_set() and not self._at_work:
            return True
        since = self._unread_since
        return since is not None and time.monotonic() - since > ABANDONED_S

    def events(self, planned: Iterable[Stage]) -> Iterator[PipelineEvent | None]:
        """Carry out the stages; what happens, as it happens, and None now and then while nothing does.

        Raises what makes the run fail: a stage's error at once, a flow's error when no flow runs any more.
        """
        with closing(self._carry_out(list(planned))) as happenings:
            for event in happenings:
                self._unread_since = time.monotonic()
                yield event
                self._unread_since = None

    def _carry_out(self, planned: Sequence[Stage]) -> Generator[PipelineEvent | None, None, None]:
        for run in (run for stage in planned if isinstance(stage, RunFlows) for run in stage.runs.values()):
            self._interval_ms(run)  # a wrong one is refused before anything is done
        for stage in planned:
            match stage:
                case RunFlows():
                    yield from self._run_flows(stage)
                case stages.PublishView():
                    yield from self._publish(stage)
                case _:
                    self._prepare(stage)
            if (done := definition_events.done(stage)) is not None:
                self._note(done)
        yield self._event(events.run_completed())

    def _prepare(self, stage: Stage) -> None:
        catalog = self.tools.catalog
        match stage:
            case stages.StartCheckpoint():
                stage.checkpoint.path.mkdir(parents=True, exist_ok=True)
            case stages.CreateEmptyTable():
                catalog.create_table(
                    stage.name,
                    stage.schema,
                    format=stage.format,
                    partition_by=stage.partition_by,
                    comment=stage.comment,
                    properties=stage.properties,
                )
            case stages.EmptyTable():
                catalog.truncate(stage.name)
            case stages.DropTable():
                catalog.drop_table(stage.name, if_exists=True)
            case stages.EvolveTable():
                catalog.evolve(stage.name, stage.schema, comment=stage.comment, properties=stage.properties)
            case _:
                raise ValueError(f"a run has no stage {type(stage).__name__}")

    def _publish(self, stage: stages.PublishView) -> Iterator[PipelineEvent]:
        """A view that cannot be published does not end the run."""
        try:
            self.tools.catalog.create_view(stage.view, replace=True)
        except SparkError as error:
            yield self._event(events.failed(stage.identifier, error))

    def _run_flows(self, stage: RunFlows) -> Iterator[PipelineEvent | None]:
        schedule = self._schedule(stage)
        views = {name for name, run in stage.runs.items() if not isinstance(run, StreamFlow)}
        self._turns = ViewTurns({view: stage.needs.upstream(view) & views for view in views})
        for name in stage.runs:
            yield self._event(events.queued(name))
        for name in stage.excluded:
            yield self._event(events.excluded(name))
        for name in stage.idle:
            yield self._event(events.idle(name))
        first_error: SparkError | None = None
        with ThreadPoolExecutor(self._at_once(stage), "riacho-flow") as pool:
            try:
                while not schedule.is_done:
                    yield from self._start_flows(stage, schedule, pool)
                    report = self._next_report(schedule)
                    match report:
                        case _Progressed():
                            schedule.progressed(report.flow)
                        case _Ended():
                            error = yield from self._ended(report, stage, schedule)
                            first_error = first_error or error
                        case _:
                            yield report
            except GeneratorExit:
                self.stop()  # whoever read the events has gone: flows that still run end now
                raise
        if first_error is not None and (self.settings.continuous or not self._stopped.is_set()):
            raise first_error
        if self._stopped.is_set():
            raise RunCanceledError("Pipeline run was canceled.")

    def _at_once(self, stage: RunFlows) -> int:
        """How many flows run side by side: in a continuous run all, for none of them ends."""
        return max(1, len(stage.runs)) if self.settings.continuous else self.settings.max_concurrent_flows

    def _schedule(self, stage: RunFlows) -> Schedule:
        # In a continuous run no flow waits for another: each goes on with what is there.
        needs = Dag(dict.fromkeys(stage.needs, ())) if self.settings.continuous else stage.needs
        return Schedule(
            needs,
            excluded=(*stage.excluded, *stage.idle),
            retries={name: self._retries(run) for name, run in stage.runs.items()},
            backoff=self.settings.backoff,
        )

    def _start_flows(self, stage: RunFlows, schedule: Schedule, pool: ThreadPoolExecutor) -> Iterator[PipelineEvent]:
        if self._stopped.is_set():
            schedule.cancel()
            return
        room = self._at_once(stage) - len(schedule.running)
        for name in schedule.startable(self.tools.clock.monotonic_ms())[: max(0, room)]:
            run = stage.runs[name]
            schedule.start(name)
            if isinstance(run, RecomputeFlow):
                yield self._event(events.planning(name))
            pool.submit(storage.carried(self._attempt), run)

    def _next_report(self, schedule: Schedule) -> PipelineEvent | _Ended | _Progressed | None:
        """What a flow reports next; None if it is time to look whether another flow may start."""
        wait_s = POLL_S
        next_attempt_ms = schedule.next_attempt_ms()
        if next_attempt_ms is not None:
            wait_s = min(wait_s, max(0.0, next_attempt_ms - self.tools.clock.monotonic_ms()) / 1000)
        if not schedule.running and next_attempt_ms is None:
            return None
        try:
            return self._reports.get(timeout=wait_s)
        except Empty:
            return None

    def _ended(
        self, report: _Ended, stage: RunFlows, schedule: Schedule
    ) -> Generator[PipelineEvent, None, SparkError | None]:
        """Take in the end of an attempt. Returns the error if no other attempt follows."""
        name, error = report.flow, report.error
        if error is None:
            schedule.succeed(name)
            yield self._event(events.completed(name))
            return None
        if isinstance(error, FlowStoppedError):
            schedule.abandon(name)
            yield self._event(events.stopped(name))
            self.stop()  # if somebody stopped this one alone, the others do not go on without it
            return None
        violated = error.condition == VIOLATED  # rows that broke a rule would break it again
        failure = schedule.fail(name, self.tools.clock.monotonic_ms(), final=violated)
        run = stage.runs[name]
        if failure.is_final and isinstance(run, StreamFlow) and not violated:
            yield self._event(events.gave_up(name, self._retries(run), error))
        else:
            yield self._event(events.failed(name, error, final=failure.is_final))
        for skipped in failure.skipped:
            yield self._event(events.skipped(skipped))
        if failure.is_final and self.settings.continuous:
            self.stop()
        return error if failure.is_final else None

    def _retries(self, run: FlowRun) -> int:
        return self.settings.retries(run.flow.conf.get(FLOW_RETRIES.key))

    def _attempt(self, run: FlowRun) -> None:
        """Run a flow once and report how it ended."""
        with self._at_work_changed:
            self._at_work += 1
        error: SparkError | None = None
        try:
            self._report(events.starting(run.flow.identifier))
            if isinstance(run, StreamFlow):
                error = self._stream(run)
            elif self.settings.continuous and _goes_on(run):
                self._keep_fresh(run)
            else:
                self._report(events.running(run.flow.identifier))
                self._refresh(run, full=run.full)
        except SparkError as failed:
            error = failed
        except EngineLost as lost:
            error = SparkGeneralError(f"The engine was lost while flow '{run.flow.identifier}' ran: {lost}")
        except Exception as unexpected:  # noqa: BLE001  whatever it is, the run must hear of the flow's end
            _log.exception("flow %s", run.flow.identifier)
            error = SparkGeneralError(f"{type(unexpected).__name__}: {unexpected}")
        self._reports.put(_Ended(run.flow.identifier, error))
        with self._at_work_changed:
            self._at_work -= 1
            self._at_work_changed.notify_all()

    def _refresh(self, run: RecomputeFlow | SnapshotFlow, *, full: bool) -> None:
        if isinstance(run, SnapshotFlow):
            self._follow(run)
            return
        table = self.tools.catalog.table(run.table)
        if table is None:
            raise SparkGeneralError(f"The table {run.table} was dropped while the pipeline ran.")
        engine = self.tools.sessions.open(self.session.engine, run.flow.conf)
        checks = self._checks(run)
        try:
            relation = self.resolution.executable(run.flow)
            if checks is None:
                relation = aligned(relation, run.flow.schema, run.schema)
                may = self.settings.from_changes(run.flow.conf.get(INCREMENTAL_VIEWS.key))
                done = self.tools.writer.refresh(table, relation, run.schema, engine, full=full, from_changes=may)
                self._note(events.planned(run.flow.identifier, done))
                self._note(view_done(run, done.rows, None))
            else:
                made = self.tools.writer.replace_checked(table, relation, run.flow.schema, run.schema, engine, checks)
                self._note(view_done(run, made.rows, made.quality))
        finally:
            self.tools.sessions.close(self.session.engine, engine)

    def _follow(self, run: SnapshotFlow) -> None:
        """Apply the snapshots of a flow that are new."""
        engine = self.tools.sessions.open(self.session.engine, run.flow.conf)

        def check_stop() -> None:
            if self._stopped.is_set():
                raise _stopped(run.flow.identifier)

        try:
            following = SnapshotRun(run.changes, self.tools.catalog, self.tools.clock, engine, check_stop)
            counts = following.run(self.resolution.executable(run.flow))
        finally:
            self.tools.sessions.close(self.session.engine, engine)
        changed = counts.upserted + counts.deleted
        fates = {"upserted": counts.upserted, "deleted": counts.deleted}
        self._note(view_done(run, changed, BatchQuality(RowCounts(changed, changed), fates=fates)))

    def _stream(self, run: StreamFlow) -> SparkError | None:
        """Run a streaming flow to its end; what it died of, if it did. Raises what is wrong before it runs."""
        goes_on = self.settings.continuous and not run.flow.flow.once
        reports = StreamReports(run, self._note)
        query = self.tools.streams.start_flow(
            relation=self.resolution.executable(run.flow),
            session=self.session,
            table=run.table,
            sink_format=run.format,
            sink_options=run.options,
            query_name=str(run.flow.identifier),
            checkpoint=run.checkpoint.path,
            conf=run.flow.conf,
            once=run.flow.flow.once,
            checks=self._checks(run),
            on_batch=reports.batch,
            changes=run.changes,
            interval_ms=(self._interval_ms(run) or 0) if goes_on else None,
        )
        name = run.flow.identifier
        pulse = FlowPulse(self._tell, name)
        pulse.runs()
        while not query.await_termination(POLL_S):
            if self._stopped.is_set():
                query.stop()
                reports.end()
                raise _stopped(name)
            if goes_on:
                pulse.look(query.batches, waits=query.waits_for_data)
        reports.end()
        if goes_on and query.exception() is None:
            raise _stopped(name)
        return query.exception()

    def _checks(self, run: StreamFlow | RecomputeFlow) -> Checks | None:
        """The rules that the flow's rows are to keep."""
        if not run.flow.expectations:
            return None
        location = None
        if run.quarantine is not None:
            table = self.tools.catalog.table(run.quarantine)
            if table is None:
                raise SparkGeneralError(f"The table {run.quarantine} was dropped while the pipeline ran.")
            location = table.location
        return Checks(str(run.flow.identifier), str(run.flow.target), run.flow.expectations, location)

    def _interval_ms(self, run: FlowRun) -> int | None:
        """The least time between two batches or refreshes of a flow, if anybody said. Raises as `least_interval_ms`."""
        table = self.resolution.definition.table(run.flow.target)
        return least_interval_ms(run.flow.conf, {} if table is None else table.properties)

    def _keep_fresh(self, run: RecomputeFlow | SnapshotFlow) -> None:
        """Refresh a view whenever what it reads has changed, until the run is stopped. Raises what a refresh raises."""
        inputs = inputs_of(self.resolution.executable(run.flow), self.tools.catalog, run.flow.flow.scope)
        view, turns = run.flow.identifier, self._turns
        pulse = FlowPulse(self._tell, view)
        pace = RefreshPace(self._interval_ms(run), inputs)
        watch = ChangeWatch(inputs, partial(turns.mark, view))
        turns.awake(view)
        turns.mark(view)
        try:
            for refreshes in count(1):
                while not turns.begin(view, POLL_S, watch.note):
                    self._check_stop(view)
                started_ms = self.tools.clock.monotonic_ms()
                pulse.runs()
                self._refresh(run, full=run.full and refreshes == 1)
                turns.rest(view)
                pulse.look(refreshes, waits=False)
                took_s = (self.tools.clock.monotonic_ms() - started_ms) / 1000
                self._check_stop(view, pace.pause_s(took_s))
                turns.awake(view)
                due_s = pace.unasked_s
                while not watch.wait(min(POLL_S, due_s)) and due_s > 0:
                    self._check_stop(view)
                    pulse.look(refreshes, waits=True)
                    due_s -= POLL_S
                turns.mark(view)
        finally:
            turns.leave(view)
            watch.close()

    def _check_stop(self, flow: Identifier, wait_s: float = 0) -> None:
        """Raises FlowStoppedError if the run is stopped, now or while this waits."""
        if self._stopped.wait(wait_s):
            raise _stopped(flow)

    def _tell(self, flow: Identifier, event: PipelineEvent | None) -> None:
        """What the pulse of a flow gives: something to say, or that it has got somewhere."""
        if event is None:
            self._reports.put(_Progressed(flow))
        else:
            self._report(event)

    def _report(self, event: PipelineEvent) -> None:
        self._reports.put(self._event(event))

    def _event(self, event: PipelineEvent) -> PipelineEvent:
        """An event that happens now; the log has it too."""
        happened = event.at(self.tools.clock.now_ms())
        self.log.record(happened)
        return happened

    def _note(self, event: PipelineEvent) -> None:
        """An event that only the log has."""
        self._event(event)


def _goes_on(run: RecomputeFlow | SnapshotFlow) -> bool:
    """Whether a flow of a continuous run is never done. A function that gives snapshots was asked, by the client."""
    source = None if run.flow.cdc is None else run.flow.cdc.definition.snapshots
    return source is None or source.is_table


def _stopped(flow: Identifier) -> FlowStoppedError:
    return FlowStoppedError(f"Flow '{flow}' was stopped with its run.")
