"""Kill a server that brings views up to date, around each commit: the next run has its query's rows."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

VICTIM = "tests.recovery.view_victim"
LIMIT_S = 90
KILLS = [("kept", "before"), ("kept", "behind"), ("counted", "state"), ("counted", "before"), ("counted", "behind")]


def run(folder: Path, number: int, *orders: str) -> int:
    command = [sys.executable, "-m", VICTIM, str(folder), str(number), *orders]
    return subprocess.run(command, timeout=LIMIT_S, check=False).returncode


def test_a_killed_refresh_is_made_good(tmp_path: Path) -> None:
    numbers = count(1)
    for _ in range(2):  # the second time, the groups are kept
        assert run(tmp_path, next(numbers)) == 0
    for kill in KILLS:
        number = next(numbers)
        assert run(tmp_path, number, *kill) == -signal.SIGKILL, kill
        assert run(tmp_path, number) == 0, kill
