"""The telecom system over one landing zone, on each server once: files land, an update, more files land, an update."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from riacho.testing.servers import Server
from riacho.testing.systems import System, connected, drop_databases
from systems.telecom.generator.source import TelecomOptions, generate

LAYERS = ("bronze", "silver", "gold")
LIMIT_S = 600
FIRST, LATER = 24, 8
# Thirty seconds apart, 32 files are sixteen minutes: the last ten of them are not all.
INTERVAL_S = 30.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A system's first test waits for its server and for the updates that all tests look at."""
    for item in items:
        if "systems/telecom/tests/" in item.path.as_posix() and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


class Landing:
    """A landing zone that fills in two parts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.complete = False
        self._land(0, FIRST)

    def land_the_rest(self) -> None:
        self._land(FIRST, LATER)
        self.complete = True

    def _land(self, first: int, batches: int) -> None:
        start = datetime(2026, 1, 5, 12, tzinfo=UTC)
        options = TelecomOptions(
            seed=7, first_batch=first, batches=batches, interval_s=INTERVAL_S, start=start, wait=False
        )
        for _ in generate(self.folder, options):
            pass


@pytest.fixture(scope="session")
def telecom_landing() -> Iterator[Landing]:
    with tempfile.TemporaryDirectory(prefix="telecom-") as folder:
        yield Landing(Path(folder) / "landing")


Run = Callable[[Server], SparkSession]


@pytest.fixture(scope="session")
def run_telecom(telecom_landing: Landing) -> Iterator[Run]:
    """A function that runs the system on a server, once, and gives a session to look at its tables with."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telecom-")))
        sessions: dict[str, SparkSession] = {}
        tried: set[str] = set()

        def run(server: Server) -> SparkSession:
            if server.url not in sessions:
                # Minutes go by until a run has failed; once is enough.
                assert server.url not in tried, f"the system did not run on {server.name}: see the first test's error"
                tried.add(server.url)
                spark = stack.enter_context(connected(server))
                drop_databases(spark, *LAYERS)
                stack.callback(drop_databases, spark, *LAYERS)
                system = telecom(folder / server.name, server, telecom_landing.folder)
                system.set_up(spark)
                system.update()
                if not telecom_landing.complete:
                    telecom_landing.land_the_rest()
                    system.update()
                sessions[server.url] = spark
            return sessions[server.url]

        yield run


def telecom(folder: Path, server: Server, landing: Path) -> System:
    """The system in `folder`. Stock Spark reads the files as plain Parquet, and finds copies in all events."""
    configuration = {
        "telecom.landing": str(landing),
        "telecom.schemas": str(folder / "schemas"),
        "telecom.landing.format": "parquet" if server.name == "spark" else "cloudFiles",
        "telecom.deduplication": "batch" if server.name == "spark" else "stream",
    }
    return System(Path(__file__).parents[1], folder, server, configuration)


@pytest.fixture
def tables(server: Server, run_telecom: Run) -> SparkSession:
    """A session on `server` where the system has run over the whole landing zone. For looking only."""
    return run_telecom(server)
