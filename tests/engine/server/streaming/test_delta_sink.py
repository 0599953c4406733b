"""The Delta sink on a real engine; other readers look at what it wrote."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from riacho.errors import SparkError
from riacho.ids import BatchId, QueryId, RunId, SessionId, new_uuid
from riacho.protos import pb
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.maintenance import Housekeeper, MaintenancePolicy
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.streaming.sinks.base import OutputMode, SinkBatch, SinkContext, SinkWriter
from riacho.server.streaming.sinks.delta import DeltaSink
from riacho.storage import on_disk
from riacho.testing.clock import ManualClock

Frame = Callable[[pa.Table], pb.Relation]


@pytest.fixture
def frame(engine: SailEngine) -> Iterator[Frame]:
    spool = engine.spool("test")
    yield lambda data: spool.put(data.to_batches(), data.schema)[0]
    spool.close()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table"


class Query:
    """A query that writes batches into a table, by hand."""

    def __init__(self, engine: SailEngine, frame: Frame, sink: DeltaSink, mode: str = "append") -> None:
        self.query_id = QueryId(new_uuid())
        self._frame = frame
        self._sink = replace(sink, clock=ManualClock())
        self._mode = OutputMode(mode)
        self._session = engine.session(SessionId(new_uuid()), "test")
        self._writer: SinkWriter | None = None
        self.next_batch = 0

    def restart(self) -> None:
        self._writer = None

    def write(self, data: pa.Table, batch_id: int | None = None) -> int | None:
        """Write one batch; by default the next one."""
        number = self.next_batch if batch_id is None else batch_id
        if self._writer is None:
            scratch = on_disk(self._sink.path.parent, "it")
            context = SinkContext(
                self.query_id, RunId(new_uuid()), None, data.schema, self._mode, self._session, scratch
            )
            self._writer = self._sink.open(context)
        written = self._writer.add_batch(SinkBatch(BatchId(number), [self._frame(data)], data.schema))
        self.next_batch = number + 1
        return written


@pytest.fixture
def query(engine: SailEngine, frame: Frame, table: Path) -> Query:
    return Query(engine, frame, DeltaSink(table))


def ids(*values: int | None) -> pa.Table:
    return pa.table({"id": pa.array(values, pa.int64())})


def rows(table: Path) -> list[dict[str, Any]]:
    return sorted(DeltaTable(table).to_pyarrow_table().to_pylist(), key=lambda row: str(row["id"]))


def actions(table: Path, version: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in Path(DeltaLog(table).path(version)).read_text().splitlines():
        for kind, body in json.loads(line).items():
            found.setdefault(kind, []).append(body)
    return found


def versions(table: Path) -> int:
    return len(DeltaLog(table).versions())


def test_each_batch_is_a_version(query: Query, table: Path) -> None:
    assert query.write(ids(1, 2)) == 2
    assert query.write(ids(3)) == 1
    assert rows(table) == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert versions(table) == 2
    (txn,) = actions(table, 1)["txn"]
    assert (txn["appId"], txn["version"]) == (query.query_id, 1)


def test_the_history_names_query_and_batch(query: Query, table: Path) -> None:
    query.write(ids(1, 2))
    (info,) = actions(table, 0)["commitInfo"]
    assert info["operation"] == "STREAMING UPDATE"
    assert info["operationParameters"] == {"outputMode": "Append", "queryId": query.query_id, "epochId": "0"}
    assert info["operationMetrics"]["numOutputRows"] == "2"


def test_a_batch_that_is_repeated_is_written_once(query: Query, table: Path) -> None:
    query.write(ids(1))
    query.write(ids(2, 3))
    query.restart()
    # What is told of a repetition is what the log says of the batch, whatever comes again.
    assert query.write(ids(2), batch_id=1) == 2
    assert query.write(ids(1), batch_id=0) == 1
    assert versions(table) == 2
    assert rows(table) == [{"id": 1}, {"id": 2}, {"id": 3}]


def test_a_batch_without_rows_is_a_version_without_files(query: Query, table: Path) -> None:
    query.write(ids(1))
    assert query.write(ids()) == 0
    assert actions(table, 1).keys() == {"commitInfo", "txn"}
    assert len(list(table.rglob("*.parquet"))) == 1


def test_another_query_is_another_writer(query: Query, engine: SailEngine, frame: Frame, table: Path) -> None:
    query.write(ids(1))
    Query(engine, frame, DeltaSink(table)).write(ids(1))
    assert rows(table) == [{"id": 1}, {"id": 1}]


def test_complete_mode_puts_the_new_rows_in_place_of_all(engine: SailEngine, frame: Frame, table: Path) -> None:
    query = Query(engine, frame, DeltaSink(table), "complete")
    query.write(ids(1, 2))
    query.write(ids(3))
    assert rows(table) == [{"id": 3}]
    assert len(actions(table, 1)["remove"]) == 1
    query.write(ids())
    assert rows(table) == []


def test_update_mode_is_refused(engine: SailEngine, frame: Frame, table: Path) -> None:
    with pytest.raises(SparkError, match="DELTA_UNSUPPORTED_OUTPUT_MODE"):
        Query(engine, frame, DeltaSink(table), "update").write(ids(1))


def test_every_type_comes_through(query: Query, table: Path) -> None:
    data = pa.table(
        {
            "id": pa.array([1, None], pa.int64()),
            "small": pa.array([7, None], pa.int8()),
            "text": ["ação", None],
            "money": pa.array([Decimal("12.50"), None], pa.decimal128(10, 2)),
            "day": pa.array([date(2024, 2, 29), None]),
            "at": pa.array([datetime(2024, 1, 1, 12, 0, 0, 123456, UTC), None], pa.timestamp("us", "UTC")),
            "local": pa.array([date(2024, 1, 1), None]).cast(pa.timestamp("us")),
            "yes": [True, None],
            "bytes": [b"\x00\xff", None],
            "list": pa.array([["a", None], None], pa.list_(pa.string())),
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
            "nested": pa.array([{"x": 1, "y": {"z": ["deep"]}}, None]),
        }
    )
    query.write(data)
    assert rows(table) == sorted(data.to_pylist(), key=lambda row: str(row["id"]))


def test_other_readers_see_the_same(query: Query, table: Path, engine: SailEngine) -> None:
    query.write(ids(1, 2))
    query.write(ids(3))
    files = [str(table / add["path"]) for version in (0, 1) for add in actions(table, version)["add"]]
    total = duckdb.sql(f"SELECT sum(id) FROM read_parquet({files})")
    assert total is not None
    assert total.fetchall() == [(6,)]
    relation = pb.Relation()
    relation.read.data_source.format = "delta"
    relation.read.data_source.paths.append(str(table))
    assert sorted(engine.session(SessionId(new_uuid()), "t").run(relation)["id"].to_pylist()) == [1, 2, 3]


class TestStatistics:
    def test_they_bound_the_rows(self, query: Query, table: Path) -> None:
        query.write(
            pa.table(
                {
                    "id": pa.array([3, None, 1], pa.int64()),
                    "text": ["b" * 40, "a", None],
                    "number": [1.5, float("nan"), -2.0],
                    "at": pa.array([0, 1_001, 500], pa.timestamp("us", "UTC")),
                }
            )
        )
        (add,) = actions(table, 0)["add"]
        stats = json.loads(add["stats"])
        assert stats["numRecords"] == 3
        assert stats["nullCount"] == {"id": 1, "text": 1, "number": 0, "at": 0}
        assert stats["minValues"] == {"id": 1, "text": "a", "number": -2.0, "at": "1970-01-01T00:00:00.000Z"}
        assert stats["maxValues"]["id"] == 3
        assert stats["maxValues"]["text"] > "b" * 40
        assert stats["maxValues"]["at"] == "1970-01-01T00:00:00.002Z"
        assert "number" not in stats["maxValues"]


class TestPartitions:
    def test_files_lie_where_their_values_say(self, engine: SailEngine, frame: Frame, table: Path) -> None:
        data = pa.table(
            {
                "id": pa.array([1, 2, 3, 4], pa.int64()),
                "day": pa.array([date(2024, 1, 1), date(2024, 1, 1), None, None]),
                "kind": ["a/b", "a/b", "ç%", None],
            }
        )
        query = Query(engine, frame, DeltaSink(table, ("day", "kind")))
        assert query.write(data) == 4
        added = actions(table, 0)["add"]
        assert sorted((add["partitionValues"]["day"] or "", add["partitionValues"]["kind"] or "") for add in added) == [
            ("", ""),
            ("", "ç%"),
            ("2024-01-01", "a/b"),
        ]
        assert (table / "day=2024-01-01" / "kind=a%2Fb").is_dir()
        assert rows(table) == data.to_pylist()

    def test_times_are_kept_to_the_microsecond(self, engine: SailEngine, frame: Frame, table: Path) -> None:
        moment = datetime(2024, 1, 1, 12, 0, 0, 123456, UTC)
        data = pa.table({"id": [1], "at": pa.array([moment], pa.timestamp("us", "UTC"))})
        Query(engine, frame, DeltaSink(table, ("at",))).write(data)
        assert rows(table) == data.to_pylist()

    def test_they_cannot_be_others_than_the_tables(self, engine: SailEngine, frame: Frame, table: Path) -> None:
        data = pa.table({"id": [1], "a": ["x"], "b": ["y"]})
        Query(engine, frame, DeltaSink(table, ("a",))).write(data)
        Query(engine, frame, DeltaSink(table)).write(data)  # who says nothing takes the table's
        with pytest.raises(SparkError, match="DELTA_METADATA_MISMATCH.PARTITIONING_MISMATCH"):
            Query(engine, frame, DeltaSink(table, ("b",))).write(data)


class TestSchema:
    def test_a_new_column_is_refused(self, query: Query, table: Path) -> None:
        query.write(ids(1))
        query.restart()
        with pytest.raises(SparkError, match="(?s)DELTA_METADATA_MISMATCH.SCHEMA_MISMATCH.*mergeSchema.*name: string"):
            query.write(pa.table({"id": [2], "name": ["two"]}))
        assert versions(table) == 1
        assert len(list(table.glob("*.parquet"))) == 1

    def test_or_added(self, engine: SailEngine, frame: Frame, table: Path) -> None:
        write_deltalake(table, ids(1))
        query = Query(engine, frame, DeltaSink(table, options={"MERGEschema": "true"}))
        query.write(pa.table({"id": [2], "name": ["two"]}))
        assert rows(table) == [{"id": 1, "name": None}, {"id": 2, "name": "two"}]

    def test_fields_are_added_inside_structs(self, engine: SailEngine, frame: Frame, table: Path) -> None:
        write_deltalake(table, pa.table({"id": [1], "s": [{"a": 1}]}))
        query = Query(engine, frame, DeltaSink(table, options={"mergeSchema": "true"}))
        query.write(pa.table({"id": [2], "s": [{"a": 2, "b": "x"}]}))
        assert [f.name for f in pa.schema(DeltaTable(table).schema().to_arrow()).field("s").type] == ["a", "b"]

    def test_a_missing_column_is_null(self, query: Query, table: Path) -> None:
        query.write(pa.table({"id": [1], "name": ["one"]}))
        query.restart()
        query.write(ids(2))
        assert rows(table) == [{"id": 1, "name": "one"}, {"id": 2, "name": None}]

    def test_columns_are_found_by_name_whatever_their_case(self, query: Query, table: Path) -> None:
        write_deltalake(table, pa.table({"name": ["one"], "id": pa.array([1], pa.int64())}))
        query.write(pa.table({"ID": pa.array([2], pa.int64()), "Name": ["two"]}))
        assert rows(table) == [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]

    def test_numbers_are_cast_to_the_tables(self, query: Query, table: Path) -> None:
        write_deltalake(table, pa.table({"id": pa.array([1], pa.int64()), "n": [1.5]}))
        query.write(pa.table({"id": pa.array([2], pa.int32()), "n": pa.array([2], pa.int32())}))
        assert rows(table) == [{"id": 1, "n": 1.5}, {"id": 2, "n": 2.0}]

    def test_other_types_are_refused(self, query: Query, table: Path) -> None:
        write_deltalake(table, ids(1))
        with pytest.raises(SparkError, match="DELTA_FAILED_TO_MERGE_FIELDS.*'id'.*BIGINT.*ARRAY<STRING>"):
            query.write(pa.table({"id": [["x"]]}))

    def test_a_column_that_must_be_there(self, query: Query, table: Path) -> None:
        DeltaTable.create(table, pa.schema([pa.field("id", pa.int64(), nullable=False), ("name", pa.string())]))
        with pytest.raises(SparkError, match="DELTA_NOT_NULL_CONSTRAINT_VIOLATED.*id"):
            query.write(pa.table({"id": pa.array([None], pa.int64()), "name": ["x"]}))
        query.restart()
        with pytest.raises(SparkError, match="DELTA_MISSING_NOT_NULL_COLUMN_VALUE.*id"):
            query.write(pa.table({"name": ["x"]}))
        assert versions(table) == 1
        assert list(table.glob("*.parquet")) == []

    def test_types_that_delta_has_not(self, query: Query) -> None:
        with pytest.raises(SparkError, match="DELTA_NULL_SCHEMA_IN_STREAMING_WRITE"):
            query.write(pa.table({"id": pa.nulls(1)}))

    def test_names_that_delta_has_not(self, query: Query, table: Path) -> None:
        with pytest.raises(SparkError, match="(?s)DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES.*a b"):
            query.write(pa.table({"a b": [1]}))
        assert not (table / "_delta_log").exists()


class TestTablesOfOthers:
    def test_a_change_feed_is_kept(self, query: Query, table: Path) -> None:
        DeltaTable.create(table, ids().schema, configuration={"delta.enableChangeDataFeed": "true"})
        query.write(ids(1))
        feed = DeltaTable(table).load_cdf(1).read_all()
        assert feed["_change_type"].to_pylist() == ["insert"]

    def test_constraints_hold(self, query: Query, table: Path) -> None:
        write_deltalake(table, ids(1))
        DeltaTable(table).alter.add_constraint({"positive": "id > 0"})
        assert query.write(ids(2)) == 1
        assert query.write(ids(2), batch_id=0) == 1
        with pytest.raises(SparkError, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES.*positive"):
            query.write(ids(-1))
        assert rows(table) == [{"id": 1}, {"id": 2}]

    def test_appends_only(self, engine: SailEngine, frame: Frame, table: Path) -> None:
        write_deltalake(table, ids(1), configuration={"delta.appendOnly": "true"})
        Query(engine, frame, DeltaSink(table)).write(ids(2))
        with pytest.raises(SparkError, match="DELTA_CANNOT_MODIFY_APPEND_ONLY"):
            Query(engine, frame, DeltaSink(table), "complete").write(ids(3))

    def test_features_that_riacho_has_not(self, query: Query, table: Path) -> None:
        write_deltalake(table, ids(1))
        log = Path(DeltaLog(table).path(1))
        log.write_text('{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["rowTracking"]}}\n')
        with pytest.raises(SparkError, match="DELTA_UNSUPPORTED_FEATURES_FOR_WRITE.*rowTracking"):
            query.write(ids(2))

    def test_a_table_that_was_made_anew(self, query: Query, table: Path) -> None:
        query.write(ids(1))
        for path in sorted(table.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        write_deltalake(table, pa.table({"id": pa.array([9], pa.int64()), "name": ["nine"]}))
        query.write(ids(2))
        assert rows(table) == [{"id": 2, "name": None}, {"id": 9, "name": "nine"}]


def test_writers_at_once_all_arrive(engine: SailEngine, frame: Frame, table: Path) -> None:
    """Two queries and delta-rs commit to one table; each version is somebody's, no row is lost or doubled."""
    write_deltalake(table, ids(0))
    queries = [Query(engine, frame, DeltaSink(table)) for _ in range(2)]
    relation = [ids(*range(10 * n, 10 * n + 2)) for n in range(1, 11)]
    failures: list[BaseException] = []

    def run(query: Query) -> None:
        try:
            for data in relation:
                query.write(data)
        except BaseException as failure:  # noqa: BLE001 (seen by the test's own thread)
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(query,)) for query in queries]
    for thread in threads:
        thread.start()
    for _ in range(5):
        write_deltalake(table, ids(1000), mode="append")
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert versions(table) == 1 + 20 + 5
    counted = DeltaTable(table).to_pyarrow_table().group_by("id").aggregate([("id", "count")]).to_pylist()
    counts = {row["id"]: row["id_count"] for row in counted}
    assert counts == {0: 1, 1000: 5} | {i: 2 for data in relation for i in data["id"].to_pylist()}


def test_a_table_is_maintained_beside_the_batches(engine: SailEngine, frame: Frame, table: Path) -> None:
    housekeeper = Housekeeper(MaintenancePolicy(interval_versions=5, compact_after_files=5))
    query = Query(engine, frame, DeltaSink(table, housekeeper=housekeeper))
    for value in range(12):
        query.write(ids(value))
    housekeeper.stop()
    found = DeltaLog(table).latest_checkpoint()
    assert found is not None
    assert found.version >= 5
    assert len(DeltaTable(table).file_uris()) < 12
    query.restart()
    assert query.write(ids(11), batch_id=11) == 1
    assert len(rows(table)) == 12


def test_what_a_killed_writer_left_is_removed_later(query: Query, table: Path) -> None:
    query.write(ids(1))
    leftover = table / "_riacho" / "left"
    leftover.mkdir(parents=True)
    os.utime(leftover, (0, 0))
    query.restart()
    query.write(ids(2))
    assert not leftover.exists()
