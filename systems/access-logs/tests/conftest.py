"""Half an hour of accesses, posted to an ingest server; on each server the system runs over them, in two updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from riacho.cli import systems
from riacho.testing.ingest import RunningIngest, ingest_server
from riacho.testing.servers import Server
from riacho.testing.systems import System, connected, drop_databases

SYSTEM = Path(__file__).parents[1]
LAYERS = ("bronze", "silver", "gold")
LIMIT_S = 600
MINUTES = 30
BURST_FROM_S = 900

accesses: Any = systems.part(SYSTEM, "generator.accesses")
sending: Any = systems.part(SYSTEM, "generator.send")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for its server and for the updates that all tests look at."""
    for item in items:
        if SYSTEM.as_posix() in item.path.as_posix() and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


class Posted:
    """What was posted to the endpoint, in two halves, and when it began. It ends a moment ago: some times lie ahead."""

    def __init__(self, server: RunningIngest) -> None:
        self.folder = server.folder
        self.url = server.url
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        self.start = now - timedelta(minutes=MINUTES)
        self.events: list[dict[str, Any]] = []
        self.complete = False
        self._post(0, 40)

    def post_the_rest(self) -> None:
        self._post(40, MINUTES * 2)
        self.complete = True

    def _post(self, first: int, last: int) -> None:
        options = accesses.AccessOptions(
            rate=10, interval_s=30, start=self.start, evenly=True, users=500, burst=3_000,
            burst_after_s=BURST_FROM_S, dirt=4,
        )  # fmt: skip
        platform = accesses.Platform(options, self.start)
        with sending.target(self.url) as target:
            for number in range(first, last):
                table = platform.stretch(number)
                target.send(number, table)
                self.events += accesses.documents(table)


@pytest.fixture(scope="package")
def posted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Posted]:
    with ingest_server(tmp_path_factory.mktemp("accesses")) as server:
        yield Posted(server)


Run = Callable[[Server], SparkSession]


@pytest.fixture(scope="package")
def run_system(posted: Posted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
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
                project = System(SYSTEM, tmp_path_factory.mktemp(server.name), server, configuration(server, posted))
                project.update_by_riacho()
                if not posted.complete:
                    posted.post_the_rest()
                    project.update_by_riacho()
                sessions[server.url] = spark
            return sessions[server.url]

        yield run


def configuration(server: Server, posted: Posted) -> dict[str, str]:
    """Where the log is, and what a Spark cluster needs."""
    deduplication = "batch" if server.name == "spark" else "stream"
    return {"access.ingest.path": posted.folder, "access.deduplication": deduplication}


@pytest.fixture
def tables(server: Server, run_system: Run) -> SparkSession:
    """A session on `server` where the system has run over everything. For looking only."""
    return run_system(server)
