"""Kill the server, or the engine, while rows are measured: each row is written, quarantined or dropped exactly once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from riacho.server.streaming.batch import BatchStep

VICTIM = Path(__file__).with_name("victim.py")
FILES = 3
ROWS = 50
LIMIT_S = 90
EVERY_ROW = range(FILES * ROWS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "landing").mkdir()
    for number in range(FILES):
        rows = ({"id": number * ROWS + row, "text": f"row {row}"} for row in range(ROWS))
        (tmp_path / "landing" / f"{number}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(folder: Path, *orders: str) -> int:
    command: list[str | Path] = [sys.executable, VICTIM, "--checked", folder, *orders]
    return subprocess.run(command, timeout=LIMIT_S, check=False).returncode


def ids(table: Path) -> list[int]:
    return sorted(DeltaTable(table).to_pyarrow_table(columns=["id"])["id"].to_pylist())


def check(folder: Path) -> None:
    assert ids(folder / "table") == [row for row in EVERY_ROW if row % 3 and row % 5]
    assert ids(folder / "quarantine") == [row for row in EVERY_ROW if row % 3 == 0]
    notes = DeltaTable(folder / "quarantine").to_pyarrow_table(columns=["_quarantine"])["_quarantine"].to_pylist()
    assert len({note["id"] for note in notes}) == len(notes)
    counts = {line["batch"]: line for line in map(json.loads, (folder / "counts.txt").read_text().splitlines())}
    assert sum(line["in"] for line in counts.values()) == len(EVERY_ROW)
    assert sum(line["out"] for line in counts.values()) == len(ids(folder / "table"))
    for rule, divisor in (("threes", 3), ("fives", 5), ("sevens", 7)):
        assert sum(line[rule] for line in counts.values()) == len(EVERY_ROW[::divisor])


@pytest.mark.parametrize("step", [BatchStep.LOGGED.value, BatchStep.RAN.value, "quarantined", BatchStep.WRITTEN.value])
def test_a_killed_server_goes_on_where_it_was(folder: Path, step: str) -> None:
    assert run(folder, "server", step, "1") == -signal.SIGKILL
    assert run(folder) == 0
    check(folder)


@pytest.mark.parametrize("step", ["quarantined", BatchStep.WRITTEN.value])
def test_a_killed_engine_costs_a_repeated_batch_at_most(folder: Path, step: str) -> None:
    assert run(folder, "engine", step, "1") == 0
    check(folder)


def test_killed_between_the_parts_of_a_batch(folder: Path) -> None:
    assert run(folder, "server", "part", "1") == -signal.SIGKILL
    assert run(folder) == 0
    check(folder)
