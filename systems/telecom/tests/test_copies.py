"""An event that was sent twice counts once, also if its copy comes in another file and another update."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from riacho.testing.servers import riacho_server
from riacho.testing.systems import connected, rows
from systems.telecom.generator.source import TelecomOptions, generate
from systems.telecom.tests.conftest import telecom

ANSWERS = (
    "silver.events",
    "silver.connections",
    "gold.devices_total",
    "gold.recently_connected",
    "gold.bandwidth_in_use",
)


@pytest.mark.parametrize("deduplication", ["stream", "batch"])
def test_a_file_that_is_sent_again_changes_no_answer(tmp_path: Path, deduplication: str) -> None:
    start = datetime(2026, 1, 5, 12, tzinfo=UTC)
    options = TelecomOptions(batches=8, start=start, wait=False, dirt=0)
    first, *_ = generate(tmp_path / "landing", options)
    with riacho_server(tmp_path / "server") as server, connected(server) as spark:
        system = telecom(tmp_path / "system", server, tmp_path / "landing")
        system.configure({"telecom.deduplication": deduplication})
        system.set_up(spark)
        system.update()
        valid, answers = spark.table("silver.valid_events").count(), [rows(spark, table) for table in ANSWERS]
        assert all(answers)

        shutil.copy2(first.path, first.path.with_name("again.parquet"))
        system.update()
        assert spark.table("silver.valid_events").count() == valid + first.rows
        assert [rows(spark, table) for table in ANSWERS] == answers
