"""What Kafka's client has to say, in the server's log: while brokers are away it says the same many times a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

SILENCE_S: Final = 60.0
"""What was said is not said again before this has passed."""
_MOST: Final = 200
"""More different texts than this are not remembered."""


class Sparing(logging.Filter):
    """Lets each text through once a minute, without the client's names of itself and its threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged; what is said of it is shortened here."""
        text = record.getMessage().rpartition("]: ")[2]
        what = text.partition(" (after ")[0]  # the time that an attempt took is another one each time
        now = self._clock()
        last = self._said.get(what)
        if last is not None and now - last < SILENCE_S:
            return False
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[what] = now
        record.msg, record.args = "Kafka's client: %s", (what,)
        return True


CLIENT_LOG: Final = logging.getLogger("riacho.kafka.client")
"""Given to every client that is made."""
CLIENT_LOG.addFilter(Sparing())
