"""Kill the server at each commit of a replay: the next one puts every row back, once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.recovery.replay_victim import ROWS

VICTIM = "tests.recovery.replay_victim"
LIMIT_S = 90


def run(folder: Path, *orders: str) -> int:
    done = subprocess.run([sys.executable, "-m", VICTIM, str(folder), *orders], timeout=LIMIT_S, check=False)
    return done.returncode


def ids(folder: Path, table: str) -> list[int]:
    found = DeltaTable(folder / "warehouse" / table).to_pyarrow_table(columns=["id"])["id"].to_pylist()
    return sorted(found)


@pytest.mark.parametrize(
    ("commit", "when"), [(0, "before"), (0, "behind"), (1, "before"), (1, "behind"), (2, "before"), (2, "behind")]
)
def test_a_killed_replay_is_finished_by_the_next(tmp_path: Path, commit: int, when: str) -> None:
    assert run(tmp_path, str(commit), when) == -signal.SIGKILL
    assert run(tmp_path) == 0
    assert ids(tmp_path, "kept") == list(range(ROWS))
    assert ids(tmp_path, "kept_quarantine") == []
