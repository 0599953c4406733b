"""Rules that rows are to keep: what is written, quarantined, dropped and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from riacho import pipelines as dp
from tests.spec.pipelines.support import Project
from tests.spec.support import files, write_json

ROWS = [
    {"id": 1, "price": 5.0, "name": "a"},
    {"id": 2, "price": -1.0, "name": "b"},
    {"id": 3, "name": "c"},
    {"id": 4, "price": 7.5},
    {"id": 5, "price": -2.0},
]
SOURCE = "SELECT * FROM STREAM raw"


@pytest.fixture
def raw(spark: SparkSession, tmp_path: Path) -> Callable[[], None]:
    """A definition: the streaming table `raw` of five rows in one file."""
    write_json(tmp_path / "landing" / "0.json", ROWS)

    def define() -> None:
        @dp.table
        def raw() -> DataFrame:
            return files(spark, tmp_path / "landing", "id BIGINT, price DOUBLE, name STRING")

    return define


@pytest.mark.riacho_only
def test_rules_in_sql(spark: SparkSession, project: Project, raw: Callable[[], None]) -> None:
    text = f"""
        CREATE OR REFRESH STREAMING TABLE silver (
          CONSTRAINT named EXPECT (name IS NOT NULL),
          CONSTRAINT positive EXPECT (price > 0) ON VIOLATION DROP ROW
        ) AS {SOURCE};
        CREATE STREAMING TABLE kept (
          id BIGINT, price DOUBLE, name STRING,
          CONSTRAINT named EXPECT (name IS NOT NULL) ON VIOLATION QUARANTINE ROW,
          CONSTRAINT positive EXPECT (price > 0) ON VIOLATION QUARANTINE ROW
        ) AS {SOURCE};
        CREATE MATERIALIZED VIEW gold (
          CONSTRAINT positive EXPECT (price > 0) ON VIOLATION QUARANTINE ROW
        ) AS SELECT id, price FROM raw;
        CREATE MATERIALIZED VIEW bad AS SELECT count(*) AS n FROM kept_quarantine;
    """
    outcome = project.run(raw, text)
    assert outcome.completed, (outcome.events, outcome.error)
    assert [row[0] for row in project.table("silver")] == [1, 4]
    assert project.table("kept") == [(1, 5.0, "a")]
    assert project.table("gold") == [(1, 5.0), (4, 7.5)]
    assert project.table("bad") == [(4,)]
    note = "_quarantine.rules, _quarantine.reason, _quarantine.flow, _quarantine.batch_id"
    quarantined = spark.sql(f"SELECT id, price, name, {note} FROM {project.database}.kept_quarantine ORDER BY id")
    flow = f"spark_catalog.{project.database}.kept"
    assert [tuple(row) for row in quarantined.collect()] == [
        (2, -1.0, "b", ["positive"], "price > 0", flow, 0),
        (3, None, "c", ["positive"], "price > 0", flow, 0),
        (4, 7.5, None, ["named"], "name IS NOT NULL", flow, 0),
        (5, -2.0, None, ["named", "positive"], "name IS NOT NULL; price > 0", flow, 0),
    ]


@pytest.mark.riacho_only
def test_a_broken_rule_that_fails_the_update(spark: SparkSession, project: Project, raw: Callable[[], None]) -> None:
    text = f"""
        CREATE STREAMING TABLE strict (
          CONSTRAINT positive EXPECT (price > 0) ON VIOLATION FAIL UPDATE
        ) AS {SOURCE};
        CREATE MATERIALIZED VIEW strict_view (
          CONSTRAINT positive EXPECT (price > 0) ON VIOLATION FAIL UPDATE
        ) AS SELECT * FROM raw;
        CREATE MATERIALIZED VIEW after AS SELECT count(*) AS n FROM strict;
    """
    outcome = project.run(raw, text)
    assert not outcome.completed
    assert project.table("strict") == []
