"""When rows happen: a rate that follows the hour of the day, and bursts.

Row `n` happens when so many rows have happened before it, so its time depends on nothing but its number. The rate is
constant between two breaks (full hours, the edges of bursts), and the sums at the breaks are added up from the start,
always in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from riacho.connectors.faker import draws
from riacho.connectors.faker.draws import Floats, Numbers

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
_DAYS_AT_ONCE: Final = 32


@dataclass(frozen=True)
class Burst:
    """More rows for a time. `at_us`: after the start; `every_us`: when it comes again, 0: never; `rate`: a second."""

    at_us: int
    length_us: int
    rate: float
    every_us: int = 0


@dataclass
class Rates:
    """`rate`: rows a second; `profile`: what it is multiplied with in each hour of the day (UTC), empty for 1."""

    start_us: int
    rate: float
    profile: tuple[float, ...] = ()
    bursts: tuple[Burst, ...] = ()
    _breaks: Numbers = field(default_factory=lambda: np.zeros(1, np.int64), repr=False)
    """µs after the start."""
    _sums: Floats = field(default_factory=lambda: np.zeros(1), repr=False)
    """How many rows came before each break."""
    _slopes: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    """Rows a µs from each break to the next."""
    _shares: Floats = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    """Which part of a segment's rows is of each burst, added up over the bursts."""

    def rows_before(self, time_us: int) -> int:
        """How many rows have happened before a time (µs since 1970)."""
        passed = time_us - self.start_us
        if passed <= 0:
            return 0
        if self._is_even:
            return int(np.ceil(passed * self.rate / 1_000_000))
        while self._breaks[-1] <= passed:
            self._extend()
        place = int(np.searchsorted(self._breaks, passed, side="right")) - 1
        return int(np.ceil(self._sums[place] + (passed - self._breaks[place]) * self._slopes[place]))

    def times(self, rows: Numbers) -> Numbers:
        """When each row happens, in µs since 1970."""
        if self._is_even:
            return self.start_us + np.floor(rows.astype(np.float64) * (1_000_000 / self.rate)).astype(np.int64)
        place = self._segments(rows)
        within = (rows - self._sums[place]) / self._slopes[place]
        return self.start_us + self._breaks[place] + np.floor(within).astype(np.int64)

    def bursts_of(self, key: int, rows: Numbers) -> Numbers:
        """Which burst each row is of, -1 for none."""
        if not self.bursts:
            return np.full(len(rows), -1, np.int64)
        place = self._segments(rows)
        shares = self._shares[place]
        drawn = draws.unit(key, rows)
        found = (drawn[:, None] >= shares).sum(axis=1)
        return np.where(found < len(self.bursts), found, -1)

    @property
    def _is_even(self) -> bool:
        return not self.profile and not self.bursts

    def _segments(self, rows: Numbers) -> Numbers:
        last = float(rows.max()) if len(rows) else 0.0
        while self._sums[-1] <= last:
            self._extend()
        # A row lies in the last segment that begins with no more rows than came before it; empty segments have none.
        return np.searchsorted(self._sums, rows, side="right").astype(np.int64) - 1

    def _extend(self) -> None:
        """Know the rates of some more days."""
        begin = int(self._breaks[-1])
        end = begin - begin % DAY_US + _DAYS_AT_ONCE * DAY_US
        edges = {begin, end}
        if self.profile:
            first = -self.start_us % HOUR_US
            edges.update(range(begin + (first - begin) % HOUR_US, end, HOUR_US))
        spans = [span for burst in self.bursts for span in _spans(burst, begin, end)]
        edges.update(edge for span in spans for edge in span if begin < edge < end)
        breaks = np.array(sorted(edges), np.int64)
        starts = breaks[:-1]
        normal = np.full(len(starts), self.rate)
        if self.profile:
            hours = ((self.start_us + starts) // HOUR_US) % 24
            normal *= np.asarray(self.profile)[hours]
        more = np.array([_rate_at(burst, starts) for burst in self.bursts]).reshape(len(self.bursts), len(starts))
        whole = normal + more.sum(axis=0)
        slopes = whole / 1_000_000
        sums = self._sums[-1] + np.cumsum(slopes * np.diff(breaks))
        self._breaks = np.concatenate([self._breaks, breaks[1:]])
        self._sums = np.concatenate([self._sums, sums])
        self._slopes = np.concatenate([self._slopes, slopes])
        if self.bursts:
            with np.errstate(invalid="ignore", divide="ignore"):
                shares = np.nan_to_num(np.cumsum(more, axis=0) / whole).T
            self._shares = np.concatenate([self._shares.reshape(-1, len(self.bursts)), shares])
        if len(self._breaks) > 4_000_000:
            raise OverflowError("the rate is too low for so many rows")


def _spans(burst: Burst, begin: int, end: int) -> list[tuple[int, int]]:
    """When a burst is, of those that touch a time."""
    if not burst.every_us:
        return [(burst.at_us, burst.at_us + burst.length_us)]
    first = max((begin - burst.at_us) // burst.every_us, 0)
    last = max((end - burst.at_us) // burst.every_us, 0)
    starts = [burst.at_us + turn * burst.every_us for turn in range(first, last + 1)]
    return [(start, start + burst.length_us) for start in starts]


def _rate_at(burst: Burst, times: Numbers) -> Floats:
    since = times - burst.at_us
    within = since % burst.every_us if burst.every_us else since
    return np.where((since >= 0) & (within < burst.length_us), burst.rate, 0.0)
