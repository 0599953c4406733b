"""The sink of AUTO CDC over real Delta tables, without an engine: random histories, cut off and run again anywhere.

What is read are the rows of the batch's keys alone, so a file that is passed over by mistake shows as a key that is
there twice, or that comes back.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.clock import SystemClock
from riacho.ids import BatchId, QueryId, RunId
from riacho.protos import pb
from riacho.server.catalog.base import Catalog, TableName
from riacho.server.catalog.row_changes.job import Applied, Runner
from riacho.server.delta import files, tables
from riacho.server.delta import schema as schemas
from riacho.server.delta.changes import TableDefinition
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import load_state
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.graph.cdc.definition import DELETE, METADATA, SEQUENCE, TRUNCATE, AutoCdc, CdcFlow
from riacho.server.graph.cdc.scd1 import Scd1
from riacho.server.graph.cdc.sink import CdcSink, CdcTarget, CdcWriter
from riacho.server.graph.names import Identifier
from riacho.server.streaming.sinks.base import OutputMode, SinkBatch, SinkContext
from riacho.types import nullable

Event = tuple[int, int, bool, int]
"""The number of a key, its place in the sequence, whether it deletes, a value."""

KEYS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "integers": (pa.int64(), [-(2**63), -1, 0, 1, 7, 2**63 - 1]),
    "texts": (pa.string(), ["", "a", "x" * 40 + "a", "x" * 40 + "b", "é", "\U0001f600"]),
    "doubles": (pa.float64(), [math.nan, -math.inf, 0.0, 1.5, math.inf, 1e300]),
    "moments": (
        pa.timestamp("us", tz="UTC"),
        [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(microseconds=n) for n in (0, 1, 999, 1000, 1001, 10**12)],
    ),
    "decimals": (pa.decimal128(38, 2), [Decimal(n) / 4 for n in (-(10**20), -1, 0, 1, 2, 10**30)]),
    "structs": (pa.struct([("a", pa.int32())]), [{"a": n} for n in (None, -1, 0, 1, 2, 3)]),
}


class Session:
    """An engine session that gives the batches it was made with."""

    zone = SimpleNamespace(engine="UTC")

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        self._batches = batches

    def stream(self, relation: pb.Relation) -> Iterator[pa.RecordBatch]:
        yield self._batches[relation.common.plan_id]


class DiedError(Exception):
    """The server is gone."""


class World:
    """A target and its auxiliary table on disk."""

    def __init__(self, folder: Path, kind: str, partitioned: bool) -> None:
        self.key_type, self.keys = KEYS[kind]
        selected = pa.schema([("K", self.key_type), ("part", pa.int32()), ("v", pa.int64())])
        definition = AutoCdc(Identifier(("s",)), ("k",), pb.Expression())
        self.flow = CdcFlow(definition, ("K",), selected, pa.int64())
        self.target, self.auxiliary = folder / "t", folder / "aux"
        schema = nullable(Scd1().target_schema(self.flow))
        partition_by = ("part",) if partitioned else ()
        tables.create(self.target, TableDefinition(schema, partition_by), SystemClock())
        tables.create(self.auxiliary, TableDefinition(Scd1().auxiliary_schema(self.flow)), SystemClock())
        self.writer = self._opened([])

    def apply(self, batch_id: int, events: Sequence[Event], parts: int, dies: tuple[str, str] | None) -> None:
        """Run a batch, in parts; `dies`: at the commit of a table, before or behind it."""
        size = max(1, -(-len(events) // parts))
        batches = [self._arrow(events[at : at + size]) for at in range(0, max(1, len(events)), size)]
        self.writer = self._opened(batches) if dies else self._with(batches)
        relations = [pb.Relation(common=pb.RelationCommon(plan_id=number)) for number in range(len(batches))]
        batch = SinkBatch(BatchId(batch_id), relations, pa.schema([]))
        with dying(*dies) if dies else nullcontext():
            self.writer.add_batch(batch)

    def rows(self) -> list[tuple[int, int, int]]:
        places = {repr(key): number for number, key in enumerate(pa.array(self.keys, self.key_type).to_pylist())}
        found = [(places[repr(row["K"])], row[METADATA]["upsertSequence"], row["v"]) for row in read(self.target)]
        return sorted(found)

    def _with(self, batches: Sequence[pa.RecordBatch]) -> CdcWriter:
        self.session._batches = batches
        return self.writer

    def _opened(self, batches: Sequence[pa.RecordBatch]) -> CdcWriter:
        self.session = Session(batches)
        context = SinkContext(
            QueryId("q"), RunId("r"), None, pa.schema([]), OutputMode.APPEND, cast(EngineSession, self.session), Path()
        )
        target = CdcTarget(self.flow, "f", TableName("spark_catalog", "default", "t"), "`t`")
        sink = CdcSink(target, cast(Catalog, None), SystemClock())
        return CdcWriter(sink, target, context, self.target, self.auxiliary)

    def _arrow(self, events: Sequence[Event]) -> pa.RecordBatch:
        keys, places, deletes, values = ([event[at] for event in events] for at in range(4))
        return pa.RecordBatch.from_pydict(
            {
                "K": pa.array([self.keys[key] for key in keys], self.key_type),
                "part": pa.array([value % 3 for value in values], pa.int32()),
                "v": pa.array(values, pa.int64()),
                SEQUENCE: pa.array(places, pa.int64()),
                DELETE: pa.array(deletes, pa.bool_()),
                TRUNCATE: pa.array([False] * len(events), pa.bool_()),
            }
        )


@contextmanager
def dying(table: str, when: str) -> Iterator[None]:
    """The server is killed at the commit of a table, before or behind it."""
    put, apply = DeltaLog.put, Runner.apply

    def before(log: DeltaLog, version: int, content: bytes) -> bool:
        if log.table.name == table:
            raise DiedError
        return put(log, version, content)

    def behind(runner: Runner, writer: DeltaWriter, *given: Any) -> Applied:
        applied = apply(runner, writer, *given)
        if writer.log.table.name == table:
            raise DiedError
        return applied

    patch = (DeltaLog, "put", before) if when == "before" else (Runner, "apply", behind)
    with mock.patch.object(*patch), suppress(DiedError):
        yield


def read(table: Path) -> list[dict[str, Any]]:
    state = load_state(DeltaLog(table), with_files=True)
    schema = files_schema(table)
    assert state.files is not None
    held = [files.data_file(table, add) for add in state.files.values()]
    return [row for file in held for batch in files.read_batches(file, schema) for row in batch.to_pylist()]


def files_schema(table: Path) -> pa.Schema:
    return nullable(schemas.to_arrow(load_state(DeltaLog(table)).metadata.schema_json))


def expected(batches: Sequence[Sequence[Event]]) -> list[tuple[int, int, int]]:
    newest: dict[int, Event] = {}
    for event in (event for batch in batches for event in batch):
        old = newest.get(event[0])
        if old is None or (event[1], not event[2]) >= (old[1], not old[2]):
            newest[event[0]] = event
    return sorted((key, place, value) for key, place, deletes, value in newest.values() if not deletes)


events = st.tuples(st.integers(0, 5), st.integers(0, 9), st.booleans(), st.integers(0, 99))
deaths = st.none() | st.tuples(st.sampled_from(["t", "aux"]), st.sampled_from(["before", "behind"]))
batches = st.tuples(st.lists(events, max_size=8), st.integers(1, 3), st.lists(deaths, max_size=2))


@pytest.mark.parametrize("kind", list(KEYS))
@settings(max_examples=25, deadline=None)
@given(history=st.lists(batches, max_size=6), partitioned=st.booleans())
def test_random_histories(kind: str, history: list[Any], partitioned: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), kind, partitioned)
        for number, (batch, parts, dies) in enumerate(history):
            for death in [*dies, None]:
                world.apply(number, batch, parts, death)
            world.apply(number, batch, parts, None)  # a repetition
        assert world.rows() == expected([batch for batch, _, _ in history])


def test_files_without_the_keys_are_not_opened() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), "integers", partitioned=False)
        for number in range(4):
            world.apply(number, [(number, 1, False, number)], 1, None)
        opened: list[str] = []
        read_batches = files.read_batches

        def watched(file: files.DataFile, *given: Any, **options: Any) -> Iterator[pa.RecordBatch]:
            opened.append(file.path.name)
            return read_batches(file, *given, **options)

        with mock.patch.object(files, "read_batches", watched):
            world.apply(4, [(2, 2, False, 9)], 1, None)
        assert len(set(opened)) == 1, opened
        assert world.rows() == [(0, 1, 0), (1, 1, 1), (2, 2, 9), (3, 1, 3)]
