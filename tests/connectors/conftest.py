"""A real broker for the tests here: one for the whole run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from riacho.testing.kafka import KafkaBroker
from tests.connectors.mongo import mongo, mongo_home, mongo_server
from tests.connectors.postgres import own_postgres, postgres, postgres_home, postgres_server
from tests.connectors.registry import registry, registry_home, schema_registry, subject
from tests.connectors.rest_server import _rest, connectors, rest
from tests.connectors.s3 import bucket, s3, s3_gate, s3_home
from tests.connectors.services import laid
from tests.connectors.topics import Kafka
from tests.spec.conftest import database, new_session, spark

__all__ = [
    "_rest",
    "bucket",
    "connectors",
    "database",
    "mongo",
    "mongo_home",
    "mongo_server",
    "new_session",
    "own_postgres",
    "postgres",
    "postgres_home",
    "postgres_server",
    "registry",
    "registry_home",
    "rest",
    "s3",
    "s3_gate",
    "s3_home",
    "schema_registry",
    "spark",
    "subject",
]  # fmt: skip

LIMIT_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test here may hang: a wait that has no limit of its own ends here."""
    for item in items:
        if "tests/connectors/" in item.path.as_posix() and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(scope="session")
def broker_home() -> Path:
    """Where `make services` has laid the broker's jars."""
    return laid("kafka", "Kafka")


@pytest.fixture(scope="session")
def broker(broker_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """The broker that all tests share; each has topics of its own."""
    with KafkaBroker(broker_home, tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def kafka(broker: KafkaBroker) -> Kafka:
    """What tests do with the broker."""
    return Kafka(broker.bootstrap)


@pytest.fixture
def own_broker(broker_home: Path, tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker of the test's own, which it may stop."""
    with KafkaBroker(broker_home, tmp_path / "kafka") as broker:
        yield broker
