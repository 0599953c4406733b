"""riacho's tables and Apache Spark's, over the same queue, are equal: columns, types, comments, every row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from riacho.testing.servers import Server
from riacho.testing.systems import columns, delta_table, described, quarantined, rows

TABLES = (
    "bronze.quotes",
    "silver.valid_quotes",
    "silver.valid_quotes_quarantine",
    "silver.quotes",
    "gold.market",
    "gold.candles",
    "gold.indicators",
    "gold.movers",
)
QUARANTINE = "silver.valid_quotes_quarantine"


@pytest.fixture(scope="package")
def servers(start_server: Callable[[str], Server]) -> tuple[Server, Server]:
    """riacho and Spark."""
    return start_server("riacho"), start_server("spark")


@pytest.fixture(scope="package")
def both(servers: tuple[Server, Server], run_system: Any) -> tuple[SparkSession, SparkSession]:
    """riacho's session and Spark's, where the system has run over everything."""
    riacho, spark = servers
    return run_system(riacho), run_system(spark)


def test_both_have_the_same_tables_and_no_other(both: tuple[SparkSession, SparkSession]) -> None:
    for spark in both:
        databases = ("bronze", "silver", "gold")
        found = {f"{database}.{table.name}" for database in databases for table in spark.catalog.listTables(database)}
        assert found == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_the_rows_are_equal(both: tuple[SparkSession, SparkSession], table: str) -> None:
    riacho, spark = both

    assert columns(riacho, table) == columns(spark, table)
    if table == QUARANTINE:  # ids and batches are those of the run
        ours, theirs = (quarantined(session, table) for session in both)
        assert ours == theirs
    else:
        assert rows(riacho, table) == rows(spark, table)


@pytest.mark.parametrize("table", [table for table in TABLES if table != QUARANTINE])
@pytest.mark.usefixtures("both")
def test_what_is_said_of_the_table_is_equal(servers: tuple[Server, Server], table: str) -> None:
    """Every table and every column has a comment, and the change data feed is on, in the tables' own Delta logs."""
    ours, theirs = (described(delta_table(server, table)) for server in servers)

    assert ours == theirs
    assert ours["comment"]
    assert all(comment for *_, comment in ours["columns"])
    assert ours["change_feed"] == "true"
