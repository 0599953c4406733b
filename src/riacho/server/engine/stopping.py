"""Whether what runs on this thread is to end: asked by whatever waits for others, however far down it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

Check = Callable[[], None]
"""Raises when somebody asked the work to stop."""
Item = TypeVar("Item")


def _go_on() -> None:
    """Nobody can stop it."""


_check: Final[ContextVar[Check]] = ContextVar("riacho-stop", default=_go_on)


def current_check() -> Check:
    """The check of the work that runs on this thread; to be taken along to threads that help with it."""
    return _check.get()


@contextmanager
def stoppable(check: Check) -> Iterator[None]:
    """What runs on this thread meanwhile is stopped by `check`."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def checked(items: Iterable[Item]) -> Iterator[Item]:
    """`items`, and before each a look whether the work is to end."""
    check = current_check()
    for item in items:
        check()
        yield item
