"""`crypto.source: rest`: the pipeline asks the API itself, and has the tables that the queue would give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from riacho.testing.ingest import ingest_server
from riacho.testing.servers import riacho_server
from riacho.testing.systems import System, connected, rows
from systems.crypto.generator.market import COINS, Market
from systems.crypto.generator.standin import Faults, StandIn, serving
from systems.crypto.tasks.collector import Settings, extract_data
from systems.crypto.tasks.producer import send_to_queue
from systems.crypto.tests.conftest import SYSTEM

GOLD = ("gold.market", "gold.candles", "gold.indicators", "gold.movers")
STEP_S = 60.0
"""After that, each coin has another quote."""
END_S = 1_764_600_000.0
"""2025-12-01T14:40Z."""


class StandingClock(StandIn):
    """The stand-in at a moment that a test sets."""

    moment_s = END_S

    def now_s(self) -> float:
        return self.moment_s


@contextmanager
def system(folder: Path, configuration: dict[str, str]) -> Iterator[tuple[System, SparkSession]]:
    with riacho_server(folder) as server, connected(server) as spark:
        yield System(SYSTEM, folder, server, configuration), spark


def test_the_api_itself_gives_the_tables_of_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standin = StandingClock(Market(), Faults(key="s3cret"))
    monkeypatch.setenv("COINGECKO_KEY", "s3cret")
    with serving(standin) as api, ingest_server(tmp_path / "queue") as queue:
        monkeypatch.setenv("COINGECKO_URL", api)
        with (
            system(tmp_path / "rest", {"crypto.source": "rest"}) as (by_rest, asked),
            system(tmp_path / "queued", {"crypto.queue.path": queue.folder}) as (by_queue, queued),
        ):
            for look, quotes in enumerate((1, 2, 2), start=1):
                standin.moment_s = END_S + STEP_S * quotes
                by_rest.update_by_riacho()
                assert asked.table("bronze.quotes").count() == len(COINS) * look
                assert asked.table("silver.quotes").count() == len(COINS) * quotes
                send_to_queue(extract_data(Settings(api, "s3cret")), queue.url)
            by_queue.update_by_riacho()

            for table in GOLD:
                assert rows(asked, table) == rows(queued, table), table
            assert candles(asked) == {1: 50, 5: 25, 15: 25}


def candles(spark: SparkSession) -> dict[Any, Any]:
    found = spark.sql("SELECT minutes, count(*) AS n FROM gold.candles GROUP BY minutes").collect()
    return {row.minutes: row.n for row in found}
