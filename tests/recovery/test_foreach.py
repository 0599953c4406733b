"""Kill the server, the engine or the function's process in a batch: foreach gets every row at least once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from riacho.server.streaming.batch import BatchStep

VICTIM = Path(__file__).with_name("victim.py")
FILES = 3
ROWS = 20
LIMIT_S = 90


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    landing = tmp_path / "landing"
    landing.mkdir()
    for number in range(FILES):
        rows = ({"id": number * ROWS + row, "text": ""} for row in range(ROWS))
        (landing / f"{number}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(folder: Path, *orders: str) -> int:
    done = subprocess.run([sys.executable, VICTIM, "--foreach", folder, *orders], timeout=LIMIT_S, check=False)
    return done.returncode


def seen(folder: Path) -> list[list[str]]:
    """What the function was called for, each time from `open` to before the next."""
    calls: list[list[str]] = []
    for line in (folder / "seen.txt").read_text().splitlines():
        if line.startswith("open"):
            calls.append([])
        calls[-1].append(line)
    return calls


def whole(batch: int) -> list[str]:
    rows = range(batch * ROWS, (batch + 1) * ROWS)
    return [f"open {batch}", *(str(row) for row in rows), "close NoneType"]


def test_a_killed_server_repeats_the_batch_that_was_not_committed(folder: Path) -> None:
    assert run(folder, "server", BatchStep.WRITTEN.value, "1") == -signal.SIGKILL
    assert run(folder) == 0
    assert seen(folder) == [whole(0), whole(1), whole(1), whole(2)]


@pytest.mark.parametrize(("victim", "step"), [("engine", BatchStep.RAN), ("worker", BatchStep.WRITTEN)])
def test_the_query_goes_on_without_its_engine_or_its_process(folder: Path, victim: str, step: BatchStep) -> None:
    assert run(folder, victim, step.value, "1") == 0
    calls = seen(folder)
    assert [call for call in calls if call[-1] == "close NoneType"] == [whole(0), whole(1), whole(2)]
    assert all(call[-1] == "close CutOffError" for call in calls if call[-1].startswith("close C"))


@pytest.mark.parametrize("victim", ["engine", "worker"])
def test_a_batch_is_given_again_from_its_beginning(folder: Path, victim: str) -> None:
    assert run(folder, victim, "part", "1") == 0
    *cut_off, again = seen(folder)
    rows = [str(row) for row in range(FILES * ROWS)]
    assert again == ["open 0", *rows, "close NoneType"]
    # The engine may die before the first rows have reached the function.
    assert len(cut_off) == 1 or (victim == "engine" and not cut_off)
    for first in cut_off:
        if victim == "engine":
            assert first.pop() == "close CutOffError"
        assert first == ["open 0", *rows[: len(first) - 1]]
