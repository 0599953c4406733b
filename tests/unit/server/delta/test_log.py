"""The log's files: versions, checkpoints of every form, and who comes first."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from riacho.errors import AnalysisError, SparkError
from riacho.server.delta.actions import AddFile, Metadata, Protocol, data_place, logged_path, parse_commit, render
from riacho.server.delta.history import commit_times, first_version_from, last_version_until
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import TableState, load_state
from riacho.server.delta.writer import DeltaWriter


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Seven versions, one row and one file each; the last two took the first two files out."""
    path = tmp_path / "t"
    for value in range(5):
        noted = CommitProperties(app_transactions=[Transaction("app", value)])
        write_deltalake(path, pa.table({"id": [value]}), mode="append", commit_properties=noted)
    DeltaTable(path).delete("id = 0")
    DeltaTable(path).delete("id = 1")
    return path


def rows(state: TableState) -> int:
    assert state.files is not None
    return sum(file.num_records or 0 for file in state.files.values())


class TestState:
    def test_it_is_the_sum_of_the_commits(self, table: Path) -> None:
        state = load_state(DeltaLog(table), with_files=True)
        assert (state.version, rows(state), state.transactions) == (6, 3, {"app": 4})
        assert state.metadata.id == str(DeltaTable(table).metadata().id)

    def test_of_any_version(self, table: Path) -> None:
        assert [rows(load_state(DeltaLog(table), version, with_files=True)) for version in range(7)] == [
            1, 2, 3, 4, 5, 4, 3,
        ]  # fmt: skip

    def test_a_checkpoint_says_the_same(self, table: Path) -> None:
        plain = load_state(DeltaLog(table), with_files=True)
        DeltaTable(table).create_checkpoint()
        for version in range(7):
            Path(DeltaLog(table).path(version)).unlink()
        from_checkpoint = load_state(DeltaLog(table), with_files=True)
        assert from_checkpoint.files is not None
        assert plain.files is not None
        assert from_checkpoint.files.keys() == plain.files.keys()
        assert (from_checkpoint.metadata, from_checkpoint.protocol) == (plain.metadata, plain.protocol)
        assert from_checkpoint.transactions == plain.transactions
        for key, file in plain.files.items():
            assert from_checkpoint.files[key].to_json()["add"]["size"] == file.size

    def test_a_checkpoint_in_parts(self, table: Path) -> None:
        DeltaTable(table).create_checkpoint()
        (whole,) = (table / "_delta_log").glob("*.checkpoint.parquet")
        content = pq.read_table(whole)
        half = content.num_rows // 2
        for part, piece in enumerate([content.slice(0, half), content.slice(half)], 1):
            pq.write_table(piece, whole.with_name(f"{6:020d}.checkpoint.{part:010d}.{2:010d}.parquet"))
        whole.unlink()
        _remove_commits(table, 7)
        assert rows(load_state(DeltaLog(table), with_files=True)) == 3
        next((table / "_delta_log").glob("*.0000000001.*")).unlink()
        assert DeltaLog(table).latest_checkpoint() is None

    @pytest.mark.parametrize("form", ["json", "parquet"])
    def test_a_checkpoint_with_sidecars(self, table: Path, form: str) -> None:
        DeltaTable(table).create_checkpoint()
        (whole,) = (table / "_delta_log").glob("*.checkpoint.parquet")
        actions = pq.read_table(whole).to_pylist(maps_as_pydicts="strict")
        sidecars = table / "_delta_log" / "_sidecars"
        sidecars.mkdir()
        files = pa.Table.from_pylist([{"add": row["add"]} for row in actions if row["add"]], pq.read_schema(whole))
        pq.write_table(files, sidecars / "files.parquet")
        rest = [{"sidecar": {"path": "files.parquet", "sizeInBytes": 1, "modificationTime": 0}}] + [
            {kind: {k: v for k, v in row[kind].items() if v is not None}}
            for row in actions
            for kind in ("protocol", "metaData", "txn")
            if row[kind]
        ]
        top = whole.with_name(f"{6:020d}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.{form}")
        if form == "json":
            top.write_text("\n".join(json.dumps(action) for action in rest))
        else:
            of_whole = pq.read_schema(whole)
            sidecar = pa.struct([("path", pa.string()), ("sizeInBytes", pa.int64()), ("modificationTime", pa.int64())])
            kinds = [of_whole.field(kind) for kind in ("protocol", "metaData", "txn")]
            pq.write_table(pa.Table.from_pylist(rest, pa.schema([*kinds, ("sidecar", sidecar)])), top)
        whole.unlink()
        _remove_commits(table, 7)
        state = load_state(DeltaLog(table), with_files=True)
        assert (rows(state), state.transactions, state.metadata.id != "") == (3, {"app": 4}, True)

    def test_it_follows_the_table(self, table: Path) -> None:
        state = load_state(DeltaLog(table), with_files=True)
        write_deltalake(table, pa.table({"id": [9]}), mode="append")
        assert (state.advance(DeltaLog(table)), state.version, rows(state)) == (1, 7, 4)

    def test_versions_that_are_not_there(self, table: Path) -> None:
        with pytest.raises(AnalysisError, match=r"DELTA_VERSION_NOT_FOUND.*7.*\[0, 6\]"):
            load_state(DeltaLog(table), 7)
        Path(DeltaLog(table).path(3)).unlink()
        with pytest.raises(SparkError, match="DELTA_LOG_FILE_NOT_FOUND.*version 3"):
            load_state(DeltaLog(table))

    def test_a_folder_without_a_log(self, tmp_path: Path) -> None:
        with pytest.raises(AnalysisError, match="DELTA_PATH_DOES_NOT_EXIST"):
            load_state(DeltaLog(tmp_path))


def _remove_commits(table: Path, count: int) -> None:
    for version in range(count):
        Path(DeltaLog(table).path(version)).unlink()


class TestPut:
    def test_only_one_can_be_first(self, tmp_path: Path) -> None:
        log = DeltaLog(tmp_path)
        log.directory.mkdir()
        won: list[int] = []
        barrier = threading.Barrier(8)

        def put(number: int) -> None:
            barrier.wait(10)
            if log.put(0, f"{number}".encode()):
                won.append(number)

        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(won) == 1
        assert Path(log.path(0)).read_text() == str(won[0])
        assert [path.name for path in log.directory.iterdir()] == [f"{0:020d}.json"]

    def test_a_leftover_does_not_hide_that_it_was_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unlink(*_: object) -> None:
            raise OSError("the disk says no")

        log = DeltaLog(tmp_path)
        log.directory.mkdir()
        monkeypatch.setattr("os.unlink", unlink)
        assert log.put(0, b"{}")
        assert log.latest_version() == 0

    def test_where_there_are_no_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("os.link", refuse)
        log = DeltaLog(tmp_path)
        log.directory.mkdir()
        assert log.put(0, b"a")
        assert not log.put(0, b"b")
        assert Path(log.path(0)).read_bytes() == b"a"


class TestWriter:
    def test_whoever_comes_second_decides_anew(self, table: Path) -> None:
        writer = DeltaWriter(table)
        seen: list[int] = []

        def decide(state: TableState | None) -> list[dict[str, object]]:
            assert state is not None
            seen.append(state.version)
            if len(seen) == 1:
                write_deltalake(table, pa.table({"id": [9]}), mode="append")
            return [{"commitInfo": {"operation": "TEST"}}]

        committed = writer.commit(decide)
        assert committed is not None
        assert (seen, committed.version) == ([6, 7], 8)

    def test_nothing_to_do_is_no_version(self, table: Path) -> None:
        assert DeltaWriter(table).commit(lambda _: None) is None
        assert DeltaTable(table).version() == 6


class TestHistory:
    def test_times_grow_with_versions(self, table: Path) -> None:
        times = [time for _, time in commit_times(DeltaLog(table))]
        assert times == sorted(set(times))

    def test_versions_by_time(self, table: Path) -> None:
        log = DeltaLog(table)
        times = dict(commit_times(log))
        assert [first_version_from(log, times[version]) for version in times] == list(times)
        assert [last_version_until(log, times[version]) for version in times] == list(times)
        assert first_version_from(log, 0) == 0
        with pytest.raises(AnalysisError, match="DELTA_TIMESTAMP_GREATER_THAN_COMMIT"):
            last_version_until(log, times[6] + 1000)
        with pytest.raises(AnalysisError, match="DELTA_TIMESTAMP_GREATER_THAN_COMMIT"):
            first_version_from(log, times[6] + 1000)
        with pytest.raises(AnalysisError, match="DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"):
            last_version_until(log, 0)


def test_actions_come_through_their_json() -> None:
    add = AddFile("a%20b.parquet", 7, 8, {"k": None, "l": "v"}, False, '{"numRecords":3}', {"storageType": "i"})
    metadata = Metadata("id", '{"type":"struct","fields":[]}', ("k",), {"a": "b"}, "n", "d", 5)
    protocol = Protocol(3, 7, frozenset({"x"}), frozenset({"x", "y"}))
    content = render([metadata.to_json(), protocol.to_json(), add.to_json(), add.removed(9)])
    commit = parse_commit(4, content, 10)
    assert (commit.version, commit.timestamp_ms) == (4, 10)
    assert (commit.metadata, commit.protocol, commit.adds) == (metadata, protocol, (add,))
    assert commit.removes[0].path == add.path
    assert add.num_records == 3


@pytest.mark.parametrize("name", ["plain.parquet", "a b/ç%25.parquet", "k=a%2Fb/x.parquet", "#?.parquet"])
def test_paths_come_through_the_log(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    assert data_place(tmp_path, logged_path(tmp_path, file)) == file


def test_paths_may_be_uris(tmp_path: Path) -> None:
    assert data_place(tmp_path, "file:///a%20b/c") == Path("/a b/c")
    assert data_place(tmp_path, "/a%20b/c") == Path("/a b/c")


def test_in_commit_times_win() -> None:
    content = b'{"commitInfo":{"inCommitTimestamp":42}}\n'
    assert parse_commit(0, content, 7).timestamp_ms == 42
