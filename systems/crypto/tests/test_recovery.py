"""Kill (-9) each process in turn while quotes come in: in the end each quote and each candle is there once.

Four hours of quotes, each coin once a minute: 6,000 quotes make 6,000 candles of one minute, 1,200 of five and 400 of
fifteen. They are sent ten minutes at a time, and some twice, as a task that is repeated does.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from pymongo import MongoClient

from riacho.testing.ingest import ingest_server
from riacho.testing.kafka import KafkaBroker
from riacho.testing.mongo import MongoServer
from riacho.testing.processes import kill_descendant
from riacho.testing.registry_server import SchemaRegistryServer
from riacho.testing.servers import running
from riacho.testing.services import free_ports
from riacho.testing.systems import run_python
from riacho.testing.waiting import until
from systems.crypto.generator.market import COINS
from systems.crypto.generator.quotes import QuoteOptions, stretches
from systems.crypto.tasks import producer
from systems.crypto.tasks.store import MongoDB, load_data
from systems.crypto.tests.conftest import SYSTEM
from tests.connectors.services import laid

LIMIT_S = 120.0
"""For each wait: a killed part is back, everything has arrived."""
MINUTES = 240
STRETCH_MINUTES = 10
IN_STRETCH = STRETCH_MINUTES * len(COINS)
VICTIMS = ("riacho", "engine", "ingest")
STRETCHES = MINUTES // STRETCH_MINUTES // len(VICTIMS)
"""While each of them is killed: 2,000 quotes."""
RETRY_SOON = "spark.sql.pipelines.execution.watchdog.minRetryTime=1s"
Send = Callable[[Sequence[Mapping[str, Any]]], object]
Candle = tuple[Any, ...]


class Live:
    """The system, running continuously over what `send` takes, and the quotes that it took."""

    def __init__(self, folder: Path, send: Send, options: Sequence[str], environment: Mapping[str, str]) -> None:
        self.warehouse = folder / "warehouse"
        self.sent: list[Any] = []
        self._command = [sys.executable, "-m", "riacho", "run", str(SYSTEM), "--warehouse", str(self.warehouse)]
        self._command += ["--continuous", "--conf", RETRY_SOON, *options]
        self._environment, self._log, self._send = environment, folder / "run.log", send
        self._process = ExitStack()
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        start = now - timedelta(minutes=now.minute % 15 + MINUTES)
        options_ = QuoteOptions(
            rate=len(COINS) / 60, count=MINUTES * len(COINS), interval_s=60 * STRETCH_MINUTES, start=start, wait=False,
            dirt=0,
        )  # fmt: skip
        self._stretches = (quotes for _, quotes in stretches(options_, start))

    def start(self) -> None:
        self._process.enter_context(
            running("the pipeline", self._command, self._environment, self._log, re.compile("crypto"), LIMIT_S)
        )

    def stop(self) -> None:
        self._process.close()

    def send(self, count: int) -> None:
        """That many stretches, every other one twice. All are there when it returns."""
        for number in range(count):
            quotes = next(self._stretches)
            for _ in range(1 + number % 2):
                self._send(quotes)
            self.sent += quotes

    @contextmanager
    def killed_under_way(self) -> Iterator[None]:
        """The block kills something: half of the quotes are on their way then, and half are sent meanwhile."""
        before = len(self.rows("silver.quotes"))
        self.send(STRETCHES // 2)
        until(lambda: len(self.rows("silver.quotes")) > before, "the first quotes in silver", LIMIT_S)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self.send, STRETCHES // 2)
            yield
            sending.result(LIMIT_S)

    def rows(self, name: str) -> list[dict[str, Any]]:
        database, _, table = name.partition(".")
        try:
            found = DeltaTable(self.warehouse / f"{database}.db" / table).to_pyarrow_table()
        except TableNotFoundError:
            return []
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows

    def check(self, quotes: int) -> None:
        """Wait until all that was sent has arrived, then hold silver and gold against it."""
        assert len(self.sent) == quotes
        until(lambda: len(self.rows("silver.quotes")) >= quotes, f"{quotes:,} quotes in silver", LIMIT_S)
        wanted = candles(self.sent)
        until(lambda: found(self.rows("gold.candles")) == wanted, "the same candles in gold", LIMIT_S)
        assert Counter(key(quote) for quote in self.rows("silver.quotes")) == Counter(key(quote) for quote in self.sent)
        assert not self.rows("silver.valid_quotes_quarantine")
        minutes = Counter(candle["minutes"] for candle in self.rows("gold.candles"))
        assert minutes == {1: quotes, 5: quotes // 5, 15: -(-quotes // len(COINS) // 15) * len(COINS)}


def key(quote: Mapping[str, Any]) -> tuple[str, datetime]:
    moment = quote["last_updated"]
    return quote["coin"], moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)


def candles(quotes: Sequence[Mapping[str, Any]]) -> Counter[Candle]:
    """Coin, minutes, start, first and last price, and number of quotes of each candle, in plain Python."""
    made: dict[tuple[str, int, datetime], list[float]] = {}
    for quote in quotes:
        coin, moment = key(quote)
        for minutes in (1, 5, 15):
            start = moment.replace(second=0, microsecond=0) - timedelta(minutes=moment.minute % minutes)
            made.setdefault((coin, minutes, start), []).append(quote["price"])
    return Counter((*where, prices[0], prices[-1], len(prices)) for where, prices in made.items())


def found(rows: Sequence[Mapping[str, Any]]) -> Counter[Candle]:
    """The same of rows of `gold.candles`."""
    return Counter(
        (row["coin"], row["minutes"], row["start"], float(row["open"]), float(row["close"]), row["quotes"])
        for row in rows
    )


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
    queue = Ingest(folder)
    live = Live(
        folder,
        lambda quotes: producer.send_to_queue(quotes, f"http://{queue.address}"),
        ["--conf", f"crypto.queue.path={folder / 'ingest'}"],
        {},
    )
    with ExitStack() as stack:
        stack.callback(queue.stop)
        stack.callback(live.stop)
        queue.start()
        live.start()
        yield live, queue


@pytest.mark.parametrize("victim", VICTIMS)
def test_embedded(embedded: tuple[Live, Ingest], victim: str) -> None:
    live, queue = embedded
    before = len(live.sent)
    with live.killed_under_way():
        if victim == "riacho":
            kill_descendant("riacho up", str(live.warehouse))
            live.stop()
            live.start()
        elif victim == "engine":
            kill_descendant("riacho.server.engine", of=("riacho up", str(live.warehouse)))
        else:
            kill_descendant("riacho ingest serve", queue.address)
            queue.stop()
            queue.start()
    live.check(before + STRETCHES * IN_STRETCH)


def test_mongodb_while_candles_are_written(embedded: tuple[Live, Ingest], tmp_path: Path) -> None:
    live, _ = embedded
    live.stop()
    wanted = found(live.rows("gold.candles"))
    assert wanted.total() == 7_600
    with (
        MongoServer(laid("mongo", "server of MongoDB's protocol"), tmp_path / "mongo") as server,
        MongoClient[dict[str, Any]](server.uri, serverSelectionTimeoutMS=1_000) as client,
    ):
        target, collection = MongoDB(server.uri), client.crypto.candles
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(load_data, str(live.warehouse), target, everything=True)
            until(lambda: collection.estimated_document_count() > 0, "the first candles in MongoDB", LIMIT_S)
            kill_descendant("secantusd", f"--port {server.port}")
            server.stop()
            server.start()
            assert collection.count_documents({}) < wanted.total(), "it was killed too late to tell anything"
            loading.exception(LIMIT_S)  # the task may fail; it is repeated then

        load_data(str(live.warehouse), target, everything=True)
        assert found([document_row(document) for document in collection.find()]) == wanted


def document_row(document: Mapping[str, Any]) -> dict[str, Any]:
    prices = {name: document[name].to_decimal() for name in ("open", "close")}
    return {**document, **prices, "start": document["start"].replace(tzinfo=UTC)}


@pytest.fixture
def from_kafka(tmp_path: Path) -> Iterator[tuple[Live, KafkaBroker]]:
    with (
        KafkaBroker(laid("kafka", "Kafka"), tmp_path / "kafka") as broker,
        SchemaRegistryServer(laid("registry", "schema registry"), tmp_path) as registry,
    ):
        environment = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "SCHEMA_REGISTRY_URL": registry.url}
        run_python(
            [sys.executable, "-m", "riacho", "topics", "apply", str(SYSTEM / "topics.yml"), "--yes"], environment
        )
        kafka = producer.Kafka(broker.bootstrap, registry.url)
        live = Live(
            tmp_path, lambda quotes: producer.send_to_kafka(quotes, kafka), ["--profile", "services"], environment
        )
        live.start()
        try:
            yield live, broker
        finally:
            live.stop()


def test_the_broker(from_kafka: tuple[Live, KafkaBroker]) -> None:
    live, broker = from_kafka
    with live.killed_under_way():
        kill_descendant("kafka.Kafka", str(broker.log.parent))
        broker.stop()
        broker.start()
    live.check(STRETCHES * IN_STRETCH)
    assert len(live.rows("bronze.quotes")) == (STRETCHES + STRETCHES // 2) * IN_STRETCH
