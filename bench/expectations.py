"""What expectations cost: JSON files into a Delta table by one flow, without rules and with ten.

`python -m bench.expectations` starts a server; `--files 8 --rows 50000` is the size, all of it one batch, or with
`--per-trigger N` batches of so many files. With `--clean` no row breaks a rule, though each is evaluated; else each
batch has rows to drop and to quarantine. Each job runs `--times` times, the two in turn, and the quickest counts;
processor time, of the server and its engine, says more than the clock where other programs run too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from bench.events import SCHEMA, write_files
from bench.jobs import LIMIT_S
from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.connect.server import RiachoServer
from riacho.server.graph.expectations import from_text
from riacho.server.streaming.quality import Checks, Violation
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.trigger import AvailableNow

RULES = (
    ("id", "id IS NOT NULL", Violation.FAIL),
    ("value", "value IS NULL OR value < 99.9", Violation.QUARANTINE),
    ("positive", "value IS NULL OR value >= 0", Violation.DROP),
    ("kind", "kind IN ('click', 'view', 'buy', 'scroll', 'leave')", Violation.QUARANTINE),
    ("user", "length(user.name) > 0", Violation.WARN),
    ("country", "user.country <> 'JP'", Violation.WARN),
    ("long ago", "ts > TIMESTAMP '2000-01-01'", Violation.DROP),
    ("in future", "ts < TIMESTAMP '2100-01-01'", Violation.QUARANTINE),
    ("note", "note IS NULL OR note NOT LIKE '% '", Violation.WARN),
    ("together", "value > 10 OR kind <> 'buy'", Violation.WARN),
)
KEPT = {
    "value": "value IS NULL OR value <= 100",
    "country": "user.country <> 'XX'",
    "together": "value >= 0 OR kind <> 'nothing'",
}
"""Instead of rules that some rows break: those that no row does, and that the engine has to evaluate."""


def leaf(landing: Path, per_trigger: int | None) -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    source = relation.read.data_source
    source.format = "json"
    source.schema = SCHEMA
    source.paths.append(str(landing))
    if per_trigger is not None:
        source.options["maxFilesPerTrigger"] = str(per_trigger)
    return relation


def processor_s(server: RiachoServer) -> float:
    """What the server and its engine have needed so far."""
    ticks = 0
    for pid in (os.getpid(), server.backend.engine_pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def seconds(
    server: RiachoServer, landing: Path, folder: Path, per_trigger: int | None, *, checked: bool, clean: bool = False
) -> tuple[float, float]:
    """How long one flow takes from its start to its end: by the clock, and of the processors."""
    rules = tuple(from_text(name, KEPT.get(name, text) if clean else text, action) for name, text, action in RULES)
    begun, needed = time.perf_counter(), processor_s(server)
    query = server.backend.start_query(
        new_uuid(),
        StartRequest(
            relation=leaf(landing, per_trigger),
            trigger=AvailableNow(),
            format="delta",
            path=str(folder / "table"),
            options={"checkpointlocation": str(folder / "checkpoint")},
            checks=Checks("flow", "table", rules, folder / "quarantine") if checked else None,
        ),
    )
    if not query.await_termination(LIMIT_S):
        raise TimeoutError(f"not done after {LIMIT_S} s")
    return time.perf_counter() - begun, processor_s(server) - needed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--per-trigger", type=int, default=None)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--clean", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as name:
        work = Path(name)
        write_files(work / "landing", files=given.files, rows=given.rows)
        server = RiachoServer(work / "warehouse", port=0)
        server.start()
        best = dict.fromkeys((False, True), (float("inf"), float("inf")))
        for turn in range(given.times + 1):  # the first warms up
            for checked in best:
                folder = work / f"{turn}-{checked}"
                now = seconds(server, work / "landing", folder, given.per_trigger, checked=checked, clean=given.clean)
                if turn:
                    best[checked] = (min(best[checked][0], now[0]), min(best[checked][1], now[1]))
        server.stop()
    rows = given.files * given.rows
    for checked, (took, needed) in best.items():
        job = "ten rules" if checked else "no rules"
        print(f"{job:10} {took:6.2f} s  {rows / took / 1000:6.0f} k rows/s  {needed:6.2f} s of processors")
    by_clock, by_processors = ((best[True][at] / best[False][at] - 1) * 100 for at in (0, 1))
    print(f"{'cost':10} {by_clock:6.1f} %  of processors {by_processors:6.1f} %")


if __name__ == "__main__":
    main()
