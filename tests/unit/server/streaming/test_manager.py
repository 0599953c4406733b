"""All queries of a server: who may start, who is found, who is told of an end. The engine is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from riacho.conf import STOP_ACTIVE_RUN
from riacho.errors import IllegalArgumentError, IllegalStateError, StreamingQueryError
from riacho.ids import SessionId
from riacho.server.streaming.manager import KEEP_ENDED_MS, QueryManager
from riacho.server.streaming.query import StreamingQuery
from riacho.server.streaming.trigger import AvailableNow, ProcessingTime
from riacho.testing import FakeEngine, ListSink, ManualClock, ScriptedSource, define

SCHEMA = pa.schema([("id", pa.int64())])
MINE, THEIRS = SessionId("mine"), SessionId("theirs")
LIMIT_S = 30
Start = Callable[..., StreamingQuery]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def manager(engine: FakeEngine, clock: ManualClock) -> Iterator[QueryManager]:
    manager = QueryManager(engine, clock)
    yield manager
    manager.stop_all()


@pytest.fixture
def start(manager: QueryManager, engine: FakeEngine, tmp_path: Path) -> Start:
    """A function that starts a query of `owner`; it runs until it is stopped, unless it `ends`."""

    def start(checkpoint: str = "c", owner: SessionId = MINE, *, ends: bool = False, **given: Any) -> StreamingQuery:
        source = ScriptedSource(SCHEMA, [{"id": 1}])
        trigger = AvailableNow() if ends else ProcessingTime(0)
        given = {"trigger": trigger, "owner": owner, **given}
        return manager.start(define(source, ListSink(), tmp_path / checkpoint, engine, **given))

    return start


def ended(query: StreamingQuery) -> StreamingQuery:
    assert query.await_termination(LIMIT_S)
    return query


def failing(engine: FakeEngine, start: Start, text: str, **given: Any) -> StreamingQuery:
    engine.fail(OSError(text))
    query = start(ends=True, **given)
    with pytest.raises(StreamingQueryError, match=text):
        query.await_termination(LIMIT_S)
    return query


def test_each_session_has_its_own(manager: QueryManager, start: Start) -> None:
    mine, theirs = start("a", MINE), start("b", THEIRS)
    done = ended(start("c", MINE, ends=True))

    assert manager.active(MINE) == [mine]
    assert manager.active() == [mine, theirs]
    assert manager.find(MINE, done.query_id, done.run_id) is done
    with pytest.raises(IllegalArgumentError, match=f"Streaming query {mine.query_id} is not found"):
        manager.find(THEIRS, mine.query_id, mine.run_id)
    with pytest.raises(IllegalArgumentError, match=f"Run id mismatch for query id {mine.query_id}"):
        manager.find(MINE, mine.query_id, "another run")
    assert manager.stop_all(MINE) == [mine]
    assert manager.active() == [theirs]


def test_one_name_is_for_one_active_query_of_a_session(manager: QueryManager, engine: FakeEngine, start: Start) -> None:
    first = start("a", name="numbers")
    start("b", THEIRS, name="numbers")
    sessions = len(engine.sessions)
    with pytest.raises(IllegalArgumentError, match="Cannot start query with name numbers"):
        start("c", name="numbers")
    assert len(engine.sessions) == sessions, "a start that is refused leaves no session"
    first.stop()
    assert start("c", name="numbers").is_active


def test_a_second_run_of_a_checkpoint_ends_the_first(manager: QueryManager, start: Start) -> None:
    first, second = start("a"), start("a")
    assert (first.query_id, first.is_active, second.is_active) == (second.query_id, False, True)


def test_a_second_run_is_refused_if_the_conf_says_so(manager: QueryManager, engine: FakeEngine, start: Start) -> None:
    first = start("a")
    sessions = len(engine.sessions)
    with pytest.raises(IllegalStateError, match=f"Cannot start query with id {first.query_id}"):
        start("a", conf={STOP_ACTIVE_RUN.key: "false"})
    assert first.is_active
    assert len(engine.sessions) == sessions


def test_any_end_is_told_until_it_is_forgotten(manager: QueryManager, start: Start) -> None:
    start("a")
    assert not manager.await_any(MINE, 0)
    ended(start("b", ends=True))
    assert manager.await_any(MINE, LIMIT_S)
    assert manager.await_any(MINE, 0), "also to who comes later"
    assert not manager.await_any(THEIRS, 0)
    manager.reset_terminated(MINE)
    assert not manager.await_any(MINE, 0)


def test_the_last_failure_is_raised_to_who_waits_for_any(
    manager: QueryManager, engine: FakeEngine, start: Start
) -> None:
    failing(engine, start, "first", checkpoint="a")
    failing(engine, start, "second", checkpoint="b")
    ended(start("c", ends=True))
    with pytest.raises(StreamingQueryError, match="second"):
        manager.await_any(MINE, LIMIT_S)
    manager.reset_terminated(MINE)
    assert not manager.await_any(MINE, 0)


def test_an_ended_query_can_be_asked_about_for_an_hour_after_the_last_time(
    manager: QueryManager, clock: ManualClock, start: Start
) -> None:
    old, running = ended(start("a", ends=True)), start("b")
    for _ in range(3):
        clock.advance(KEEP_ENDED_MS)
        ended(start("c", ends=True))  # a start looks for what may be forgotten
        assert manager.find(MINE, old.query_id, old.run_id) is old
    clock.advance(KEEP_ENDED_MS + 1)
    ended(start("c", ends=True))
    with pytest.raises(IllegalArgumentError, match="is not found"):
        manager.find(MINE, old.query_id, old.run_id)
    assert manager.find(MINE, running.query_id, running.run_id) is running


def test_whoever_is_told_of_an_end_finds_the_query_ended(
    manager: QueryManager, engine: FakeEngine, start: Start
) -> None:
    query = start("a", ends=True)
    assert manager.await_any(MINE, LIMIT_S)
    assert not query.is_active
    assert query.definition.session.session_id not in engine.sessions
