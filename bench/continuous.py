"""How long an event takes from its file to gold, in the telecom system that keeps running.

Files of events land all the time, a file for each tenth of a second. For each, two times are taken: until its rows are
in `gold.high_connections`, to which streams lead, and until they count in `gold.devices_total`, a view over views. A
file's time begins when it is closed and ends when the commit that has its rows is in place.

    python -m bench.continuous --rate 10000 --seconds 60
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable

from systems.telecom.generator.source import KINDS, SCHEMA, TelecomOptions, generate

TELECOM = Path(__file__).parents[1] / "systems" / "telecom"
INTERVAL_S = 0.1
WARM_UP_S = 10.0
"""Files that land before this are not counted: the first refresh of each view is a full one."""
LEAD_S = 6.0
"""How long the pipeline has to start before files land."""
HIGH_MBIT = 400
DRAIN_S = 60.0


def land(folder: Path, rate: int, seconds: float) -> list[tuple[float, int, int]]:
    """Let files land; when each was closed, and how many rows and fast connections had landed by then."""
    rows = max(int(rate * INTERVAL_S), 1)
    options = TelecomOptions(
        batches=int(seconds / INTERVAL_S), interval_s=INTERVAL_S, rows=(rows,) * 4, dirt=0, customers=rows * 20
    )
    landed, total, high = [], 0, 0
    for file in generate(folder, options):
        closed = time.time()
        total += file.rows
        if file.kind.connects:
            speeds = pq.read_table(file.path, columns=["Velocidade_de_Conexao"])[0].to_pylist()
            high += sum(speed >= HIGH_MBIT for speed in speeds)
        landed.append((closed, total, high))
    return landed


def commits(table: Path) -> list[tuple[int, float]]:
    """The versions of a table and when each was put in place."""
    return sorted((int(file.stem), file.stat().st_mtime) for file in (table / "_delta_log").glob("*[0-9].json"))


def appended(table: Path) -> list[tuple[float, int]]:
    """When each commit of a table that only grows came, and how many rows it had by then."""
    found, rows = [], 0
    for version, at in commits(table):
        for line in (table / "_delta_log" / f"{version:020d}.json").read_text().splitlines():
            action = json.loads(line)
            if "add" in action and action["add"]["dataChange"]:
                rows += json.loads(action["add"]["stats"])["numRecords"]
        found.append((at, rows))
    return found


def counted(table: Path) -> list[tuple[float, int]]:
    """When each version of `gold.devices_total` came, and how many events it counted."""
    found = []
    for version, at in commits(table):
        rows = DeltaTable(table, version=version).to_pyarrow_table().to_pylist()
        found.append((at, sum(row["connected"] + row["disconnected"] for row in rows)))
    return found


def delays(landed: Sequence[tuple[float, int]], seen: Sequence[tuple[float, int]], since: float) -> list[float]:
    """For each file that was closed after `since`: seconds until a commit had all rows up to it. Raises if none did."""
    found, place = [], 0
    for closed, wanted in landed:
        while place < len(seen) and seen[place][1] < wanted:
            place += 1
        if closed < since:
            continue
        if place == len(seen):
            raise AssertionError(f"{wanted:,} rows never came: {seen[-1][1]:,} did")
        found.append(max(seen[place][0] - closed, 0.0))
    return found


def measure(folder: Path, rate: int, seconds: float) -> None:
    warehouse, landing = folder / "wh", folder / "landing"
    landing.mkdir(parents=True)
    confs = {"telecom.landing": landing, "telecom.schemas": folder / "schemas"}
    command = [sys.executable, "-m", "riacho", "run", str(TELECOM), "--continuous"]
    command += ["--warehouse", str(warehouse)]
    for key, value in confs.items():
        command += ["--conf", f"{key}={value}"]
    seed(landing)
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            time.sleep(LEAD_S)
            landed: list[tuple[float, int, int]] = []
            writer = threading.Thread(target=lambda: landed.extend(land(landing, rate, seconds)))
            writer.start()
            writer.join()
            wait_for_all(warehouse / "gold.db" / "devices_total", landed[-1][1])
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    since = landed[0][0] + WARM_UP_S
    streams = delays(
        [(at, high) for at, _, high in landed], appended(warehouse / "gold.db" / "high_connections"), since
    )
    views = delays([(at, rows) for at, rows, _ in landed], counted(warehouse / "gold.db" / "devices_total"), since)
    print(f"{rate:,} events a second for {seconds:.0f} s, {len(views)} files counted")
    for name, times in (("streams, to gold.high_connections", streams), ("views, to gold.devices_total", views)):
        found = {
            "median": statistics.median(times),
            "95th percentile": statistics.quantiles(times, n=20)[18],
            "worst": max(times),
        }
        shown = ", ".join(f"{what} {value * 1000:,.0f} ms" for what, value in found.items())
        print(f"  {name}: {shown}")


def seed(landing: Path) -> None:
    """The folders that the pipeline reads have to be there, each with a file to take the columns from."""
    for kind in KINDS:
        folder = landing / kind.device / kind.status
        folder.mkdir(parents=True)
        pq.write_table(SCHEMA.empty_table(), folder / "empty.parquet")


def wait_for_all(table: Path, rows: int) -> None:
    deadline = time.monotonic() + DRAIN_S
    while time.monotonic() < deadline:
        if (table / "_delta_log").is_dir():
            there = DeltaTable(table).to_pyarrow_table().to_pylist()
            if sum(row["connected"] + row["disconnected"] for row in there) >= rows:
                return
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=10_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="kept afterwards; by default a temporary one")
    given = parser.parse_args()
    folder = (given.folder or Path(tempfile.mkdtemp(prefix="riacho-continuous-"))).absolute()
    measure(folder, given.rate, given.seconds)
    if given.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
