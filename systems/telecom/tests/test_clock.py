"""`telecom.now` chooses the moment that the answers refer to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from riacho.testing.servers import riacho_server
from riacho.testing.systems import connected, rows
from systems.telecom.generator.source import TelecomOptions, generate
from systems.telecom.tests.conftest import telecom

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_the_answers_follow_the_clock(tmp_path: Path) -> None:
    for _ in generate(tmp_path / "landing", TelecomOptions(batches=8, start=START, wait=False, dirt=0)):
        pass
    with riacho_server(tmp_path / "server") as server, connected(server) as spark:
        system = telecom(tmp_path / "system", server, tmp_path / "landing")
        system.set_up(spark)

        system.update()
        assert START + timedelta(seconds=79) < clock(spark) < START + timedelta(seconds=80)
        assert rows(spark, "gold.devices_total") == [("Celular", 160, 120), ("Computador", 80, 140)]

        # After the phones' first turn: nothing that happened later counts.
        system.configure({"telecom.now": "2026-01-05T12:00:20Z"})
        system.update()
        assert clock(spark) == START + timedelta(seconds=20)
        assert rows(spark, "gold.devices_total") == [("Celular", 80, 60)]
        assert spark.table("gold.recently_connected").count() == 80
        assert total(spark)["open_connections"] == 80 - closed(spark)

        # Today nobody has connected in the last ten minutes; what was never closed is open still.
        before = datetime.now(UTC)
        system.configure({"telecom.now": "wall"})
        system.update()
        assert before - timedelta(seconds=1) < clock(spark) < datetime.now(UTC) + timedelta(seconds=1)
        assert spark.table("gold.recently_connected").count() == 0
        assert rows(spark, "gold.devices_total") == [("Celular", 160, 120), ("Computador", 80, 140)]
        assert total(spark)["open_connections"] == spark.table("silver.connections").where(OPEN).count()


OPEN = "disconnected_at IS NULL"


def clock(spark: SparkSession) -> datetime:
    ((as_of,),) = rows(spark, "gold.clock")
    assert isinstance(as_of, datetime)
    return as_of


def total(spark: SparkSession) -> dict[str, Any]:
    (row,) = spark.table("gold.bandwidth_in_use").where("server = 'TOTAL'").collect()
    return row.asDict()


def closed(spark: SparkSession) -> int:
    """Connections that were opened and closed in the first twenty seconds."""
    return spark.table("silver.connections").where("disconnected_at <= TIMESTAMP '2026-01-05 12:00:20'").count()
