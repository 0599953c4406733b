"""What a continuous update shows, without a server."""

from __future__ import annotations

from io import StringIO
from typing import Any, cast

from rich.console import Console

from riacho.cli.continuous_view import ContinuousView, FlowCount
from riacho.cli.flows import FlowBoard, FlowStatus


def entry(batch: int, rows: int, run: str = "r", *, ran: bool = True) -> dict[str, Any]:
    durations = {"triggerExecution": 50, **({"addBatch": 20} if ran else {})}
    return {"runId": run, "batchId": batch, "durationMs": durations, "sources": [{"numInputRows": rows}]}


def test_each_batch_counts_once() -> None:
    count = FlowCount()
    count.take([entry(0, 5), entry(1, 7)])
    count.take([entry(0, 5), entry(1, 7), entry(2, 1), entry(3, 0, ran=False)])
    assert (count.batches, count.rows, count.lag_s) == (3, 13, 0.05)


def test_a_flow_that_was_started_again_goes_on() -> None:
    count = FlowCount()
    count.take([entry(0, 5), entry(1, 7)])
    count.take([entry(1, 7, "another run"), entry(2, 1, "another run")])
    assert (count.batches, count.rows) == (4, 20), "the batch that was cut off came through twice"


def test_a_flow_that_rests_has_not_ended() -> None:
    board = FlowBoard()
    for state in ("is QUEUED.", "is STARTING.", "is RUNNING."):
        board.follow(f"Flow spark_catalog.shop.a {state}", 1.0)
    board.follow("Flow 'spark_catalog.shop.a' is IDLE, waiting for new data.", 2.0)
    assert board.states == {"shop.a": FlowStatus.IDLE}
    assert board.follow("Flow spark_catalog.shop.a is RUNNING.", 3.0) is None
    assert board.follow("Flow 'spark_catalog.shop.a' has FAILED.\nError: boom", 4.0) is None
    line = board.follow("Flow spark_catalog.shop.a is STARTING.", 5.0)
    assert line is not None
    assert (line.mark, line.detail) == ("retried", "boom")


def test_the_table_of_flows() -> None:
    console = Console(file=StringIO(), width=100)
    view = ContinuousView(console, cast("Any", None))
    for message in ("Flow spark_catalog.shop.a is QUEUED.", "Flow spark_catalog.shop.a is STARTING."):
        view.event(message, 1.0)
    view.event("Flow 'spark_catalog.shop.a' is IDLE, waiting for new data.", 2.0)
    console.print(view.drawn())
    text = cast("StringIO", console.file).getvalue()
    assert "shop.a" in text
    assert "○ idle" in text
    assert "Ctrl-C stops it" in text
