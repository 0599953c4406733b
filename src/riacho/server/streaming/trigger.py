"""When batches run. Pure: what the trigger says is a value, and the query loop asks it questions.

Source: `org.apache.spark.sql.streaming.Trigger`, `ProcessingTimeExecutor`.
"""

from __future__ import annotations

from dataclasses import dataclass

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.intervals import interval_us
from riacho.protos import pb


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


@dataclass(frozen=True)
class OnNews:
    """A batch as soon as there is something new, but not before `least_ms` after the last one began.

    What a continuous pipeline runs with; no client can ask for it. Unlike `ProcessingTime`, it does not let data wait
    for a round time of the clock, and it lets sources sleep that tell when there is news.
    """

    least_ms: int = 0


Trigger = ProcessingTime | AvailableNow | Once | OnNews


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
    """Milliseconds of an interval such as `10 seconds` or `interval 1 minute 30 seconds`.

    Raises ParseError for text that is no interval, IllegalArgumentError for negative ones, months and years.
    """
    months, micros = interval_us(text)
    if months:
        raise IllegalArgumentError(f"Doesn't support month or year interval: {text}")
    if micros < 0:
        raise IllegalArgumentError(f"requirement failed: the interval of trigger should not be negative: {text}")
    return micros // 1000
