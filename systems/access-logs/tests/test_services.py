"""Profile services: the same accesses through a server of MongoDB's protocol give the same tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pyspark.sql import SparkSession

from riacho.cli import systems
from riacho.cli.profiles import profile
from riacho.testing.mongo import MongoServer
from riacho.testing.servers import riacho_server
from riacho.testing.systems import System, connected, rows, run_python
from tests.connectors.services import laid

SYSTEM = Path(__file__).parents[1]
SAME = (
    "gold.accesses_per_minute",
    "gold.audience_per_minute",
    "gold.audience_total",
    "gold.places_per_minute",
    "gold.places_total",
    "gold.report_peak_hours",
    "gold.report_devices",
    "gold.report_content_by_region",
)
accesses: Any = systems.part(SYSTEM, "generator.accesses")
sending: Any = systems.part(SYSTEM, "generator.send")


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    home = laid("mongo", "server of MongoDB's protocol")
    with MongoServer(home, tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture(scope="module")
def from_mongodb(
    mongo: MongoServer, posted: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SparkSession, int]]:
    """A session where the system has run over what was inserted, and how many events the validator refused."""
    folder = tmp_path_factory.mktemp("services")
    environment = {"MONGODB_URI": mongo.uri}
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("MONGODB_URI", mongo.uri)
        server = stack.enter_context(riacho_server(folder / "riacho"))
        spark = stack.enter_context(connected(server))
        prepare(environment)
        project = System(SYSTEM, folder, server, profile(SYSTEM, "services"))
        project.update_by_riacho()  # notes where the collection stands
        refused = insert(mongo, posted)
        project.update_by_riacho()
        yield spark, refused


def prepare(environment: dict[str, str]) -> None:
    """The collection, as the README says."""
    import sys

    command = [sys.executable, "-m", "riacho", "mongo", "init", str(SYSTEM / "mongo.yml"), "--yes"]
    run_python(command, {**os.environ, **environment})


def insert(mongo: MongoServer, posted: Any) -> int:
    """Insert what was posted to the endpoint. Returns how many documents the validator refused."""
    import pyarrow as pa

    if not posted.complete:
        posted.post_the_rest()
    flat = [{**event, **event["location"]} for event in posted.events]
    table = pa.Table.from_pylist(flat, schema=accesses.SCHEMA)
    refused = 0
    with sending.target(f"{mongo.uri}/platform.accesses") as target:
        for first in range(0, table.num_rows, 2_000):
            refused += target.send(0, table.slice(first, 2_000))
    return refused


def test_the_validator_refuses_what_the_rules_would_set_aside(
    from_mongodb: tuple[SparkSession, int], posted: Any
) -> None:
    _, refused = from_mongodb
    wrong = [
        event
        for event in posted.events
        if event["device"] == "refrigerator"
        or event["content_type"] == "clip"
        or event["id"] is None
        or event["access_timestamp"] == "yesterday"
    ]

    assert refused == len(wrong) > 50


@pytest.mark.parametrize("table", SAME)
def test_the_answers_are_those_of_the_embedded_system(
    from_mongodb: tuple[SparkSession, int], run_system: Any, start_server: Any, table: str
) -> None:
    spark, _ = from_mongodb
    embedded: SparkSession = run_system(start_server("riacho"))

    assert rows(spark, table) == rows(embedded, table)


def test_a_second_generator_run_after_a_lost_answer_inserts_nothing_twice(mongo: MongoServer, posted: Any) -> None:
    import pyarrow as pa

    flat = [{**event, **event["location"]} for event in posted.events[:500]]
    table = pa.Table.from_pylist(flat, schema=accesses.SCHEMA)
    with sending.target(f"{mongo.uri}/platform.again") as target:
        target.send(0, table)
        target.send(0, table)
    with MongoClient[dict[str, Any]](mongo.uri) as client:
        assert client.platform.again.count_documents({}) == len({event["_id"] for event in posted.events[:500]})


def test_a_missing_address_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGODB_URI", raising=False)
    with pytest.raises(ValueError, match="MONGODB_URI is not set"), sending.target("mongodb"):
        pass
