"""Kill the server, the engine or the workers after each step of a batch: every document once, in and out of MongoDB."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.connectors.mongo import Mongo
from tests.connectors.mongo_victim import ROWS

ROOT = Path(__file__).resolve().parents[2]
VICTIM = Path(__file__).with_name("mongo_victim.py")
BATCHES = 3
LIMIT_S = 90
EVERY_ID = list(range(BATCHES * ROWS))


def run(folder: Path, mongo: Mongo, way: str, *orders: str) -> int:
    command = [sys.executable, str(VICTIM), str(folder), mongo.uri, mongo.database.name, way, *orders]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    return subprocess.run(command, timeout=LIMIT_S, check=False, env=environment).returncode


def killed(folder: Path, mongo: Mongo, way: str, victim: str, step: str) -> None:
    """One run that is cut off in its second batch, and another that ends."""
    first = run(folder, mongo, way, victim, step, "1")
    if victim == "server":
        assert first == -signal.SIGKILL
    assert run(folder, mongo, way) == 0


@pytest.fixture
def filled(mongo: Mongo) -> Mongo:
    mongo["source"].insert_many([{"_id": i, "v": f"{i}"} for i in EVERY_ID])
    return mongo


INTO = [("server", "logged"), ("server", "read"), ("server", "written"), ("workers", "logged")]
OUT_OF = [("server", "ran"), ("server", "written"), ("engine", "logged"), ("workers", "ran")]


@pytest.mark.parametrize(("victim", "step"), INTO)
def test_into_delta(tmp_path: Path, filled: Mongo, victim: str, step: str) -> None:
    killed(tmp_path, filled, "in", victim, step)
    table = DeltaTable(tmp_path / "table").to_pyarrow_table(columns=["_id", "v"]).to_pylist()
    assert sorted(row["_id"] for row in table) == EVERY_ID
    assert all(row["v"] == str(row["_id"]) for row in table)


@pytest.mark.parametrize(("victim", "step"), OUT_OF)
def test_out_of_delta(tmp_path: Path, mongo: Mongo, victim: str, step: str) -> None:
    """Rows without `_id`, each of them twice in its batch: the worst case."""
    for batch in range(BATCHES):
        values = [f"{batch}-{number // 2}" for number in range(ROWS)]
        write_deltalake(tmp_path / "table", pa.table({"v": values}), mode="append")
    killed(tmp_path, mongo, "out", victim, step)
    found = sorted(document["v"] for document in mongo.documents("copy"))
    assert found == sorted(f"{batch}-{number // 2}" for batch in range(BATCHES) for number in range(ROWS))
