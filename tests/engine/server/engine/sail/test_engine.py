"""The engine with a real Sail process behind it: it starts in well under a second."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pyarrow as pa
import pytest

from riacho.errors import AnalysisError, EngineLost, ParseError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.engine.sail.session import SailSession
from riacho.server.engine.spool import FolderSpool, empty


@pytest.fixture(scope="module")
def engine() -> Iterator[SailEngine]:
    started = SailEngine()
    yield started
    started.stop()


@pytest.fixture
def session(engine: SailEngine) -> SailSession:
    return engine.session(SessionId(new_uuid()), "user")


@pytest.fixture
def spool(engine: SailEngine) -> Iterator[FolderSpool]:
    made = engine.spool("test")
    yield made
    made.close()


SCHEMA = pa.schema(
    [
        ("a", pa.int64()),
        ("t", pa.timestamp("us", tz="UTC")),
        ("n", pa.timestamp("us")),
        ("l", pa.list_(pa.struct([("x", pa.string())]))),
        ("m", pa.map_(pa.string(), pa.int32())),
        ("d", pa.decimal128(10, 2)),
    ]
)


def test_an_empty_relation_has_its_columns(session: SailSession) -> None:
    assert session.schema(empty(SCHEMA)).names == SCHEMA.names
    assert session.run(empty(SCHEMA)).num_rows == 0


def test_rows_keep_their_order_wherever_they_lie(session: SailSession) -> None:
    text = "x" * 200
    batches = [
        pa.record_batch([pa.array(range(n, n + 10_000)), pa.array([text] * 10_000)], ["n", "t"])
        for n in range(0, 100_000, 10_000)
    ]
    for limit in (1 << 30, 1 << 22):
        spool = FolderSpool("test", memory_limit=limit)
        try:
            relation = spool.put_in_order(iter(batches), batches[0].schema)
            [path] = relation.read.data_source.paths
            assert path.startswith("/dev/shm") == (limit == 1 << 30)
            assert session.run(relation)["n"].to_pylist() == list(range(100_000))
            nothing = spool.put_in_order(iter(()), batches[0].schema)
            assert session.run(nothing).num_rows == 0
        finally:
            spool.close()


def test_rows_go_in_and_out(session: SailSession, spool: FolderSpool) -> None:
    rows = pa.table({"a": list(range(1000))})
    relation, count = spool.put(rows.to_batches(max_chunksize=100), rows.schema)
    assert count == 1000
    assert session.run(relation).sort_by("a").equals(rows)


def test_large_batches_go_to_disk(session: SailSession) -> None:
    spool = FolderSpool("test", memory_limit=1000)
    rows = pa.table({"a": list(range(10_000))})
    relation, _ = spool.put(rows.to_batches(max_chunksize=1000), rows.schema)
    folders = {path.rsplit("/", 2)[0] for path in relation.read.data_source.paths}
    assert len(folders) == 2
    assert session.run(relation).num_rows == 10_000
    spool.close()


def test_errors_are_sparks(session: SailSession) -> None:
    missing = pb.Relation()
    missing.read.named_table.unparsed_identifier = "nothing"
    with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_NOT_FOUND") as caught:
        session.run(missing)
    assert caught.value.condition == "TABLE_OR_VIEW_NOT_FOUND"
    with pytest.raises(ParseError):
        session.parse_ddl("a INTT b")


def test_a_killed_process_costs_one_call_and_no_setting(engine: SailEngine, session: SailSession) -> None:
    session.set_conf("spark.sql.shuffle.partitions", "3")
    session.create_view("v", empty(SCHEMA))
    many = pb.Relation()
    many.range.end, many.range.step = 50_000_000, 1
    rows = session.stream(many)
    next(rows)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineLost):
        list(rows)
    named = pb.Relation()
    named.read.named_table.unparsed_identifier = "v"
    assert session.run(named).num_rows == 0
    assert session.get_conf("spark.sql.shuffle.partitions") == "3"


def test_a_replaced_process_is_not_noticed(engine: SailEngine, session: SailSession) -> None:
    before = engine.pid
    session.set_conf("spark.sql.shuffle.partitions", "5")
    engine.replace()
    assert session.get_conf("spark.sql.shuffle.partitions") == "5"
    assert engine.pid != before


def test_many_confs_are_asked_for_at_once(session: SailSession) -> None:
    session.set_conf("spark.sql.shuffle.partitions", "6")
    asked = {"spark.sql.shuffle.partitions": "200", "spark.sql.streaming.pollingDelay": "10"}
    assert session.get_confs(asked) == {"spark.sql.shuffle.partitions": "6", "spark.sql.streaming.pollingDelay": "10"}


def test_a_clone_has_what_the_original_had_then(engine: SailEngine, session: SailSession) -> None:
    session.set_conf("spark.sql.shuffle.partitions", "7")
    copy = engine.clone(session)
    session.set_conf("spark.sql.shuffle.partitions", "8")
    assert copy.get_conf("spark.sql.shuffle.partitions") == "7"


def test_what_lives_as_long_as_a_session_hears_of_its_end(engine: SailEngine) -> None:
    session = engine.session(SessionId(new_uuid()), "user")
    heard: list[str] = []
    session.on_release(lambda: heard.append("end"))
    engine.release(session.session_id, "user")
    assert heard == ["end"]


def test_an_engine_past_its_memory_bound_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riacho.server.engine.sail.engine.WATCH_INTERVAL_S", 0.01)
    engine = SailEngine(memory_limit=1)
    try:
        session = engine.session(SessionId(new_uuid()), "user")
        first = engine.pid
        while engine.pid == first:
            assert session.run(empty(SCHEMA)).num_rows == 0
        assert session.run(empty(SCHEMA)).num_rows == 0
    finally:
        engine.stop()
