"""A continuous pipeline for half an hour, with everything that goes wrong: `python -m bench.continuous_soak`.

Files of events land all the time. The pipeline takes them through bronze (Auto Loader), silver (a rule and a
quarantine table) and gold (a stream and a view). Meanwhile the server and the engine are killed again and again, a file
is damaged, a column is added and the rule is edited. In the end nothing may be lost or doubled, the view must be
right, and memory must not have grown.

    python -m bench.continuous_soak --minutes 30 --rate 1000 --kills 10
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

FILE_S = 0.5
"""Between two files."""
CATCH_UP_S = 180.0
SAMPLE_S = 2.0

SPEC = """name: soak
storage: file://{folder}/storage
libraries:
  - glob: {{include: transformations/**}}
configuration:
  pipelines.continuous: "true"
  spark.sql.pipelines.maxFlowRetryAttempts: "20"
  spark.sql.pipelines.execution.watchdog.minRetryTime: "1s"
"""
DEFINITIONS = """
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from riacho import pipelines as dp

@dp.table(name="bronze.events")
def events() -> DataFrame:
    return (
        spark.readStream.format("cloudFiles").option("cloudFiles.format", "json")
        .option("cloudFiles.schemaLocation", "{folder}/schemas")
        .option("cloudFiles.schemaHints", "id BIGINT, kind BIGINT, amount BIGINT")
        .load("{folder}/landing")
    )

@dp.table(name="silver.events")
@dp.expect_or_quarantine("amount", "{rule}")
def silver() -> DataFrame:
    return spark.readStream.table("bronze.events").where("id IS NOT NULL").select("id", "kind", "amount")

@dp.table(name="gold.even")
def even() -> DataFrame:
    return spark.readStream.table("silver.events").where("id % 2 = 0").select("id")

@dp.materialized_view(name="gold.kinds")
def kinds() -> DataFrame:
    return spark.read.table("silver.events").groupBy("kind").agg(F.count("*").alias("n"), F.sum("amount").alias("sum"))
"""
RULES = ("amount >= 10", "amount >= 5")
"""Before and after it is edited."""


@dataclass
class Landing:
    """Writes files of events; every event has the next number."""

    folder: Path
    rate: int
    more_columns: bool = False
    written: int = 0
    damaged: int = 0
    files: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        started = time.monotonic()
        while not self._over.is_set():
            due = int((time.monotonic() - started) * self.rate) - self.written
            if due > 0:
                self._land("".join(json.dumps(self._event(self.written + n)) + "\n" for n in range(due)))
                self.written += due
            self._over.wait(FILE_S)

    def stop(self) -> None:
        self._over.set()

    def damage(self) -> None:
        """A file that ends in the middle of a line: that line alone cannot be read."""
        self._land('{"id": -1, "kind": 0, "amou')
        self.damaged += 1

    def _event(self, number: int) -> dict[str, Any]:
        event: dict[str, Any] = {"id": number, "kind": number % 7, "amount": number * 31 % 100}
        if self.more_columns:
            event["note"] = f"n{number % 10}"
        return event

    def _land(self, text: str) -> None:
        self.files += 1
        name = f"{self.files:07d}.json"
        hidden = self.folder / f".{name}"
        hidden.write_text(text)
        hidden.rename(self.folder / name)


class Run:
    """`riacho run` in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / "run.log").open("ab")
        command = [sys.executable, "-m", "riacho", "run", str(folder / "project"), "--warehouse", str(folder / "wh")]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, start_new_session=True)

    def pids(self) -> dict[int, str]:
        """The processes of the run, and what each was started with."""
        return dict(_tree(self.process.pid))

    def engine(self) -> int | None:
        """The process of the engine."""
        return next((pid for pid, command in self.pids().items() if "child_main" in command), None)

    def resident_mb(self) -> float:
        """The memory of all of them."""
        return sum(_resident_kb(pid) for pid in self.pids()) / 1024

    def kill(self) -> None:
        """As a power cut does it."""
        for pid in self.pids():
            _signal(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """As a user does it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("the run did not stop within a minute") from None


def _tree(root: int) -> Iterator[tuple[int, str]]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        waiting.extend(children.get(pid, ()))
        try:
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def _resident_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


class Soak:
    """The whole story. `problems`: what is wrong in the end."""

    def __init__(self, folder: Path, rate: int, seed: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        (folder / "landing").mkdir(parents=True)
        self._landing = Landing(folder / "landing", rate)
        self._started = time.monotonic()
        self._memory: list[tuple[float, float]] = []
        self._run: Run | None = None
        self._stalls = 0
        self.problems: list[str] = []

    def tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._started:7.1f} s  {text}", flush=True)

    def go(self, seconds: float, kills: int) -> None:
        self._define(RULES[0])
        writer = threading.Thread(target=self._landing.run, daemon=True)
        self._started = time.monotonic()
        self._run = Run(self._folder)
        writer.start()
        plan = sorted(
            [
                (self._random.uniform(0.05, 0.9) * seconds, self._kill if n % 2 else self._kill_engine)
                for n in range(kills)
            ]
            + [
                (0.25 * seconds, self._damage),
                (0.45 * seconds, self._widen),
                (0.6 * seconds, self._edit_rule),
                (0.85 * seconds, self._damage),
            ],
            key=lambda step: step[0],
        )
        for at, act in plan:
            self._watch_until(at)
            act()
        self._watch_until(seconds)
        self._landing.stop()
        writer.join()
        self.tell(f"{self._landing.written:,} events in {self._landing.files:,} files have landed")
        self._catch_up()
        self._run.stop()
        self.tell("stopped")
        self._check()

    def end(self) -> None:
        """Leave nothing running, whatever happened."""
        if self._run is not None:
            self._run.kill()

    def _define(self, rule: str) -> None:
        project = self._folder / "project"
        (project / "transformations").mkdir(parents=True, exist_ok=True)
        (project / "spark-pipeline.yml").write_text(SPEC.format(folder=self._folder))
        (project / "setup.sql").write_text(
            "".join(f"CREATE DATABASE IF NOT EXISTS {name};\n" for name in ("bronze", "silver", "gold"))
        )
        (project / "transformations" / "all.py").write_text(DEFINITIONS.format(folder=self._folder, rule=rule))

    def _watch_until(self, at: float) -> None:
        while (left := at - (time.monotonic() - self._started)) > 0:
            time.sleep(min(left, SAMPLE_S))
            assert self._run is not None
            if self._run.process.poll() is not None:
                self._stalls += 1
                self.tell(f"the run has ended by itself ({self._run.process.returncode}): started again")
                self._run = Run(self._folder)
            self._memory.append((time.monotonic() - self._started, self._run.resident_mb()))

    def _kill(self) -> None:
        assert self._run is not None
        self._run.kill()
        self.tell("killed the server and all its processes")
        self._run = Run(self._folder)

    def _kill_engine(self) -> None:
        assert self._run is not None
        pid = self._run.engine()
        if pid is not None:
            _signal(pid, signal.SIGKILL)
        self.tell(f"killed the engine ({pid})")

    def _damage(self) -> None:
        self._landing.damage()
        self.tell("a damaged file has landed")

    def _widen(self) -> None:
        self._landing.more_columns = True
        self.tell("events have one more column from now on")

    def _edit_rule(self) -> None:
        assert self._run is not None
        self._run.stop()
        self._define(RULES[1])
        self.tell("the rule is edited; the run is started again")
        self._run = Run(self._folder)

    def _catch_up(self) -> None:
        """Wait until all events are in gold."""
        deadline = time.monotonic() + CATCH_UP_S
        while time.monotonic() < deadline:
            even = self._ids("gold/even") if self._is_there("gold/even") else []
            bad = self._quarantined()
            good = self._count("silver/events")
            if good + len(bad) >= self._landing.written and len(even) >= sum(
                1 for number in self._ids("silver/events") if number % 2 == 0
            ):
                time.sleep(3)  # the view follows
                return
            time.sleep(1)
        self.problems.append("the pipeline did not catch up")

    def _place(self, name: str) -> Path:
        database, table = name.split("/")
        return self._folder / "wh" / f"{database}.db" / table

    def _is_there(self, name: str) -> bool:
        return (self._place(name) / "_delta_log").is_dir()

    def _rows(self, name: str, *columns: str) -> list[dict[str, Any]]:
        return DeltaTable(self._place(name)).to_pyarrow_table(columns=list(columns)).to_pylist()  # type: ignore[no-any-return]

    def _ids(self, name: str) -> list[Any]:
        return [row["id"] for row in self._rows(name, "id")]

    def _count(self, name: str) -> int:
        return len(self._ids(name)) if self._is_there(name) else 0

    def _quarantined(self) -> list[int]:
        return self._ids("silver/events_quarantine") if self._is_there("silver/events_quarantine") else []

    def _check(self) -> None:
        every = range(self._landing.written)
        bronze = [number for number in self._ids("bronze/events") if number >= 0]
        silver, quarantined = self._rows("silver/events", "id", "kind", "amount"), self._quarantined()
        self._require("bronze has each event once", _differences(bronze, every))
        both = [row["id"] for row in silver if row["id"] >= 0] + [number for number in quarantined if number >= 0]
        self._require("silver and quarantine together have each event once", _differences(both, every))
        good = [row for row in silver if row["id"] >= 0]
        self._require(
            "gold.even follows silver",
            _differences(self._ids("gold/even"), [r["id"] for r in silver if r["id"] % 2 == 0]),
        )
        counts, sums = Counter[int](), Counter[int]()
        for row in silver:
            counts[row["kind"]] += 1
            sums[row["kind"]] += row["amount"]
        kinds = {row["kind"]: (row["n"], row["sum"]) for row in self._rows("gold/kinds", "kind", "n", "sum")}
        wanted = {kind: (counts[kind], sums[kind]) for kind in counts}
        self._require("gold.kinds is right", "" if kinds == wanted else f"{kinds} instead of {wanted}")
        noted = sum(row["note"] is not None for row in self._rows("bronze/events", "note"))
        self._require("the new column has values", "" if noted else "none")
        below = sum(row["amount"] < 10 for row in good)
        self._require("the edited rule holds", "" if below else "no event was judged by it")
        self._judge_memory()
        self.tell(
            f"{len(good):,} events in silver, {len(quarantined):,} in quarantine, {below:,} let in by the edited rule"
        )

    def _require(self, what: str, wrong: str) -> None:
        self.tell(f"{'ok  ' if not wrong else 'WRONG'} {what}{': ' + wrong if wrong else ''}")
        if wrong:
            self.problems.append(f"{what}: {wrong}")

    def _judge_memory(self) -> None:
        """The median of each fifth; the last one may be a third above the second, by when all is loaded."""
        fifth = max(len(self._memory) // 5, 1)
        medians = [
            sorted(mb for _, mb in self._memory[start : start + fifth])[fifth // 2]
            for start in range(0, fifth * 5, fifth)
            if self._memory[start : start + fifth]
        ]
        told = " → ".join(f"{mb:,.0f}" for mb in medians)
        grown = len(medians) > 2 and medians[-1] > medians[1] * 1.33
        self._require(f"memory is level ({told} MB)", "it has grown" if grown else "")


def _differences(found: list[int], wanted: Any) -> str:
    counts, want = Counter(found), Counter(wanted)
    lost, more = want - counts, counts - want
    if not lost and not more:
        return ""
    return (
        f"{sum(lost.values()):,} lost (as {sorted(lost)[:5]}), {sum(more.values()):,} too many (as {sorted(more)[:5]})"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--kills", type=int, default=10, help="of the server and of the engine, in turn")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="kept afterwards; by default a temporary one")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="riacho-soak-"))
    soak = Soak(folder.absolute(), given.rate, given.seed)
    try:
        soak.go(given.minutes * 60, given.kills)
    finally:
        soak.end()
    for problem in soak.problems:
        print(f"WRONG: {problem}")
    if not soak.problems and given.folder is None:
        shutil.rmtree(folder)
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
