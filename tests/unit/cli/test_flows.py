"""The events of a pipeline run, followed to the lines that are shown."""

from __future__ import annotations

from riacho.cli.flows import FlowBoard, FlowStatus, Line

CLOCK = "spark_catalog.gold.clock"
EVENTS = "spark_catalog.silver.events"


def follow(board: FlowBoard, *messages: str, start: float = 100.0) -> list[Line]:
    """The lines for messages that come half a second apart."""
    lines = (board.follow(message, start + at / 2) for at, message in enumerate(messages))
    return [line for line in lines if line is not None]


def test_a_flow_takes_from_its_first_step_to_its_end() -> None:
    board = FlowBoard()
    lines = follow(
        board,
        f"Flow {CLOCK} is QUEUED.",
        f"Flow {CLOCK} is PLANNING.",
        f"Flow {CLOCK} is STARTING.",
        f"Flow {CLOCK} is RUNNING.",
        f"Flow {CLOCK} has COMPLETED.",
        "Run is COMPLETED.",
    )

    assert lines == [Line("done", "gold.clock", 1.5)]
    assert board.count(FlowStatus.COMPLETED) == board.total == 1


def test_what_is_under_way_is_told_in_the_order_of_its_start() -> None:
    board = FlowBoard()
    follow(
        board,
        f"Flow {CLOCK} is QUEUED.",
        f"Flow {EVENTS} is QUEUED.",
        f"Flow {EVENTS} is STARTING.",
        f"Flow {CLOCK} is STARTING.",
    )
    assert board.under_way == ["silver.events", "gold.clock"]

    follow(board, f"Flow {EVENTS} has COMPLETED.", start=200)
    assert board.under_way == ["gold.clock"]


def test_a_failure_is_told_when_it_is_known_whether_another_attempt_follows() -> None:
    board = FlowBoard()
    failure = f"Flow '{EVENTS}' has FAILED.\nError: [DIVIDE_BY_ZERO] Division by zero.\n\n== SQL ==\nSELECT 1/0"
    assert follow(board, f"Flow {EVENTS} is STARTING.", failure) == []
    assert board.failed == [Line("failed", "silver.events", 0.5, "[DIVIDE_BY_ZERO] Division by zero.")]

    lines = follow(board, f"Flow {EVENTS} is STARTING.", f"Flow {EVENTS} is RUNNING.", f"Flow {EVENTS} has COMPLETED.")
    assert lines == [
        Line("retried", "silver.events", 0.5, "[DIVIDE_BY_ZERO] Division by zero."),
        Line("done", "silver.events", 1.0, "at attempt 2"),
    ]
    assert board.failed == []


def test_what_reads_from_a_failure_is_skipped_and_what_was_not_chosen_does_not_count() -> None:
    board = FlowBoard()
    lines = follow(
        board,
        f"Flow {CLOCK} is QUEUED.",
        f"Flow '{EVENTS}' is EXCLUDED.",
        f"Flow '{CLOCK}' SKIPPED due to upstream failure(s).",
    )

    assert lines == [Line("skipped", "gold.clock", None, "what it reads has failed")]
    assert (board.total, board.count(FlowStatus.COMPLETED)) == (1, 0)


def test_of_flows_that_do_not_resolve_the_causes_are_told() -> None:
    lines = follow(
        FlowBoard(),
        "Failed to resolve flow due to upstream failure: 'spark_catalog.gold.clock'.\nError: its input",
        "Failed to resolve flow: 'spark_catalog.silver.events'.\nError: [UNRESOLVED_COLUMN] no such column",
    )

    assert lines == [Line("failed", "silver.events", None, "[UNRESOLVED_COLUMN] no such column")]


def test_an_event_that_nobody_knows_is_passed_on() -> None:
    assert follow(FlowBoard(), "Something else happened.\nTwice.") == [Line("note", "Something else happened. Twice.")]
    assert follow(FlowBoard(), f"Flow {CLOCK} is DREAMING.") == [Line("note", f"Flow {CLOCK} is DREAMING.")]


def test_a_name_may_have_blanks_and_a_temporary_view_has_no_catalog() -> None:
    lines = follow(FlowBoard(), "Flow my flow is RUNNING.", "Flow my flow has COMPLETED.")
    assert lines == [Line("done", "my flow", 0.5)]
