"""Which records are new: by a field that grows, and by what was seen already.

The highest value that was read is remembered, with digests of the records that may come again: those at that value (and
within the lag before it), and while pages are read all of this look, for records move from page to page meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from riacho.connectors.rest import json_path
from riacho.connectors.rest.settings import CursorSettings, RestSettings
from riacho.connectors.values import as_json
from riacho.errors import SparkGeneralError

Rank = int | float | str


@dataclass
class SeenRecords:
    """What is known of one request. `since`: the highest value of earlier looks; `highest`: of this one, too."""

    since: Any = None
    highest: Any = None
    digests: dict[str, Any] = field(default_factory=dict)
    """The cursor's value (None without one) by the digest of a record."""

    def to_json(self) -> dict[str, Any]:
        return {"since": self.since, "highest": self.highest, "digests": self.digests}

    @classmethod
    def of_json(cls, given: dict[str, Any]) -> SeenRecords:
        return cls(given["since"], given["highest"], given["digests"])


class Novelty:
    """Tells new records from those that were read before."""

    def __init__(self, settings: RestSettings) -> None:
        self._cursor = settings.cursor
        self._key = settings.key
        self._redactor = settings.redactor

    def parameters(self, seen: SeenRecords) -> dict[str, Any]:
        """What to add to a request, so that the answer begins where the last one ended."""
        cursor = self._cursor
        if cursor is None or cursor.parameter is None:
            return {}
        value = cursor.initial if seen.since is None else seen.since
        return {} if value is None else {cursor.parameter: _sent(value, cursor, with_lag=seen.since is not None)}

    def new(self, records: list[Any], seen: SeenRecords) -> list[Any]:
        """The new ones, which are remembered in `seen`."""
        if self._cursor is None and not self._key:
            return records
        return [record for record in records if self._is_new(record, seen)]

    def finish(self, seen: SeenRecords) -> None:
        """A look has ended: forget what cannot come again."""
        if self._cursor is None:
            seen.digests = {}
            return
        seen.since = seen.highest
        if seen.highest is None:
            return
        least = _before(seen.highest, self._cursor)
        seen.digests = (
            {digest: value for digest, value in seen.digests.items() if not _less(_rank(value), least)}
            if self._cursor.inclusive or _has_lag(self._cursor)
            else {}
        )

    def _is_new(self, record: Any, seen: SeenRecords) -> bool:
        cursor = self._cursor
        value = None
        if cursor is not None:
            value = json_path.first(_object(record), cursor.path)
            if isinstance(value, Decimal):  # the checkpoint keeps it as a number
                value = float(value)
            if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
                where = json_path.shown(cursor.path)
                raise SparkGeneralError(f"A record has no text or number at {where}, the cursor: {self._told(record)}")
            if self._is_before(value, seen):
                return False
        digest = self._digest(record, value)
        if digest in seen.digests:
            return False
        seen.digests[digest] = value
        if value is not None and (seen.highest is None or _less(_rank(seen.highest), _rank(value))):
            seen.highest = value
        return True

    def _is_before(self, value: Any, seen: SeenRecords) -> bool:
        """Whether a record belongs to an earlier look, whatever the answer holds."""
        cursor = self._cursor
        assert cursor is not None
        if seen.since is None:
            return cursor.initial is not None and _less(_rank(value), _rank(_like(cursor.initial, value)))
        if _less(_rank(value), _before(seen.since, cursor)):
            return True
        return not cursor.inclusive and not _has_lag(cursor) and _rank(value) == _rank(seen.since)

    def _digest(self, record: Any, value: Any) -> str:
        what = record
        if self._key:
            what = [json_path.first(_object(record), path) for path in self._key]
            if all(part is None for part in what):
                names = ", ".join(map(json_path.shown, self._key))
                raise SparkGeneralError(f"A record has nothing at {names}, the key: {self._told(record)}")
            what.append(value)
        return digest_of(what)

    def _told(self, record: Any) -> str:
        return self._redactor.text(as_json(record))[:300]


def digest_of(value: Any) -> str:
    """A short text that tells JSON values apart."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _object(record: Any) -> Any:
    """A record as its row has it: what is no object is the column `value`."""
    return record if isinstance(record, dict) else {"value": record}


def _has_lag(cursor: CursorSettings) -> bool:
    return bool(cursor.lag_us or cursor.lag_units)


def _like(initial: str, value: Any) -> Any:
    """The initial value, a text in the options, as a value of the records."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(initial) if "." in initial else int(initial)
        except ValueError:
            return initial
    return initial


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) < 10:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(value: Any) -> Decimal | None:
    """The number that a text says, such as an ID in quotes; None for other texts."""
    digits = value.removeprefix("-").replace(".", "", 1) if isinstance(value, str) else ""
    return Decimal(value) if digits.isascii() and digits.isdecimal() else None


def _rank(value: Any) -> Rank:
    """What values are compared by: times by their microseconds, numbers as numbers, other texts as texts."""
    if isinstance(value, int | float):
        return value
    moment = _time(value)
    return str(value) if moment is None else _micros(moment)


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _less(one: Rank, other: Rank) -> bool:
    """Raises SparkGeneralError for values of two kinds."""
    if isinstance(one, str) != isinstance(other, str):
        raise SparkGeneralError(
            f"The cursor's values cannot be compared: {one!r} and {other!r}. All must be times, numbers or texts."
        )
    if isinstance(one, str) and isinstance(other, str):
        numbers = _number(one), _number(other)
        if numbers[0] is not None and numbers[1] is not None:
            return numbers[0] < numbers[1]
    return one < other  # type: ignore[operator]


def _before(value: Any, cursor: CursorSettings) -> Rank:
    """The rank of a value, less the lag."""
    if _has_lag(cursor) and _time(value) is None:
        return _rank(_with_lag(value, cursor))
    rank = _rank(value)
    return rank if isinstance(rank, str) else rank - (0 if _time(value) is None else cursor.lag_us)


def _with_lag(value: Any, cursor: CursorSettings) -> Any:
    """A value that is no time, less the lag. Raises SparkGeneralError if the lag is none for it."""
    number = _number(value)
    if not cursor.lag_units or (isinstance(value, str) and number is None):
        wanted = "times or numbers" if isinstance(value, str) and number is None else "times, or a number for numbers"
        raise SparkGeneralError(
            f"The cursor's values are like {value!r}, and cursor.lag is {cursor.lag_us / 1e6:g} s: it is for {wanted}. "
            "Give it as a whole number in the cursor's unit, or leave it out."
        )
    return value - cursor.lag_units if number is None else str(number - cursor.lag_units)


def _sent(value: Any, cursor: CursorSettings, *, with_lag: bool) -> Any:
    """A value as the interface wants it."""
    moment = _time(value)
    if moment is None:
        return _with_lag(value, cursor) if with_lag and _has_lag(cursor) else value
    lag_us = cursor.lag_us if with_lag else 0
    if cursor.format == "same" and not lag_us:
        return value
    moment -= timedelta(microseconds=lag_us)
    if cursor.format.startswith("epoch"):
        return _micros(moment) // (1_000 if cursor.format == "epoch_ms" else 1_000_000)
    if cursor.format == "same" and len(str(value)) == 10:
        return moment.date().isoformat()
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
