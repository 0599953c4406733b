"""The three conversions from text to a date or time that one reader uses, with its patterns and its zone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from riacho.errors import IllegalArgumentError
from riacho.options import Options
from riacho.server.formats.patterns import Pattern, compile_pattern
from riacho.server.formats.times import days_from_legacy_number, to_days, to_local_micros, to_micros
from riacho.zones import zone_offset_us


@dataclass(frozen=True)
class Datetimes:
    """Text to days or microseconds, None where Spark gives NULL.

    `date_pattern`, `timestamp_pattern`, `local_pattern`: the pattern given by the user, else None (free forms).
    `today`: the day (since the epoch) that a bare time of day belongs to.
    """

    zone: str = "UTC"
    date_pattern: Pattern | None = None
    timestamp_pattern: Pattern | None = None
    local_pattern: Pattern | None = None
    today: Callable[[], int] = lambda: 0

    @classmethod
    def of(cls, options: Options, today: Callable[[], int]) -> Datetimes:
        """From a reader's options. Raises IllegalArgumentError for a pattern or a zone that is not understood."""
        zone = options.text("timeZone")
        if zone_offset_us(zone, 0) is None:
            raise IllegalArgumentError(f"The option timeZone = {zone!r} is not a known time zone.")

        def pattern(name: str) -> Pattern | None:
            text = options.maybe(name)
            return None if text is None else compile_pattern(text)

        return cls(zone, pattern("dateFormat"), pattern("timestampFormat"), pattern("timestampNTZFormat"), today)

    @property
    def date(self) -> Callable[[str], int | None]:
        """Text to a DATE, as CSV reads it."""
        return to_days if self.date_pattern is None else self.date_pattern.days

    @property
    def json_date(self) -> Callable[[str], int | None]:
        """Text to a DATE, as JSON reads it: a bare number of days is taken too, unless a pattern is given."""
        if self.date_pattern is not None:
            return self.date_pattern.days
        return lambda text: days if (days := to_days(text)) is not None else days_from_legacy_number(text)

    @property
    def timestamp(self) -> Callable[[str], int | None]:
        """Text to a TIMESTAMP."""
        if self.timestamp_pattern is not None:
            return partial(self.timestamp_pattern.micros, zone=self.zone)
        return lambda text: to_micros(text, self.zone, self.today())

    @property
    def local_timestamp(self) -> Callable[[str], int | None]:
        """Text to a TIMESTAMP_NTZ."""
        return to_local_micros if self.local_pattern is None else self.local_pattern.local_micros
