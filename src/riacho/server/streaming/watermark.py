"""Watermarks: how far event time has come, and what that makes late.

Each `withWatermark` of a plan is an operator with a delay. While a batch runs it notes the event times of its input;
after the batch its value is the largest of them minus the delay, or what it was before if that is more. The query's
watermark is the smallest of the operators' values (policy "min", the default) or the largest ("max"). It only moves up.

The value that a batch leaves behind takes effect in the next one: batch N closes windows and evicts state at W(N), the
value after batch N-1, and drops rows as late at W(N-1). The older value for late rows is what allows one stateful
operator to feed another: rows that the first emits when it closes at W(N) are not late for the second.

"Behind" is everywhere `time <= watermark`, where the time of a window is its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from riacho.conf import WATERMARK_POLICY
from riacho.errors import IllegalArgumentError
from riacho.intervals import UNIT_US, interval_us
from riacho.server.streaming.execution import EventTime

_MONTH_DAYS = 31


class WatermarkPolicy(StrEnum):
    """How several operators make one watermark (`spark.sql.streaming.multipleWatermarkPolicy`)."""

    MIN = "min"
    MAX = "max"

    @classmethod
    def of(cls, confs: Mapping[str, str]) -> WatermarkPolicy:
        """The policy that a query's confs name. Raises INVALID_CONF_VALUE.REQUIREMENT for anything but min and max."""
        return cls(WATERMARK_POLICY.of(confs))


class WatermarkTracker:
    """The watermark of one query run; all in milliseconds since the epoch.

    `start_ms`: the value a checkpoint left. The operators' own values are not kept there: after a restart each counts
    as 0 until it sees a row, and the query's watermark stays where it was until they have caught up.
    """

    def __init__(
        self, delays_ms: Sequence[int], policy: WatermarkPolicy = WatermarkPolicy.MIN, start_ms: int = 0
    ) -> None:
        self._delays_ms = tuple(delays_ms)
        self._choose = min if policy is WatermarkPolicy.MIN else max
        self._values_ms = [0] * len(self._delays_ms)
        self._seen = [False] * len(self._delays_ms)
        self.value_ms = start_ms

    def advance(self, event_times: Sequence[EventTime | None]) -> int:
        """Take in what each operator saw in a batch that succeeded; the watermark from now on.

        Raises ValueError unless there is one event time per operator.
        """
        if len(event_times) != len(self._delays_ms):
            raise ValueError(f"{len(event_times)} event times for {len(self._delays_ms)} watermark operators")
        for index, seen in enumerate(event_times):
            if seen is None or seen.count == 0:
                continue
            value = seen.max_ms - self._delays_ms[index]
            if not self._seen[index] or value > self._values_ms[index]:
                self._values_ms[index], self._seen[index] = value, True
        if self._values_ms:
            self.value_ms = max(self.value_ms, self._choose(self._values_ms))
        return self.value_ms


def delay_ms(text: str) -> int:
    """The delay of a `withWatermark` in milliseconds; a month counts as 31 days, as in Spark.

    Raises ParseError for text that is no interval, IllegalArgumentError for a negative one.
    """
    months, micros = interval_us(text)
    micros += months * _MONTH_DAYS * UNIT_US["day"]
    if micros < 0:
        raise IllegalArgumentError(f"requirement failed: delay threshold ({text}) should not be negative.")
    return micros // 1000
