"""What depends on the session's time zone and on clock changes: local times, and days added to a TIMESTAMP.

    before                         after, where clocks change
    ts + INTERVAL 1 DAY            if(local(ts + INTERVAL 1 DAY) = local(ts) + INTERVAL 1 DAY, ts + INTERVAL 1 DAY,
                                      CAST(local(ts) + INTERVAL 1 DAY AS TIMESTAMP))
    b - a                          local(b) - local(a)
    CAST(ts AS TIMESTAMP_NTZ)      local(ts)

Spark adds a day to the date and keeps the time of day (and the offset, if the local time occurs twice); the engine adds
24 hours. A local time is represented by the instant that has it in UTC, which the engine's cast returns. Sources:
`DateTimeUtils.timestampAddDayTime`, `subtractTimestamps`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pyarrow as pa

from riacho.protos import pb
from riacho.server.plan import build
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ
from riacho.zones import UTC, Zone

Expression = pb.Expression

_ZONE: ContextVar[Zone] = ContextVar("zone of the session whose plan is typed", default=UTC)
_BY_THE_CALENDAR = "days by the calendar"
"""Marks what has been rewritten, because a plan may be prepared more than once."""


@contextmanager
def in_zone(zone: Zone) -> Iterator[None]:
    """Tell the rules the session's zone."""
    token = _ZONE.set(zone)
    try:
        yield
    finally:
        _ZONE.reset(token)


def zone() -> Zone:
    """The session's zone."""
    return _ZONE.get()


def is_utc() -> bool:
    """Whether the session is in UTC, so that nothing here makes a difference."""
    return _ZONE.get().is_utc


def clocks_change() -> bool:
    """Whether the session's zone has more than one offset from UTC."""
    zone = _ZONE.get().engine
    return zone != "UTC" and not zone.startswith(("Etc/", "+", "-"))


def local(timestamp: Expression) -> Expression:
    """The local time of a TIMESTAMP, as TIMESTAMP_NTZ."""
    zone = _ZONE.get().engine
    if zone.startswith(("+", "-")):
        return build.cast(build.cast(timestamp, pa.string()), TIMESTAMP_NTZ)
    shifted = build.call("from_utc_timestamp", timestamp, build.text(zone))
    made = build.cast(shifted, TIMESTAMP_NTZ)
    made.cast.eval_mode = Expression.Cast.EVAL_MODE_TRY
    return made


def cast(value: Expression, old: pa.DataType | None, new: pa.DataType | None) -> Expression | None:
    """The replacement for a cast, if it needs one."""
    if old == pa.binary() and new == pa.string() and not value.HasField("literal"):
        # One message that is not UTF-8 must not stop a query. Arrow's text cannot hold such bytes as Spark's does.
        return build.call("make_valid_utf8", value)
    if old == TIMESTAMP and new == TIMESTAMP_NTZ and not is_utc():
        return local(value)
    if old == pa.date32() and new == TIMESTAMP and clocks_change():
        # There may be no midnight, or two of them.
        return build.cast(build.cast(value, TIMESTAMP_NTZ), TIMESTAMP)
    return None


def plus_days(name: str, left: Expression, right: Expression, timestamp: Expression) -> Expression:
    """`left + right` or `left - right`, where one is `timestamp` and the other is an interval of whole days."""
    moved = build.call(name, left, right)
    on_the_clock = build.call(name, *(local(side) if side is timestamp else side for side in (left, right)))
    same_offset = build.call("==", local(moved), on_the_clock)
    marked = build.call("or", same_offset, build.call("isnull", build.text(_BY_THE_CALENDAR)))
    return build.call("if", marked, moved, build.cast(on_the_clock, TIMESTAMP))


def is_by_calendar(expression: Expression) -> bool:
    """Whether `plus_days` made this."""
    function = expression.unresolved_function
    if function.function_name != "if" or not function.arguments:
        return False
    condition = function.arguments[0].unresolved_function
    if condition.function_name != "or":
        return False
    mark = condition.arguments[1].unresolved_function
    return mark.function_name == "isnull" and mark.arguments[0].literal.string == _BY_THE_CALENDAR


CALENDAR_TEXT = f"isnull('{_BY_THE_CALENDAR}')"
"""What SQL text contains if `plus_days` has rewritten it."""


def between(left: Expression, right: Expression) -> Expression:
    """`left - right` of TIMESTAMPs, by the clock."""
    return build.call("-", local(left), local(right))
