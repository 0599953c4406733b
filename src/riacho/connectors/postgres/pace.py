"""How often a server is asked that has had nothing new: an engine asks a hundred times a second."""

from __future__ import annotations

import time
from typing import Final

REST_S: Final = 0.1


class IdlePace:
    """Waits before the next question, if the last found nothing less than `REST_S` ago: its answer is fresh."""

    def __init__(self) -> None:
        self._idle_at: float | None = None

    def before(self) -> None:
        if self._idle_at is not None:
            time.sleep(max(self._idle_at + REST_S - time.monotonic(), 0))

    def after(self, *, found: bool) -> None:
        self._idle_at = None if found else time.monotonic()
