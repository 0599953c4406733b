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

import re
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from riacho.errors import IllegalArgumentError, ParseError
from riacho.server.streaming.execution import EventTime

POLICY_CONF = "spark.sql.streaming.multipleWatermarkPolicy"


class WatermarkPolicy(StrEnum):
    """How several operators make one watermark (`spark.sql.streaming.multipleWatermarkPolicy`)."""

    MIN = "min"
    MAX = "max"

    @classmethod
    def parse(cls, text: str) -> WatermarkPolicy:
        """Raises IllegalArgumentError for anything but min and max (any case)."""
        try:
            return cls(text.lower())
        except ValueError:
            raise IllegalArgumentError(
                f"'{text}' in {POLICY_CONF} is invalid: the watermark policy must be 'min' or 'max'"
            ) from None


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
        """Take in what each operator saw in a batch that succeeded; the watermark from now on."""
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


_UNIT_US = {
    "week": 7 * 86_400_000_000,
    "day": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}
_MONTHS = {"year": 12, "month": 1}
_MONTH_DAYS = 31
_TERM = re.compile(r"\s*([+-]?)\s*(\d+(?:\.\d*)?|\.\d+)\s+([a-z]+)(?=\s|[+-]|$)", re.IGNORECASE)


def interval_us(text: str) -> tuple[int, int]:
    """Months and microseconds of an interval such as `10 minutes` or `interval 1 hour 30 minutes`.

    Source: `org.apache.spark.sql.catalyst.util.IntervalUtils.stringToInterval`. Raises ParseError
    (CANNOT_PARSE_INTERVAL).
    """
    rest = text.strip()
    if rest.lower().startswith("interval") and (len(rest) == 8 or rest[8].isspace()):
        rest = rest[8:]
    months = micros = 0
    position, terms = 0, 0
    while position < len(rest.rstrip()):
        match = _TERM.match(rest, position)
        unit = match.group(3).lower().removesuffix("s") if match else ""
        if match is None or (unit not in _UNIT_US and unit not in _MONTHS):
            raise _unparsable(text)
        number = Decimal(match.group(2))
        if number != int(number) and unit != "second":
            raise _unparsable(text)
        sign = -1 if match.group(1) == "-" else 1
        if unit in _MONTHS:
            months += sign * int(number) * _MONTHS[unit]
        else:
            micros += sign * int(number * _UNIT_US[unit])
        position, terms = match.end(), terms + 1
    if not terms:
        raise _unparsable(text)
    return months, micros


def delay_ms(text: str) -> int:
    """The delay of a `withWatermark` in milliseconds; a month counts as 31 days, as in Spark.

    Raises ParseError for text that is no interval, IllegalArgumentError for a negative one.
    """
    months, micros = interval_us(text)
    micros += months * _MONTH_DAYS * _UNIT_US["day"]
    if micros < 0:
        raise IllegalArgumentError(f"requirement failed: delay threshold ({text}) should not be negative.")
    return micros // 1000


def _unparsable(text: str) -> ParseError:
    return ParseError.of(
        "CANNOT_PARSE_INTERVAL",
        f"Unable to parse '{text}'. Please ensure that the value provided is in a valid format for defining an "
        "interval. You can reference the documentation for the correct format. If the issue persists, please double "
        "check that the input value is not null or empty and try again.",
        sql_state="22006",
        intervalString=f"'{text}'",
    )
