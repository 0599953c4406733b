"""Kill the server, or the engine, while a continuous pipeline runs: each table has each row exactly once in the end."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from riacho.server.streaming.batch import BatchStep
from tests.recovery.continuous_victim import ROWS

VICTIM = Path(__file__).with_name("continuous_victim.py")
FILES = 6
LIMIT_S = 120
STEPS = FILES * len(BatchStep) * 2
"""Nearly as many steps as the flows take: later than that, all may be over."""
RANDOM = random.Random(11)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    landing = tmp_path / "landing"
    landing.mkdir()
    each = ROWS // FILES
    for number in range(FILES):
        rows = ({"id": number * each + row} for row in range(each))
        (landing / f"{number}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(folder: Path, *orders: str) -> int:
    done = subprocess.run([sys.executable, VICTIM, folder, *orders], timeout=LIMIT_S, check=False)
    return done.returncode


def check(folder: Path) -> None:
    for table, wanted in (("bronze", range(ROWS)), ("silver", range(ROWS)), ("gold", range(0, ROWS, 3))):
        found = DeltaTable(folder / "warehouse" / table).to_pyarrow_table(columns=["id"])["id"].to_pylist()
        assert sorted(found) == list(wanted), table
    totals = DeltaTable(folder / "warehouse" / "totals").to_pyarrow_table().to_pylist()
    assert {row["kind"]: row["n"] for row in totals} == dict.fromkeys(range(3), ROWS // 3)


@pytest.mark.parametrize("step", sorted(RANDOM.sample(range(STEPS), 3)))
def test_a_killed_server_goes_on_where_it_was(folder: Path, step: int) -> None:
    assert run(folder, "server", str(step)) == -signal.SIGKILL
    assert run(folder) == 0
    check(folder)


@pytest.mark.parametrize("step", sorted(RANDOM.sample(range(STEPS), 1)))
def test_a_killed_engine_ends_no_update(folder: Path, step: int) -> None:
    assert run(folder, "engine", str(step)) == 0
    check(folder)


def test_killed_again_and_again(folder: Path) -> None:
    for step in (5, 14):
        assert run(folder, "server", str(step)) == -signal.SIGKILL
    assert run(folder) == 0
    check(folder)
