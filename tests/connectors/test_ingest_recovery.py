"""Kill the ingest server at each step of a commit, and the riacho server at each step of a batch: every event once."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deltalake import DeltaTable

from riacho.connectors.ingest.log import LogFolder
from riacho.connectors.ingest.writer import EventGroup, LogWriter
from riacho.ingest.client import IngestClient, IngestRefusedError
from riacho.server.streaming.batch import BatchStep
from tests.connectors.ingest_victim import PER_BATCH

ROOT = Path(__file__).resolve().parents[2]
VICTIM = Path(__file__).with_name("ingest_victim.py")
LIMIT_S = 90
BATCHES = 12


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


@contextmanager
def served(folder: Path, port: int, *orders: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(VICTIM), "serve", str(folder), str(port), *orders]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], 30)[0]
        assert process.stdout.readline().startswith(b"http")
        yield process
    finally:
        process.kill()
        process.communicate()


def stream(folder: Path, *orders: str) -> int:
    command = [sys.executable, str(VICTIM), "stream", str(folder), *orders]
    return subprocess.run(command, timeout=LIMIT_S, check=False, env=environment()).returncode


def batch(number: int) -> list[dict[str, int]]:
    return [{"id": 10 * number + place} for place in range(10)]


def in_table(folder: Path) -> list[int]:
    return sorted(DeltaTable(folder / "table").to_pyarrow_table(columns=["id"])["id"].to_pylist())


@pytest.mark.parametrize("step", ["taken", "written", "synced", "told"])
def test_a_killed_ingest_server_loses_and_doubles_nothing(tmp_path: Path, port: int, step: str) -> None:
    """The client does not know what became of its request and sends it again with its key."""
    url = f"http://127.0.0.1:{port}"
    with served(tmp_path, port, step, "5") as process, IngestClient(url, attempts=1) as client:
        for number in range(4):
            assert client.send("orders", batch(number), key=f"k{number}").first_offset == 10 * number
        with pytest.raises(IngestRefusedError, match="did not answer"):
            client.send("orders", batch(4), key="k4")
        assert process.wait(10) == -signal.SIGKILL
    with served(tmp_path, port), IngestClient(url) as client:
        repeated = []
        for number in range(BATCHES):
            receipt = client.send("orders", batch(number), key=f"k{number}")
            repeated.append(receipt.repeated)
            assert receipt.first_offset == 10 * number
    # What had reached the file stays, and is known, also if it was not acknowledged.
    assert repeated == [number < (4 if step == "taken" else 5) for number in range(BATCHES)]
    assert LogFolder(tmp_path / "ingest" / "orders").end() == 10 * BATCHES
    assert stream(tmp_path) == 0
    assert in_table(tmp_path) == list(range(10 * BATCHES))


@pytest.fixture
def posted(tmp_path: Path) -> Path:
    """Three batches of events, a few of them bad."""
    log = LogWriter(tmp_path / "ingest" / "orders")
    values = [b'{"id":%d}' % number if number % 50 else b'{"id":"bad"}' for number in range(3 * PER_BATCH)]
    log.append([EventGroup(values)]).result(10)
    log.close()
    return tmp_path


GOOD = [number for number in range(3 * PER_BATCH) if number % 50]


@pytest.mark.parametrize(
    ("victim", "step"),
    [
        ("server", BatchStep.LOGGED.value),
        ("server", BatchStep.READ.value),
        ("server", BatchStep.RAN.value),
        ("server", BatchStep.WRITTEN.value),
        ("engine", BatchStep.RAN.value),
    ],
)
def test_a_killed_riacho_loses_and_doubles_nothing(posted: Path, victim: str, step: str) -> None:
    code = stream(posted, victim, step, "1")
    if victim == "server":
        assert code == -signal.SIGKILL
        code = stream(posted)
    assert code == 0
    assert in_table(posted) == GOOD
    letters = DeltaTable(posted / "letters").to_pyarrow_table()
    assert sorted(map(int, letters["position"].to_pylist())) == list(range(0, 3 * PER_BATCH, 50))
    assert sorted(letters["batch"].to_pylist()) == [0, 0, 1, 1, 2, 2]
    assert len(set(letters["query"].to_pylist())) == 1
