"""What a table needs and what is done about it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from riacho.clock import SystemClock
from riacho.server.delta.actions import AddFile
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.maintenance import Housekeeper, MaintenancePolicy, MaintenanceStep, due, maintain

POLICY = MaintenancePolicy(small_file_bytes=100, compact_after_files=3, vacuum_interval_ms=1000)
CLOCK = SystemClock()


def small(count: int, **values: str) -> list[AddFile]:
    return [AddFile(f"{number}", 10, 0, values) for number in range(count)]


@pytest.mark.parametrize(
    ("files", "since_vacuum_ms", "expected"),
    [
        (small(2), 0, [MaintenanceStep.CHECKPOINT]),
        (small(3), 0, [MaintenanceStep.COMPACT, MaintenanceStep.CHECKPOINT]),
        ([AddFile("big", 100, 0)] * 5, 0, [MaintenanceStep.CHECKPOINT]),
        (small(2, day="1") + small(2, day="2"), 0, [MaintenanceStep.CHECKPOINT]),
        ([], 999, [MaintenanceStep.CHECKPOINT]),
        ([], 1000, [MaintenanceStep.CHECKPOINT, MaintenanceStep.VACUUM]),
        ([], None, [MaintenanceStep.CHECKPOINT, MaintenanceStep.VACUUM]),
    ],
)
def test_what_is_due(files: list[AddFile], since_vacuum_ms: int | None, expected: list[MaintenanceStep]) -> None:
    assert due(POLICY, files, since_vacuum_ms) == expected


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for value in range(4):
        write_deltalake(tmp_path / "t", pa.table({"id": [value]}), mode="append")
    return tmp_path / "t"


def test_maintaining_changes_no_row(table: Path) -> None:
    policy = MaintenancePolicy(compact_after_files=4)
    assert maintain(table, policy, CLOCK) == [
        MaintenanceStep.COMPACT,
        MaintenanceStep.CHECKPOINT,
        MaintenanceStep.VACUUM,
    ]
    opened = DeltaTable(table)
    assert sorted(opened.to_pyarrow_table()["id"].to_pylist()) == [0, 1, 2, 3]
    assert len(opened.file_uris()) == 1
    checkpoint = DeltaLog(table).latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.version == opened.version()


def test_files_stay_while_older_versions_may_be_read(table: Path) -> None:
    maintain(table, MaintenancePolicy(compact_after_files=4), CLOCK)
    assert sorted(DeltaTable(table, version=3).to_pyarrow_table()["id"].to_pylist()) == [0, 1, 2, 3]


def test_files_that_no_version_knows_go_after_a_week(table: Path) -> None:
    orphan, fresh = table / "part-orphan.parquet", table / "part-fresh.parquet"
    orphan.touch()
    fresh.touch()
    week_and_a_day = time.time() - 8 * 24 * 3600
    os.utime(orphan, (week_and_a_day, week_and_a_day))
    maintain(table, POLICY, CLOCK)
    assert not orphan.exists()
    assert fresh.exists()


def test_a_table_is_vacuumed_once_a_day(table: Path) -> None:
    policy = MaintenancePolicy()
    assert MaintenanceStep.VACUUM in maintain(table, policy, CLOCK)
    assert MaintenanceStep.VACUUM not in maintain(table, policy, CLOCK)


def test_a_housekeeper_looks_every_so_often(table: Path) -> None:
    housekeeper = Housekeeper(MaintenancePolicy(interval_versions=3))
    housekeeper.after_commit(table, 2)
    housekeeper.stop()
    assert DeltaLog(table).latest_checkpoint() is None
    housekeeper.after_commit(table, 3)
    housekeeper.stop()
    assert DeltaLog(table).latest_checkpoint() is not None


def test_a_failure_is_logged_and_the_next_table_done(
    table: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    housekeeper = Housekeeper(MaintenancePolicy(interval_versions=1))
    housekeeper.after_commit(tmp_path / "none", 1)
    housekeeper.after_commit(table, 1)
    housekeeper.stop()
    assert "DELTA_PATH_DOES_NOT_EXIST" in caplog.text
    assert DeltaLog(table).latest_checkpoint() is not None
