"""The file source, run by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riacho.errors import AnalysisError, IllegalArgumentError, SparkError, UnsupportedOperationError
from riacho.server.streaming.sources.base import ReadLimit
from riacho.server.streaming.sources.file_formats import from_read
from riacho.server.streaming.sources.listing import FileListing
from tests.unit.server.streaming.sources.reading import Run, land

SCHEMA = pa.schema([("id", pa.int64())])


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def start(
    landing: Path, schema: pa.Schema = SCHEMA, *, metadata: bool = False, unused: Iterable[str] = (), **options: str
) -> Run:
    source = from_read("json", schema, options, str(landing))
    return Run(source, landing.parent / "checkpoint" / "sources" / "0", metadata, unused=frozenset(unused))


def files(landing: Path, *numbers: int) -> None:
    for number in numbers:
        land(landing, f"{number}.json", json.dumps({"id": number}), number)


def ids(rows: list[dict[str, Any]] | None) -> list[int] | None:
    return None if rows is None else [row["id"] for row in rows]


def test_each_file_is_read_once(landing: Path) -> None:
    run = start(landing)
    assert run.batch() is None
    files(landing, 1, 2)
    assert ids(run.batch()) == [1, 2]
    assert run.batch() is None
    files(landing, 3)
    assert ids(run.batch()) == [3]
    assert run.offset == '{"logOffset":1}'
    assert run.reader.latest() == '{"logOffset":1}'


def test_a_quiet_folder_is_not_looked_through(landing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(landing, 1)
    os.utime(landing, (1_000_000, 1_000_000))
    run = start(landing)
    run.batch()
    with monkeypatch.context() as patch:
        patch.setattr(FileListing, "files", lambda *_: pytest.fail("the folder did not change"))
        assert run.batch() is None
    files(landing, 2)
    assert ids(run.batch()) == [2]


@pytest.mark.parametrize(
    ("below", "options"),
    [
        ("", {}),
        ("", {"maxFileAge": "1ms"}),
        ("", {"fileNameOnly": "true", "recursiveFileLookup": "true"}),
        ("", {"pathGlobFilter": "*.json"}),
        ("/*", {}),
        ("/*.json", {}),
    ],
)
def test_files_that_were_read_are_not_looked_at_again(
    landing: Path, monkeypatch: pytest.MonkeyPatch, below: str, options: dict[str, str]
) -> None:
    """However many there are: a file costs a look (`stat`) when it is new, at a trigger and at a restart."""
    for number in range(300):
        land(landing, f"{number}.json", "", number)
    for number in range(200):
        land(landing, f"k=1/{300 + number}.json", "", 1000)
    looked: list[str] = []
    look = os.stat

    def counted(path: str, *args: Any, **kwargs: Any) -> os.stat_result:
        looked.append(path)
        return look(path, *args, **kwargs)

    source = from_read("json", SCHEMA, options, f"{landing}{below}")
    first = Run(source, landing.parent / "log")
    first.batch()
    land(landing, "new1.json", '{"id":1}', 2000)
    monkeypatch.setattr(os, "stat", counted)
    run = first.restart(from_read("json", SCHEMA, options, f"{landing}{below}"))
    assert ids(run.batch()) == [1]
    assert run.batch() is None
    land(landing, "new2.json", '{"id":2}', 3000)
    assert ids(run.batch()) == [2]
    assert len(looked) < 50, looked


def test_files_left_for_later_are_not_forgotten_in_a_quiet_folder(landing: Path) -> None:
    files(landing, 1, 2, 3)
    os.utime(landing, (1_000_000, 1_000_000))
    run = start(landing, maxFilesPerTrigger="1", maxCachedFiles="0")
    assert [ids(run.batch()) for _ in range(4)] == [[1], [2], [3], None]


def test_a_restart_knows_what_was_read(landing: Path) -> None:
    files(landing, 1)
    run = start(landing)
    run.batch()
    again = run.restart()
    assert again.batch() is None
    files(landing, 2)
    assert ids(again.batch()) == [2]


def test_a_batch_that_was_cut_off_is_the_same_again(landing: Path) -> None:
    """The log was written, the offset perhaps not, and meanwhile more files came."""
    files(landing, 1, 2)
    run = start(landing)
    end = run.reader.latest_offset(None, ReadLimit())
    assert end is not None
    files(landing, 3)
    again = run.restart()
    assert ids(again.rows(end)) == [1, 2]
    assert again.reader.latest_offset(None, ReadLimit()) == '{"logOffset":1}'


def test_limits_hold_but_for_trigger_once(landing: Path) -> None:
    files(landing, *range(5))
    run = start(landing, maxFilesPerTrigger="2")
    assert [ids(run.batch()), ids(run.batch()), ids(run.batch()), run.batch()] == [[0, 1], [2, 3], [4], None]
    files(landing, 5, 6, 7)
    assert ids(run.batch(everything=True)) == [5, 6, 7]


def test_available_now_ends_where_it_began(landing: Path) -> None:
    files(landing, 1, 2)
    run = start(landing, maxFilesPerTrigger="1")
    run.reader.prepare_available_now()
    files(landing, 3)
    assert [ids(run.batch()), ids(run.batch()), run.batch()] == [[1], [2], None]


def test_latest_first(landing: Path) -> None:
    files(landing, 1, 2, 3)
    run = start(landing, maxFilesPerTrigger="1", latestFirst="true")
    assert [ids(run.batch()), ids(run.batch())] == [[3], [2]]


def test_files_too_old_are_never_read(landing: Path) -> None:
    files(landing, 100)
    run = start(landing, maxFileAge="10s")
    run.batch()
    files(landing, 89, 90)
    assert ids(run.batch()) == [90]


def test_a_name_seen_elsewhere_is_seen_if_names_alone_count(landing: Path) -> None:
    land(landing, "a/f.json", '{"id":1}')
    run = start(landing, recursiveFileLookup="true", fileNameOnly="true")
    run.batch()
    land(landing, "b/f.json", '{"id":2}')
    assert run.batch() is None


def test_a_file_that_vanished_fails_the_batch_unless_it_may(landing: Path) -> None:
    files(landing, 1, 2)
    run = start(landing)
    end = run.reader.latest_offset(None, ReadLimit())
    assert end is not None
    (landing / "1.json").unlink()
    with pytest.raises(SparkError, match=r"FAILED_READ_FILE.FILE_NOT_EXIST.*1\.json"):
        run.restart().rows(end)
    assert ids(run.restart(start(landing, ignoreMissingFiles="true").source).rows(end)) == [2]


def test_a_damaged_file_fails_the_batch_unless_it_may(landing: Path) -> None:
    (landing / "1.parquet").write_bytes(b"PAR1 no parquet PAR1")
    pq.write_table(pa.table({"id": [2]}), landing / "2.parquet")
    log = landing.parent / "log"
    with pytest.raises(SparkError, match=r"1\.parquet"):
        Run(from_read("parquet", SCHEMA, {}, str(landing)), log).batch()
    lenient = from_read("parquet", SCHEMA, {"ignoreCorruptFiles": "true"}, str(landing))
    assert ids(Run(lenient, landing.parent / "log2").batch()) == [2]


def test_many_files_keep_their_order(landing: Path) -> None:
    files(landing, *range(50))
    assert ids(start(landing).batch()) == list(range(50))


def test_metadata_follows_the_data(landing: Path) -> None:
    file = land(landing, "a b.json", '{"id":1}\n', 1)
    [row] = start(landing, metadata=True).batch() or []
    assert list(row) == ["id", "_metadata"]
    moment = row["_metadata"].pop("file_modification_time")
    assert moment.timestamp() == file.stat().st_mtime
    assert row["_metadata"] == {
        "file_path": f"file:{landing}/a%20b.json",
        "file_name": "a%20b.json",
        "file_size": 9,
        "file_block_start": 0,
        "file_block_length": 9,
    }


def test_partition_columns_come_last_and_the_path_counts(landing: Path) -> None:
    land(landing, "k=1/f.json", '{"id":1,"k":"wrong"}')
    run = start(landing, pa.schema([("k", pa.string()), ("id", pa.int64())]))
    assert run.source.schema.names == ["id", "k"]
    assert run.batch() == [{"id": 1, "k": "1"}]


def test_partition_columns_that_nobody_named_are_added(landing: Path) -> None:
    land(landing, "k=1/f.json", '{"id":1}')
    assert start(landing).batch() == [{"id": 1, "k": 1}]


def test_partitions_that_come_later_fill_their_column(landing: Path) -> None:
    run = start(landing, pa.schema([("id", pa.int64()), ("k", pa.int32())]))
    land(landing, "k=1/f.json", '{"id":1}')
    assert run.batch() == [{"id": 1, "k": 1}]


def test_unused_columns_are_null_and_not_looked_at(landing: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("v", pa.int64()), ("k", pa.string())])
    land(landing, "k=1/f.json", '{"id":1,"v":{"no":"number"}}\n{"id":2,"v":"none"}')
    run = start(landing, schema, unused=["v", "k"], mode="FAILFAST")
    assert run.batch() == [{"id": 1, "v": None, "k": None}, {"id": 2, "v": None, "k": None}]


def test_a_file_of_which_nothing_is_used_has_its_rows(landing: Path) -> None:
    land(landing, "f.json", '{"id":1}\n{"id":"x"}\n')
    [row, _] = start(landing, metadata=True, unused=["id"]).batch() or []
    assert (row["id"], row["_metadata"]["file_name"]) == (None, "f.json")


def test_the_types_of_unused_columns_are_checked_all_the_same(landing: Path) -> None:
    source = from_read("csv", pa.schema([("a", pa.list_(pa.int64())), ("b", pa.int64())]), {}, str(landing))
    with pytest.raises(AnalysisError, match="UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE"):
        Run(source, landing.parent / "log", unused=frozenset({"a"}))


def test_read_files_can_be_removed_once_committed(landing: Path) -> None:
    files(landing, 1)
    run = start(landing, cleanSource="delete")
    run.batch()
    assert list(landing.iterdir()) == []


def test_read_files_can_be_archived_under_their_whole_path(landing: Path) -> None:
    files(landing, 1)
    archive = landing.parent / "archive"
    run = start(landing, cleanSource="ARCHIVE", sourceArchiveDir=str(archive))
    run.batch()
    assert Path(f"{archive}{landing}/1.json").exists()
    assert not (landing / "1.json").exists()


def test_what_cannot_be_cleaned_stays(landing: Path, caplog: pytest.LogCaptureFixture) -> None:
    files(landing, 1)
    run = start(landing, cleanSource="delete")
    end = run.reader.latest_offset(None, ReadLimit())
    assert end is not None
    (landing / "1.json").unlink()
    run.reader.commit(end)
    assert "Could not remove" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"cleanSource": "burn"},
        {"cleanSource": "archive"},
        {"cleanSource": "archive", "sourceArchiveDir": "{landing}"},
        {"cleanSource": "archive", "sourceArchiveDir": "{landing}/archive"},
        {"maxFilesPerTrigger": "0"},
    ],
)
def test_senseless_options_stop_the_start(landing: Path, options: dict[str, str]) -> None:
    with pytest.raises(IllegalArgumentError):
        Run(
            from_read("json", SCHEMA, {k: v.format(landing=landing) for k, v in options.items()}, str(landing)), landing
        )


def test_a_sinks_log_says_which_files_count(landing: Path) -> None:
    files(landing, 1, 2)
    (landing / "_spark_metadata").mkdir()
    entry = {"path": f"file://{landing}/1.json", "size": 8, "modificationTime": 5, "action": "add"}
    (landing / "_spark_metadata" / "0").write_text("v1\n" + json.dumps(entry))
    assert ids(start(landing).batch()) == [1]
    with pytest.raises(UnsupportedOperationError, match="FileStreamSink"):
        start(landing, cleanSource="delete").batch()


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="PATH_NOT_FOUND"):
        from_read("json", SCHEMA, {}, str(tmp_path / "nowhere"))
    assert from_read("json", SCHEMA, {}, str(tmp_path / "nowhere*")).schema == SCHEMA


def test_a_path_is_needed(tmp_path: Path) -> None:
    with pytest.raises(IllegalArgumentError, match="path"):
        from_read("json", SCHEMA, {}, None)
    assert from_read("json", SCHEMA, {"path": f"file://{tmp_path}"}, None).path == str(tmp_path)


def test_other_file_systems_are_refused() -> None:
    with pytest.raises(UnsupportedOperationError, match="hdfs://"):
        from_read("json", SCHEMA, {}, "hdfs://host/in")


def test_a_schema_is_needed_unless_it_may_be_inferred(landing: Path) -> None:
    files(landing, 1)
    with pytest.raises(IllegalArgumentError, match="Schema must be specified"):
        from_read("json", None, {}, str(landing))
    assert from_read("json", None, {}, str(landing), infer=True).schema == SCHEMA
    assert from_read("text", None, {}, str(landing)).schema == pa.schema([("value", pa.string())])


def test_nothing_can_be_inferred_from_nothing(landing: Path) -> None:
    with pytest.raises(AnalysisError, match="UNABLE_TO_INFER_SCHEMA"):
        from_read("json", None, {}, str(landing), infer=True)


def test_columns_are_nullable(landing: Path) -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False)])
    assert from_read("json", schema, {}, str(landing)).schema == SCHEMA
