"""Events on their way into the table: none is lost and none is doubled, wherever a run ends and whoever goes on."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riacho.errors import SparkGeneralError
from riacho.ids import new_uuid
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta.maintenance import Housekeeper, MaintenancePolicy
from riacho.server.delta.writer import DeltaWriter
from riacho.server.graph.event_log.journal import FileSegment, leftovers
from riacho.server.graph.event_log.log import EventLog, take_over
from riacho.server.graph.event_log.rows import EventRow, Origin, stable_id
from riacho.server.graph.event_log.table import EventTable
from riacho.server.graph.events import EventType, PipelineEvent
from riacho.server.graph.names import Identifier
from riacho.server.graph.update_log import UpdateLog
from riacho.testing.clock import ManualClock

DAY_MS = 86_400_000


class Killed(BaseException):
    """The process ends here."""


def origin(clock: ManualClock) -> Origin:
    return Origin("p", "shop", new_uuid(), None, clock)


def event_log(root: Path, clock: ManualClock | None = None, **given: Any) -> EventLog:
    clock = clock or ManualClock(1_000)
    return EventLog(root, origin(clock), clock, flush_s=3600, **given)


def plain(message: str, at_ms: int = 1_000) -> PipelineEvent:
    return PipelineEvent(EventType.UPDATE_PROGRESS, message, at_ms)


def of_batch(query: str, batch: int, at_ms: int = 1_000) -> PipelineEvent:
    name = f"{query}/{batch}"
    return PipelineEvent(EventType.FLOW_PROGRESS, name, at_ms, once=(query, batch), id=stable_id("batch", query, batch))


def told(root: Path) -> list[str]:
    return sorted(DeltaTable(root / "system" / "events").to_pyarrow_table()["message"].to_pylist())


def kill(log: EventLog) -> None:
    """End a run as a kill does: what it holds in memory is gone, and so are its locks."""
    segment = log._journal.cut()
    assert isinstance(segment, FileSegment)
    segment.release()
    for unflushed in log._waiting:
        unflushed.segment.release()
    log._buffer.clear()
    log._waiting.clear()
    log.close()


def test_events_are_in_the_table_after_the_run_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    log = event_log(tmp_path)
    log.open()
    for number in range(5):
        log.record(plain(str(number)))
    log.close()

    rows = DeltaTable(tmp_path / "system" / "events").to_pyarrow_table().to_pylist()
    numbers = [row["sequence"]["data_plane_id"]["seq_no"] for row in rows]
    assert [row["message"] for row in rows] == list("01234")
    assert numbers == sorted(set(numbers))
    assert list((tmp_path / "system" / "journal").iterdir()) == []


def test_what_a_killed_run_left_is_there_after_the_next(tmp_path: Path) -> None:
    log = event_log(tmp_path)
    log.open()
    log.record(plain("one"))
    log._flush()
    log.record(of_batch("q", 0))
    log.record(plain("two"))
    kill(log)
    assert told(tmp_path) == ["one"]

    again = event_log(tmp_path)
    again.open()
    again.record(of_batch("q", 0))  # the batch was not committed: it runs again
    again.record(of_batch("q", 1))
    again.close()
    assert told(tmp_path) == ["one", "q/0", "q/1", "two"]
    assert list((tmp_path / "system" / "journal").iterdir()) == []


def test_a_run_that_lives_keeps_its_journal(tmp_path: Path) -> None:
    log, other = event_log(tmp_path), event_log(tmp_path)
    log.open()
    log.record(of_batch("q", 0))
    other.open()
    other.record(of_batch("r", 0))
    assert told(tmp_path) == []
    other.close()
    assert told(tmp_path) == ["r/0"]
    log.close()
    assert told(tmp_path) == ["q/0", "r/0"]


def test_a_line_that_was_cut_off_is_no_event(tmp_path: Path) -> None:
    log = event_log(tmp_path)
    log.open()
    log.record(plain("whole"))
    kill(log)
    (left,) = (tmp_path / "system" / "journal").iterdir()
    left.write_bytes(left.read_bytes() + b'{"row": {"id": "x')

    log = event_log(tmp_path)
    log.open()
    log.close()
    assert told(tmp_path) == ["whole"]


@pytest.mark.parametrize("after", [True, False])
def test_a_kill_beside_the_commit(tmp_path: Path, *, after: bool) -> None:
    log = event_log(tmp_path)
    log.open()
    log.record(plain("one"))
    log.record(of_batch("q", 3))
    commit = DeltaWriter.commit

    def cut_off(self: DeltaWriter, decide: Any) -> Any:
        if after:
            commit(self, decide)
        raise Killed

    with mock.patch.object(DeltaWriter, "commit", cut_off), pytest.raises(Killed):
        log._flush()
    kill(log)

    again = event_log(tmp_path)
    again.open()
    again.close()
    assert told(tmp_path) == ["one", "q/3"]


@pytest.mark.parametrize("failing", ["table", "journal"])
def test_a_table_that_cannot_be_written_does_not_hold_up_a_run(
    tmp_path: Path, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = event_log(tmp_path)
    log.open()
    log.record(plain("one"))
    target = (EventTable, "append") if failing == "table" else (FileSegment, "carried")
    with mock.patch.object(*target, side_effect=OSError(28, "No space left on device")):
        log._flush()
    assert "No space left" in caplog.text
    log.record(plain("two"))
    log.close()
    log = event_log(tmp_path)
    log.open()
    log.close()
    assert told(tmp_path) == ["one", "two"]


def test_a_journal_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    log = event_log(tmp_path)
    log.open()
    log.record(plain("before"))
    write, calls = os.write, iter(range(10))

    def half(file: int, data: Any) -> int:
        if next(calls) % 2:
            raise OSError(28, "No space left")
        return write(file, data[: len(data) // 2])

    with mock.patch.object(os, "write", half):
        with pytest.raises(OSError, match="No space"):
            log.record(of_batch("q", 0))
        log.record(plain("in memory"))  # what is not about a batch need not survive a kill
    log.record(of_batch("q", 1))
    left = (tmp_path / "system" / "journal").glob("*.jsonl")
    assert [b"before" in line or b"q/1" in line for file in left for line in file.read_bytes().splitlines()] == [
        True
    ] * 2
    log.close()
    assert told(tmp_path) == ["before", "in memory", "q/1"]


def test_a_storage_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "system").write_text("no folder")
    with pytest.raises(SparkGeneralError, match=r"The event log in .*system cannot be written"):
        event_log(tmp_path).open()


def test_many_that_write_at_once(tmp_path: Path) -> None:
    def run(number: int) -> None:
        log = event_log(tmp_path)
        log.open()
        for batch in range(5):
            log.record(of_batch(f"q{number}", batch))
            log.record(plain(f"plain {number} {batch}"))
            if batch % 2:
                log._flush()
        log.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = Counter(told(tmp_path))
    assert set(found.values()) == {1}
    assert len(found) == 40


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.sampled_from("qr")),
        st.tuples(st.just("again"), st.sampled_from("qr")),
        st.tuples(st.just("plain"), st.just("")),
        st.tuples(st.just("flush"), st.just("")),
        st.tuples(st.just("kill"), st.sampled_from(["before", "after", "now"])),
        st.tuples(st.just("end"), st.just("")),
    ),
    max_size=14,
)


@contextmanager
def killing(where: str) -> Iterator[None]:
    commit = DeltaWriter.commit

    def cut_off(self: DeltaWriter, decide: Any) -> Any:
        if where == "after":
            commit(self, decide)
        raise Killed

    with mock.patch.object(DeltaWriter, "commit", cut_off):
        yield


@given(STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_whatever_happens_each_event_is_there_once(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    root = tmp_path / new_uuid()
    expected: list[str] = []
    batch = {"q": -1, "r": -1}
    log = event_log(root)
    log.open()
    for number, (step, what) in enumerate(steps):
        match step:
            case "batch":
                batch[what] += 1
                expected.append(f"{what}/{batch[what]}")
                log.record(of_batch(what, batch[what]))
            case "again" if batch[what] >= 0:
                log.record(of_batch(what, batch[what]))
            case "plain":
                expected.append(f"plain {number}")
                log.record(plain(f"plain {number}"))
            case "flush":
                log._flush()
            case "kill":
                if what != "now" and log._buffer:
                    with killing(what), pytest.raises(Killed):
                        log._flush()
                kill(log)
                log = event_log(root)
                log.open()
            case "end":
                log.close()
                log = event_log(root)
                log.open()
    log.close()
    assert told(root) == sorted(expected)


def test_old_events_go(tmp_path: Path) -> None:
    clock = ManualClock(100 * DAY_MS)
    log = event_log(tmp_path, clock, retention_ms=30 * DAY_MS)
    log.open()
    for day in (60, 69, 71, 99):
        log.record(plain(str(day), day * DAY_MS))
        log._flush()
    log._clean()
    log.record(plain("100", 100 * DAY_MS))
    log.close()
    assert told(tmp_path) == ["100", "71", "99"]

    log = event_log(tmp_path, clock, retention_ms=30 * DAY_MS)
    log.open()
    version = DeltaTable(tmp_path / "system" / "events").version()
    log._clean()
    log.close()
    assert DeltaTable(tmp_path / "system" / "events").version() == version, "there was nothing to remove"


def test_a_batch_that_runs_again_long_after_is_looked_for_in_few_files(tmp_path: Path) -> None:
    log = event_log(tmp_path)
    log.open()
    for batch in range(5):
        log.record(of_batch("q", batch))
        log._flush()
    log.close()
    table = EventTable(tmp_path / "system" / "events", ManualClock(1_000))
    clock = ManualClock(2_000)
    row = origin(clock).row(of_batch("q", 4))
    with mock.patch.object(pq, "read_table", wraps=pq.read_table) as read:
        assert table.append([row]) == 0
    assert read.call_count == 1


def test_a_leftover_is_of_one_taker(tmp_path: Path) -> None:
    log = event_log(tmp_path)
    log.open()
    log.record(plain("one"))
    kill(log)
    with leftovers(tmp_path / "system" / "journal") as mine, leftovers(tmp_path / "system" / "journal") as theirs:
        assert ([len(each.rows) for each in mine], list(theirs)) == ([1], [])
    take_over(tmp_path / "system" / "journal", EventTable(tmp_path / "system" / "events", ManualClock(1)))
    assert told(tmp_path) == ["one"]


def test_what_is_left_and_cannot_be_taken_over_does_not_hold_up_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = event_log(tmp_path)
    log.open()
    log.record(plain("one"))
    kill(log)
    log = event_log(tmp_path)
    with mock.patch.object(EventTable, "append", side_effect=ValueError("no good")):
        log.open()
    assert "no good" in caplog.text
    log.record(plain("two \ud800"))
    log.close()
    assert told(tmp_path) == ["two \\ud800"]
    log = event_log(tmp_path)
    log.open()
    log.close()
    assert told(tmp_path) == ["one", "two \\ud800"]


def test_a_row_comes_back_from_its_line_as_it_was() -> None:
    clock = ManualClock(5)
    row = origin(clock).row(of_batch("q", 1))
    again = EventRow.of_line(row.to_line())
    assert again is not None
    assert (again.values, again.once, again.doubtful) == (row.values, row.once, True)
    assert EventRow.of_line(b"[]\n") is None


def test_the_maintenance_of_a_pipelines_tables_is_told(tmp_path: Path) -> None:
    housekeeper = Housekeeper(MaintenancePolicy(interval_versions=2))
    catalog = WarehouseCatalog(tmp_path / "warehouse")
    clock = ManualClock(1_000)
    tables = [Identifier(("spark_catalog", "default", name)) for name in ("kept", "missing")]
    catalog.create_table(tables[0].table_name, pa.schema([("id", pa.int64())]))
    table = catalog.table(tables[0].table_name)
    assert table is not None
    log = event_log(tmp_path, clock)
    log.open()
    update = UpdateLog("u", "", log, clock, catalog, housekeeper)
    with update.watching(tables):
        housekeeper.after_commit(table.location, 2)
        housekeeper.stop()
        housekeeper.after_commit(tmp_path / "elsewhere", 2)
        housekeeper.stop()
    log.close()
    (message,) = told(tmp_path)
    assert message.startswith("Table spark_catalog.default.kept was maintained: write a checkpoint")
    housekeeper.after_commit(table.location, 4)
    housekeeper.stop()  # nobody watches any more
