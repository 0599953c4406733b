"""Kill a pipeline at each step of a batch, and where events go into their table: each batch has exactly one event."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from riacho.server.streaming.batch import BatchStep

ROOT = Path(__file__).parents[2]
FILES = 3
ROWS = 50
LIMIT_S = 120
KILLS = [*((step.value, "1") for step in BatchStep), ("events", "before"), ("events", "behind"), ("journal", "behind")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "landing").mkdir()
    for number in range(FILES):
        ids = range(number * ROWS, (number + 1) * ROWS)
        text = "".join(json.dumps({"id": row}) + "\n" for row in ids)
        (tmp_path / "landing" / f"{number}.json").write_text(text)
    return tmp_path


def run(folder: Path, *orders: str) -> int:
    command = [sys.executable, "-m", "tests.recovery.pipeline_victim", str(folder), *orders]
    return subprocess.run(command, cwd=ROOT, timeout=LIMIT_S, check=False).returncode


@pytest.mark.parametrize("kill", KILLS, ids=" ".join)
def test_each_batch_has_one_event_that_adds_up(folder: Path, kill: tuple[str, str]) -> None:
    assert run(folder, *kill) == -signal.SIGKILL
    assert run(folder) == 0

    rows = DeltaTable(folder / "storage" / "system" / "events").to_pyarrow_table().to_pylist()
    assert len({row["id"] for row in rows}) == len(rows)
    batches = {row["origin"]["batch_id"]: row for row in rows if row["origin"]["flow_id"]}
    assert len(batches) == sum(row["origin"]["flow_id"] is not None for row in rows)
    assert sorted(batches) == list(range(len(batches)))
    small = 0
    files = 0
    for row in batches.values():
        found = json.loads(row["details"])["flow_progress"]
        # A batch that was planned and not logged goes on into the next one, so that one may have two files.
        read = found["row_ledger"]["rows_in"] // ROWS
        # Odd ones are quarantined; of the even ones those that end with 8 are dropped.
        ledger = {"rows_in": ROWS * read, "quarantined": 25 * read, "dropped": 5 * read, "out": 20 * read}
        assert {name: found["row_ledger"][name] for name in ledger} == ledger
        assert found["row_ledger"]["balance"] == "BALANCED"
        failed = {rule["name"]: rule["failed_records"] for rule in found["data_quality"]["expectations"]}
        assert (failed["even"], failed["low"]) == (25 * read, 10 * read)
        small += failed["small"]
        files += read
        assert row["origin"]["flow_name"] == "spark_catalog.default.from_files"
    assert (files, small) == (FILES, FILES * ROWS - 100)
    numbers = [row["sequence"]["data_plane_id"]["seq_no"] for row in rows]
    assert len(set(numbers)) == len(numbers)
    assert list((folder / "storage" / "system" / "journal").iterdir()) == []
    kept = DeltaTable(folder / "warehouse" / "kept").to_pyarrow_table()["id"].to_pylist()
    assert sorted(kept) == [row for row in range(FILES * ROWS) if row % 2 == 0 and row % 10 != 8]
