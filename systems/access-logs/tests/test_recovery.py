"""Kill each process in turn while accesses come in: in the end silver and gold have each of them once."""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from riacho.cli import systems
from riacho.testing.ingest import ingest_server
from riacho.testing.mongo import MongoServer
from riacho.testing.processes import kill_descendant
from riacho.testing.servers import running
from riacho.testing.services import free_ports
from riacho.testing.systems import run_python
from riacho.testing.waiting import until
from tests.connectors.services import laid

SYSTEM = Path(__file__).parents[1]
LIMIT_S = 120.0
"""For each wait: a killed part is back, everything has arrived."""
RATE = 100
PAUSE_S = 0.05
"""Between two stretches: 2,000 accesses a second."""
RETRY_SOON = "spark.sql.pipelines.execution.watchdog.minRetryTime=1s"
GOLD: Mapping[str, Sequence[str]] = {
    "accesses_per_minute": ("minute",),
    "audience_per_minute": ("minute", "device", "content_type"),
    "audience_total": ("device", "content_type"),
    "places_per_minute": ("minute", "country", "city"),
    "places_total": ("country", "city"),
}
accesses: Any = systems.part(SYSTEM, "generator.accesses")
sending: Any = systems.part(SYSTEM, "generator.send")


class Live:
    """The system, running continuously over what comes in at `address`, and the accesses that were sent there."""

    def __init__(self, folder: Path, address: str, options: Sequence[str], environment: Mapping[str, str]) -> None:
        self.warehouse = folder / "warehouse"
        self._command = [sys.executable, "-m", "riacho", "run", str(SYSTEM), "--warehouse", str(self.warehouse)]
        self._command += ["--conf", RETRY_SOON, *options]
        self._environment = environment
        self._log = folder / "run.log"
        self._address = address
        start = datetime.now(UTC) - timedelta(hours=2)
        self._platform = accesses.Platform(accesses.AccessOptions(rate=RATE, evenly=True, dirt=0), start)
        self._number = 0
        self._process = ExitStack()
        self.sent: list[pa.Table] = []

    def start(self) -> None:
        command = [*self._command, "--continuous"]
        self._process.enter_context(
            running("the pipeline", command, self._environment, self._log, re.compile("access-logs"), LIMIT_S)
        )

    def stop(self) -> None:
        self._process.close()

    def run_once(self) -> None:
        run_python(self._command, self._environment)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Accesses come in all the time while the block runs. What stands in `sent` was acknowledged."""
        over = threading.Event()

        def send() -> None:
            with sending.target(self._address) as target:
                while not over.wait(PAUSE_S):
                    self._send(target)

        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(send)
            try:
                yield
            finally:
                over.set()
            sent.result(LIMIT_S)

    def send_the_last(self) -> None:
        """Streams keep the order: when this has arrived, all that came before has, with whatever is read again."""
        with sending.target(self._address) as target:
            self._send(target)

    def _send(self, target: Any) -> None:
        table = self._platform.stretch(self._number)
        self._number += 1
        target.send(self._number, table)
        self.sent.append(table)

    def table(self, name: str) -> pa.Table | None:
        found = self._delta(name)
        return None if found is None else found.to_pyarrow_table()

    def _delta(self, name: str) -> DeltaTable | None:
        database, _, table = name.partition(".")
        try:
            return DeltaTable(self.warehouse / f"{database}.db" / table)
        except TableNotFoundError:
            return None

    def rows(self, name: str) -> int:
        found = self._delta(name)
        return 0 if found is None else found.count()

    def wait_for_more(self) -> None:
        """Wait until accesses that come in now have begun to pass."""
        before = self.rows("silver.accesses")
        until(lambda: self.rows("silver.accesses") > before, "more accesses in silver", LIMIT_S)

    def check(self) -> None:
        """Wait until all that was sent has arrived, then hold every table against it."""
        sent = pa.concat_tables(self.sent)
        ids = Counter(sent["_id"].to_pylist())
        assert set(ids.values()) == {1}
        until(lambda: self.rows("silver.accesses") >= len(ids), f"{len(ids):,} accesses in silver", LIMIT_S)
        for name, column in (("bronze.accesses", "_id"), ("silver.valid_accesses", "event_id"),
                             ("silver.accesses", "event_id")):  # fmt: skip
            found = self.table(name)
            assert found is not None
            assert Counter(found[column].to_pylist()) == ids, name
        wanted = {name: counts(sent, keys) for name, keys in GOLD.items()}
        until(lambda: self._gold() == wanted, "the same counts in gold", LIMIT_S)
        assert self.rows("silver.valid_accesses_quarantine") == 0

    def _gold(self) -> dict[str, Counter[tuple[Any, ...]]]:
        found = {}
        for name, keys in GOLD.items():
            table = self.table(f"gold.{name}")
            rows = [] if table is None else table.to_pylist()
            found[name] = Counter({tuple(row[key] for key in keys): row["accesses"] for row in rows})
        return found


def counts(sent: pa.Table, keys: Sequence[str]) -> Counter[tuple[Any, ...]]:
    moments = [datetime.fromisoformat(text) for text in sent["access_timestamp"].to_pylist()]
    minutes = pa.array([moment.replace(second=0, microsecond=0) for moment in moments])
    columns = [minutes if key == "minute" else sent[key] for key in keys]
    return Counter(zip(*(column.to_pylist() for column in columns), strict=True))


class Ingest:
    """An ingest server on a port that stays the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        self._process = ExitStack()

    def start(self) -> None:
        self._process.enter_context(ingest_server(self.folder, arguments=["--http", self.address], limit_s=LIMIT_S))

    def stop(self) -> None:
        self._process.close()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Ingest]]:
    folder = tmp_path_factory.mktemp("recovery")
    server = Ingest(folder)
    live = Live(folder, f"http://{server.address}", ["--conf", f"access.ingest.path={server.folder / 'ingest'}"], {})
    with ExitStack() as stack:
        stack.callback(server.stop)
        stack.callback(live.stop)
        server.start()
        live.start()
        yield live, server


@pytest.mark.parametrize("victim", ["server", "engine", "ingest"])
def test_embedded(embedded: tuple[Live, Ingest], victim: str) -> None:
    live, ingest = embedded
    with live.sending():
        live.wait_for_more()
        if victim == "server":
            kill_descendant("riacho up", str(live.warehouse))
            live.stop()
            live.start()
        elif victim == "engine":
            kill_descendant("riacho.server.engine", of=("riacho up", str(live.warehouse)))
        else:
            kill_descendant("riacho ingest serve", ingest.address)
            ingest.stop()
            ingest.start()
        live.wait_for_more()
    live.send_the_last()
    live.check()


@pytest.fixture
def from_mongodb(tmp_path: Path) -> Iterator[tuple[Live, MongoServer]]:
    with MongoServer(laid("mongo", "server of MongoDB's protocol"), tmp_path / "mongo") as server:
        environment = {"MONGODB_URI": server.uri}
        run_python([sys.executable, "-m", "riacho", "mongo", "init", str(SYSTEM / "mongo.yml"), "--yes"], environment)
        live = Live(tmp_path, f"{server.uri}/platform.accesses", ["--profile", "services"], environment)
        live.start()
        try:
            until(
                lambda: any(live.warehouse.rglob("bronze/accesses/*/*/offsets/0")),
                "a position in the collection",
                LIMIT_S,
            )
            yield live, server
        finally:
            live.stop()


def test_mongodb(from_mongodb: tuple[Live, MongoServer]) -> None:
    live, server = from_mongodb
    with live.sending():
        live.wait_for_more()
        kill_descendant("secantusd", f"--port {server.port}")
        server.stop()
        server.start()
        live.wait_for_more()
    live.send_the_last()
    live.check()
