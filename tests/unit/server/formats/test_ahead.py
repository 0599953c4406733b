"""Parts are worked on ahead and come out in order, errors at their place."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from riacho.server.formats.ahead import in_order


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_the_order_is_kept(count: int, threads: int) -> None:
    assert list(in_order(lambda part: part * 2, iter(range(count)), threads)) == [2 * part for part in range(count)]


def test_one_part_is_worked_on_by_the_caller() -> None:
    assert list(in_order(lambda _: threading.current_thread(), iter([1]), 3)) == [threading.current_thread()]


def test_an_error_stands_where_its_result_would() -> None:
    results = in_order(lambda part: 6 // part, iter([3, 2, 0, 1, 0]), 3)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("good", [0, 1, 2, 9])
def test_what_stands_before_a_part_that_cannot_be_had_is_given(good: int) -> None:
    def parts() -> Iterator[int]:
        yield from range(good)
        raise EOFError

    given: list[int] = []
    with pytest.raises(EOFError):
        given.extend(in_order(lambda part: part, parts(), 3))
    assert given == list(range(good))


def test_few_parts_are_taken_ahead() -> None:
    taken: list[int] = []

    def parts() -> Iterator[int]:
        for part in range(1_000):
            taken.append(part)
            yield part

    results = in_order(lambda part: part, parts(), 3)
    assert next(results) == 0
    assert len(taken) <= 3 + 2
