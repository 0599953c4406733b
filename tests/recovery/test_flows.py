"""Kill the server, or the engine, while a pipeline's flow runs once, or several write to the same files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.sources.sink_log import path_of_url, sink_files

ROOT = Path(__file__).parents[2]
STEPS = [step.value for step in BatchStep]
LIMIT_S = 120


def run(folder: Path, *orders: str) -> int:
    command: list[str | Path] = [sys.executable, "-m", "tests.recovery.flow_victim", str(folder), *orders]
    return subprocess.run(command, cwd=ROOT, timeout=LIMIT_S, check=False).returncode


def numbers(folder: Path) -> list[int]:
    table = DeltaTable(folder / "warehouse" / "shop.db" / "numbers").to_pyarrow_table(columns=["id"])
    return sorted(table["id"].to_pylist())


@pytest.mark.parametrize("step", STEPS)
def test_a_flow_that_runs_once_does_so_when_the_server_is_killed(tmp_path: Path, step: str) -> None:
    assert run(tmp_path, "once", "server", step, "0") == -signal.SIGKILL
    for _ in range(2):
        assert run(tmp_path, "once") == 0
    assert numbers(tmp_path) == list(range(100))


@pytest.mark.parametrize("step", ["logged", "read"])
def test_a_flow_that_runs_once_outlives_the_engine(tmp_path: Path, step: str) -> None:
    assert run(tmp_path, "once", "engine", step, "0") == 0
    assert numbers(tmp_path) == list(range(100))


@pytest.mark.parametrize("order", [*((step, "1") for step in STEPS), ("filed", "1")])
def test_flows_into_the_same_files_lose_and_double_nothing(tmp_path: Path, order: tuple[str, str]) -> None:
    landing = tmp_path / "in"
    landing.mkdir()
    for number in range(3):
        rows = ({"id": number * 10 + row} for row in range(10))
        (landing / f"{number}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(tmp_path, "files", "server", *order) == -signal.SIGKILL
    assert run(tmp_path, "files") == 0
    files = [Path(path_of_url(file.path)) for file in sink_files(str(tmp_path / "out"))]
    found = [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]
    assert sorted(found) == list(range(30))
