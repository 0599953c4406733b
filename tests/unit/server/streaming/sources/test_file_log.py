from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.errors import IllegalStateError
from riacho.ids import Offset
from riacho.server.streaming.compact_log import Retention
from riacho.server.streaming.sources.file_log import FileEntry, FileLog
from riacho.server.streaming.sources.file_offsets import from_offset, to_offset
from riacho.testing.clock import ManualClock


def log(folder: Path, **retention: int) -> FileLog:
    return FileLog(folder, ManualClock(), Retention(**retention))  # type: ignore[arg-type]


def fill(target: FileLog, first: int, last: int) -> None:
    for offset in range(first, last + 1):
        target.add(offset, [FileEntry(f"file:///{offset}", 1000 + offset, offset)])


def test_entries_are_written_as_spark_writes_them(tmp_path: Path) -> None:
    log(tmp_path).add(0, [FileEntry("file:///in/a%20b", 1000, 0), FileEntry("file:///in/é", 2000, 0)])
    assert (tmp_path / "0").read_text(encoding="utf-8") == (
        'v1\n{"path":"file:///in/a%20b","timestamp":1000,"batchId":0}\n'
        '{"path":"file:///in/é","timestamp":2000,"batchId":0}'
    )


def test_every_tenth_entry_holds_all(tmp_path: Path) -> None:
    fill(log(tmp_path), 0, 11)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0",
        "1",
        "10",
        "11",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9.compact",
    ]
    compacted = (tmp_path / "9.compact").read_text().split("\n")[1:]
    assert [json.loads(line)["batchId"] for line in compacted] == list(range(10))


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 7), st.data())
def test_a_range_gives_its_own_files_after_any_restart(last: int, interval: int, data: st.DataObject) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        fill(log(Path(folder), compact_interval=interval), 0, last)
        start = data.draw(st.integers(-1, last))
        end = data.draw(st.integers(start, last))
        again = log(Path(folder), compact_interval=data.draw(st.integers(1, 20)))
        assert [entry.offset for entry in again.between(start, end)] == list(range(start + 1, end + 1))
        assert [entry.offset for entry in again.all_entries(last)] == list(range(last + 1))
        fill(again, last + 1, last + 12)
        assert [entry.offset for entry in again.all_entries(last + 12)] == list(range(last + 13))


def test_old_files_go_when_a_newer_one_holds_their_entries(tmp_path: Path) -> None:
    target = log(tmp_path, compact_interval=3, entries_kept=4, cleanup_delay_ms=0)
    os_time = 1_000  # long before the manual clock
    for offset in range(12):
        fill(target, offset, offset)
        for path in tmp_path.iterdir():
            os.utime(path, (os_time, os_time))
    kept = sorted(int(path.name.removesuffix(".compact")) for path in tmp_path.iterdir())
    assert kept == [5, 6, 7, 8, 9, 10, 11]
    assert [entry.offset for entry in log(tmp_path).all_entries(11)] == list(range(12))


def test_a_second_writer_fails(tmp_path: Path) -> None:
    fill(log(tmp_path), 0, 0)
    with pytest.raises(IllegalStateError, match="Concurrent update"):
        fill(log(tmp_path), 0, 0)


def test_a_log_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("v9\n")
    with pytest.raises(IllegalStateError, match="v9"):
        log(tmp_path).between(-1, 0)


def test_a_lost_entry_is_told(tmp_path: Path) -> None:
    with pytest.raises(IllegalStateError, match="doesn't exist"):
        log(tmp_path).between(-1, 0)


@pytest.mark.parametrize("text", ['{"logOffset":7}', "7"])
def test_offsets_of_old_and_new_spark(text: str) -> None:
    assert from_offset(Offset(text)) == 7
    assert to_offset(7) == '{"logOffset":7}'


def test_no_offset_stands_before_the_first() -> None:
    assert from_offset(None) == -1


@pytest.mark.parametrize("text", ["x", "{}", "[1]"])
def test_offsets_of_other_sources_are_refused(text: str) -> None:
    with pytest.raises(IllegalStateError, match="not an offset of a file source"):
        from_offset(Offset(text))


def test_a_damaged_entry_is_told(tmp_path: Path) -> None:
    fill(log(tmp_path), 0, 2)
    (tmp_path / "1").write_text("v1\n{broken")
    with pytest.raises(IllegalStateError, match="is damaged"):
        log(tmp_path).all_entries(2)


def test_a_compacted_entry_holds_what_the_others_say_word_for_word(tmp_path: Path) -> None:
    """So that fields of Spark's that riacho does not know stay."""
    target = log(tmp_path, compact_interval=2)
    (tmp_path / "0").write_text('v1\n{"path":"file:///a%20b","timestamp":1,"batchId":0,"more":[1]}')
    target = log(tmp_path, compact_interval=2)
    target.add(1, [FileEntry("file:///c", 2, 1)])
    assert (tmp_path / "1.compact").read_text() == (
        'v1\n{"path":"file:///a%20b","timestamp":1,"batchId":0,"more":[1]}\n'
        '{"path":"file:///c","timestamp":2,"batchId":1}'
    )
    assert log(tmp_path).between(-1, 1) == [FileEntry("file:///a%20b", 1, 0), FileEntry("file:///c", 2, 1)]
