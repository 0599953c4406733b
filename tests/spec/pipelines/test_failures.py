"""What happens when a flow fails."""

from __future__ import annotations

from collections.abc import Callable

from tests.spec.pipelines.support import Project

Define = Callable[[], None]

ONCE = {"spark.sql.pipelines.maxFlowRetryAttempts": "0"}
CHAIN = """
CREATE MATERIALIZED VIEW bad AS SELECT CAST(raise_error('boom') AS INT) AS a;
CREATE MATERIALIZED VIEW below AS SELECT * FROM bad;
CREATE MATERIALIZED VIEW further_below AS SELECT * FROM below;
CREATE MATERIALIZED VIEW alone AS SELECT 1 AS a;
"""


def test_a_flow_is_tried_three_times_then_its_readers_are_skipped_and_others_go_on(project: Project) -> None:
    outcome = project.run(CHAIN)

    attempt = ["is PLANNING.", "is STARTING.", "is RUNNING.", "has FAILED."]
    assert outcome.of("bad") == ["is QUEUED.", *attempt * 3], outcome
    failed = next(event for event in outcome.events if "has FAILED" in event)
    assert failed.startswith(f"Flow 'spark_catalog.{project.database}.bad' has FAILED.\nError: ")
    assert "boom" in failed
    for flow in ("below", "further_below"):
        assert outcome.of(flow) == ["is QUEUED.", "SKIPPED due to upstream failure(s)."]
    assert outcome.of("alone")[-1] == "has COMPLETED."
    assert project.table("alone") == [(1,)]
    assert "boom" in str(outcome.error)
    assert "Run is COMPLETED." not in outcome.events


def test_a_streaming_flow_that_fails(project: Project, events: Define) -> None:
    outcome = project.run(
        events,
        """CREATE STREAMING TABLE bad AS SELECT CAST(raise_error('boom') AS INT) AS a FROM STREAM events;
        CREATE MATERIALIZED VIEW below AS SELECT * FROM bad""",
        conf=ONCE,
    )

    assert outcome.of("bad")[-1] == "has FAILED more than 0 times and will not be restarted."
    assert outcome.of("below") == ["is QUEUED.", "SKIPPED due to upstream failure(s)."]
    assert outcome.of("events")[-1] == "has COMPLETED."
    assert outcome.error is not None
    assert outcome.error.getCondition() == "STREAM_FAILED"
    assert "boom" in str(outcome.error)


def test_a_stream_that_cannot_start(project: Project, events: Define) -> None:
    outcome = project.run(events, "CREATE STREAMING TABLE bad AS SELECT count(*) AS n FROM STREAM events", conf=ONCE)

    assert "is RUNNING." not in outcome.of("bad")
    assert outcome.error is not None
    assert outcome.error.getCondition() == "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION"


def test_a_failed_run_can_be_repaired(project: Project, events: Define) -> None:
    broken = "CREATE STREAMING TABLE t AS SELECT CAST(raise_error('boom') AS STRING) AS id FROM STREAM events"
    assert "boom" in str(project.run(events, broken, conf=ONCE).error)
    outcome = project.run(events, "CREATE STREAMING TABLE t AS SELECT CAST(id AS STRING) AS id FROM STREAM events")

    assert outcome.completed, outcome
    assert project.table("t") == [("1",), ("2",)]
