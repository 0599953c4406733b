"""The parts of a file worked on by several cores, its rows in their order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from itertools import chain, islice
from typing import NoReturn, TypeVar

P = TypeVar("P")
R = TypeVar("R")


def in_order(work: Callable[[P], R], parts: Iterator[P], threads: int) -> Iterator[R]:
    """`work` of each part, in order; of so many parts at a time, so memory stays bounded.

    A part that is alone is worked on by the caller's own thread, and so are all if that is the only one. What `work` or
    `parts` raises is raised behind the results of all parts before. `work` must not call this function.
    """
    if threads < 2:
        yield from map(work, parts)
        return
    given = _as_calls(parts)
    first = list(islice(given, 2))
    if len(first) < 2:
        yield from (work(part()) for part in first)
        return
    waiting: deque[Future[R]] = deque()
    try:
        for part in chain(first, given):
            waiting.append(_pool().submit(_work_on, work, part))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _as_calls(parts: Iterator[P]) -> Iterator[Callable[[], P]]:
    """Each part as a call that gives it; an error, which ends the parts, as a call that raises it."""
    try:
        for part in parts:
            yield partial(_give, part)
    except Exception as error:  # noqa: BLE001 - raised when it is its turn
        yield partial(_raise, error)


def _give(part: P) -> P:
    return part


def _raise(error: Exception) -> NoReturn:
    raise error


def _work_on(work: Callable[[P], R], part: Callable[[], P]) -> R:
    return work(part())


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads of all files together."""
    return ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="riacho-decode-part")
