"""A rule is edited, and the events that it had quarantined are replayed: from silver to the answers, each once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from riacho.testing.servers import Server, riacho_server
from riacho.testing.systems import connected, run_python
from systems.telecom.tests.conftest import Landing, telecom

pytestmark = pytest.mark.riacho_only


@pytest.fixture
def riacho(server: Server, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own: the databases of the other tests stay as they are."""
    with riacho_server(tmp_path / "server") as own:
        yield own


def broken(spark: SparkSession) -> dict[str, int]:
    """The quarantined events by the rule that they break."""
    found = spark.sql("SELECT explode(_quarantine.rules) AS rule FROM silver.valid_events_quarantine")
    return {row["rule"]: row["count"] for row in found.groupBy("rule").count().collect()}


def test_a_new_speed_is_sold(riacho: Server, tmp_path: Path) -> None:
    landing = Landing(tmp_path / "landing")
    system = telecom(tmp_path / "system", riacho, landing.folder)
    with connected(riacho) as spark:
        system.set_up(spark)
        system.update()
        before = broken(spark)
        valid = spark.table("silver.valid_events").count()
        sold = 7
        quarantined = spark.table("silver.valid_events_quarantine").where(f"velocidade_de_conexao = {sold}")
        passing = quarantined.where("size(_quarantine.rules) = 1").count()
        assert before.keys() == {"valid_ip", "known_speed", "not_in_the_future"}
        assert passing

        rules = system.folder / "transformations" / "silver_events.py"
        rules.write_text(rules.read_text().replace('SPEEDS = "1, ', f'SPEEDS = "1, {sold}, '))
        command = [sys.executable, "-m", "riacho", "quarantine", "replay", str(system.folder), "--remote", riacho.url]
        told = run_python(command, {})
        assert [line.split()[:3] for line in told.splitlines() if "valid_events" in line] == [
            ["silver.valid_events", str(sum(before.values())), str(passing)]
        ]
        left = {**before, "known_speed": before["known_speed"] - passing}
        assert broken(spark) == {rule: count for rule, count in left.items() if count}
        assert spark.table("silver.valid_events").count() == valid + passing
        new = spark.table("silver.valid_events").where(f"velocidade_de_conexao = {sold}")
        assert new.count() == passing

        system.update()
        assert spark.table("silver.valid_events").count() == valid + passing
        assert spark.table("silver.events").where(f"velocidade_de_conexao = {sold}").count() == new.distinct().count()
