"""The event of a batch: how many rows went where. Each batch that is committed has one, and it is an error if the rows
do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from riacho.server.graph.event_log.rows import stable_id
from riacho.server.graph.events import EventLevel, EventType, PipelineEvent
from riacho.server.graph.stages import RecomputeFlow, SnapshotFlow, StreamFlow
from riacho.server.streaming.ledger import Balance, RowLedger, ledger, view_ledger
from riacho.server.streaming.progress import Progress
from riacho.server.streaming.quality import BatchQuality, ExpectationCount

_PROGRESS_MS = 60_000
"""How often a flow that goes on tells its progress in full."""
_OUTSTANDING = "numBytesOutstanding"


def batch_done(run: StreamFlow, progress: Progress) -> PipelineEvent:
    """The event of a batch of a flow; the same id whenever this batch runs."""
    flow = run.flow
    rows = ledger(progress)
    details = {
        **_rows(rows, progress.quality, progress.expectations, _backlog(progress)),
        "batch": {
            "batch_id": progress.batch_id,
            "query_id": progress.query_id,
            "run_id": progress.run_id,
            "duration_ms": sum(progress.durations_ms.values()),
            "watermark_ms": progress.watermark_ms,
            "sources": [
                {
                    "description": each.description,
                    "start": each.start,
                    "end": each.end,
                    "num_rows": each.rows,
                    "metrics": dict(each.metrics),
                }
                for each in progress.sources
            ],
        },
    }
    return PipelineEvent(
        EventType.FLOW_PROGRESS,
        _told(f"Flow {flow.identifier} has committed batch {progress.batch_id}", rows),
        level=_level(rows),
        details=details,
        flow=flow.identifier,
        dataset=None if run.table is None else flow.target,
        sink=flow.target if run.table is None else None,
        once=(progress.query_id, progress.batch_id),
        id=stable_id("batch", progress.query_id, progress.batch_id),
    )


class StreamReports:
    """What the event log has of the batches of one attempt of a flow: an event of each, and now and then its progress.

    `note` records an event; it is called by the query's thread, and by whoever calls `end`, after that thread.
    """

    def __init__(self, run: StreamFlow, note: Callable[[PipelineEvent], None]) -> None:
        self._run = run
        self._note = note
        self._last: Progress | None = None
        self._told_ms: int | None = None

    def batch(self, progress: Progress) -> None:
        """A batch is done, and about to be committed."""
        self._note(batch_done(self._run, progress))
        self._last = progress
        if self._told_ms is None:
            self._told_ms = progress.timestamp_ms
        elif progress.timestamp_ms - self._told_ms >= _PROGRESS_MS:
            self._told_ms = progress.timestamp_ms
            self._tell()

    def end(self) -> None:
        """The attempt is over."""
        self._tell()

    def _tell(self) -> None:
        last, self._last = self._last, None
        if last is None:
            return
        flow = self._run.flow
        self._note(
            PipelineEvent(
                EventType.STREAM_PROGRESS,
                f"Flow {flow.identifier} is at batch {last.batch_id}.",
                level=EventLevel.METRICS,
                details={"progress": last.to_json()},
                flow=flow.identifier,
            )
        )


def view_done(run: RecomputeFlow | SnapshotFlow, rows: int | None, quality: BatchQuality | None) -> PipelineEvent:
    """The event of a materialized view that was brought up to date; `rows` is how many were written, if it is known."""
    found = view_ledger(rows, quality)
    return PipelineEvent(
        EventType.FLOW_PROGRESS,
        _told(f"Flow {run.flow.identifier} has refreshed {run.flow.target}", found),
        level=_level(found),
        details=_rows(found, quality, () if quality is None else quality.expectations, None),
        flow=run.flow.identifier,
        dataset=run.flow.target,
    )


def _rows(
    rows: RowLedger, quality: BatchQuality | None, expectations: Sequence[ExpectationCount], backlog: int | None
) -> dict[str, Any]:
    fates = (quality and quality.fates) or {}
    return {
        "status": "RUNNING",
        "metrics": {
            "num_output_rows": rows.out,
            "num_upserted_rows": fates.get("upserted"),
            "num_deleted_rows": fates.get("deleted"),
            "backlog_bytes": backlog,
        },
        "data_quality": {
            "dropped_records": rows.dropped,
            "quarantined_records": rows.quarantined,
            "expectations": [
                {
                    "name": each.name,
                    "dataset": each.dataset,
                    "passed_records": each.passed,
                    "failed_records": each.failed,
                }
                for each in expectations
            ],
        },
        "row_ledger": rows.to_json(),
    }


def _level(rows: RowLedger) -> EventLevel:
    return EventLevel.ERROR if rows.balance is Balance.MISMATCH else EventLevel.METRICS


def _told(what: str, rows: RowLedger) -> str:
    if rows.balance is not Balance.MISMATCH:
        return f"{what}."
    count = abs(rows.missing)
    wrong = "missing" if rows.missing > 0 else "there too many"
    return f"{what}, and its rows do not add up: {rows.why}, {count:,} are {wrong}."


def _backlog(progress: Progress) -> int | None:
    """Bytes that wait in the sources, where all of them say it."""
    found = [each.metrics.get(_OUTSTANDING) for each in progress.sources]
    return None if not found or None in found else sum(int(float(each or 0)) for each in found)
