"""Profile services: a real broker, a schema registry, a server of MongoDB's protocol, and a real Airflow."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from pymongo import MongoClient
from pyspark.sql import SparkSession

from riacho.cli.profiles import profile
from riacho.registry.client import RegistryClient, RegistryError
from riacho.testing.kafka import KafkaBroker
from riacho.testing.mongo import MongoServer
from riacho.testing.registry_server import SchemaRegistryServer
from riacho.testing.servers import riacho_server
from riacho.testing.systems import System, connected, rows, run_python
from systems.crypto.generator.market import Market
from systems.crypto.generator.standin import Faults, StandIn, serving
from systems.crypto.tasks import producer, store
from systems.crypto.tests.conftest import SYSTEM, Queue
from tests.connectors.services import laid

SAME = ("gold.market", "gold.candles", "gold.indicators", "gold.movers")


@dataclass
class Services:
    broker: KafkaBroker
    registry: SchemaRegistryServer
    mongo: MongoServer

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap,
            "SCHEMA_REGISTRY_URL": self.registry.url,
            "MONGODB_URI": self.mongo.uri,
        }

    def kafka(self, topic: str = producer.TOPIC) -> producer.Kafka:
        return producer.Kafka(self.broker.bootstrap, self.registry.url, topic, f"{topic}.dlq")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("services")
    with (
        KafkaBroker(laid("kafka", "Kafka"), folder / "kafka") as broker,
        SchemaRegistryServer(laid("registry", "schema registry"), folder) as registry,
        MongoServer(laid("mongo", "server of MongoDB's protocol"), folder / "mongo") as mongo,
    ):
        found = Services(broker, registry, mongo)
        make_topics(found)
        yield found


def make_topics(services: Services) -> None:
    """As the README says; a second time there is nothing to do."""
    import sys

    command = [sys.executable, "-m", "riacho", "topics", "apply", str(SYSTEM / "topics.yml"), "--yes"]
    for told in ("crypto.quotes.dlq", "nothing"):
        assert told in run_python(command, services.environment)


def messages(services: Services, topic: str) -> list[Any]:
    """Everything that is in a topic."""
    consumer = Consumer(
        {"bootstrap.servers": services.broker.bootstrap, "group.id": "test", "auto.offset.reset": "earliest",
         "enable.partition.eof": True, "enable.auto.commit": False}
    )  # fmt: skip
    consumer.subscribe([topic])
    found: list[Any] = []
    ended: set[int] = set()
    partitions = len(consumer.list_topics(topic, 10).topics[topic].partitions)
    while len(ended) < partitions:
        message = consumer.poll(20)
        assert message is not None, f"{topic} gives nothing"
        if message.error() is None:
            found.append(message)
        else:
            ended.add(message.partition() or 0)
    consumer.close()
    return found


@pytest.fixture(scope="module")
def from_kafka(services: Services, queue: Queue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session where the system has run over what the producer sent: the quotes of the embedded queue."""
    folder = tmp_path_factory.mktemp("from-kafka")
    if not queue.complete:
        queue.send_the_rest()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in services.environment.items():
            patch.setenv(name, value)
        producer.send_to_kafka([quote for quote in queue.quotes if isinstance(quote, dict)])
        with riacho_server(folder / "riacho") as server, connected(server) as spark:
            System(SYSTEM, folder, server, profile(SYSTEM, "services")).update_by_riacho()
            yield spark


def test_a_coin_is_always_in_one_partition_and_bad_records_are_dead_letters(
    from_kafka: SparkSession, services: Services, queue: Queue
) -> None:
    sent, letters = messages(services, producer.TOPIC), messages(services, producer.DEAD_LETTERS)
    partitions: dict[bytes, set[int]] = {}
    for message in sent:
        partitions.setdefault(message.key(), set()).add(message.partition())
    quotes = [quote for quote in queue.quotes if isinstance(quote, dict)]
    bad = [quote for quote in quotes if quote["last_updated"] == "a minute ago"]

    assert len(sent) == len(quotes) - len(bad)
    assert {len(of) for of in partitions.values()} == {1}
    assert len({next(iter(of)) for of in partitions.values()}) == 3
    assert len(letters) == len(bad) > 10
    assert b"last_updated must be like" in dict(letters[0].headers())["reason"]


@pytest.mark.parametrize("table", SAME)
def test_the_answers_are_those_of_the_embedded_system(
    from_kafka: SparkSession, run_system: Any, start_server: Any, table: str
) -> None:
    embedded: SparkSession = run_system(start_server("riacho"))

    assert rows(from_kafka, table) == rows(embedded, table)


def test_candles_are_documents_that_are_replaced_when_they_are_written_again(
    from_kafka: SparkSession, services: Services
) -> None:
    target = store.MongoDB(services.mongo.uri)
    for _ in range(2):
        assert store.write(from_kafka, target, everything=True) == from_kafka.table("gold.candles").count()
    assert 0 < store.write(from_kafka, target) <= from_kafka.table("gold.candles").count()

    with MongoClient[dict[str, Any]](services.mongo.uri) as client:
        kept = list(client.crypto.candles.find({"coin": "bitcoin", "minutes": 15}).sort("start"))
        assert client.crypto.candles.count_documents({}) == from_kafka.table("gold.candles").count()
    wanted = from_kafka.sql(
        "SELECT start, open, high, low, close, quotes FROM gold.candles WHERE coin = 'bitcoin' AND minutes = 15 "
        "ORDER BY start"
    ).collect()
    assert [(d["start"], d["open"].to_decimal(), d["close"].to_decimal(), d["quotes"]) for d in kept] == [
        (row.start.replace(tzinfo=None), row.open, row.close, row.quotes) for row in wanted
    ]


def test_an_incompatible_schema_is_refused_before_anything_is_sent(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    quote = {
        "coin": "bitcoin", "symbol": "btc", "name": "Bitcoin", "currency": "usd", "price": 1.0, "market_cap": None,
        "volume_24h": None, "last_updated": "2026-01-05T12:00:00.000Z",
    }  # fmt: skip
    kafka = services.kafka("crypto.changing")
    assert producer.send_to_kafka([quote], kafka).sent == 1
    changed = tmp_path / "quote.avsc"
    changed.write_text(
        producer.SCHEMA_FILE.read_text().replace('"name": "coin", "type": "string"', '"name": "coin", "type": "long"')
    )
    monkeypatch.setattr(producer, "SCHEMA_FILE", changed)

    with pytest.raises(RegistryError, match="not compatible"):
        producer.send_to_kafka([quote], kafka)
    assert len(messages(services, "crypto.changing")) == 1
    client = RegistryClient(services.registry.url)
    assert client.versions("crypto.changing-value") == [1]
    client.close()


def test_a_broker_that_is_not_there_is_told(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "FLUSH_LIMIT_S", 1.0)
    nowhere = producer.Kafka("127.0.0.1:9", services.registry.url)
    quote = {
        "coin": "x", "symbol": "x", "name": "X", "currency": "usd", "price": 1.0, "market_cap": None,
        "volume_24h": None, "last_updated": "2026-01-05T12:00:00.000Z",
    }  # fmt: skip
    with pytest.raises(producer.NotSentError, match=r"1 messages are not in Kafka at 127\.0\.0\.1:9"):
        producer.send_to_kafka([quote], nowhere)


class Webhook(BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    told: list[bytes]

    def do_POST(self) -> None:
        self.told.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    told: list[bytes] = []
    server = HTTPServer(("127.0.0.1", 0), type("Webhook", (Webhook,), {"told": told}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", told
    finally:
        server.shutdown()


def test_a_real_airflow_runs_the_four_tasks_and_tells_what_became_of_them(services: Services, tmp_path: Path) -> None:
    import sys

    airflow = laid("airflow", "Airflow") / "bin" / "airflow"
    standin = StandIn(Market(), Faults(on={0: "429"}))
    with serving(standin) as api, webhook() as (address, told):
        environment = {
            **os.environ,
            **services.environment,
            "MONGODB_URI": f"{services.mongo.uri}",
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(SYSTEM / "dags"),
            "RIACHO_PYTHON": sys.executable,
            "PYTHONPATH": str(Path(producer.__file__).parents[3] / "src"),
            "COINGECKO_URL": api,
            "CRYPTO_WAREHOUSE": str(tmp_path / "warehouse"),
            "ALERT_WEBHOOK": address,
        }
        printed = ""
        for arguments in (["db", "migrate"], ["dags", "test", "crypto"]):
            done = subprocess.run(
                [str(airflow), *arguments], check=False, env=environment, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout[-8000:]
            printed = done.stdout
    for task in ("extract_data", "send_to_kafka", "transform_data", "load_data"):
        assert f"end task task_id={task}" in printed
    assert standin.requests == 2
    assert b'"outcome": "succeeded"' in told[-1]
    with MongoClient[dict[str, Any]](services.mongo.uri) as client:
        assert client.crypto.candles.count_documents({"coin": "bitcoin", "minutes": 1}) >= 1
