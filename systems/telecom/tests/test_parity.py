"""riacho's tables and Apache Spark's, over the same landing files, are equal: columns, types, comments, every row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from riacho.testing.servers import Server
from riacho.testing.systems import Row, columns, delta_table, described, ordered, rows
from systems.telecom.tests.conftest import Run

TABLES = (
    "bronze.celular_conectado",
    "bronze.celular_desconectado",
    "bronze.computador_conectado",
    "bronze.computador_desconectado",
    "silver.valid_events",
    "silver.valid_events_quarantine",
    "silver.servers",
    "silver.events",
    "silver.connections",
    "gold.clock",
    "gold.high_connections",
    "gold.devices_per_minute",
    "gold.devices_total",
    "gold.recently_connected",
    "gold.bandwidth_in_use",
    "gold.high_connection_rate",
    "gold.heavy_customers",
    "gold.bandwidth_by_device",
    "gold.servers_to_upgrade",
)
QUARANTINE = "silver.valid_events_quarantine"
EACH_HAS_ITS_OWN = ("id", "flow", "source", "batch_id", "quarantined_at")
"""What the note of a quarantined row says of the run that put it there, and not of the row."""


@pytest.fixture(scope="module")
def servers(start_server: Callable[[str], Server]) -> tuple[Server, Server]:
    """riacho and Spark."""
    return start_server("riacho"), start_server("spark")


@pytest.fixture(scope="module")
def both(servers: tuple[Server, Server], run_telecom: Run) -> tuple[SparkSession, SparkSession]:
    """riacho's session and Spark's, where the system has run over the whole landing zone."""
    riacho, spark = servers
    return run_telecom(riacho), run_telecom(spark)


def test_both_have_the_same_tables_and_no_other(both: tuple[SparkSession, SparkSession]) -> None:
    for spark in both:
        databases = ("bronze", "silver", "gold")
        found = {f"{database}.{table.name}" for database in databases for table in spark.catalog.listTables(database)}
        assert found == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_are_equal(both: tuple[SparkSession, SparkSession], table: str) -> None:
    riacho, spark = both

    assert columns(riacho, table) == columns(spark, table)
    if table == QUARANTINE:
        assert quarantined(riacho) == quarantined(spark)
    else:
        assert rows(riacho, table) == rows(spark, table)


def quarantined(spark: SparkSession) -> list[Row]:
    """The quarantined events with the rules that they break and why, as JSON."""
    found = spark.table(QUARANTINE).withColumn("_quarantine", F.col("_quarantine").dropFields(*EACH_HAS_ITS_OWN))
    return ordered([tuple(row) for row in found.withColumn("_quarantine", F.to_json("_quarantine")).collect()])


def test_the_rules_have_the_same_counts(both: tuple[SparkSession, SparkSession]) -> None:
    by_rule = f"SELECT rule, count(*) FROM (SELECT explode(_quarantine.rules) AS rule FROM {QUARANTINE}) GROUP BY rule"
    riacho, spark = ({row[0]: row[1] for row in each.sql(by_rule).collect()} for each in both)

    assert riacho == spark == {"not_in_the_future": 27, "valid_ip": 21, "known_speed": 16}


@pytest.mark.parametrize("table", [table for table in TABLES if table != QUARANTINE])
@pytest.mark.usefixtures("both")
def test_what_is_said_of_the_table_is_equal(servers: tuple[Server, Server], table: str) -> None:
    """Every table and every column has a comment, and the change data feed is on, in the tables' own Delta logs."""
    ours, theirs = (described(delta_table(server, table)) for server in servers)

    assert ours == theirs
    assert ours["comment"]
    assert all(comment for _, _, _, comment in ours["columns"])
    assert ours["change_feed"] == "true"
