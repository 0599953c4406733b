"""Most of a block by a fast parser that takes all or nothing, the rest record by record.

A strict parser is much faster than the exact one, but one odd record makes it refuse the whole block. So the odd
records are searched for: where the parser says which record it stumbled over, that one is peeled off and the parser is
tried on both sides; where it does not, the block is cut into parts and each is tried alone. Small parts, and parts
where odd records are common, go to the exact parser at once. The result is the same as if each record had been
converted alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LEAF: Final = 4
"""Parts of at most so many records go to the exact parser: calling the strict one costs as much as converting them."""

_WAYS: Final = 8
"""Into how many parts a refused block is cut: fewer reads of good records than by halves, fewer calls than by more."""

_COMMON: Final = 8
"""With more than one odd record among so many, the exact parser alone is faster than searching."""


@dataclass(frozen=True)
class Refused:
    """The strict parser's answer to a block that it cannot take. `at`: the record it blames, if it knows."""

    at: int | None = None


def salvage(count: int, strict: Callable[[int, int], T | Refused], exact: Callable[[int, int], T]) -> list[T]:
    """The results for the records 0 to `count`, in order, as adjoining pieces.

    `strict(low, high)` converts the records from `low` up to `high` or refuses them all; a record that it blames
    wrongly costs time but changes nothing. `exact(low, high)` always converts them.
    """
    search = _Search(strict, exact, [])
    if count:
        search.convert(0, count)
    return search.pieces


@dataclass(frozen=True)
class _Search(Generic[T]):
    strict: Callable[[int, int], T | Refused]
    exact: Callable[[int, int], T]
    pieces: list[T]

    def convert(self, low: int, high: int) -> None:
        if high - low <= LEAF:
            self.pieces.append(self.exact(low, high))
            return
        outcome = self.strict(low, high)
        if not isinstance(outcome, Refused):
            self.pieces.append(outcome)
        elif outcome.at is None:
            self._split(low, high)
        else:
            self._peel(low, outcome.at, high)

    def _prefix(self, low: int, high: int) -> None:
        """Convert the records before a blamed one. If that was blamed wrongly, no more blame is believed."""
        outcome = self.strict(low, high) if high - low > LEAF else self.exact(low, high)
        if isinstance(outcome, Refused):
            self._split(low, high)
        else:
            self.pieces.append(outcome)

    def _split(self, low: int, high: int) -> None:
        step = -(-(high - low) // _WAYS)
        for start in range(low, high, step):
            self.convert(start, min(start + step, high))

    def _peel(self, low: int, at: int, high: int) -> None:
        """Convert `low` to `high`, of which `at` is the first odd record."""
        start, peeled = low, 0
        while True:
            if at > low:
                self._prefix(low, at)
            self.pieces.append(self.exact(at, at + 1))
            low, peeled = at + 1, peeled + 1
            if high - low <= LEAF or (peeled > 2 and peeled * _COMMON > low - start):
                if low < high:
                    self.pieces.append(self.exact(low, high))
                return
            outcome = self.strict(low, high)
            if not isinstance(outcome, Refused):
                self.pieces.append(outcome)
                return
            if outcome.at is None:
                self._split(low, high)
                return
            at = outcome.at
