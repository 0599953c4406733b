"""Waiting for something that another process does, with an end: for tests that must not sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

POLL_S: Final = 0.1


def until(happened: Callable[[], bool], what: str, limit_s: float) -> None:
    """Wait until `happened()`, looking ten times a second. Raises AssertionError that names `what` after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline, f"not within {limit_s:.0f} s: {what}"
        threading.Event().wait(POLL_S)
