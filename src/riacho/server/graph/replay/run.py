"""A replay as a run of a graph: one table after the other, and what came of each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.clock import Clock
from riacho.errors import SparkError, SparkGeneralError, SparkRuntimeError
from riacho.protos import pb
from riacho.server.catalog.base import CatalogReader
from riacho.server.catalog.row_changes.job import Job
from riacho.server.catalog.row_changes.scan import ROW, by_file, numbered_rows, spooled
from riacho.server.engine.base import EngineSession
from riacho.server.graph import events
from riacho.server.graph.elements import PipelineTable
from riacho.server.graph.events import PipelineEvent
from riacho.server.graph.expectations import has_note, quarantine_name
from riacho.server.graph.materialized import aligned
from riacho.server.graph.names import Identifier
from riacho.server.graph.ports import FlowSessions, PipelineSession
from riacho.server.graph.replay.commits import ReplayTables, UnfinishedReplayError, WaitingRows
from riacho.server.graph.replay.judge import Verdicts, judge
from riacho.server.graph.replay.request import ReplayRequest
from riacho.server.graph.resolve import Resolution
from riacho.server.plan import build
from riacho.server.streaming.quality import VIOLATED, Expectation

_log = logging.getLogger(__name__)

MAX_ROUNDS = 10
"""How often a replay finishes those of others before it gives its own up."""


@dataclass(frozen=True)
class ReplayCounts:
    """What a replay did to one table's quarantine, in rows.

    `judged` = `replayed` + `dropped` + `stayed`; `finished`: rows of replays that had been cut off. `broken`: the rows
    that stayed, by rule they break. `note`: why nothing was done.
    """

    table: str
    judged: int = 0
    replayed: int = 0
    dropped: int = 0
    stayed: int = 0
    finished: int = 0
    broken: Mapping[str, int] = field(default_factory=dict)
    passed: Mapping[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def text(self) -> str:
        """The counts for people, and for `riacho quarantine`: a word and a number each, then what there is to say."""
        names = ("judged", "replayed", "dropped", "stayed", "finished")
        remarks = [f"{rule}: {rows}" for rule, rows in self.broken.items()]
        head = ", ".join(f"{name} {getattr(self, name)}" for name in names)
        return f"{head}; {self.note or ', '.join(remarks)}"


@dataclass
class ReplayExecution:
    """One replay. `stop` may be called from any thread."""

    resolution: Resolution
    request: ReplayRequest
    session: PipelineSession
    catalog: CatalogReader
    sessions: FlowSessions
    clock: Clock
    dry: bool = False
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Nothing more is begun."""
        self._stopped.set()

    def events(self) -> Iterator[PipelineEvent]:
        """Replay table by table, telling of each. Raises the first table's error when all have had their turn."""
        first_error: SparkError | None = None
        yield self._now(events.replaying())
        for table in self.request.chosen(self.resolution):
            if self._stopped.is_set():
                raise SparkGeneralError("Pipeline run was canceled.")
            try:
                counts = self._replay(table)
            except SparkError as error:
                first_error = first_error or error
                yield self._now(events.replay_failed(table.identifier, error))
            else:
                if counts is not None:
                    _log.info("replay: %s", counts)
                    yield self._now(events.replayed(table.identifier, counts.text, asdict(counts)))
        if first_error is not None:
            raise first_error
        yield self._now(events.run_completed())

    def _replay(self, table: PipelineTable) -> ReplayCounts | None:
        """None for a table that has no quarantine."""
        name = table.identifier
        quarantine = self.catalog.table(quarantine_name(name).table_name)
        target = self.catalog.table(name.table_name)
        own = self.resolution.definition.table(quarantine_name(name))
        if quarantine is None or not has_note(quarantine.schema):
            return None
        if own is not None and own.quarantine_of != name:
            return None
        if target is None:
            return ReplayCounts(str(name), note="the table is not there: run the pipeline, which makes it, then replay")
        if not table.is_streaming:
            note = "a materialized view: its next refresh puts all its rows through the rules of now"
            return ReplayCounts(str(name), note=note)
        if any(flow.cdc is not None for flow in self.resolution.flows_to(name)):
            note = "its rows are changes that AUTO CDC applies: give the rules to its source, and replay there"
            return ReplayCounts(str(name), note=note)
        engine = self.sessions.open(self.session.engine, self._conf(name))
        try:
            tables = ReplayTables(quarantine, target, engine, self.clock)
            return TableReplay(str(name), tables, self._judges(name), self.request.rules, engine).run(dry=self.dry)
        finally:
            self.sessions.close(self.session.engine, engine)

    def _now(self, event: PipelineEvent) -> PipelineEvent:
        return event.at(self.clock.now_ms())

    def _conf(self, table: Identifier) -> Mapping[str, str]:
        flows = self.resolution.flows_to(table)
        return flows[0].conf if flows else {}

    def _judges(self, table: Identifier) -> list[FlowRules]:
        return [
            FlowRules(str(flow.identifier), flow.schema, flow.expectations) for flow in self.resolution.flows_to(table)
        ]


@dataclass(frozen=True)
class FlowRules:
    """What a flow asks of its rows: the columns that its query gives now, and its rules."""

    flow: str
    schema: pa.Schema
    rules: tuple[Expectation, ...]


class TableReplay:
    """The replay of one table's quarantine."""

    def __init__(
        self,
        table: str,
        tables: ReplayTables,
        flows: Sequence[FlowRules],
        rules: Sequence[str],
        engine: EngineSession,
    ) -> None:
        self._table = table
        self._tables = tables
        self._flows = flows
        self._rules = rules
        self._engine = engine

    def run(self, *, dry: bool) -> ReplayCounts:
        """Raises what a rule that ends its flow says, and what the tables refuse."""
        finished = 0
        for _ in range(MAX_ROUNDS):
            try:
                number, verdicts = self._tables.take(self._rules, self._judge, keep=dry)
            except UnfinishedReplayError as unfinished:
                finished += sum(self._tables.finish(other) for other in unfinished.numbers)
                continue
            passed = len(verdicts.taken)
            replayed = passed if dry or not passed else self._tables.finish(number)
            return self._counts(verdicts, replayed, finished)
        raise SparkGeneralError(
            f"Others replay into {self._table} at the same time, {MAX_ROUNDS} times in a row. Try it again."
        )

    def _counts(self, verdicts: Verdicts, replayed: int, finished: int) -> ReplayCounts:
        broken = sorted(
            (each["values"], each["counts"]) for each in pc.value_counts(verdicts.rules.flatten()).to_pylist()
        )
        return ReplayCounts(
            table=self._table,
            judged=verdicts.judged,
            replayed=replayed,
            dropped=len(verdicts.dropped),
            stayed=len(verdicts.staying),
            finished=finished,
            broken=dict(broken),
            passed=verdicts.passed,
        )

    def _judge(self, job: Job, waiting: WaitingRows) -> Verdicts:
        parts = [
            self._judged(job, self._of(flow), numbers)
            for flow in waiting.by_flow
            if len(numbers := waiting.of_flow(flow))
        ]
        return joined(parts)

    def _of(self, flow: str | None) -> FlowRules:
        """What is asked of the rows of a flow. Those of a flow that is gone must meet the rules of all there are.

        Spark keeps the name as the definition has it, perhaps without catalog and database.
        """
        for each in self._flows:
            if flow is not None and f".{each.flow}".lower().endswith(f".{flow}".lower()):
                return each
        if len(self._flows) == 1:
            return self._flows[0]
        columns = {column.name.lower(): column for each in self._flows for column in each.schema}
        rules = {rule.name: rule for each in self._flows for rule in each.rules}
        return FlowRules("", pa.schema(list(columns.values())), tuple(rules.values()))

    def _judged(self, job: Job, flow: FlowRules, numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Verdicts:
        have, batches = numbered_rows(job.snapshot, hits=by_file(numbers))
        relation = spooled(job, (have, batches))
        number = have.field(ROW)
        relation = aligned(relation, have, flow.schema.append(number))
        columns = [build.col(ROW), *(_is_broken(rule, place) for place, rule in enumerate(flow.rules))]
        try:
            found = pa.Table.from_batches(self._engine.stream(build.project(relation, columns)))
        except SparkError as error:
            error.message += self._cause(relation, flow.rules)
            error.args = (error.message,)
            raise
        rows = found.column(0).to_numpy().astype(np.int64)
        broken = np.zeros((len(rows), len(flow.rules)), dtype=bool)
        for place in range(len(flow.rules)):
            broken[:, place] = found.column(place + 1).to_numpy()
        verdicts = judge(rows, broken, flow.rules)
        if verdicts.fatal:
            raise rule_violated(self._table, verdicts.fatal)
        return verdicts

    def _cause(self, rows: pb.Relation, rules: Sequence[Expectation]) -> str:
        """Whose error it is that rules cannot be asked of rows."""
        for place, rule in enumerate(rules):
            try:
                self._engine.run(build.project(rows, [_is_broken(rule, place)]))
            except SparkError:
                return f"\nThis is about the expectation '{rule.name}' ({rule.text}) of {self._table}."
        return ""


def joined(parts: Sequence[Verdicts]) -> Verdicts:
    """The verdicts on rows of several flows as one."""
    if not parts:
        none = np.empty(0, np.int64)
        return Verdicts(none, none, none, pa.array([], pa.list_(pa.string())), pa.array([], pa.string()))
    whole = parts[0]
    for part in parts[1:]:
        whole = replace(
            whole,
            taken=np.concatenate([whole.taken, part.taken]),
            dropped=np.concatenate([whole.dropped, part.dropped]),
            staying=np.concatenate([whole.staying, part.staying]),
            rules=pa.concat_arrays([whole.rules, part.rules]),
            reasons=pa.concat_arrays([whole.reasons, part.reasons]),
            passed=_added(whole.passed, part.passed),
            failed=_added(whole.failed, part.failed),
        )
    return whole


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _is_broken(rule: Expectation, place: int) -> pb.Expression:
    """Whether a row breaks a rule; one that cannot be decided, for a null, is broken."""
    met = build.call("coalesce", rule.condition, build.boolean(False))
    return build.alias(build.call("not", met), f"__riacho_broken_{place}")


def rule_violated(table: str, rules: Sequence[str]) -> SparkRuntimeError:
    """A row breaks a rule that ends the flow."""
    named = ", ".join(rules)
    return SparkRuntimeError.of(
        VIOLATED,
        f"Rows in the quarantine of {table} break rules that fail its flow now: {named}. Nothing was changed: "
        "correct these rows with UPDATE, remove them with DELETE, or let the rules quarantine them.",
        sql_state="22000",
        expectationsViolated=named,
    )
