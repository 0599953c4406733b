"""Kill the server or the workers of Python data sources at each step: every row arrives, none of them twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from riacho.server.streaming.batch import BatchStep

VICTIM = Path(__file__).with_name("source_victim.py")
EVERY_ROW = list(range(40 * 3))
LIMIT_S = 90
STEPS = [("full", step.value) for step in BatchStep] + [("simple", step) for step in ("logged", "read", "written")]


def run(folder: Path, kind: str, sink: str, *orders: str) -> int:
    done = subprocess.run([sys.executable, VICTIM, folder, kind, sink, *orders], timeout=LIMIT_S, check=False)
    return done.returncode


def in_table(folder: Path) -> list[int]:
    return sorted(DeltaTable(folder / "table").to_pyarrow_table(columns=["n"])["n"].to_pylist())


def in_files(folder: Path) -> list[int]:
    return sorted(row for file in (folder / "committed").iterdir() for row in json.loads(file.read_text()))


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_a_killed_server_reads_the_batch_again(tmp_path: Path, kind: str, step: str) -> None:
    assert run(tmp_path, kind, "delta", "server", step, "1") == -signal.SIGKILL
    assert run(tmp_path, kind, "delta") == 0
    assert in_table(tmp_path) == EVERY_ROW


@pytest.mark.parametrize(("kind", "step"), [("full", "planned"), ("full", "ran"), ("simple", "logged")])
def test_killed_workers_fail_the_query_and_cost_nothing(tmp_path: Path, kind: str, step: str) -> None:
    assert run(tmp_path, kind, "delta", "workers", step, "1") == 1
    assert run(tmp_path, kind, "delta") == 0
    assert in_table(tmp_path) == EVERY_ROW


@pytest.mark.parametrize("place", ["latest", "partitions", "read", "commit offset"])
@pytest.mark.parametrize("victim", ["self", "server"])
def test_a_reader_that_dies_or_kills(tmp_path: Path, place: str, victim: str) -> None:
    (tmp_path / "crash").write_text(f"{place} {victim}")
    assert run(tmp_path, "full", "delta") == (1 if victim == "self" else -signal.SIGKILL)
    assert not (tmp_path / "crash").exists()
    assert run(tmp_path, "full", "delta") == 0
    assert in_table(tmp_path) == EVERY_ROW
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize("place", ["write", "commit", "committed"])
@pytest.mark.parametrize("victim", ["self", "server"])
def test_a_writer_that_dies_or_kills(tmp_path: Path, place: str, victim: str) -> None:
    (tmp_path / "crash").write_text(f"{place} {victim}")
    assert run(tmp_path, "full", "files") == (1 if victim == "self" else -signal.SIGKILL)
    assert not (tmp_path / "crash").exists()
    assert run(tmp_path, "full", "files") == 0
    assert in_files(tmp_path) == EVERY_ROW
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize("step", ["ran", "written"])
def test_a_killed_server_writes_the_batch_again(tmp_path: Path, step: str) -> None:
    assert run(tmp_path, "simple", "files", "server", step, "1") == -signal.SIGKILL
    assert run(tmp_path, "simple", "files") == 0
    assert in_files(tmp_path) == EVERY_ROW
