"""Single values of a description, checked: each raises IllegalArgumentError that says where it stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from riacho import units
from riacho.errors import IllegalArgumentError, SparkError
from riacho.intervals import interval_us

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rate_of(given: Any, where: str) -> float:
    """Rows a second, of a number or of `3000/m`. Raises IllegalArgumentError."""
    if isinstance(given, int | float) and not isinstance(given, bool) and given >= 0:
        return float(given)
    found = units.per_second(str(given))
    if found is None:
        raise IllegalArgumentError(f"{where} is {given!r}: it must be rows a second, or such as 3000/m")
    return found


def micros(given: Any, where: str) -> int:
    """Microseconds of a time such as `5m`, `1 hour` or a number of seconds. Raises IllegalArgumentError."""
    found = units.time_ms(str(given), default_unit="s")
    if found is not None:
        return found * 1000
    try:
        months, more = interval_us(str(given))
    except SparkError:
        months, more = 1, 0
    if months or more < 0:
        raise IllegalArgumentError(f"{where} is {given!r}: it must be a time such as 30s, 5m or '1 hour'")
    return more


def stamp_us(given: Any, where: str) -> int:
    """A moment in µs since 1970; in UTC where it does not say. Raises IllegalArgumentError."""
    return (stamp(given, where) - _EPOCH) // timedelta(microseconds=1)


def stamp(given: Any, where: str) -> datetime:
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        raise IllegalArgumentError(f"{where} is {given!r}: it must be a time such as 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def share(given: Any, where: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise IllegalArgumentError(f"{where} is {given!r}: it must be a number between 0 and 1")
    return float(given)


def whole(given: Any, where: str, least: int | None = None) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or (least is not None and given < least):
        more = "" if least is None else f", {least} or more"
        raise IllegalArgumentError(f"{where} is {given!r}: it must be a whole number{more}")
    return given


def listed(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"
