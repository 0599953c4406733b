"""Answers of the engine that are kept for a moment, so that a series of questions about one plan asks each only once.

When a query starts, checks, types and operators ask for the columns of the same parts of its plan again and again: a
join of two streams asked 139 questions, of which 11 differ. What a series begins with holds to its end, so nothing is
kept longer than that, and nothing is seen by other threads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar, cast

T = TypeVar("T")

_ANSWERS: Final[ContextVar[dict[Hashable, object] | None]] = ContextVar("answers", default=None)


@contextmanager
def asking_once() -> Iterator[None]:
    """While the block runs, this thread gets the answer it had before to a question that it repeats."""
    token = _ANSWERS.set({})
    try:
        yield
    finally:
        _ANSWERS.reset(token)


def once(question: Hashable, ask: Callable[[], T]) -> T:
    """The answer to `question`: the one that is kept, if there is one, else what `ask` gives. Errors are not kept."""
    answers = _ANSWERS.get()
    if answers is None:
        return ask()
    if question not in answers:
        answers[question] = ask()
    return cast(T, answers[question])


def forget() -> None:
    """What was asked may have another answer now: the session was changed."""
    answers = _ANSWERS.get()
    if answers is not None:
        answers.clear()
