"""What a flow that keeps running says of itself, and how often a view that is kept fresh is refreshed.

Such a flow runs and rests many times a second; its client hears of it when it rests for a while, and when it no longer
does. Pure, but for the callback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from riacho.server.graph import events
from riacho.server.graph.events import PipelineEvent
from riacho.server.graph.inputs import UNKNOWN_S, WatchedInputs
from riacho.server.graph.names import Identifier


class _Said(Enum):
    NOTHING = auto()
    RUNNING = auto()
    IDLE = auto()


class FlowPulse:
    """`tell` gets a flow and an event of it, or None once in an attempt: it has got somewhere."""

    def __init__(self, tell: Callable[[Identifier, PipelineEvent | None], None], flow: Identifier) -> None:
        self._tell = tell
        self._flow = flow
        self._said = _Said.NOTHING
        self._done = 0

    def runs(self) -> None:
        """It is at work."""
        if self._said is not _Said.RUNNING:
            self._said = _Said.RUNNING
            self._tell(self._flow, events.running(self._flow))

    def look(self, done: int, *, waits: bool) -> None:
        """It has done so many batches or refreshes in this attempt; `waits`: it has nothing to do now."""
        if done and not self._done:
            self._tell(self._flow, None)
        if done != self._done:
            self._done = done
            self.runs()
        elif waits and self._said is not _Said.IDLE:
            self._said = _Said.IDLE
            self._tell(self._flow, events.waiting(self._flow))


@dataclass(frozen=True)
class RefreshPace:
    """`interval_ms`: the least time between two refreshes, if anybody said."""

    interval_ms: int | None
    inputs: WatchedInputs

    def pause_s(self, took_s: float) -> float:
        """How long a view rests after a refresh that took so long, whatever happens."""
        return max((self.interval_ms or 0) / 1000 - took_s, 0)

    @property
    def unasked_s(self) -> float:
        """After how long it is refreshed though no change was seen."""
        if not self.inputs.others:
            return float("inf")
        return UNKNOWN_S if self.interval_ms is None else self.interval_ms / 1000
