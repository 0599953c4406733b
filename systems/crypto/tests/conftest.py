"""Forty minutes of quotes in the embedded queue, and the system over them: on each server once, in two updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from riacho.ingest.client import IngestClient
from riacho.testing.ingest import RunningIngest, ingest_server
from riacho.testing.servers import Server
from riacho.testing.systems import System, connected, drop_databases
from systems.crypto.generator.quotes import QuoteOptions, stretches
from systems.crypto.tasks.producer import send_to_queue

SYSTEM = Path(__file__).parents[1]
LAYERS = ("bronze", "silver", "gold")
LIMIT_S = 600
MINUTES = 40


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for its server and for the updates that all tests look at."""
    for item in items:
        if SYSTEM.as_posix() in item.path.as_posix() and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


class Queue:
    """What was sent to the queue, in two halves. It ends a moment ago. One message in the middle is no quote at all."""

    def __init__(self, server: RunningIngest) -> None:
        self.folder = server.folder
        self.url = server.url
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        self.start = now - timedelta(minutes=now.minute % 15 + MINUTES)
        self.quotes: list[Any] = []
        self.complete = False
        options = QuoteOptions(rate=3, count=3 * 60 * MINUTES, interval_s=60, start=self.start, wait=False, dirt=0.02)
        self._stretches = [quotes for _, quotes in stretches(options, self.start)]
        self._send(0, 25)

    def send_the_rest(self) -> None:
        with IngestClient(self.url) as client:
            client.send("quotes", ["not a quote"])
        self.quotes.append("not a quote")
        self._send(25, MINUTES)
        self.complete = True

    def _send(self, first: int, last: int) -> None:
        for quotes in self._stretches[first:last]:
            send_to_queue(quotes, self.url)
            self.quotes += quotes


@pytest.fixture(scope="package")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    with ingest_server(tmp_path_factory.mktemp("quotes")) as server:
        yield Queue(server)


Run = Callable[[Server], SparkSession]


@pytest.fixture(scope="package")
def run_system(queue: Queue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A function that runs the system on a server, once, and gives a session to look at its tables with."""
    with ExitStack() as stack:
        sessions: dict[str, SparkSession] = {}
        tried: set[str] = set()

        def run(server: Server) -> SparkSession:
            if server.url not in sessions:
                assert server.url not in tried, f"the system did not run on {server.name}: see the first test's error"
                tried.add(server.url)
                spark = stack.enter_context(connected(server))
                drop_databases(spark, *LAYERS)
                stack.callback(drop_databases, spark, *LAYERS)
                deduplication = "batch" if server.name == "spark" else "stream"
                settings = {"crypto.queue.path": queue.folder, "crypto.deduplication": deduplication}
                project = System(SYSTEM, tmp_path_factory.mktemp(server.name), server, settings)
                project.update_by_riacho()
                if not queue.complete:
                    queue.send_the_rest()
                    project.update_by_riacho()
                sessions[server.url] = spark
            return sessions[server.url]

        yield run


@pytest.fixture
def tables(server: Server, run_system: Run) -> SparkSession:
    """A session on `server` where the system has run over everything. For looking only."""
    return run_system(server)
