"""Which tables a run refreshes, and what a full refresh does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark import pipelines as dp
from pyspark.sql import DataFrame

from tests.spec.pipelines.support import Project
from tests.spec.support import files

Define = Callable[[], None]

TOTAL = "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM events"
ALONE = "CREATE MATERIALIZED VIEW alone AS SELECT 1 AS one"


def _forget_landed(landing: Path) -> None:
    """Take the files away, so that a table read from the start again has no rows."""
    for file in landing.iterdir():
        file.unlink()


def test_only_what_is_listed_is_refreshed(project: Project, events: Define) -> None:
    project.run(events, TOTAL)
    outcome = project.run(events, TOTAL, ALONE, refresh=["alone", f"{project.database}.nothing"])

    assert outcome.completed
    assert outcome.of("events") == ["is EXCLUDED."]
    assert outcome.of("total") == ["is EXCLUDED."]
    assert outcome.of("alone")[-1] == "has COMPLETED."


def test_an_excluded_table_does_not_hold_up_its_readers(project: Project, events: Define) -> None:
    project.run(events, TOTAL)
    outcome = project.run(events, TOTAL, refresh=["total"])

    assert outcome.of("events") == ["is EXCLUDED."]
    assert outcome.of("total")[-1] == "has COMPLETED."
    assert project.table("total") == [(2,)]


@pytest.mark.parametrize("everything", [True, False])
def test_a_full_refresh_starts_over_with_a_new_checkpoint(
    project: Project, events: Define, landing: Path, everything: bool
) -> None:
    project.run(events, TOTAL)
    _forget_landed(landing)
    again = {"full_refresh_all": True} if everything else {"full_refresh": ["events"], "refresh": ["total"]}
    outcome = project.run(events, TOTAL, **again)

    assert outcome.completed, outcome
    assert project.table("events") == []
    assert project.table("total") == [(0,)]
    assert project.checkpoints("spark_catalog", project.database, "events", "events") == ["0", "1"]


def test_a_protected_table_is_not_reset_with_all_others(project: Project, landing: Path) -> None:
    def define() -> None:
        @dp.table(table_properties={"pipelines.reset.allowed": "false"})
        def kept() -> DataFrame:
            return files(project.spark, landing)

    assert project.run(define).completed
    assert project.run(define, full_refresh_all=True).completed
    assert project.table("kept") == [(1,), (2,)]
    assert project.checkpoints("spark_catalog", project.database, "kept", "kept") == ["0"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"full_refresh": ["alone"], "full_refresh_all": True}, "Cannot specify a subset to full refresh when"),
        ({"refresh": ["alone"], "full_refresh_all": True}, "Cannot specify a subset to refresh when full refresh all"),
        ({"refresh": ["alone"], "full_refresh": ["alone"]}, "refresh and full refresh cannot overlap: `spark_catalog`"),
    ],
)
def test_contradictions(project: Project, options: dict[str, object], text: str) -> None:
    assert text in str(project.run(ALONE, **options).error)  # type: ignore[arg-type]
