"""A bot attack while the system runs, in real time."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from riacho.cli import systems
from riacho.testing.ingest import ingest_server
from riacho.testing.servers import running

SYSTEM = Path(__file__).parents[1]
READY_LIMIT_S = 120.0
FOUND_LIMIT_S = 10.0
BURST = 2_000
LEAD_S = 5.0
"""The generator's process has so long to start."""
NORMAL_S = 3.0
accesses: Any = systems.part(SYSTEM, "generator.accesses")
sending: Any = systems.part(SYSTEM, "generator.send")


def rows(table: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = DeltaTable(table).to_pyarrow_table().to_pylist()
    except TableNotFoundError:
        return []
    return found


def test_a_burst_is_found_within_ten_seconds_of_its_minute(tmp_path: Path) -> None:
    """Two hours of normal traffic are there, and more of it goes on. Nothing but the burst is found."""
    gold = tmp_path / "warehouse" / "gold.db"
    with ExitStack() as stack:
        server = stack.enter_context(ingest_server(tmp_path))
        before = accesses.AccessOptions(rate=1, interval_s=600, start=datetime.now(UTC) - timedelta(hours=2), dirt=0)
        platform = accesses.Platform(before, before.start)
        sent = 0
        with sending.target(server.url) as target:
            for number in range(12):
                sent += platform.stretch(number).num_rows
                target.send(number, platform.stretch(number))
        command = [sys.executable, "-m", "riacho", "run", str(SYSTEM), "--continuous"]
        command += ["--warehouse", str(tmp_path / "warehouse"), "--conf", f"access.ingest.path={server.folder}"]
        stack.enter_context(running("the pipeline", command, {}, tmp_path / "log", re.compile("access-logs"), 60))
        deadline = time.monotonic() + READY_LIMIT_S
        while (
            sum(row["accesses"] for row in rows(gold / "accesses_per_minute")) < sent
            or not (gold / "anomalies" / "_delta_log").exists()
        ):
            assert time.monotonic() < deadline, "what was sent before did not arrive"
            threading.Event().wait(0.2)
        assert rows(gold / "anomalies") == []

        start = datetime.now(UTC) + timedelta(seconds=LEAD_S)
        command = [sys.executable, "-m", "riacho", "generate", "access-logs", server.url, "--seed", "8"]
        command += ["--start", start.isoformat(), "--burst", str(BURST), "--burst-after", str(NORMAL_S)]
        generator = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        stack.callback(generator.wait, 30)
        stack.callback(generator.terminate)
        burst = start + timedelta(seconds=NORMAL_S)
        while not (found := rows(gold / "anomalies")):
            assert datetime.now(UTC) < burst + timedelta(seconds=FOUND_LIMIT_S), "the burst was not found in time"
            threading.Event().wait(0.1)
        seen = datetime.now(UTC)

    assert seen > burst
    assert {row["rule"] for row in found} == {"history"}
    assert {row["minute"] for row in found} <= {
        burst.replace(second=0, microsecond=0),
        seen.replace(second=0, microsecond=0),
    }
    assert found[0]["countries"][0]["country"] == "United States"
