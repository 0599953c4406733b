"""What a running query says of itself, and the place where others ask it to stop.

The query's thread writes and any thread reads. Nothing else is shared between them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from riacho.ids import Offset
from riacho.server.streaming.progress import Progress

PROGRESS_TO_KEEP = 100
WAITING = "Waiting for data to arrive"


class Stopped(Exception):  # noqa: N818 - what happened, not what is wrong
    """Somebody asked the query to stop; raised on its own thread at the next safe place."""


@dataclass(frozen=True)
class StatusMessage:
    """What `query.status` shows."""

    message: str
    is_data_available: bool = False
    is_trigger_active: bool = False


@dataclass
class Listener:
    """Who wants to hear of a query. Called on the query's thread with an event's JSON; must not block.

    `on_batch` gets the progress of each batch that the sink has, before the checkpoint says so: what it notes down is
    never missing for a batch that is done, but it may hear of a batch twice, if the query dies in between. What it
    raises fails the query. The durations are those so far.
    """

    on_progress: Callable[[str], None] = field(default=lambda _: None)
    on_idle: Callable[[str], None] = field(default=lambda _: None)
    on_terminated: Callable[[str], None] = field(default=lambda _: None)
    on_batch: Callable[[Progress], None] | None = None


class QueryStatus:
    """The status, offsets and progress of one run; see the module."""

    def __init__(self, *, progress_to_keep: int = PROGRESS_TO_KEEP) -> None:
        self.current = StatusMessage("Initializing sources")
        self.committed: Sequence[Offset | None] = ()
        self.available: Sequence[Offset | None] = ()
        self._recent: deque[Progress] = deque(maxlen=progress_to_keep)
        self._stop_asked = threading.Event()
        self._woken = threading.Event()
        self._changed = threading.Condition()
        self._idle_triggers = 0
        self.batches = 0
        """How many batches this run has committed."""
        self._over = False

    @property
    def recent(self) -> list[Progress]:
        """The last progress entries, oldest first."""
        return list(self._recent)

    @property
    def last(self) -> Progress | None:
        return self._recent[-1] if self._recent else None

    def post(self, entry: Progress) -> None:
        """Add a progress entry."""
        self._recent.append(entry)

    @property
    def stop_asked(self) -> bool:
        return self._stop_asked.is_set()

    def ask_to_stop(self) -> None:
        self._stop_asked.set()
        self._woken.set()

    def wake(self) -> None:
        """There is news for a source: whoever waits for data looks at once, or at the next wait."""
        self._woken.set()

    def check_stop(self) -> None:
        """Raises Stopped if somebody asked the query to stop."""
        if self._stop_asked.is_set():
            raise Stopped

    def sleep(self, ms: float) -> None:
        """Wait, but not beyond a request to stop, which raises Stopped."""
        if self._stop_asked.wait(ms / 1000):
            raise Stopped

    def sleep_until_woken(self, ms: float) -> None:
        """Wait, but not beyond news for a source, and as `sleep`."""
        if self._woken.wait(ms / 1000):
            self._woken.clear()
        self.check_stop()

    def found_nothing(self) -> None:
        """A trigger ended without new data."""
        with self._changed:
            self._idle_triggers += 1
            self._changed.notify_all()

    def end(self) -> None:
        """The run is over; whoever waits goes on."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def idle_waiter(self) -> Callable[[float | None], bool]:
        """A wait for a trigger that began after this call and found nothing, or for the end: whether one came in time.

        The wait may be taken in slices, each shorter than the time between two triggers.
        """
        with self._changed:
            # The trigger under way may have looked before the call, so the one after it is the first that counts.
            enough = self._idle_triggers + 2

        def wait(timeout_s: float | None) -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: self._over or self._idle_triggers >= enough, timeout_s)

        return wait

    def wait_end(self, timeout_s: float | None) -> bool:
        """Wait for the end of the run. Whether it came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._over, timeout_s)
