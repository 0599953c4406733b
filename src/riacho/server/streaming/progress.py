"""What a query tells of itself: progress per batch, status, and the events listeners get.

Key names, formats and roundings are those of `org.apache.spark.sql.streaming.StreamingQueryProgress`,
`StreamingQueryStatus` and `StreamingQueryListener`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from riacho.clock import Clock, iso_utc
from riacho.ids import BatchId, Offset, QueryId, RunId
from riacho.server.plan.row_shape import RowShape
from riacho.server.streaming.execution import EventTime
from riacho.server.streaming.observed import Observed, as_rows, named
from riacho.server.streaming.quality import BatchQuality, ExpectationCount


class Durations:
    """Milliseconds spent in each phase of one trigger, by Spark's names (`walCommit`, `addBatch`, …)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent: dict[str, float] = {}

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to `phase`."""
        start = self._clock.monotonic_ms()
        try:
            yield
        finally:
            self._spent[phase] = self._spent.get(phase, 0.0) + self._clock.monotonic_ms() - start

    def as_ms(self) -> dict[str, int]:
        return {phase: int(spent) for phase, spent in sorted(self._spent.items())}


@dataclass(frozen=True)
class SourceProgress:
    """One source's part in a batch."""

    description: str
    start: Offset | None
    end: Offset | None
    latest: Offset | None
    rows: int = 0
    metrics: Mapping[str, str] = field(default_factory=dict)
    places: int = 1
    """How many times the plan reads these rows."""


@dataclass(frozen=True)
class Progress:
    """One entry of `recentProgress`. `interval_ms`: since the trigger before, infinite for the first.

    `quality` is what a sink that checks rules found out, None of other sinks; `expectations` are its counts and those
    that the plan observes; `shape`: what the plan makes of rows. They are not part of what Spark's clients read.
    """

    query_id: QueryId
    run_id: RunId
    name: str | None
    timestamp_ms: int
    batch_id: BatchId
    durations_ms: Mapping[str, int]
    sources: Sequence[SourceProgress]
    sink: str
    output_rows: int | None = None
    interval_ms: float = math.inf
    watermark_ms: int | None = None
    event_time: EventTime | None = None
    state: Sequence[Mapping[str, Any]] = ()
    observed: Mapping[str, Observed] = field(default_factory=dict)
    quality: BatchQuality | None = None
    expectations: Sequence[ExpectationCount] = ()
    shape: RowShape | None = None

    @property
    def input_rows(self) -> int:
        return sum(source.rows for source in self.sources)

    def to_json(self) -> dict[str, Any]:
        """The object Spark's clients read."""
        batch_ms = self.durations_ms.get("triggerExecution", 0)
        return {
            "id": self.query_id,
            "runId": self.run_id,
            "name": self.name,
            "timestamp": iso_utc(self.timestamp_ms),
            "batchId": self.batch_id,
            "batchDuration": batch_ms,
            "numInputRows": self.input_rows,
            "inputRowsPerSecond": _per_second(self.input_rows, self.interval_ms),
            "processedRowsPerSecond": _per_second(self.input_rows, max(batch_ms, 1)),
            "durationMs": dict(self.durations_ms),
            "eventTime": self._event_time(),
            "stateOperators": [dict(operator) for operator in self.state],
            "sources": [self._source(source, batch_ms) for source in self.sources],
            "sink": {
                "description": self.sink,
                "numOutputRows": -1 if self.output_rows is None else self.output_rows,
                "metrics": {},
            },
            "observedMetrics": as_rows(self.observed),
        }

    def idle(self, next_batch: BatchId, timestamp_ms: int, durations_ms: Mapping[str, int]) -> Progress:
        """The entry for a stretch without data after this one: next batch's id, nothing read, per-batch counts zero."""
        return replace(
            self,
            timestamp_ms=timestamp_ms,
            batch_id=next_batch,
            durations_ms=durations_ms,
            sources=[replace(source, start=source.end, rows=0) for source in self.sources],
            output_rows=None if self.output_rows is None else 0,
            event_time=None,
            state=[{key: _idle_count(key, value) for key, value in operator.items()} for operator in self.state],
            observed={},
            quality=None,
            expectations=(),
        )

    def _event_time(self) -> dict[str, str]:
        if self.watermark_ms is None:
            return {}
        stamps = {"watermark": self.watermark_ms}
        if self.event_time is not None:
            seen = self.event_time
            stamps |= {"avg": seen.avg_ms, "max": seen.max_ms, "min": seen.min_ms}
        return {key: iso_utc(ms) for key, ms in sorted(stamps.items())}

    def _source(self, source: SourceProgress, batch_ms: int) -> dict[str, Any]:
        return {
            "description": source.description,
            "startOffset": source.start,
            "endOffset": source.end,
            "latestOffset": source.latest,
            "numInputRows": source.rows,
            "inputRowsPerSecond": _per_second(source.rows, self.interval_ms),
            "processedRowsPerSecond": _per_second(source.rows, max(batch_ms, 1)),
            "metrics": dict(source.metrics),
        }


def started_event(query_id: QueryId, run_id: RunId, name: str | None, timestamp_ms: int, tags: Sequence[str]) -> str:
    """The JSON of a QueryStarted event."""
    event = {"id": query_id, "runId": run_id, "name": name, "timestamp": iso_utc(timestamp_ms), "jobTags": list(tags)}
    return json.dumps(event)


def progress_json(progress: Progress) -> str:
    """One progress entry as JSON text."""
    return json.dumps(progress.to_json(), ensure_ascii=False)


def progress_event(progress: Progress) -> str:
    """The JSON of a QueryProgress event.

    Listeners get Spark's compact form: offsets are JSON within JSON, rates have one decimal, what is empty is left out.
    """
    report = _compact({**progress.to_json(), "observedMetrics": named(progress.observed)})
    for source in report["sources"]:
        for key in ("startOffset", "endOffset", "latestOffset"):
            source[key] = _embedded(source[key])
    return json.dumps({"progress": report})


def _compact(part: Any) -> Any:
    match part:
        case dict():
            return {
                key: value if key == "observedMetrics" else _compact(value)
                for key, value in part.items()
                if value != {} or key == "metrics"
            }
        case list():
            return [_compact(item) for item in part]
        case float():
            return round(part, 1)
        case _:
            return part


def _embedded(offset: str | None) -> Any:
    """The JSON value an offset holds, or its text when it holds none."""
    try:
        return None if offset is None else json.loads(offset)
    except json.JSONDecodeError:
        return offset


def idle_event(query_id: QueryId, run_id: RunId, timestamp_ms: int) -> str:
    """The JSON of a QueryIdle event."""
    return json.dumps({"id": query_id, "runId": run_id, "timestamp": iso_utc(timestamp_ms)})


def terminated_event(query_id: QueryId, run_id: RunId, exception: str | None, condition: str | None) -> str:
    """The JSON of a QueryTerminated event; its keys must be there even when they are null."""
    return json.dumps({"id": query_id, "runId": run_id, "exception": exception, "errorClassOnException": condition})


def _per_second(rows: int, interval_ms: float) -> float:
    if math.isinf(interval_ms):
        return 0.0
    return rows * 1000.0 / max(interval_ms, 1.0)


_PER_BATCH = ("numRowsUpdated", "numRowsRemoved", "numRowsDroppedByWatermark", "allUpdatesTimeMs", "allRemovalsTimeMs")


def _idle_count(key: str, value: Any) -> Any:
    return 0 if key in _PER_BATCH or key == "commitTimeMs" else value
