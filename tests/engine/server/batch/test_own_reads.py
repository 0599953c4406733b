"""Reads in a format that the engine does not have: when they are read, and what is left of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from riacho.errors import AnalysisError, SparkRuntimeError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.batch.batch_source import MakeBatchSource, RowsRead
from riacho.server.batch.own_reads import OwnReads
from riacho.server.batch.wanted import Wanted
from riacho.server.engine.base import EngineSession
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.engine.spool import SHARED_MEMORY
from riacho.server.plan import build

SCHEMA = pa.schema([("n", pa.int64()), ("t", pa.string())])


class Counter:
    """A source that counts how often it is read; `upTo` rows."""

    reads = 0
    schema = SCHEMA

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def read(self, wanted: Wanted) -> RowsRead:
        return RowsRead(self.schema, self._rows_of(wanted))

    def _rows_of(self, _: Wanted) -> Iterator[pa.RecordBatch]:
        Counter.reads += 1
        if self._rows < 0:
            raise SparkRuntimeError("the well is dry")
        for n in range(self._rows):
            yield pa.record_batch([[n], [f"{Counter.reads}"]], schema=SCHEMA)


def make(read: pb.Read.DataSource, _: EngineSession) -> Counter:
    if "upTo" not in read.options:
        raise AnalysisError("upTo is missing")
    return Counter(int(read.options["upTo"]))


def lookup(name: str, _: EngineSession) -> MakeBatchSource | None:
    return make if name == "counter" else None


@pytest.fixture(scope="module")
def engine() -> Iterator[SailEngine]:
    reads = OwnReads(lookup)
    started = SailEngine(steps=(reads.step,), own_rows=reads)
    yield started
    started.stop()


@pytest.fixture
def session(engine: SailEngine) -> Iterator[EngineSession]:
    Counter.reads = 0
    session = engine.session(SessionId(new_uuid()), "")
    yield session
    engine.release(session.session_id, "")
    assert not spooled()


def spooled() -> list[Path]:
    return [found for root in (SHARED_MEMORY, Path(tempfile.gettempdir())) for found in root.glob("riacho-*-read-*")]


def read(rows: int = 3) -> pb.Relation:
    source = pb.Read.DataSource(format="Counter", options={"upTo": str(rows)})
    return pb.Relation(read=pb.Read(data_source=source))


def sql(text: str) -> pb.Relation:
    return pb.Relation(sql=pb.SQL(query=text))


def numbers(session: EngineSession, relation: pb.Relation) -> list[int]:
    return sorted(session.run(relation).column(0).to_pylist())


def test_analysis_reads_nothing(session: EngineSession) -> None:
    assert session.schema(read()).names == ["n", "t"]
    assert "upTo" not in session.explain(read())
    assert Counter.reads == 0


def test_each_run_reads_anew_and_leaves_nothing(session: EngineSession) -> None:
    for run in (1, 2):
        assert session.run(read()).column("t").to_pylist() == [str(run)] * 3
        assert not spooled()


def test_a_read_of_no_rows(session: EngineSession) -> None:
    assert session.run(read(0)).num_rows == 0


def test_equal_reads_of_one_plan_are_read_once(session: EngineSession) -> None:
    assert numbers(session, build.union(read(2), read(2))) == [0, 0, 1, 1]
    assert Counter.reads == 1


def test_a_prepared_plan_reads_each_time_it_runs(session: EngineSession, engine: SailEngine) -> None:
    prepared = session.prepared(read(2))
    clone = engine.clone(session, prepares=False)
    assert [numbers(clone, prepared) for _ in range(2)] == [[0, 1]] * 2
    assert Counter.reads == 2
    engine.release(clone.session_id, "")


def test_views_read_when_they_are_read(session: EngineSession, engine: SailEngine) -> None:
    session.create_view("Cv", read(2))
    session.create_view("Above", sql("SELECT n + 10 AS n FROM cv"))
    assert Counter.reads == 0
    assert {"cv", "above"} <= session.views
    assert numbers(session, sql("SELECT x.n FROM CV x JOIN cv ON x.n = cv.n WHERE cv.n > 0")) == [1]
    assert Counter.reads == 1
    assert numbers(session, sql("WITH w AS (SELECT * FROM above) SELECT n FROM w")) == [10, 11]
    named = pb.Relation(read=pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier="`Cv`")))
    assert numbers(session, named) == [0, 1]
    assert numbers(engine.clone(session), named) == [0, 1]
    session.create_view("cv", build.union(sql("SELECT 7 AS n"), sql("SELECT 8 AS n")))  # now it is the engine's
    assert numbers(session, sql("SELECT * FROM cv")) == [7, 8]
    session.create_view("cv", read(1))
    assert numbers(session, sql("SELECT n FROM cv")) == [0]
    assert session.drop_view("cv")
    with pytest.raises(AnalysisError, match="cv"):
        session.run(sql("SELECT n FROM cv"))


def test_what_is_wrong_shows_when_it_should(session: EngineSession) -> None:
    with pytest.raises(AnalysisError, match="upTo is missing"):
        session.schema(pb.Relation(read=pb.Read(data_source=pb.Read.DataSource(format="counter"))))
    assert session.schema(read(-1)).names == ["n", "t"]
    with pytest.raises(SparkRuntimeError, match="the well is dry"):
        session.run(read(-1))
