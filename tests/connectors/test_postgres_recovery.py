"""Kill the server, the engine, the workers or PostgreSQL at each step of a batch: every change is in Delta, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from riacho.connectors.postgres_cdc.source import PostgresCdcSource
from riacho.errors import SparkGeneralError
from riacho.server.streaming.batch import BatchStep
from riacho.testing.postgres import PostgresServer
from tests.connectors.postgres import Database
from tests.connectors.tail import Tail

ROOT = Path(__file__).resolve().parents[2]
VICTIM = Path(__file__).with_name("postgres_victim.py")
LIMIT_S = 90
STEPS = [step.value for step in BatchStep if step is not BatchStep.RAN]
pytestmark = pytest.mark.timeout(240)


def run(folder: Path, format: str, options: dict[str, str], *orders: str) -> int:
    command = [sys.executable, str(VICTIM), str(folder), format, json.dumps(options), *orders]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    return subprocess.run(command, timeout=LIMIT_S, check=False, env=environment).returncode


def in_table(folder: Path, *columns: str) -> list[tuple[Any, ...]]:
    found = DeltaTable(folder / "table").to_pyarrow_table(columns=list(columns)).to_pylist()
    return sorted((tuple(row[name] for name in columns) for row in found), key=repr)


def slot_made(postgres: Database) -> dict[str, str]:
    """Options of a stream that goes on from a slot."""
    slot = f"s_{postgres.name}"
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    postgres.execute(f"CREATE PUBLICATION {slot} FOR TABLE t")
    postgres.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    return {"url": postgres.url, "tables": "t", "slot": slot, "snapshotMode": "never", "maxBytesPerTrigger": "1"}


def change(postgres: Database, first: int, last: int) -> None:
    """A transaction for each ten rows, and one that deletes."""
    for at in range(first, last, 10):
        postgres.execute(f"INSERT INTO t SELECT g, repeat('x', 3000) FROM generate_series({at}, {at + 9}) g; "
                         f"DELETE FROM t WHERE id = {at}")  # fmt: skip


def changed(last: int) -> list[tuple[Any, ...]]:
    every = [("insert", number) for number in range(last)] + [("delete", number) for number in range(0, last, 10)]
    return sorted(every, key=repr)


def test_a_killed_server_loses_and_doubles_no_change(postgres: Database, tmp_path: Path) -> None:
    """One run after the other, each killed one step and one batch later than the one before."""
    options = slot_made(postgres)
    change(postgres, 0, 100)
    for number, step in enumerate(STEPS):
        assert run(tmp_path, "postgres_cdc", options, "server", step, str(number + 1)) == -signal.SIGKILL
    assert run(tmp_path, "postgres_cdc", options) == 0
    assert in_table(tmp_path, "_operation", "id") == changed(100)
    change(postgres, 100, 120)
    assert run(tmp_path, "postgres_cdc", options) == 0
    assert in_table(tmp_path, "_operation", "id") == changed(120)


def test_a_killed_server_goes_on_with_the_snapshot(postgres: Database, tmp_path: Path) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT g, 0 FROM generate_series(1, 60) g"
    )
    options = {"url": postgres.url, "tables": "t", "slot": f"s_{postgres.name}", "maxSnapshotRowsPerTrigger": "10"}
    # The slot is made between the first batch and the second's entry in the log: killed there, it is made anew.
    for number, (step, batch) in enumerate(
        (("planned", 0), ("committed", 0), ("planned", 1), ("read", 2), ("written", 3))
    ):
        killed = run(tmp_path, "postgres_cdc", options, "server", step, str(batch))
        assert killed == -signal.SIGKILL, (step, batch)
        postgres.execute(f"UPDATE t SET v = {number + 1} WHERE id > 50; INSERT INTO t VALUES ({100 + number}, 0)")
    assert run(tmp_path, "postgres_cdc", options) == 0
    rows = in_table(tmp_path, "_operation", "id", "v")
    assert len(rows) == len(set(rows))
    reads = [number for operation, number, _ in rows if operation == "read"]
    assert set(range(1, 51)) <= set(reads)
    assert len(reads) == len(set(reads))
    state = {number: v for _, number, v in sorted(rows, key=lambda row: (row[0] != "read", row[2]))}
    assert state == dict(postgres.execute("SELECT id, v FROM t"))


def test_killed_workers_and_engines(postgres: Database, tmp_path: Path) -> None:
    options = slot_made(postgres)
    change(postgres, 0, 60)
    assert run(tmp_path, "postgres_cdc", options, "engine", "read", "2") == 0
    change(postgres, 60, 100)
    assert run(tmp_path, "postgres_cdc", options, "workers", "planned", "8") in (0, 1)
    assert run(tmp_path, "postgres_cdc", options) == 0
    assert in_table(tmp_path, "_operation", "id") == changed(100)


def test_a_killed_server_reads_no_new_row_twice(postgres: Database, tmp_path: Path) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT now())")
    postgres.execute("INSERT INTO t SELECT generate_series(1, 50)")
    options = {"url": postgres.url, "table": "t", "cursorColumn": "at", "maxRowsPerTrigger": "10"}
    for number, step in enumerate(("logged", "read", "written")):
        assert run(tmp_path, "postgres_incremental", options, "server", step, str(number)) == -signal.SIGKILL
        postgres.execute(f"INSERT INTO t SELECT generate_series({51 + number * 10}, {60 + number * 10})")
    assert run(tmp_path, "postgres_incremental", options, "engine", "read", "5") == 0
    assert in_table(tmp_path, "id") == sorted(((number,) for number in range(1, 81)), key=repr)


def test_postgres_that_stops_and_comes_back(own_postgres: PostgresServer, tmp_path: Path) -> None:
    """In the middle of a query, and in the middle of a batch."""
    postgres = Database(own_postgres, "postgres")
    options = {**slot_made(postgres), "retryTimeout": "30s"}
    change(postgres, 0, 60)
    stopped, back = tmp_path / "stopped", tmp_path / "back"

    def restart() -> None:
        for _ in range(3000):
            if stopped.exists():
                break
            threading.Event().wait(0.02)
        own_postgres.kill()
        back.touch()
        own_postgres.start()

    other = threading.Thread(target=restart)
    other.start()
    wait = f"touch {stopped}; while [ ! -e {back} ]; do sleep 0.02; done"
    assert run(tmp_path, "postgres_cdc", options, "command", "planned", "2", wait) == 0
    other.join(60)
    assert in_table(tmp_path, "_operation", "id") == changed(60)


def test_postgres_that_is_killed_while_a_batch_is_read(own_postgres: PostgresServer) -> None:
    """What was given before is not given again: the batch goes on behind it."""
    postgres = Database(own_postgres, "postgres")
    options = {**slot_made(postgres), "maxBytesPerTrigger": "1g", "retryTimeout": "30s"}
    tail = Tail(PostgresCdcSource, None, None, **options)
    tail.take()
    postgres.execute("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 30000) g")
    postgres.execute("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(30001, 60000) g")
    start = json.loads(tail.at)
    end = tail.reader.latestOffset(start, tail.reader.getDefaultReadLimit())
    (partition,) = tail.reader.partitions(start, end)
    found: list[int] = []
    kills = 0
    for batch in tail.reader.read(partition):
        found += batch["id"].to_pylist()
        if kills < 2:
            kills += 1
            own_postgres.kill()
            own_postgres.start()
    assert found == list(range(1, 60_001))
    tail.reader.stop()
    own_postgres.stop()
    hasty = Tail(PostgresCdcSource, json.dumps(end), tail.schema, **{**options, "retryTimeout": "300ms"})
    with pytest.raises(SparkGeneralError, match=r"(?s)could not find the next changes.*retryTimeout"):
        hasty.take()
