from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riacho.server.formats.salvage import LEAF, Refused, salvage

Piece = list[int]


@given(
    count=st.integers(0, 2000),
    odd=st.sets(st.integers(0, 1999)),
    hints=st.sampled_from(["none", "first", "wrong"]),
)
def test_every_record_is_converted_once_in_order(count: int, odd: set[int], hints: str) -> None:
    """Whatever the strict parser refuses, and whichever record it blames."""

    def strict(low: int, high: int) -> Piece | Refused:
        found = [i for i in range(low, high) if i in odd]
        if not found:
            return list(range(low, high))
        return Refused({"none": None, "first": found[0], "wrong": high - 1}[hints])

    pieces = salvage(count, strict, lambda low, high: list(range(low, high)))
    assert [i for piece in pieces for i in piece] == list(range(count))


def exact_parts(odd: int, *, hint: bool) -> list[tuple[int, int]]:
    """What the exact parser is given of 10,000 records of which one is odd."""
    parts: list[tuple[int, int]] = []

    def strict(low: int, high: int) -> Piece | Refused:
        return Refused(odd if hint else None) if low <= odd < high else []

    def exact(low: int, high: int) -> Piece:
        parts.append((low, high))
        return []

    salvage(10_000, strict, exact)
    return parts


def test_good_records_stay_with_the_strict_parser() -> None:
    assert exact_parts(5000, hint=True) == [(5000, 5001)]


def test_a_search_without_hints_ends_in_small_parts() -> None:
    assert sum(high - low for low, high in exact_parts(5000, hint=False)) <= 8 * LEAF


def test_a_block_full_of_odd_records_is_not_searched() -> None:
    calls: list[int] = []

    def strict(low: int, high: int) -> Piece | Refused:
        calls.append(low)
        return Refused(low)

    salvage(10_000, strict, lambda low, high: [])
    assert len(calls) < 10
