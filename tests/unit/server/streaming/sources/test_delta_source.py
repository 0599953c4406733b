"""A Delta table as a stream, on tables that delta-rs writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from riacho.clock import iso_utc
from riacho.errors import AnalysisError, IllegalStateError, SparkError
from riacho.ids import Offset
from riacho.server.delta.log import DeltaLog
from riacho.server.engine.base import EngineSession
from riacho.server.streaming.sources.base import METADATA, ReadLimit, SourceContext
from riacho.server.streaming.sources.delta import DeltaSource
from riacho.server.streaming.sources.delta.source import DeltaReader
from riacho.testing.clock import ManualClock

FEED = {"delta.enableChangeDataFeed": "true"}


def append(table: Path, *values: int, **columns: Any) -> None:
    data = {"id": pa.array(values, pa.int64())} | {name: pa.array(column) for name, column in columns.items()}
    write_deltalake(table, pa.table(data), mode="append", schema_mode="merge" if columns else None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two versions of a table with a change feed: 1 and 2, then 3."""
    path = tmp_path / "t"
    write_deltalake(path, pa.table({"id": pa.array([1, 2], pa.int64())}), configuration=FEED)
    append(path, 3)
    return path


class Query:
    """A stream over a table, driven by hand: each batch is planned, read and committed."""

    def __init__(
        self,
        table: Path,
        log_dir: Path,
        *,
        with_metadata: bool = False,
        unused: frozenset[str] = frozenset(),
        **options: object,
    ) -> None:
        self._source = DeltaSource.of(table, {name: str(value) for name, value in options.items()})
        session = cast(EngineSession, None)  # the source asks nothing of the engine
        self._context = SourceContext(log_dir, session, ManualClock(), with_metadata, unused)
        self.reader: DeltaReader = self._source.open(self._context)
        self.offset: Offset | None = None

    def restart(self) -> None:
        """Another run of the query: what was not in the checkpoint is gone."""
        self.reader = self._source.open(self._context)

    def batch(self, *, everything: bool = False) -> list[dict[str, Any]] | None:
        """The rows of the next batch, or None if there is no batch to run."""
        end = self.reader.latest_offset(self.offset, ReadLimit(everything))
        if end is None or end == self.offset:
            return None
        rows = self.read(self.offset, end)
        self.reader.commit(end)
        self.offset = end
        return rows

    def read(self, start: Offset | None, end: Offset) -> list[dict[str, Any]]:
        data = self.reader.read(start, end)
        batches = list(data.batches)
        assert all(batch.schema.equals(data.schema) for batch in batches)
        return cast(list[dict[str, Any]], pa.Table.from_batches(batches, data.schema).to_pylist())

    def ids(self, **how: bool) -> list[int] | None:
        rows = self.batch(**how)
        return None if rows is None else sorted(row["id"] for row in rows)

    @property
    def position(self) -> tuple[int, int, bool]:
        assert self.offset is not None
        body = json.loads(self.offset)
        return body["reservoirVersion"], body["index"], body["isStartingVersion"]


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint" / "sources" / "0"


def test_first_the_rows_that_are_there_then_each_commit(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir)
    assert query.ids() == [1, 2, 3]
    assert query.position == (2, -1, False)
    assert query.ids() is None
    append(table, 4)
    assert query.ids() == [4]
    assert query.position == (3, -1, False)


def test_the_offset_is_deltas_own(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir)
    query.batch()
    table_id = DeltaTable(table).metadata().id
    assert query.offset == (
        f'{{"sourceVersion":1,"reservoirId":"{table_id}","reservoirVersion":2,"index":-1,"isStartingVersion":false}}'
    )


def test_a_batch_takes_so_many_files(table: Path, log_dir: Path) -> None:
    append(table, 4)
    query = Query(table, log_dir, maxFilesPerTrigger=2)
    assert query.ids() == [1, 2, 3]
    assert query.position == (2, 1, True)
    append(table, 5)
    assert query.ids() == [4, 5]
    assert query.ids() is None


def test_a_batch_takes_at_least_one_file_of_any_size(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir, maxBytesPerTrigger="1b")
    assert (query.ids(), query.ids(), query.ids()) == ([1, 2], [3], None)


def test_trigger_once_takes_everything(table: Path, log_dir: Path) -> None:
    assert Query(table, log_dir, maxFilesPerTrigger=1).ids(everything=True) == [1, 2, 3]


def test_available_now_ends_where_the_table_ended(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir, maxFilesPerTrigger=1)
    query.reader.prepare_available_now()
    assert query.ids() == [1, 2]
    append(table, 4)
    assert query.ids() == [3]
    assert query.ids() is None


def test_the_same_range_gives_the_same_rows_after_a_restart(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir)
    end = query.reader.latest_offset(None, ReadLimit())
    assert end is not None
    append(table, 4)
    query.restart()
    assert sorted(row["id"] for row in query.read(None, end)) == [1, 2, 3]


def test_part_of_a_snapshot_is_read_again_from_that_snapshot(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir, maxFilesPerTrigger=1)
    end = query.reader.latest_offset(None, ReadLimit())
    assert end is not None
    append(table, 4)
    DeltaTable(table).optimize.compact()
    query.restart()
    assert sorted(row["id"] for row in query.read(None, end)) == [1, 2]


@pytest.mark.parametrize(("version", "expected"), [(0, [1, 2, 3]), (1, [3])])
def test_starting_version(table: Path, log_dir: Path, version: int, expected: list[int]) -> None:
    assert Query(table, log_dir, startingVersion=version).ids() == expected


def test_starting_at_the_latest_version_skips_what_is_there(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir, startingVersion="latest")
    assert query.ids() is None
    append(table, 4)
    end = query.reader.latest_offset(None, ReadLimit())
    assert end is not None
    query.restart()
    assert [row["id"] for row in query.read(None, end)] == [4]


def test_a_version_that_is_not_there(table: Path, log_dir: Path) -> None:
    with pytest.raises(AnalysisError, match=r"DELTA_VERSION_NOT_FOUND.*\[0, 1\]"):
        Query(table, log_dir, startingVersion=7).batch()


def test_starting_timestamp(table: Path, log_dir: Path) -> None:
    assert Query(table, log_dir, startingTimestamp="2020-01-01").ids() == [1, 2, 3]
    with pytest.raises(AnalysisError, match="DELTA_TIMESTAMP_GREATER_THAN_COMMIT"):
        Query(table, log_dir, startingTimestamp="2999-01-01 00:00:00").batch()


def test_a_timestamp_between_two_commits_starts_at_the_second(table: Path, log_dir: Path) -> None:
    first, second = (DeltaLog(table).read(version).timestamp_ms for version in (0, 1))
    moment = iso_utc(max(first + 1, second))
    assert Query(table, log_dir, startingTimestamp=moment).ids() == [3]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"startingVersion": 1, "startingTimestamp": "2020-01-01"}, "DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET"),
        ({"startingVersion": "soon"}, "Invalid value 'soon' for option 'startingVersion'"),
        ({"maxFilesPerTrigger": 0}, "Invalid value '0' for option 'maxFilesPerTrigger'"),
        ({"maxBytesPerTrigger": "many"}, "Invalid value 'many' for option 'maxBytesPerTrigger'"),
        ({"ignoreDeletes": "maybe"}, "must be 'true' or 'false'"),
        ({"excludeRegex": "("}, "must be a regular expression"),
        ({"startingTimestamp": "soon"}, "DELTA_TIMESTAMP_INVALID"),
        ({"versionAsOf": 1}, "DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS"),
        ({"withEventTimeOrder": "true"}, "withEventTimeOrder"),
    ],
)
def test_options_are_checked(table: Path, options: dict[str, Any], error: str) -> None:
    with pytest.raises(SparkError, match=error.replace("(", r"\(")):
        DeltaSource.of(table, {name: str(value) for name, value in options.items()})


def test_a_delete_of_whole_files(table: Path, log_dir: Path) -> None:
    strict, lenient = Query(table, log_dir), Query(table, log_dir, ignoreDeletes="true")
    assert strict.ids() == lenient.ids() == [1, 2, 3]
    DeltaTable(table).delete()
    append(table, 4)
    with pytest.raises(SparkError, match=r"DELTA_SOURCE_IGNORE_DELETE.*version 2"):
        strict.batch()
    assert lenient.ids() == [4]


def test_an_update(table: Path, log_dir: Path) -> None:
    strict, deletes = Query(table, log_dir), Query(table, log_dir, ignoreDeletes="true")
    skipping, repeating = Query(table, log_dir, skipChangeCommits="true"), Query(table, log_dir, ignoreChanges="true")
    for query in (strict, deletes, skipping, repeating):
        query.batch()
    DeltaTable(table).update(predicate="id = 1", updates={"id": "10"})
    append(table, 4)
    for query in (strict, deletes):
        with pytest.raises(SparkError, match=r"DELTA_SOURCE_TABLE_IGNORE_CHANGES.*UPDATE"):
            query.batch()
    assert skipping.ids() == [4]
    assert repeating.ids() == [2, 4, 10]


def test_compaction_is_no_news(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir)
    query.batch()
    DeltaTable(table).optimize.compact()
    assert query.ids() == []


def test_a_new_column_stops_the_query_until_it_is_started_anew(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir)
    query.batch()
    append(table, 4, name=["four"])
    with pytest.raises(IllegalStateError, match=r"DELTA_SCHEMA_CHANGED_WITH_VERSION.*version 2"):
        query.batch()
    again = Query(table, log_dir)
    again.offset = query.offset
    assert again.batch() == [{"id": 4, "name": "four"}]


def test_older_files_lack_newer_columns(table: Path, log_dir: Path) -> None:
    append(table, 4, name=["four"])
    rows = Query(table, log_dir).batch()
    assert rows is not None
    assert sorted((row["id"], row["name"]) for row in rows if row["name"] is None) == [(1, None), (2, None), (3, None)]


def test_another_table_at_the_same_place(table: Path, log_dir: Path, tmp_path: Path) -> None:
    query = Query(table, log_dir)
    query.batch()
    write_deltalake(tmp_path / "other", pa.table({"id": pa.array([1], pa.int64())}))
    other = Query(tmp_path / "other", log_dir)
    other.offset = query.offset
    with pytest.raises(IllegalStateError, match="DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE"):
        other.batch()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("12", "DELTA_INVALID_SOURCE_OFFSET_FORMAT"),
        ('{"reservoirId":"x"}', "DELTA_INVALID_SOURCE_OFFSET_FORMAT"),
        (
            '{"sourceVersion":2,"reservoirId":"x","reservoirVersion":0,"index":0,"isStartingVersion":true}',
            "DELTA_INVALID_SOURCE_VERSION",
        ),
        (
            '{"sourceVersion":4,"reservoirId":"x","reservoirVersion":0,"index":0,"isStartingVersion":true}',
            "DELTA_INVALID_FORMAT_FROM_SOURCE_VERSION",
        ),
    ],
)
def test_offsets_that_are_none(table: Path, log_dir: Path, text: str, error: str) -> None:
    query = Query(table, log_dir)
    query.offset = Offset(text)
    with pytest.raises(IllegalStateError, match=error):
        query.batch()


def test_commits_that_are_gone(table: Path, log_dir: Path) -> None:
    query = Query(table, log_dir)
    query.batch()
    append(table, 4)
    append(table, 5)
    DeltaTable(table).create_checkpoint()
    Path(DeltaLog(table).path(2)).unlink()
    query.restart()
    with pytest.raises(SparkError, match="DELTA_MISSING_FILES_UNEXPECTED_VERSION.*failOnDataLoss"):
        query.batch()
    lenient = Query(table, log_dir, failOnDataLoss="false")
    lenient.offset = query.offset
    assert lenient.ids() == [5]


def test_partition_columns_come_from_the_log(tmp_path: Path, log_dir: Path) -> None:
    rows = [{"id": 1, "day": None, "kind": "a/b"}, {"id": 2, "day": "2024-02-29", "kind": None}]
    data = pa.Table.from_pylist(rows, pa.schema([("id", pa.int64()), ("day", pa.string()), ("kind", pa.string())]))
    data = data.set_column(1, "day", data["day"].cast(pa.date32()))
    write_deltalake(tmp_path / "t", data, partition_by=["day", "kind"])
    query = Query(tmp_path / "t", log_dir)
    assert sorted(query.batch() or [], key=lambda row: row["id"]) == data.to_pylist()


def test_files_can_be_left_out(tmp_path: Path, log_dir: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"id": [1, 2], "kind": ["a", "b"]}), partition_by=["kind"])
    assert Query(tmp_path / "t", log_dir, excludeRegex="kind=a").ids() == [2]


def test_the_file_behind_each_row(table: Path, log_dir: Path) -> None:
    rows = Query(table, log_dir, with_metadata=True).batch()
    assert rows is not None
    (last,) = [row[METADATA] for row in rows if row["id"] == 3]
    path = Path(last["file_path"].removeprefix("file://"))
    assert path.parent == table
    assert (last["file_name"], last["file_size"]) == (path.name, path.stat().st_size)


def test_a_table_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="DELTA_PATH_DOES_NOT_EXIST"):
        DeltaSource.of(tmp_path / "none", {})


def test_a_declared_schema_must_be_the_tables(table: Path) -> None:
    assert DeltaSource.of(table, {}, pa.schema([("id", pa.int64())])).schema.names == ["id"]
    with pytest.raises(AnalysisError, match="DELTA_READ_SOURCE_SCHEMA_CONFLICT"):
        DeltaSource.of(table, {}, pa.schema([("id", pa.string())]))


class TestChangeFeed:
    def test_its_columns(self, table: Path) -> None:
        assert DeltaSource.of(table, {"readChangeFeed": "true"}).schema.names == [
            "id",
            "_change_type",
            "_commit_version",
            "_commit_timestamp",
        ]

    def test_what_is_there_comes_as_inserts(self, table: Path, log_dir: Path) -> None:
        rows = Query(table, log_dir, readChangeFeed="true").batch()
        assert changes(rows) == [(1, "insert", 1), (2, "insert", 1), (3, "insert", 1)]

    def test_each_change_of_a_row(self, table: Path, log_dir: Path) -> None:
        DeltaTable(table).update(predicate="id = 3", updates={"id": "30"})
        DeltaTable(table).delete("id = 1")
        query = Query(table, log_dir, readChangeFeed="true", startingVersion=0)
        assert changes(query.batch()) == [
            (1, "delete", 3),
            (1, "insert", 0),
            (2, "insert", 0),
            (3, "insert", 1),
            (3, "update_preimage", 2),
            (30, "update_postimage", 2),
        ]
        assert query.batch() is None

    def test_an_update_is_never_cut_in_two(self, table: Path, log_dir: Path) -> None:
        query = Query(table, log_dir, readChangeFeed="true", startingVersion=0, maxFilesPerTrigger=1)
        DeltaTable(table).update(updates={"id": "id * 10"})
        sizes = []
        while (rows := query.batch()) is not None:
            sizes.append(len(rows))
        assert [size for size in sizes if size] == [2, 1, 6]

    def test_the_time_of_a_change_is_that_of_its_commit(self, table: Path, log_dir: Path) -> None:
        rows = Query(table, log_dir, readChangeFeed="true", startingVersion=1).batch()
        assert rows is not None
        assert rows[0]["_commit_timestamp"].timestamp() * 1000 == DeltaLog(table).read(1).timestamp_ms

    def test_unused_columns_are_null(self, table: Path, log_dir: Path) -> None:
        append(table, 4, name=["Davi"])
        for unused, expected in (("id", (None, "Davi")), ("name", (4, None))):
            query = Query(table, log_dir, unused=frozenset({unused}), readChangeFeed="true", startingVersion=2)
            [row] = query.batch() or []
            assert (row["id"], row["name"], row["_change_type"]) == (*expected, "insert")

    def test_it_must_have_been_kept(self, tmp_path: Path, log_dir: Path) -> None:
        write_deltalake(tmp_path / "plain", pa.table({"id": [1]}))
        with pytest.raises(AnalysisError, match=r"(?s)DELTA_MISSING_CHANGE_DATA.*\[0\]"):
            Query(tmp_path / "plain", log_dir, readChangeFeed="true", startingVersion=0).batch()


def changes(rows: list[dict[str, Any]] | None) -> list[tuple[Any, ...]]:
    assert rows is not None
    return sorted((row["id"], row["_change_type"], row["_commit_version"]) for row in rows)


def test_unused_columns_are_null(table: Path, log_dir: Path) -> None:
    append(table, 4, name=["Davi"])
    assert Query(table, log_dir, unused=frozenset({"id"})).batch() == [
        *[{"id": None, "name": None}] * 3,
        {"id": None, "name": "Davi"},
    ]
    rows = Query(table, log_dir, unused=frozenset({"id", "name"}), with_metadata=True).batch() or []
    assert len(rows) == 4
    assert all(row["_metadata"]["file_name"] and row["name"] is None for row in rows)


def test_an_idle_trigger_looks_at_one_file(table: Path, log_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = Query(table, log_dir)
    query.batch()
    looked: list[int] = []
    has = DeltaLog.has

    def look(log: DeltaLog, version: int) -> bool:
        looked.append(version)
        return has(log, version)

    monkeypatch.setattr(DeltaLog, "has", look)
    monkeypatch.setattr(DeltaLog, "read", None)
    assert query.reader.latest_offset(query.offset, ReadLimit()) == query.offset
    assert looked == [2]
