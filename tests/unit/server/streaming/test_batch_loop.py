"""The batch loop on an engine in memory: whatever happens at any step, no row is lost and none is doubled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import EngineLost, SparkGeneralError
from riacho.ids import BatchId
from riacho.server.streaming import parts
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.checkpoint import Checkpoint
from riacho.server.streaming.microbatch import ENGINE_ATTEMPTS
from riacho.server.streaming.progress import Progress
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.query_status import Listener
from riacho.server.streaming.sinks.base import OutputMode
from riacho.server.streaming.trigger import Once
from riacho.testing import Crash, CrashAfter, FakeEngine, ListSink, ManualClock, ScriptedSource, define, run
from riacho.testing.queries import union

SCHEMA = pa.schema([("id", pa.int64())])
ALL = [0, 1, 2, 3, 4, 5]


def rows(*ids: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in ids]


@pytest.fixture
def source() -> ScriptedSource:
    """Three batches of two rows."""
    return ScriptedSource(SCHEMA, rows(0, 1), rows(2, 3), rows(4, 5))


class Job:
    """One query that is started again and again with the same source, sink and checkpoint."""

    def __init__(self, engine: FakeEngine, source: ScriptedSource, folder: Path, sink: ListSink | None = None) -> None:
        self.engine = engine
        self.source = source
        self.sink = sink or ListSink()
        self.checkpoint = Checkpoint(folder / "checkpoint")

    def run(self, observer: CrashAfter | None = None, **given: Any) -> StreamingQuery:
        definition = define(self.source, self.sink, self.checkpoint.folder, self.engine, **given)
        return run(definition, self.engine, observer=observer)


@pytest.fixture
def job(engine: FakeEngine, source: ScriptedSource, tmp_path: Path) -> Job:
    return Job(engine, source, tmp_path)


def test_all_that_is_there_in_the_batches_the_source_wants(job: Job) -> None:
    watch = CrashAfter()

    query = job.run(watch)

    assert query.failure is None
    assert job.sink.batches == {0: rows(0, 1), 1: rows(2, 3), 2: rows(4, 5)}
    assert watch.steps == [(step, batch) for batch in range(3) for step in BatchStep]
    assert [entry.batch_id for entry in query.recent_progress] == [0, 1, 2]
    assert [source.rows for entry in query.recent_progress for source in entry.sources] == [2, 2, 2]
    assert job.checkpoint.latest_batch() == job.checkpoint.latest_commit() == 2


def test_nothing_is_done_twice_by_a_second_run(job: Job) -> None:
    job.run()
    runs = job.engine.runs

    query = job.run()

    assert job.engine.runs == runs
    assert [entry.batch_id for entry in query.recent_progress] == [3]
    job.source.add({"id": 6})
    job.run()
    assert job.sink.values("id") == [*ALL, 6]
    assert job.sink.batches[3] == rows(6)
    assert job.sink.repetitions == []


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("step", BatchStep)
def test_a_crash_after_any_step_loses_and_doubles_nothing(job: Job, step: BatchStep, batch: int) -> None:
    query = job.run(CrashAfter(step, batch))

    assert isinstance(query._cause, Crash)
    logged = list(BatchStep).index(step) >= list(BatchStep).index(BatchStep.LOGGED)
    assert job.checkpoint.latest_batch() == (batch if logged else batch - 1 if batch else None)
    committed = step is BatchStep.COMMITTED
    assert job.checkpoint.latest_commit() == (batch if committed else batch - 1 if batch else None)

    job.source.add({"id": 6})  # what comes meanwhile is not of the batch that was logged
    watch = CrashAfter()
    job.run(watch)

    assert job.sink.values("id") == [*ALL, 6]
    assert job.sink.batches[batch] == rows(*ALL[2 * batch : 2 * batch + 2])
    assert job.sink.repetitions == ([batch] if step is BatchStep.WRITTEN else [])
    first = batch + 1 if committed else batch
    replanned = not committed and logged
    assert watch.steps[0] == (BatchStep.READ if replanned else BatchStep.PLANNED, first)


@given(st.lists(st.tuples(st.sampled_from(BatchStep), st.integers(0, 4)), max_size=6), st.integers(0, 4))
def test_crash_after_crash(
    tmp_path_factory: pytest.TempPathFactory, crashes: list[tuple[BatchStep, int]], late: int
) -> None:
    engine = FakeEngine()
    job = Job(engine, ScriptedSource(SCHEMA, rows(0), rows(1)), tmp_path_factory.mktemp("job"))
    for number, (step, batch) in enumerate(crashes):
        job.run(CrashAfter(step, batch))
        if number < late:
            job.source.add({"id": 2 + number})
    job.run()

    assert job.sink.values("id") == list(range(2 + min(late, len(crashes))))
    assert sorted(job.sink.batches) == list(range(len(job.sink.batches)))
    engine.stop()


@pytest.mark.parametrize("written", [False, True])
def test_a_sink_that_fails_before_or_after_it_has_written(job: Job, written: bool) -> None:
    job.sink.fail(OSError("no space left"), written=written)

    query = job.run()

    assert str(query._cause) == "no space left"
    assert job.checkpoint.latest_commit() is None
    job.run()
    assert job.sink.values("id") == ALL
    assert job.sink.repetitions == ([0] if written else [])


@pytest.mark.parametrize("call", ["open", "prepare_available_now", "latest_offset", "read", "commit"])
def test_a_source_that_fails(job: Job, call: Any) -> None:
    job.source.fail(call, OSError("unplugged"))

    query = job.run()

    assert str(query._cause) == "unplugged"
    assert query.failure is not None
    assert "terminated with exception: OSError: unplugged" in query.failure.message
    opened = 0 if call == "open" else 1
    assert job.source.calls.count("stop") == job.sink.stopped == opened, "what was opened is closed"
    job.run()
    assert job.sink.values("id") == ALL


@pytest.mark.parametrize("times", range(1, ENGINE_ATTEMPTS))
def test_a_batch_is_run_again_if_the_engine_goes_away(job: Job, times: int) -> None:
    job.engine.fail(EngineLost(), after=1, times=times)
    watch = CrashAfter()

    query = job.run(watch)

    assert query.failure is None
    assert job.sink.values("id") == ALL
    assert job.sink.repetitions == []
    ran = [batch for step, batch in watch.steps if step is BatchStep.RAN]
    assert ran == [0, *[1] * (times + 1), 2]
    assert job.source.calls.count("read") == 3, "the rows are still in the spool"


def test_an_engine_that_keeps_going_away_fails_the_query(job: Job) -> None:
    job.engine.fail(EngineLost(), after=1, times=ENGINE_ATTEMPTS)

    query = job.run()

    assert isinstance(query._cause, SparkGeneralError)
    assert f"died {ENGINE_ATTEMPTS} times in a row while it ran batch 1" in query._cause.message
    job.run()
    assert job.sink.values("id") == ALL


def test_an_engine_that_goes_away_after_the_sink_has_written(job: Job) -> None:
    job.sink.fail(EngineLost(), written=True)
    job.run()
    assert job.sink.values("id") == ALL
    assert job.sink.repetitions == [0]


def test_a_source_is_told_what_the_sink_has(job: Job) -> None:
    job.run()
    assert job.source.commits == ["1", "2"]
    job.source.add({"id": 6})
    job.run()
    assert job.source.commits == ["1", "2", "3"]


def test_once_takes_everything_in_one_batch(job: Job) -> None:
    job.run(trigger=Once())
    assert job.sink.batches == {0: rows(*ALL)}
    assert "prepare_available_now" not in job.source.calls


def test_what_comes_after_the_start_is_for_the_next_run(engine: FakeEngine, job: Job) -> None:
    def more(*_: object) -> None:
        job.source.add({"id": 9})

    engine.before_run = more
    job.run()
    assert job.sink.values("id") == ALL


def test_a_batch_of_two_sources_has_what_each_has(engine: FakeEngine, source: ScriptedSource, tmp_path: Path) -> None:
    short, sink = ScriptedSource(SCHEMA, rows(10)), ListSink()
    for _ in range(2):
        run(define([source, short], sink, tmp_path, engine), engine)
        if not short.commits:
            assert sink.batches == {0: rows(0, 1, 10), 1: rows(2, 3), 2: rows(4, 5)}
        short.add({"id": 11})
    log = Checkpoint(tmp_path).batch(BatchId(3))
    assert log is not None
    assert log.offsets == ["3", "2"]
    assert sink.batches[3] == rows(11)


def test_one_source_that_is_read_twice_has_one_range(
    engine: FakeEngine, source: ScriptedSource, tmp_path: Path
) -> None:
    sink = ListSink()
    run(define(source, sink, tmp_path, engine, plan=lambda leaf: union(leaf, leaf)), engine)
    assert source.calls.count("open") == 1
    assert sink.batches == {0: rows(0, 1, 0, 1), 1: rows(2, 3, 2, 3), 2: rows(4, 5, 4, 5)}
    log = Checkpoint(tmp_path).batch(BatchId(2))
    assert log is not None
    assert log.offsets == ["3", "3"], "the log has a line for each place where it is read"


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_large_batch_goes_in_parts_to_a_sink_that_takes_them(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_parts: bool
) -> None:
    monkeypatch.setattr(parts, "FIRST_BYTES", 8)
    monkeypatch.setattr(parts, "LARGEST_BYTES", 8)
    source, sink = ScriptedSource(SCHEMA, *map(rows, range(5))), ListSink(in_parts=in_parts)

    query = run(define(source, sink, tmp_path, engine, trigger=Once()), engine)

    assert query.failure is None
    assert sink.batches == {0: rows(0, 1, 2, 3, 4)}
    assert engine.runs == (5 if in_parts else 1)


def test_a_listener_hears_of_each_batch_and_of_the_end(engine: FakeEngine, job: Job) -> None:
    heard: list[str] = []
    listener = Listener(
        on_progress=lambda _: heard.append("progress"), on_terminated=lambda _: heard.append("terminated")
    )
    run(define(job.source, job.sink, job.checkpoint.folder, engine), engine, listener=listener)
    assert heard == ["progress"] * 3 + ["terminated"]


def test_a_batch_that_runs_again_has_the_time_of_its_first_run(engine: FakeEngine, job: Job) -> None:
    clock = ManualClock(1_000)
    for step in (BatchStep.LOGGED, None):
        definition = define(job.source, job.sink, job.checkpoint.folder, engine)
        run(definition, engine, clock=clock, observer=CrashAfter(step))
        clock.advance(5_000)
    logs = [job.checkpoint.batch(BatchId(number)) for number in range(3)]
    assert [log and log.timestamp_ms for log in logs] == [1_000, 6_000, 6_000]


def test_nothing_is_left_of_a_run(engine: FakeEngine, job: Job) -> None:
    before = set(engine.sessions)
    job.run(output_mode=OutputMode.UPDATE)
    (client,) = set(engine.sessions) - before
    assert client == "the-tests-session", "the query's own session is released"
    assert not list(job.checkpoint.folder.glob(".scratch"))
    assert engine.spooled == 0


def test_the_rows_of_a_batch_go_with_it(engine: FakeEngine, job: Job) -> None:
    spooled = []

    def before_run(*_: object) -> None:
        spooled.append(engine.spooled)

    engine.before_run = before_run
    job.run()
    assert spooled == [1, 1, 1]


@pytest.mark.parametrize("step", [BatchStep.RAN, BatchStep.WRITTEN, BatchStep.COMMITTED])
def test_who_notes_batches_misses_none_that_is_done(engine: FakeEngine, job: Job, step: BatchStep) -> None:
    """It hears of a batch before the checkpoint has it, so again of one that is run again."""
    noted: list[tuple[int, int, int | None]] = []

    def note(entry: Progress) -> None:
        done = job.checkpoint.latest_commit()
        assert (-1 if done is None else done) == entry.batch_id - 1
        noted.append((entry.batch_id, entry.input_rows, entry.output_rows))

    definition = define(job.source, job.sink, job.checkpoint.folder, engine)
    run(definition, engine, observer=CrashAfter(step, 1), listener=Listener(on_batch=note))
    again = define(job.source, job.sink, job.checkpoint.folder, engine)
    run(again, engine, listener=Listener(on_batch=note))

    assert [batch for batch, *_ in noted] == [0, 1, 2]
    assert {read for _, read, _ in noted} == {2}


def test_a_batch_that_cannot_be_noted_is_not_done(engine: FakeEngine, job: Job) -> None:
    def note(entry: Progress) -> None:
        raise SparkGeneralError("no room")

    query = run(define(job.source, job.sink, job.checkpoint.folder, engine), engine, listener=Listener(on_batch=note))

    assert query.cause is not None
    assert query.cause.message == "no room"
    assert job.checkpoint.latest_commit() is None
