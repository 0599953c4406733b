"""The crypto system under load: quotes through the queue, or through Kafka in Avro, into the continuous pipeline.

    python -m bench.crypto --rate 5000 --seconds 120 [--through kafka]

A generator in a process of its own sends RATE quotes a second. A portion is visible when a commit of `gold.candles` has
counted all quotes up to it; its time begins when the queue or Kafka has acknowledged it. In the end each quote counts
once. What each process took of the CPU tells where the bottleneck is.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable

from bench.continuous import commits, delays
from riacho.testing.ingest import ingest_server
from riacho.testing.kafka import KafkaBroker
from riacho.testing.processes import descendants
from riacho.testing.registry_server import SchemaRegistryServer
from systems.crypto.generator.quotes import QuoteOptions, generate

ROOT = Path(__file__).parents[1]
CRYPTO = ROOT / "systems" / "crypto"
SERVICES = ROOT / ".services"
LIMIT_S = 120.0
"""For the first candles, and for the last."""
WARM_UP_S = 10.0
WARM_UP_QUOTES = 25
INTERVAL_S = {"queue": 0.2, "kafka": 1.0}
"""Between two portions. A portion to Kafka takes a producer of its own, as a task of a schedule does."""
PARTS = {
    "bench.crypto send": "generator",
    "riacho ingest": "queue",
    "kafka.Kafka": "Kafka",
    "java": "registry",
    "engine.sail": "engine",
    "riacho up": "riacho",
    "riacho run": "client",
    "riacho.server.workers": "workers",
}


@dataclass(frozen=True)
class Place:
    """Where quotes are sent, and what a run of the system needs to read there."""

    target: str
    options: tuple[str, ...]
    environment: Mapping[str, str]


@contextmanager
def place(through: str, folder: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        if through == "queue":
            server = stack.enter_context(ingest_server(folder))
            yield Place(server.url, ("--conf", f"crypto.queue.path={server.folder}"), {})
            return
        broker = stack.enter_context(KafkaBroker(SERVICES / "kafka", folder / "kafka"))
        registry = stack.enter_context(SchemaRegistryServer(SERVICES / "registry", folder))
        environment = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "SCHEMA_REGISTRY_URL": registry.url}
        command = [sys.executable, "-m", "riacho", "topics", "apply", str(CRYPTO / "topics.yml"), "--yes"]
        subprocess.run(command, check=True, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
        yield Place("kafka", ("--profile", "services"), environment)


def send(target: str, rate: int, count: int, interval_s: float) -> None:
    """In a process of its own: send quotes; prints when each portion was acknowledged and how many there were then."""
    options = QuoteOptions(rate=rate, count=count, interval_s=interval_s, dirt=0)
    sent, acknowledged = 0, []
    for delivery in generate(target, options):
        sent += delivery.rows
        acknowledged.append((time.time(), sent))
    print(json.dumps(acknowledged))


def sent(where: Place, rate: int, count: int, interval_s: float) -> list[tuple[float, int]]:
    given = [where.target, str(rate), str(count), str(interval_s)]
    command = [sys.executable, "-m", "bench.crypto", "send", *given]
    environment = {**os.environ, **where.environment}
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return [(at, total) for at, total in json.loads(done.stdout)]


def counted(table: Path) -> list[tuple[float, int]]:
    """When each version of `gold.candles` came, and how many quotes its candles of a minute had."""
    found = []
    for version, at in commits(table):
        rows = DeltaTable(table, version=version).to_pyarrow_table(columns=["minutes", "quotes"]).to_pylist()
        found.append((at, sum(row["quotes"] for row in rows if row["minutes"] == 1)))
    return found


def wait_for(table: Path, quotes: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while True:
        last = commits(table)[-1:]
        if last:
            rows = DeltaTable(table).to_pyarrow_table(columns=["minutes", "quotes"]).to_pylist()
            if sum(row["quotes"] for row in rows if row["minutes"] == 1) >= quotes:
                return
        assert time.monotonic() < deadline, f"{quotes:,} quotes did not come to {table} within {LIMIT_S:.0f} s"
        time.sleep(0.2)


class Usage:
    """What each part takes of the CPU while the block runs, in cores; and what all processes of the machine take."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._seen: dict[int, tuple[str, float, float]] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.took_s = 0.0
        self.busy = 0.0

    def __enter__(self) -> Usage:
        self._began, self._busy_began = time.monotonic(), _busy_s()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.took_s = time.monotonic() - self._began
        self.busy = (_busy_s() - self._busy_began) / self.took_s

    def parts(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for part, first, last in self._seen.values():
            found[part] += (last - first) / self.took_s  # type: ignore[assignment]
        return found

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            for pid, command in descendants(os.getpid()).items():
                used = _cpu_s(pid)
                part = next((name for words, name in PARTS.items() if words in command), None)
                if used is None or part is None or "lifeline" in command:
                    continue
                # What comes up meanwhile counts from nothing.
                first = self._seen[pid][1] if pid in self._seen else used if self._began + 1 > time.monotonic() else 0
                self._seen[pid] = (part, first, used)


def _cpu_s(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _busy_s() -> float:
    """What all processes of this machine have had of its CPUs."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:7])) / os.sysconf("SC_CLK_TCK")


def measure(folder: Path, through: str, rate: int, seconds: int) -> None:
    candles = folder / "warehouse" / "gold.db" / "candles"
    with place(through, folder) as where:
        command = [sys.executable, "-m", "riacho", "run", str(CRYPTO), "--continuous"]
        command += ["--warehouse", str(folder / "warehouse"), *where.options]
        with (folder / "run.log").open("wb") as log:
            environment = {**os.environ, **where.environment}
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            try:
                sent(where, WARM_UP_QUOTES, WARM_UP_QUOTES, 1.0)
                wait_for(candles, WARM_UP_QUOTES)
                with Usage() as usage:
                    portions = sent(where, rate, rate * seconds, INTERVAL_S[through])
                wait_for(candles, WARM_UP_QUOTES + rate * seconds)
                caught_up = time.time()
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(60)
    tell(through, portions, counted(candles), usage, caught_up)


def tell(
    through: str,
    portions: Sequence[tuple[float, int]],
    seen: Sequence[tuple[float, int]],
    usage: Usage,
    caught_up: float,
) -> None:
    took = portions[-1][0] - portions[0][0]
    quotes = portions[-1][1]
    assert seen[-1][1] == WARM_UP_QUOTES + quotes, "quotes are missing or count twice"
    found = delays(
        [(at, WARM_UP_QUOTES + total) for at, total in portions], seen, portions[0][0] + min(WARM_UP_S, took / 3)
    )
    p95 = statistics.quantiles(found, n=20)[-1]
    print(
        f"through {through}: {quotes:,} quotes sent in {took:.1f} s, {(quotes - portions[0][1]) / took:,.0f} a second"
    )
    print(f"visible in gold.candles after {statistics.median(found):.2f} s (median), {p95:.2f} s (p95)")
    print(
        f"all of them {caught_up - portions[-1][0]:.1f} s after the last, each once; {len(seen)} versions of the table"
    )
    parts = usage.parts()
    print("cores: " + ", ".join(f"{part} {used:.2f}" for part, used in parts.most_common()), end="")
    others = max(usage.busy - sum(parts.values()), 0)
    load = os.getloadavg()[0]
    print(f"; others on this machine {others:.2f} of {os.cpu_count()} (load {load:.1f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--through", choices=list(INTERVAL_S), default="queue")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="riacho-bench-") as folder:
        measure(Path(folder), given.through, given.rate, given.seconds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    else:
        main()
