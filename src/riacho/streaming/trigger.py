"""When batches run. Pure: what the trigger says is a value, and the query loop asks it questions.

Source: `org.apache.spark.sql.streaming.Trigger`, `ProcessingTimeExecutor`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.protos import pb

_UNITS_MS = {
    "microsecond": 0.001,
    "millisecond": 1,
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
_TERM = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)


@dataclass(frozen=True)
class ProcessingTime:
    """A batch at each multiple of the interval since the epoch; 0 is as soon as the last one ended."""

    interval_ms: int = 0

    def next_start_ms(self, now_ms: int) -> int:
        """When the batch after one that started or ended at `now_ms` is due; an overrun is not queued."""
        if self.interval_ms == 0:
            return now_ms
        return now_ms // self.interval_ms * self.interval_ms + self.interval_ms


@dataclass(frozen=True)
class AvailableNow:
    """All that is there at the start, in as many batches as the sources' limits want, then the query ends."""


@dataclass(frozen=True)
class Once:
    """All that is there in one batch, limits ignored, then the query ends (deprecated in Spark)."""


Trigger = ProcessingTime | AvailableNow | Once


def from_command(command: pb.WriteStreamOperationStart) -> Trigger:
    """The trigger of a start command; none is ProcessingTime(0).

    Raises IllegalArgumentError for an interval that is none, UnsupportedOperationError for continuous and real-time.
    """
    match command.WhichOneof("trigger"):
        case None:
            return ProcessingTime()
        case "processing_time_interval":
            return ProcessingTime(interval_ms(command.processing_time_interval))
        case "available_now":
            return AvailableNow()
        case "once":
            return Once()
        case other:
            kind = "continuous" if other == "continuous_checkpoint_interval" else "realTime"
            raise UnsupportedOperationError(
                f"The {kind} trigger is not supported by riacho. Use processingTime='0 seconds': a micro-batch takes "
                "milliseconds."
            )


def interval_ms(text: str) -> int:
    """Milliseconds of an interval such as `10 seconds`, `1 minute 30 seconds` or `interval 2 hours`.

    Raises IllegalArgumentError for text that is no interval, negative ones, months and years.
    """
    body = re.sub(r"^\s*interval\b", "", text, flags=re.IGNORECASE)
    total, position = 0.0, 0
    while match := _TERM.match(body, position):
        unit = match.group(2).lower().rstrip("s")
        unit = {"m": "millisecond", "": "second", "min": "minute", "sec": "second", "milli": "millisecond"}.get(unit, unit)
        if unit in ("month", "year"):
            raise IllegalArgumentError(f"Doesn't support month or year interval: {text}")
        if unit not in _UNITS_MS:
            break
        total += float(match.group(1)) * _UNITS_MS[unit]
        position = match.end()
    if position == 0 or body[position:].strip():
        raise IllegalArgumentError(f"Cannot parse the interval {text!r}: write it like '10 seconds' or '1 minute'.")
    if total < 0:
        raise IllegalArgumentError(f"the interval of trigger should not be negative: {text}")
    return int(total)
