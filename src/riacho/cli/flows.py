"""The flows of a pipeline run, followed through its events: which are under way, which are done, how long they took.

Events cross Spark Connect as a time and a text, so the text is all there is to go by:

    Flow spark_catalog.gold.clock is STARTING.          Flow 'spark_catalog.gold.clock' has FAILED.
    Flow spark_catalog.gold.clock has COMPLETED.        Error: <the messages of its causes>
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from riacho.cli.failures import first_line

Mark = Literal["done", "failed", "retried", "skipped", "note"]

_FLOW = re.compile(r"Flow '?(?P<flow>[^']+?)'? (?:(?:is|has) )?(?P<state>[A-Z]{4,})\b")
_UNRESOLVED = re.compile(r"Failed to resolve flow(?P<upstream> due to upstream failure)?: '(?P<flow>[^']+)'")
_CATALOG = "spark_catalog."


class FlowStatus(StrEnum):
    """Where a flow stands, by the word in its event."""

    QUEUED = "QUEUED"
    PLANNING = "PLANNING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    EXCLUDED = "EXCLUDED"
    IDLE = "IDLE"
    STOPPED = "STOPPED"


_UNDER_WAY = (FlowStatus.PLANNING, FlowStatus.STARTING, FlowStatus.RUNNING)
_ALIVE = (*_UNDER_WAY, FlowStatus.IDLE)
_OVER: dict[FlowStatus, Mark] = {
    FlowStatus.COMPLETED: "done",
    FlowStatus.SKIPPED: "skipped",
    FlowStatus.STOPPED: "skipped",
}


@dataclass(frozen=True)
class Line:
    """Something to tell: what it is about, what happened, how long it took if it ran."""

    mark: Mark
    subject: str
    seconds: float | None = None
    detail: str = ""


class FlowBoard:
    """All flows of one run. `follow` each event and print the line it gives; when no more come, those in `failed`.

    Whether a failure is the end or another attempt follows is known only later, so its line waits until then.
    """

    def __init__(self) -> None:
        self._states: dict[str, FlowStatus] = {}
        self._started: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._failed: dict[str, Line] = {}

    @property
    def failed(self) -> list[Line]:
        """The flows that failed and have not been tried again."""
        return list(self._failed.values())

    @property
    def states(self) -> dict[str, FlowStatus]:
        """Where each flow stands, in the order in which they were heard of."""
        return dict(self._states)

    @property
    def under_way(self) -> list[str]:
        """The flows that run now, in the order of their start."""
        return sorted((f for f, s in self._states.items() if s in _UNDER_WAY), key=lambda flow: self._started[flow])

    @property
    def total(self) -> int:
        """How many flows take part; what is excluded does not."""
        return sum(state is not FlowStatus.EXCLUDED for state in self._states.values())

    @property
    def name_width(self) -> int:
        """Columns that the longest name takes."""
        return max(map(len, self._states), default=0)

    def count(self, state: FlowStatus) -> int:
        """How many flows stand there."""
        return sum(each is state for each in self._states.values())

    def follow(self, message: str, at: float) -> Line | None:
        """Take in an event of the time `at` (seconds). None: it changes nothing that is worth a line."""
        text, _, error = message.partition("\nError: ")
        if unresolved := _UNRESOLVED.match(text):
            # Those that merely read from it say nothing new, and come first.
            return (
                None
                if unresolved["upstream"]
                else Line("failed", short_name(unresolved["flow"]), None, first_line(error))
            )
        found = _FLOW.match(text)
        if found is None or found["state"] not in FlowStatus.__members__:
            return None if text.startswith("Run is ") else Line("note", first_line(message))
        return self._move(short_name(found["flow"]), FlowStatus(found["state"]), at, error)

    def _move(self, flow: str, state: FlowStatus, at: float, error: str) -> Line | None:
        before = self._states.get(flow)
        self._states[flow] = state
        if state in _UNDER_WAY:
            if before in _ALIVE:
                return None
            self._started[flow] = at
            self._attempts[flow] = self._attempts.get(flow, 0) + 1
            failure = self._failed.pop(flow, None)
            return failure and replace(failure, mark="retried")
        seconds = at - self._started[flow] if before in _ALIVE else None
        if state is FlowStatus.FAILED:
            self._failed[flow] = Line("failed", flow, seconds, first_line(error))
            return None
        if state not in _OVER:
            return None
        attempt = self._attempts.get(flow, 1)
        retried = f"at attempt {attempt}" if attempt > 1 else ""
        return Line(_OVER[state], flow, seconds, "what it reads has failed" if state is FlowStatus.SKIPPED else retried)


def short_name(flow: str) -> str:
    """A name without the catalog that everybody has."""
    return flow.removeprefix(_CATALOG)
