"""How much may come: buckets that fill with time."""

from __future__ import annotations

from dataclasses import dataclass, field

from riacho.clock import Clock


@dataclass
class RateBucket:
    """So many a second, and at once what gathered in `burst_s` seconds. One request may take it below zero: then those
    after it wait until it is filled again, so that a request larger than the bucket is possible.
    """

    rate: float
    burst_s: float
    clock: Clock
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level = self.rate * self.burst_s
        self._at = self.clock.monotonic_ms()

    def wait_s(self) -> float:
        """How long to wait until something may be taken; 0: now."""
        now = self.clock.monotonic_ms()
        self._level = min(self.rate * self.burst_s, self._level + (now - self._at) / 1000 * self.rate)
        self._at = now
        return 0.0 if self._level > 0 else (-self._level + 1e-9) / self.rate

    def take(self, count: int) -> None:
        """Note that so many came."""
        self._level -= count
