"""Stateful operators on an engine in memory: run again after a crash, they give the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from riacho.ids import SessionId
from riacho.protos import pb
from riacho.server.engine.spool import FolderSpool
from riacho.server.plan.rules.batch_time import BatchTime
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.operators.deduplicate import Deduplicate, Deduplication
from riacho.server.streaming.operators.execution import StatefulExecution, prepare
from riacho.server.streaming.operators.limit import Limit
from riacho.server.streaming.operators.operator import BatchContext, Operator, OperatorProgress, OperatorTools
from riacho.server.streaming.planning import PlannedStream
from riacho.server.streaming.sinks.base import OutputMode
from riacho.storage import Place
from riacho.testing import Crash, CrashAfter, FakeEngine, ListSink, ScriptedSource, define, run
from riacho.testing.engine import RowsOf
from riacho.types import TIMESTAMP

SCHEMA = pa.schema([("ts", TIMESTAMP), ("k", pa.string())])
MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
START_US = int(MIDNIGHT.timestamp()) * 1_000_000


def answer(relation: pb.Relation, rows_of: RowsOf) -> pa.Table | None:
    """What the operators' plans need besides: limits; and, for their columns only, deduplication."""
    match relation.WhichOneof("rel_type"):
        case "limit":
            return rows_of(relation.limit.input).slice(0, relation.limit.limit)
        case "deduplicate":
            return rows_of(relation.deduplicate.input)
    return None


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    engine = FakeEngine(answer)
    yield engine
    engine.stop()


@pytest.fixture
def tools(engine: FakeEngine) -> Iterator[OperatorTools]:
    spool = FolderSpool("operators")
    yield OperatorTools(engine.session(SessionId("s"), "tests"), spool)
    spool.close()


def table(*events: tuple[int, str | None]) -> pa.Table:
    rows = [{"ts": MIDNIGHT + timedelta(minutes=minute), "k": key} for minute, key in events]
    return pa.Table.from_pylist(rows, SCHEMA)


class Batches:
    """Gives batches to an operator, and takes it up again from what is on disk."""

    def __init__(self, make: Callable[[], Operator], tools: OperatorTools) -> None:
        self._make = make
        self._tools = tools
        self.progress = OperatorProgress("none")
        self.operator = make()
        self.operator.restore(0)

    def run(
        self, batch: int, *events: tuple[int, str | None], late: int = 0, evict: int = 0
    ) -> list[tuple[int, str | None]]:
        """What comes out of a batch: minutes after midnight, and keys. `late`, `evict`: watermarks, in minutes."""
        context = BatchContext(
            batch + 1, START_US + late * MINUTE_US, START_US + evict * MINUTE_US, BatchTime(0, "UTC"), late_rows=[]
        )
        out, self.progress = self.operator.run([self._tools.read(table(*events))], context)
        rows = self._tools.collect(out, context.time).to_pylist()
        return [((row["ts"] - MIDNIGHT) // timedelta(minutes=1), row["k"]) for row in rows]

    def crash(self, batch: int) -> None:
        """The process is gone before batch `batch` was committed, and another one begins with it."""
        self.operator.close()
        self.operator = self._make()
        self.operator.restore(batch)


@pytest.fixture
def by_key(tools: OperatorTools, tmp_path: Path) -> Batches:
    return Batches(lambda: Deduplication(Deduplicate([1], None), SCHEMA, tmp_path, tools), tools)


@pytest.fixture
def by_time_and_key(tools: OperatorTools, tmp_path: Path) -> Batches:
    return Batches(lambda: Deduplication(Deduplicate([0, 1], 0), SCHEMA, tmp_path, tools), tools)


def test_a_key_comes_out_once(by_key: Batches) -> None:
    assert by_key.run(0, (1, "a"), (2, "a"), (3, None)) == [(1, "a"), (3, None)]
    by_key.operator.committed(1)
    assert by_key.run(1, (4, "a"), (5, "b"), (6, None)) == [(5, "b")]
    assert (by_key.progress.total, by_key.progress.updated) == (3, 1)
    assert by_key.progress.custom["numDroppedDuplicateRows"] == 2


@pytest.mark.parametrize("crashes", [1, 3])
def test_a_batch_that_runs_again_gives_the_same(by_key: Batches, crashes: int) -> None:
    assert by_key.run(0, (1, "a")) == [(1, "a")]
    by_key.operator.committed(1)
    for _ in range(crashes):
        assert by_key.run(1, (2, "a"), (3, "b")) == [(3, "b")]
        by_key.crash(1)
    assert by_key.run(1, (2, "a"), (3, "b")) == [(3, "b")]
    by_key.operator.committed(2)
    assert by_key.run(2, (4, "b"), (5, "c")) == [(5, "c")]


def test_a_key_is_forgotten_when_its_time_is_behind(by_time_and_key: Batches) -> None:
    assert by_time_and_key.run(0, (1, "a"), (9, "a")) == [(1, "a"), (9, "a")]
    assert by_time_and_key.progress.total == 2
    assert by_time_and_key.run(1, (1, "a"), late=0, evict=5) == []
    assert (by_time_and_key.progress.total, by_time_and_key.progress.removed) == (1, 1)
    assert by_time_and_key.run(2, (1, "a"), (9, "a"), (5, "b"), (6, "b"), late=5, evict=5) == [(6, "b")]
    assert by_time_and_key.progress.dropped == 2
    assert not by_time_and_key.operator.wants_batch(5, 5)
    assert by_time_and_key.operator.wants_batch(6, 5)


def test_a_limit_is_for_all_batches_together(tools: OperatorTools, tmp_path: Path) -> None:
    limit = Batches(lambda: Limit(3, tmp_path, tools), tools)
    assert limit.run(0, (1, "a"), (2, "b")) == [(1, "a"), (2, "b")]
    limit.operator.committed(1)
    for _ in range(2):
        assert limit.run(1, (3, "c"), (4, "d")) == [(3, "c")]
        limit.crash(1)
    limit.run(1, (3, "c"), (4, "d"))
    assert limit.run(2, (5, "e")) == []


def distinct(leaf: pb.Relation) -> pb.Relation:
    return pb.Relation(deduplicate=pb.Deduplicate(input=leaf, all_columns_as_keys=True))


@pytest.mark.parametrize("batch", [0, 1])
@pytest.mark.parametrize("step", BatchStep)
def test_a_crash_after_any_step_leaves_the_state_right(
    engine: FakeEngine, tmp_path: Path, step: BatchStep, batch: int
) -> None:
    source, sink = ScriptedSource(pa.schema([("id", pa.int64())])), ListSink()
    for ids in ([1, 1, 2], [2, 3], [3, 1, 4]):
        source.add(*({"id": number} for number in ids))

    def stateful(planned: PlannedStream, session: Any, checkpoint: Place) -> StatefulExecution:
        return prepare(planned, OutputMode.APPEND, session, engine, checkpoint, "UTC", None)

    def start(observer: CrashAfter | None = None) -> Any:
        definition = define(source, sink, tmp_path, engine, plan=distinct, prepare=stateful)
        return run(definition, engine, observer=observer)

    assert isinstance(start(CrashAfter(step, batch))._cause, Crash)
    done = start()
    assert done.failure is None
    assert sink.batches == {0: [{"id": 1}, {"id": 2}], 1: [{"id": 3}], 2: [{"id": 4}]}
    (state,) = done.recent_progress[-1].state
    assert (state["operatorName"], state["numRowsTotal"]) == ("dedupe", 4)
