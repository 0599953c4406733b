"""The event log of a pipeline: a Delta table in its storage that says what happened in its runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row

from tests.spec.pipelines.support import Project
from tests.spec.support import write_json

pytestmark = pytest.mark.riacho_only

DAILY = "CREATE MATERIALIZED VIEW daily AS SELECT count(*) AS n FROM events"


def log_of(project: Project) -> list[Row]:
    table = project.spark.sql(f"SELECT * FROM delta.`{project.storage}/system/events`")
    return table.orderBy("sequence.data_plane_id.seq_no").collect()


def details(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.details)[row.event_type]
    return found


def batches(rows: list[Row]) -> list[tuple[str, int]]:
    return [(row.origin.flow_name.rpartition(".")[2], row.origin.batch_id) for row in rows if row.origin.flow_id]


def test_a_run_is_told_from_its_start_to_its_end(project: Project, events: Callable[[], None], landing: Path) -> None:
    assert project.run(events, DAILY).completed
    rows = log_of(project)

    kinds = [row.event_type for row in rows]
    assert kinds[:2] == ["create_update", "graph_created"]
    assert sorted(kinds[2:6]) == ["dataset_definition"] * 2 + ["flow_definition"] * 2
    assert {"operation_progress", "planning_information", "flow_progress", "update_progress"} <= set(kinds)
    assert [details(row)["state"] for row in rows if row.event_type == "update_progress"] == ["RUNNING", "COMPLETED"]
    flow = [row for row in rows if row.event_type == "flow_progress" and row.origin.flow_name.endswith(".events")]
    assert [details(row)["status"] for row in flow] == ["QUEUED", "STARTING", "RUNNING", "RUNNING", "COMPLETED"]
    assert [(row.level, row.origin.batch_id) for row in flow if row.origin.flow_id] == [("METRICS", 0)]

    (progress,) = (details(row)["progress"] for row in rows if row.event_type == "stream_progress")
    assert (progress["batchId"], progress["numInputRows"]) == (0, 2)

    assert len({row.id for row in rows}) == len(rows)
    assert [row.timestamp for row in rows] == sorted(row.timestamp for row in rows)
    assert len({row.origin.update_id for row in rows}) == 1
    assert {row.maturity_level for row in rows} == {"STABLE"}

    write_json(landing / "1.json", [{"id": 3, "name": "three"}])
    assert project.run(events, DAILY).completed
    again = log_of(project)
    assert [row.id for row in again[: len(rows)]] == [row.id for row in rows]
    assert len({row.origin.update_id for row in again}) == 2
    assert batches(again) == [("events", 0), ("events", 1)]


def test_what_fails_is_told_with_its_error(project: Project, events: Callable[[], None]) -> None:
    outcome = project.run(
        events, "CREATE MATERIALIZED VIEW m AS SELECT CAST(raise_error(concat('boom', name)) AS INT) AS x FROM events"
    )
    assert "boom" in str(outcome.error)
    rows = log_of(project)
    failed = [row for row in rows if row.level == "ERROR"]
    assert [row.event_type for row in failed] == ["flow_progress", "update_progress"]
    assert "boom" in failed[0].error.exceptions[0].message
    assert details(failed[0])["status"] == details(failed[1])["state"] == "FAILED"
    assert [row.level for row in rows if row.event_type == "flow_progress" and row.error] == ["WARN", "WARN", "ERROR"]

    outcome = project.run(events, "CREATE MATERIALIZED VIEW m AS SELECT missing AS x FROM events")
    (unresolved, update) = (row for row in log_of(project)[len(rows) :] if row.level == "ERROR")
    assert unresolved.message.startswith("Failed to resolve flow:")
    assert unresolved.error.exceptions[0].error_class.startswith("UNRESOLVED_COLUMN")
    assert details(update)["state"] == "FAILED"


def test_a_dry_run_leaves_nothing(project: Project, events: Callable[[], None]) -> None:
    assert project.dry_run(events, DAILY).completed
    assert not project.storage.exists()


def test_the_catalog_shows_it_under_a_name(project: Project, events: Callable[[], None]) -> None:
    conf = {"riacho.pipelines.eventLog": "what_happened"}
    assert project.run(events, conf=conf).completed
    assert project.run(events, conf=conf).completed
    assert project.spark.table(f"{project.database}.what_happened").count() == len(log_of(project))

    outcome = project.run(events, conf={"riacho.pipelines.eventLog": "events"})
    assert "another table of that name" in str(outcome.error)
