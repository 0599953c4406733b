"""Kill the server, or the engine, after each step of a batch: every row of the input is in the table exactly once."""

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
FILES = 4
ROWS = 50
LIMIT_S = 90


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    landing = tmp_path / "landing"
    landing.mkdir()
    for number in range(FILES):
        rows = ({"id": number * ROWS + row, "text": f"row {row}"} for row in range(ROWS))
        (landing / f"{number}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(folder: Path, *orders: str) -> int:
    done = subprocess.run([sys.executable, VICTIM, folder, *orders], timeout=LIMIT_S, check=False)
    return done.returncode


def ids(folder: Path) -> list[int]:
    found = DeltaTable(folder / "table").to_pyarrow_table(columns=["id"])["id"].to_pylist()
    return sorted(found)


EVERY_ROW = list(range(FILES * ROWS))


@pytest.mark.parametrize("batch", [0, 2])
@pytest.mark.parametrize("step", [step.value for step in BatchStep])
def test_a_killed_server_goes_on_where_it_was(folder: Path, step: str, batch: int) -> None:
    assert run(folder, "server", step, str(batch)) == -signal.SIGKILL
    assert run(folder) == 0
    assert ids(folder) == EVERY_ROW


@pytest.mark.parametrize("step", [step.value for step in BatchStep])
def test_a_killed_engine_costs_a_repeated_batch_at_most(folder: Path, step: str) -> None:
    assert run(folder, "engine", step, "1") == 0
    assert ids(folder) == EVERY_ROW


@pytest.mark.parametrize("part", range(FILES))
def test_a_server_killed_between_the_parts_of_a_batch(folder: Path, part: int) -> None:
    assert run(folder, "server", "part", str(part)) == -signal.SIGKILL
    assert run(folder) == 0
    assert ids(folder) == EVERY_ROW


@pytest.mark.parametrize("part", range(FILES))
def test_an_engine_killed_between_the_parts_of_a_batch(folder: Path, part: int) -> None:
    assert run(folder, "engine", "part", str(part)) == 0
    assert ids(folder) == EVERY_ROW
    assert len(DeltaTable(folder / "table").history()) == 1


def test_killed_again_and_again(folder: Path) -> None:
    for batch, step in enumerate([BatchStep.LOGGED, BatchStep.RAN, BatchStep.WRITTEN]):
        assert run(folder, "server", step.value, str(batch)) == -signal.SIGKILL
    assert run(folder) == 0
    assert ids(folder) == EVERY_ROW
    versions = DeltaTable(folder / "table").history()
    assert len(versions) == FILES, "a repeated batch made a version of its own"
