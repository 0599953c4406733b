"""Kill the server or the engine at the steps of a batch between two tables in a bucket: every row once.

The checkpoint is in the bucket too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from riacho.server.streaming.batch import BatchStep
from riacho.testing.gate import CUT, LOSE_ANSWER, Fault, Gate
from riacho.testing.s3 import Bucket, S3Server
from tests.connectors.test_s3_delta import storage_options

ROOT = Path(__file__).resolve().parents[2]
VICTIM = Path(__file__).with_name("s3_victim.py")
BATCHES = 3
ROWS = 20
LIMIT_S = 90
EVERY_ID = list(range(BATCHES * ROWS))
COMMIT = "/sink/_delta_log/00000000000000000001.json"


class Lake:
    """A table of three files, to be read in three batches, and where its rows are to go."""

    def __init__(self, bucket: Bucket, s3: S3Server, folder: Path) -> None:
        self._options = storage_options(s3.url)
        self._folder = folder
        self._s3 = s3
        self.source = f"{bucket.url}/source"
        self.sink = f"{bucket.url}/sink"
        self.checkpoint = f"{bucket.url}/checkpoint"
        for batch in range(BATCHES):
            rows = pa.table({"id": EVERY_ID[batch * ROWS : (batch + 1) * ROWS]})
            write_deltalake(self.source, rows, mode="append", storage_options=self._options)

    def start(self, *orders: str, endpoint: str | None = None) -> subprocess.Popen[bytes]:
        places = [endpoint or self._s3.url, self.source, self.sink, self.checkpoint]
        command = [sys.executable, str(VICTIM), str(self._folder), *places, *orders]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
        return subprocess.Popen(command, env=environment)

    def run(self, *orders: str) -> int:
        return self.start(*orders).wait(LIMIT_S)

    def require_every_row_once(self) -> None:
        table = DeltaTable(self.sink, storage_options=self._options)
        assert sorted(table.to_pyarrow_table()["id"].to_pylist()) == EVERY_ID
        assert table.version() == BATCHES - 1


@pytest.fixture
def lake(bucket: Bucket, s3: S3Server, tmp_path: Path) -> Lake:
    return Lake(bucket, s3, tmp_path)


@pytest.mark.parametrize("step", [BatchStep.LOGGED.value, BatchStep.RAN.value, BatchStep.WRITTEN.value])
def test_a_killed_server_loses_and_doubles_nothing(lake: Lake, step: str) -> None:
    assert lake.run("server", step, "1") == -signal.SIGKILL
    assert lake.run() == 0
    lake.require_every_row_once()


def test_a_killed_engine_costs_a_repeated_batch_at_most(lake: Lake) -> None:
    assert lake.run("engine", BatchStep.READ.value, "1") == 0
    lake.require_every_row_once()


@pytest.mark.parametrize("fault", [CUT, LOSE_ANSWER], ids=["not committed", "committed"])
def test_a_server_that_is_killed_while_it_commits(lake: Lake, s3_gate: Gate, fault: Fault) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        started[0].kill()

    s3_gate.on("PUT", COMMIT, fault, then=kill)
    started.append(lake.start(endpoint=s3_gate.url))
    assert started[0].wait(LIMIT_S) == -signal.SIGKILL
    assert lake.run() == 0
    lake.require_every_row_once()
