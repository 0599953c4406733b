"""Kill the server, or the engine, on the way of a batch into files: the log names every row exactly once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.sources.sink_log import sink_files
from tests.recovery.test_kill import EVERY_ROW, FILES, LIMIT_S, VICTIM, folder

__all__ = ["folder"]
STEPS = ["filed", BatchStep.LOGGED.value, BatchStep.WRITTEN.value]
"""The others are the same for all sinks (`test_kill`). "filed": the files are there, and not in the log."""


def run(folder: Path, *orders: str) -> int:
    done = subprocess.run([sys.executable, VICTIM, "--files", folder, *orders], timeout=LIMIT_S, check=False)
    return done.returncode


def ids(folder: Path) -> list[int]:
    logged = [Path(file.path) for file in sink_files(str(folder / "table"))]
    return sorted(json.loads(line)["id"] for path in logged for line in path.read_text().splitlines())


def entries(folder: Path) -> int:
    return len(list((folder / "table" / "_spark_metadata").glob("[0-9]*")))


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_server_goes_on_where_it_was(folder: Path, step: str) -> None:
    assert run(folder, "server", step, "2") == -signal.SIGKILL
    assert run(folder) == 0
    assert (ids(folder), entries(folder)) == (EVERY_ROW, FILES)


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_engine_costs_a_repeated_batch_at_most(folder: Path, step: str) -> None:
    assert run(folder, "engine", step, "1") == 0
    assert (ids(folder), entries(folder)) == (EVERY_ROW, FILES)


@pytest.mark.parametrize("victim", ["server", "engine"])
def test_killed_between_the_parts_of_a_batch(folder: Path, victim: str) -> None:
    assert run(folder, victim, "part", "1") == (-signal.SIGKILL if victim == "server" else 0)
    assert run(folder) == 0
    assert (ids(folder), entries(folder)) == (EVERY_ROW, 1)
