from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from riacho.connectors.ingest import frames
from riacho.connectors.ingest.log import LogFolder
from riacho.connectors.ingest.retention import LogRetention, expire
from riacho.connectors.ingest.writer import EventGroup, LogFullError, LogWriter, OtherRequestError
from riacho.errors import IllegalStateError


def group(*values: str) -> EventGroup:
    return EventGroup([value.encode() for value in values], [("content-type", b"application/json")])


def held(go: threading.Event) -> Callable[[str], None]:
    """A hook that holds each commit until then."""

    def hook(step: str) -> None:
        if step == "taken":
            go.wait(10)

    return hook


def events(folder: Path, start: int = 0, end: int | None = None) -> list[tuple[int, bytes]]:
    log = LogFolder(folder)
    found = log.find(start, log.end() if end is None else end)
    return [
        (frame.first + place, value)
        for each in found
        for frame, batch, _ in frames.read([each])
        for place, value in enumerate(batch["value"].to_pylist())
    ]


def append(log: LogWriter, *values: str, key: str | None = None) -> tuple[int, int, bool]:
    done = log.append([group(*values)], request=key, body=repr(values).encode()).result(10)
    return done.first, done.count, done.repeated


def test_events_have_offsets_without_gaps_also_over_segments_and_restarts(tmp_path: Path) -> None:
    log = LogWriter(tmp_path, segment_bytes=2000)
    for number in range(20):
        assert append(log, f"{number}a", f"{number}b") == (2 * number, 2, False)
    log.close()
    log = LogWriter(tmp_path, segment_bytes=2000)
    assert append(log, "x") == (40, 1, False)
    log.close()
    assert len(frames.segments(tmp_path)) > 3
    found = events(tmp_path)
    assert [offset for offset, _ in found] == list(range(41))
    assert found[3] == (3, b"1b")
    assert [offset for offset, _ in events(tmp_path, 7, 9)] == [6, 7, 8, 9]  # whole frames


def test_what_waits_at_the_same_time_is_one_commit(tmp_path: Path) -> None:
    go = threading.Event()
    log = LogWriter(tmp_path, hook=held(go))
    first = log.append([group("a")])
    others = [log.append([group("b")]) for _ in range(50)]
    go.set()
    assert [each.result(10).first for each in [first, *others]] == list(range(51))
    log.close()
    assert len(LogFolder(tmp_path).find(0, 51)) <= 2


@pytest.mark.parametrize("kept", [0, 10, 63, 64, 100, -1])
def test_a_commit_that_was_cut_off_is_removed_at_the_next_start(tmp_path: Path, kept: int) -> None:
    log = LogWriter(tmp_path)
    append(log, "a")
    log.close()
    ((_, segment),) = frames.segments(tmp_path)
    torn = segment.read_bytes()[:kept]
    with segment.open("ab") as file:
        file.write(torn)
    assert LogFolder(tmp_path).end() == 1  # readers do not go beyond what was acknowledged
    log = LogWriter(tmp_path)
    assert append(log, "b") == (1, 1, False)
    log.close()
    assert events(tmp_path) == [(0, b"a"), (1, b"b")]


def test_a_commit_whose_pages_did_not_all_reach_the_disk_is_removed(tmp_path: Path) -> None:
    log = LogWriter(tmp_path)
    append(log, "a")
    log.close()
    ((_, segment),) = frames.segments(tmp_path)
    whole = segment.read_bytes()
    with segment.open("ab") as file:
        file.write(whole[:64] + bytes(len(whole) - 64))
    (tmp_path / "durable").unlink()
    assert LogFolder(tmp_path).end() == 1
    log = LogWriter(tmp_path)
    assert append(log, "b") == (1, 1, False)
    log.close()


def test_offsets_that_were_acknowledged_are_not_given_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that forgets what it had synced loses events; that must not make others look like them."""
    log = LogWriter(tmp_path)
    append(log, "a", "b")
    append(log, "c")
    log.close()
    ((_, segment),) = frames.segments(tmp_path)
    (first, _) = frames.walk(segment)
    os.truncate(segment, first.size)
    with caplog.at_level(logging.ERROR):
        log = LogWriter(tmp_path)
    assert "the disk has lost events" in caplog.text
    assert append(log, "d") == (3, 1, False)
    log.close()
    assert events(tmp_path) == [(0, b"a"), (1, b"b"), (3, b"d")]


def test_a_request_with_a_known_key_is_not_written_again(tmp_path: Path) -> None:
    log = LogWriter(tmp_path)
    assert append(log, "a", "b", key="k") == (0, 2, False)
    assert append(log, "a", "b", key="k") == (0, 2, True)
    with pytest.raises(OtherRequestError):
        append(log, "x", key="k")
    log.close()
    log = LogWriter(tmp_path)  # the keys are in the log
    assert append(log, "a", "b", key="k") == (0, 2, True)
    assert append(log, "c", key="l") == (2, 1, False)
    log.close()
    assert len(events(tmp_path)) == 3


def test_the_same_request_twice_at_the_same_time_is_written_once(tmp_path: Path) -> None:
    go = threading.Event()
    log = LogWriter(tmp_path, hook=held(go))
    both = [log.append([group("a")], request="k", body=b"a") for _ in range(2)]
    go.set()
    assert sorted(each.result(10).repeated for each in both) == [False, True]
    log.close()
    assert len(events(tmp_path)) == 1


def test_a_full_disk_fails_the_request_and_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(tmp_path)
    append(log, "a")
    real = os.write

    def half(file: int, data: memoryview) -> int:
        real(file, bytes(data[:30]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space left"):
        append(log, "b", key="k")
    monkeypatch.undo()
    assert append(log, "b", key="k") == (1, 1, False)
    log.close()
    assert events(tmp_path) == [(0, b"a"), (1, b"b")]


def test_a_failed_fsync_ends_writing_until_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogWriter(tmp_path)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output"):
        append(log, "a")
    monkeypatch.undo()
    with pytest.raises(OSError, match="Input/output"):
        append(log, "b")
    assert log.failed
    log.close()


def test_a_damaged_frame_costs_no_other_events(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither is what lies behind it cut off as a commit that was not finished, nor does the server not start."""
    log = LogWriter(tmp_path)
    for value in ("a", "b", "c"):
        append(log, value, key=value)
    log.close()
    ((_, segment),) = frames.segments(tmp_path)
    whole = segment.read_bytes()
    (_, second, _) = frames.walk(segment)
    damaged = bytearray(whole)
    damaged[second.position + 100] ^= 0xFF
    segment.write_bytes(damaged)
    for offset in (3, 4):  # as the last segment, and behind a newer one
        log = LogWriter(tmp_path)
        assert append(log, "d") == (offset, 1, False)
        assert append(log, "c", key="c") == (2, 1, True)
        log.close()
    assert "is damaged at byte" in caplog.text
    assert segment.read_bytes() == damaged
    assert events(tmp_path, 2) == [(2, b"c"), (3, b"d"), (4, b"d")]
    with pytest.raises(frames.DamagedLogError):
        events(tmp_path)


def test_a_segment_that_cannot_be_begun_leaves_the_log_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(tmp_path, segment_bytes=1000)
    append(log, "a" * 900)
    real = os.open

    def full(path: Path, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith(frames.SUFFIX):
            raise OSError(24, "Too many open files")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="Too many open files"):
        append(log, "b", key="k")
    # The number of a file that was closed too soon would be another file's by now.
    with (tmp_path / "other").open("w+b") as other:
        with pytest.raises(OSError, match="Too many open files"):
            append(log, "b", key="k")
        monkeypatch.undo()
        assert append(log, "b", key="k") == (1, 1, False)
        assert other.read() == b""
    log.close()
    assert [offset for offset, _ in events(tmp_path)] == [0, 1]


@pytest.mark.parametrize("call", ["pwrite", "ftruncate"])
def test_what_is_half_done_ends_writing_until_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Events on disk that were not acknowledged come again under their key; half an event comes before no other."""
    log = LogWriter(tmp_path)
    append(log, "a")

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    if call == "ftruncate":
        real = os.write
        monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data[:30])) and fail())
    with pytest.raises(OSError, match="Input/output"):
        append(log, "b", key="k")
    monkeypatch.undo()
    with pytest.raises(OSError, match="Input/output"):
        append(log, "b", key="k")
    assert log.failed
    log.close()
    log = LogWriter(tmp_path)
    assert append(log, "b", key="k") == (1, 1, call == "pwrite")
    log.close()
    assert events(tmp_path) == [(0, b"a"), (1, b"b")]


def test_more_than_may_wait_is_refused(tmp_path: Path) -> None:
    go = threading.Event()
    log = LogWriter(tmp_path, waiting_bytes=1000, hook=held(go))
    taken = log.append([group("a" * 500)])
    with pytest.raises(LogFullError):
        log.append([group("b" * 500)])
    go.set()
    assert taken.result(10).count == 1
    log.close()


def test_a_log_has_one_writer(tmp_path: Path) -> None:
    log = LogWriter(tmp_path)
    with pytest.raises(IllegalStateError, match="Another process writes"):
        LogWriter(tmp_path)
    log.close()
    LogWriter(tmp_path).close()


def test_retention_removes_what_is_old_or_too_much_and_was_read(tmp_path: Path) -> None:
    log = LogWriter(tmp_path, segment_bytes=1500)
    for number in range(8):
        append(log, f"{number}" * 900)
    log.close()
    folder = LogFolder(tmp_path)
    firsts = [first for first, _ in frames.segments(tmp_path)]
    now = int(frames.segments(tmp_path)[-1][1].stat().st_mtime * 1000) + 1000
    small = LogRetention(size_bytes=1)
    assert expire(folder, small, now) == 0  # nobody has read anything
    folder.tell("a", 8)
    folder.tell("b", firsts[3])
    assert expire(folder, LogRetention(), now) == 0  # young and small enough
    assert expire(folder, small, now) == 3
    assert folder.begin() == firsts[3]
    assert expire(folder, small, now) == 0  # "b" needs the rest
    old = LogRetention(age_ms=1, forget_ms=10**9)
    assert expire(folder, old, now + 10**8) == 0
    assert folder.forget("b")
    assert expire(folder, old, now + 10**8) == len(firsts) - 4  # never the newest
    assert expire(folder, LogRetention(forget_ms=1), now + 10**8) == 0
