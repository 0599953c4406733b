"""How many accesses a second the access-logs system takes, from its generator through to gold, while it runs.

`riacho generate access-logs` posts to `riacho ingest serve`, and `riacho run --continuous` reads from there, each a
process as a user starts them. A row counts as visible once a commit of `gold.accesses_per_minute` counts it. The CPU
time of each process says where the bottleneck is: 100 % is one core.

    python -m bench.access_logs --rate 10000 --seconds 120
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from riacho.testing.ingest import ingest_server
from riacho.testing.processes import descendants
from riacho.testing.servers import running

SYSTEM = Path(__file__).parents[1] / "systems" / "access-logs"
LEAD_S = 8.0
"""The generator's process has so long to start."""
START_LIMIT_S = 120.0
DRAIN_S = 120.0
LOOK_EVERY_S = 0.25
TABLES = ("bronze.accesses", "silver.valid_accesses", "silver.accesses")
GOLD = "gold.accesses_per_minute"
PROCESSES = {
    "generator": "riacho generate",
    "ingest server": "riacho ingest serve",
    "riacho": "riacho up",
    "engine": "riacho.server.engine",
    "workers": "riacho.server.workers",
    "riacho run": "riacho run",
}


def count(warehouse: Path, name: str) -> int:
    """Rows of a table, or the accesses that gold counts."""
    database, _, table = name.partition(".")
    try:
        delta = DeltaTable(warehouse / f"{database}.db" / table)
        if name != GOLD:
            return int(delta.count())
        return sum(delta.to_pyarrow_table(columns=["accesses"])["accesses"].to_pylist())
    except (TableNotFoundError, OSError):
        return 0


def cpu_s() -> dict[str, float]:
    """CPU seconds of each of our processes so far."""
    found = dict.fromkeys(PROCESSES, 0.0)
    for pid, command in descendants(os.getpid()).items():
        name = next((name for name, words in PROCESSES.items() if words in command), None)
        if name is None or "lifeline.py" in command:
            continue
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        found[name] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def delays(seen: Sequence[tuple[float, int]], start: float, rate: float, sent: int) -> list[float]:
    """For each tenth of a second: from the moment an access was due until gold counted as many. What never came is
    left out.
    """
    found, place = [], 0
    for tenth in range(1, int(sent / rate * 10)):
        due, wanted = start + tenth / 10, tenth / 10 * rate
        while place < len(seen) and seen[place][1] < wanted:
            place += 1
        if place == len(seen):
            break
        found.append(max(seen[place][0] - due, 0.0))
    return found


def measure(folder: Path, rate: int, seconds: float) -> None:
    warehouse = folder / "warehouse"
    with ExitStack() as stack:
        server = stack.enter_context(ingest_server(folder, limit_s=START_LIMIT_S))
        riacho = [sys.executable, "-m", "riacho"]
        command = [*riacho, "run", str(SYSTEM), "--continuous", "--warehouse", str(warehouse)]
        command += ["--conf", f"access.ingest.path={server.folder}"]
        stack.enter_context(
            running("the pipeline", command, {}, folder / "run.log", re.compile("access-logs"), START_LIMIT_S)
        )
        wait_for_tables(warehouse)
        start = datetime.now(UTC) + timedelta(seconds=LEAD_S)
        total = int(rate * seconds)
        command = [*riacho, "generate", "access-logs", server.url, "--evenly", "--dirt", "0", "--interval", "0.25"]
        command += ["--rate", str(rate), "--count", str(total), "--start", start.isoformat()]
        log = folder / "generate.log"
        stack.enter_context(running("the generator", command, {}, log, re.compile("accesses to"), START_LIMIT_S))
        began, before = time.monotonic(), cpu_s()
        seen: list[tuple[float, int]] = []
        used, sending_s = before, 0.0
        at_end: dict[str, int] = {}
        while not seen or seen[-1][1] < total:
            now = time.time()
            seen.append((now, count(warehouse, GOLD)))
            if not at_end and now > start.timestamp() + seconds:
                used, sending_s = cpu_s(), time.monotonic() - began
                at_end = {name: count(warehouse, name) for name in (*TABLES, GOLD)}
            if now > start.timestamp() + seconds + DRAIN_S:
                break
            threading.Event().wait(LOOK_EVERY_S)
    load = os.getloadavg()[0]
    print(f"{rate:,} accesses a second for {seconds:.0f} s, {os.cpu_count()} cores, load average {load:.1f}")
    for name, rows in at_end.items():
        print(f"  {name:<26} {rows:>12,} of {total:,} when the last had been due")
    print(f"  {GOLD:<26} {seen[-1][1]:>12,} of {total:,} after {seen[-1][0] - start.timestamp():.1f} s")
    found = delays(seen, start.timestamp(), rate, total)
    if len(found) > 1:
        worst = statistics.quantiles(found, n=20)[18]
        print(f"  from due to visible in gold: median {statistics.median(found):.1f} s, 95th percentile {worst:.1f} s")
    for name, after in used.items():
        print(f"  CPU of {name:<18} {100 * (after - before[name]) / max(sending_s, 0.1):>6.0f} %")


def wait_for_tables(warehouse: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while not (warehouse / "gold.db" / "anomalies" / "_delta_log").is_dir():
        if time.monotonic() > deadline:
            raise AssertionError("the pipeline did not start")
        threading.Event().wait(LOOK_EVERY_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=10_000, help="accesses a second")
    parser.add_argument("--seconds", type=float, default=120.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="riacho-access-logs-") as folder:
        measure(Path(folder), given.rate, given.seconds)


if __name__ == "__main__":
    main()
