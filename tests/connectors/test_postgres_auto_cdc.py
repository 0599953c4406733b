"""Tables of PostgreSQL in a pipeline: AUTO CDC makes of the changes what the table is, and what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pyspark.sql import DataFrame, SparkSession

from riacho import pipelines as dp
from tests.connectors.postgres import Database
from tests.spec.pipelines.support import Project


@pytest.fixture
def database(connectors: SparkSession) -> Iterator[str]:
    name = f"t_{uuid4().hex[:12]}"
    connectors.sql(f"CREATE DATABASE {name}")
    yield name
    connectors.sql(f"DROP DATABASE {name} CASCADE")


STEPS = [
    "INSERT INTO items SELECT 'k' || g % 3, g, repeat(md5(g::text), 200) FROM generate_series(1, 8) g",
    """UPDATE items SET n = n + 100 WHERE n < 4; DELETE FROM items WHERE n = 5; UPDATE items SET v = 'new' WHERE n = 6;
    DELETE FROM items WHERE n = 7; INSERT INTO items VALUES ('k1', 7, 'again')""",
    "TRUNCATE items; INSERT INTO items VALUES ('k0', 6, 'after'), ('k9', 9, NULL)",
]


@pytest.mark.riacho_only
def test_both_types_follow_a_table(connectors: SparkSession, postgres: Database, database: str, tmp_path: Path) -> None:
    project = Project(connectors, database, tmp_path / "storage")
    postgres.execute("CREATE TABLE items (k text, n int, v text, PRIMARY KEY (k, n))")
    postgres.execute("ALTER TABLE items ALTER v SET STORAGE EXTERNAL; ALTER TABLE items REPLICA IDENTITY FULL")

    def define() -> None:
        @dp.table
        def changes() -> DataFrame:
            source = connectors.readStream.format("postgres_cdc").option("url", postgres.url)
            rows = source.option("tables", "items").option("slot", f"s_{postgres.name}").load()
            return rows.selectExpr("*", "struct(_commit_lsn, _position) AS at")

        @dp.temporary_view
        def of_rows() -> DataFrame:
            return connectors.readStream.table("changes").where("_operation <> 'truncate'")

        common: dict[str, Any] = {"keys": ["k", "n"], "sequence_by": "at", "column_list": ["k", "n", "v"]}
        common["apply_as_deletes"] = "_operation = 'delete'"
        truncates = "_operation = 'truncate'"
        dp.create_streaming_table("now")
        dp.create_auto_cdc_flow(target="now", source="changes", apply_as_truncates=truncates, **common)
        dp.create_streaming_table("history")
        dp.create_auto_cdc_flow(target="history", source="of_rows", stored_as_scd_type=2, **common)

    versions = []
    for number, step in enumerate(STEPS):
        postgres.execute(step)
        outcome = project.run(define)
        assert outcome.completed, outcome
        there = sorted(postgres.execute("SELECT k, n, v FROM items"), key=repr)
        now = connectors.sql(f"SELECT k, n, v FROM {database}.now").collect()
        assert sorted(map(tuple, now), key=repr) == there, step
        current = connectors.sql(f"SELECT k, n, v FROM {database}.history WHERE __END_AT IS NULL").collect()
        if number < 2:  # a truncate says nothing of single rows
            assert sorted(map(tuple, current), key=repr) == there, step
        versions.append(connectors.table(f"{database}.history").count())
    assert versions == [8, 13, 15]
