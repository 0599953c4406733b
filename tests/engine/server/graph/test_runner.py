"""A run, told by its events. Flows are fakes that succeed or fail as the test says; time is moved by hand."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from riacho.errors import AnalysisError, SparkError, SparkRuntimeError
from riacho.ids import SessionId
from riacho.protos import pb
from riacho.server.catalog.base import Table, TableName
from riacho.server.engine.base import EngineSession
from riacho.server.graph.cdc.sink import CdcTarget
from riacho.server.graph.ports import CheckedRefresh, PipelineSession, Refreshed, RefreshWay, RunningFlow
from riacho.server.graph.runner import PipelineExecution, UpdateContext
from riacho.server.graph.schedule import Backoff
from riacho.server.graph.selection import TableSelection
from riacho.server.graph.settings import PipelineSettings
from riacho.server.graph.stages import decide
from riacho.server.graph.storage import Storage
from riacho.server.streaming.progress import Progress
from riacho.server.streaming.quality import BatchQuality, Checks, RowCounts
from tests.engine.server.graph.support import Pipelines
from tests.unit.server.graph.support import FakeCatalog, full

CHAIN = """
CREATE STREAMING TABLE a AS SELECT id FROM STREAM outside.source;
CREATE MATERIALIZED VIEW b AS SELECT count(*) AS n FROM a;
CREATE MATERIALIZED VIEW c AS SELECT n + 1 AS m FROM b;
CREATE MATERIALIZED VIEW alone AS SELECT 1 AS one;
"""
SESSION_ID = SessionId("s")
BOOM = SparkRuntimeError("boom")


class PassingClock:
    """A clock on which a minute passes at every look."""

    def __init__(self) -> None:
        self._ms = 0.0

    def now_ms(self) -> int:
        return 1_700_000_000_000

    def monotonic_ms(self) -> float:
        self._ms += 60_000
        return self._ms


@dataclass
class Session:
    engine: EngineSession
    session_id: SessionId = SESSION_ID
    current_database: str = "default"


@dataclass
class FakeQuery:
    failure: SparkError | None = None
    endless: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    batches: int = 0
    waits_for_data: bool = False

    def await_termination(self, timeout_s: float) -> bool:
        return not self.endless or self.stopped.wait(min(timeout_s, 0.01))

    def exception(self) -> SparkError | None:
        return self.failure

    def stop(self) -> None:
        self.stopped.set()


@dataclass
class FakeFlows:
    """Runs flows; `failures` says how often each fails first, `refused` which do not even start."""

    failures: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    endless: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    queries: list[FakeQuery] = field(default_factory=list)
    started: list[tuple[str, Path, Mapping[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start_flow(
        self,
        *,
        relation: pb.Relation,
        session: PipelineSession,
        table: TableName | None,
        sink_format: str,
        sink_options: Mapping[str, str],
        query_name: str,
        checkpoint: Path,
        conf: Mapping[str, str],
        output_mode: str = "append",
        on_batch: Callable[[Progress], None] | None = None,
        once: bool = False,
        checks: Checks | None = None,
        changes: CdcTarget | None = None,
        interval_ms: int | None = None,
    ) -> RunningFlow:
        name = query_name.rpartition(".")[2]
        self.started.append((query_name, checkpoint, conf))
        if name in self.refused:
            raise AnalysisError("not like this")
        self.queries.append(FakeQuery(BOOM if self._fails(name) else None, endless=name in self.endless))
        return self.queries[-1]

    def refresh(
        self,
        table: Table,
        relation: pb.Relation,
        schema: pa.Schema,
        engine: EngineSession,
        *,
        full: bool = False,
        from_changes: bool = True,
    ) -> Refreshed:
        if self._fails(table.name.table):
            raise BOOM
        return Refreshed(RefreshWay.COMPLETE_RECOMPUTE, "it is a test")

    def replace_checked(
        self,
        table: Table,
        relation: pb.Relation,
        have: pa.Schema,
        want: pa.Schema,
        engine: EngineSession,
        checks: Checks,
    ) -> CheckedRefresh:
        self.refresh(table, relation, want, engine)
        return CheckedRefresh(0, BatchQuality(RowCounts(0, 0)))

    def open(self, engine: EngineSession, conf: Mapping[str, str]) -> EngineSession:
        return engine

    def close(self, engine: EngineSession, opened: EngineSession) -> None:
        """Nothing was opened."""

    def _fails(self, name: str) -> bool:
        with self.lock:
            self.attempts[name] += 1
            return self.attempts[name] <= self.failures.get(name, 0)


@dataclass
class Bench:
    """What a run needs, with fakes."""

    pipelines: Pipelines
    storage: Storage
    flows: FakeFlows = field(default_factory=FakeFlows)
    catalog: FakeCatalog = field(default_factory=FakeCatalog)
    retries: int = 2
    last: PipelineExecution | None = None

    def run(self, text: str = CHAIN, selection: TableSelection | None = None) -> list[str]:
        """The events; ends with the error if the run fails."""
        resolution = self.pipelines.resolve(text)
        stages = decide(resolution, selection or TableSelection(), self.catalog, self.storage, "delta")  # type: ignore[arg-type]
        tools = UpdateContext(self.catalog, self.flows, self.flows, self.flows, PassingClock())  # type: ignore[arg-type]
        settings = PipelineSettings(self.retries, Backoff(5_000, 3_600_000), max_concurrent_flows=2)
        self.last = PipelineExecution(resolution, Session(self.pipelines.session), tools, settings)
        told: list[str] = []
        try:
            for event in self.last.events(stages):
                if event is None:
                    continue
                told.append(event.message.replace("spark_catalog.default.", ""))
                if "a is RUNNING" in event.message and self.flows.endless:
                    self.last.stop()
        except SparkError as error:
            told.append(f"!! {error}")
        return told


@pytest.fixture
def bench(pipelines: Pipelines, tmp_path: Path) -> Bench:
    return Bench(pipelines, Storage(tmp_path))


def about(told: list[str], flow: str) -> list[str]:
    """What is said of one flow, without its name."""
    marks = (f"Flow {flow} ", f"Flow '{flow}' ")
    return [message.partition(" ")[2].partition(" ")[2] for message in told if message.startswith(marks)]


def test_a_good_run(bench: Bench) -> None:
    told = bench.run()
    assert told[:4] == ["Flow a is QUEUED.", "Flow b is QUEUED.", "Flow c is QUEUED.", "Flow alone is QUEUED."]
    assert about(told, "a") == ["is QUEUED.", "is STARTING.", "is RUNNING.", "has COMPLETED."]
    assert about(told, "b") == ["is QUEUED.", "is PLANNING.", "is STARTING.", "is RUNNING.", "has COMPLETED."]
    assert told.index("Flow a has COMPLETED.") < told.index("Flow b is PLANNING.")
    assert told.index("Flow b has COMPLETED.") < told.index("Flow c is PLANNING.")
    assert told[-1] == "Run is COMPLETED."
    assert bench.catalog.calls == [f"create {full(name)}" for name in ("a", "b", "c", "alone")]


def test_streaming_flows_are_named_and_placed_as_in_spark(bench: Bench) -> None:
    bench.run("SET k = v;" + CHAIN)
    ((name, checkpoint, conf),) = bench.flows.started
    assert name == "spark_catalog.default.a"
    assert checkpoint == bench.storage.root / "_checkpoints/spark_catalog/default/a/a/0"
    assert conf == {"k": "v"}


def test_a_flow_recovers(bench: Bench) -> None:
    bench.flows.failures = {"b": 2}
    told = bench.run()
    attempt = ["is PLANNING.", "is STARTING.", "is RUNNING."]
    failed = ["has FAILED.\nError: boom"]
    assert about(told, "b") == ["is QUEUED.", *attempt, *failed, *attempt, *failed, *attempt, "has COMPLETED."]
    assert told[-1] == "Run is COMPLETED."


def test_a_flow_fails_for_good(bench: Bench) -> None:
    bench.flows.failures = {"b": 3}
    told = bench.run()
    assert about(told, "b")[-1] == "has FAILED.\nError: boom"
    assert about(told, "c") == ["is QUEUED.", "SKIPPED due to upstream failure(s)."]
    assert about(told, "alone")[-1] == "has COMPLETED."
    assert told[-1] == "!! boom"
    assert "Run is COMPLETED." not in told


def test_a_streaming_flow_fails_for_good(bench: Bench) -> None:
    bench.flows.failures = {"a": 3}
    told = bench.run()
    assert "has COMPLETED." not in about(told, "a")
    assert about(told, "a")[-1] == "has FAILED more than 2 times and will not be restarted.\nError: boom"
    assert [about(told, flow)[-1] for flow in ("b", "c")] == ["SKIPPED due to upstream failure(s)."] * 2
    assert told[-1] == "!! boom"


def test_a_flow_that_does_not_start_never_runs(bench: Bench) -> None:
    bench.flows.refused = {"a"}
    bench.retries = 0
    told = bench.run()
    assert "is RUNNING." not in about(told, "a")
    assert told[-1] == "!! not like this"


def test_a_flow_has_retries_of_its_own(bench: Bench) -> None:
    bench.flows.failures = {"a": 9}
    bench.run("SET spark.sql.pipelines.maxFlowRetryAttempts = 4;" + CHAIN)
    assert bench.flows.attempts["a"] == 5


def test_excluded_flows(bench: Bench) -> None:
    told = bench.run(selection=TableSelection(refresh=frozenset({full("b")}), full_refresh=frozenset()))
    assert told[0] == "Flow b is QUEUED."
    assert [about(told, flow) for flow in ("a", "c", "alone")] == [["is EXCLUDED."]] * 3
    assert about(told, "b")[-1] == "has COMPLETED."
    assert bench.flows.started == []


def test_a_stopped_run_stops_its_streams_and_starts_nothing_more(bench: Bench) -> None:
    bench.flows.endless = {"a"}
    told = bench.run()
    assert about(told, "a")[-1] == "has STOPPED."
    assert about(told, "b") == ["is QUEUED."]
    assert told[-1] == "!! Pipeline run was canceled."
    assert all(query.stopped.is_set() for query in bench.flows.queries)


def test_views_are_published_before_flows_run(bench: Bench) -> None:
    bench.run(CHAIN + "CREATE VIEW v AS SELECT * FROM b")
    assert bench.catalog.views[full("v").table_name].text == "SELECT * FROM `spark_catalog`.`default`.`b`"


def test_a_view_that_cannot_be_published_does_not_end_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(view: object, *, replace: bool = False) -> None:
        raise AnalysisError("no views here")

    monkeypatch.setattr(bench.catalog, "create_view", refuse)
    told = bench.run(CHAIN + "CREATE VIEW v AS SELECT * FROM b")
    assert told[0] == "Flow 'v' has FAILED.\nError: no views here"
    assert told[-1] == "Run is COMPLETED."


def test_a_failing_stage_ends_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AnalysisError("no such schema")

    monkeypatch.setattr(bench.catalog, "create_table", refuse)
    assert bench.run() == ["!! no such schema"]
