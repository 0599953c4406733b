"""Which flow may start when: the state of each flow of a run, and what follows from one that ends.

    QUEUED ──start──► RUNNING ──succeed──► SUCCESSFUL
      ▲                  │ fail
      │ (its time)       ├─ retries left ──► WAITING ──start──► RUNNING
      │                  └─ none left ─────► FAILED, and all that depend on it: SKIPPED
    EXCLUDED counts as done

No I/O and no clock: times are passed in. Source: Spark's `TriggeredGraphExecution`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from riacho.server.graph.dag import Dag
from riacho.server.graph.names import Identifier


class FlowState(Enum):
    """The states of a flow during a run."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting to be tried again"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    SKIPPED = "skipped"
    EXCLUDED = "excluded"


class Happening(Enum):
    """What can happen to a flow."""

    START = "start"
    SUCCEED = "succeed"
    FAIL_FOR_NOW = "fail for now"
    FAIL_FOR_GOOD = "fail for good"
    SKIP = "skip"


TRANSITIONS: Mapping[FlowState, Mapping[Happening, FlowState]] = {
    FlowState.QUEUED: {Happening.START: FlowState.RUNNING, Happening.SKIP: FlowState.SKIPPED},
    FlowState.RUNNING: {
        Happening.SUCCEED: FlowState.SUCCESSFUL,
        Happening.FAIL_FOR_NOW: FlowState.WAITING,
        Happening.FAIL_FOR_GOOD: FlowState.FAILED,
    },
    FlowState.WAITING: {Happening.START: FlowState.RUNNING, Happening.SKIP: FlowState.SKIPPED},
    FlowState.SUCCESSFUL: {},
    FlowState.FAILED: {},
    FlowState.SKIPPED: {Happening.SKIP: FlowState.SKIPPED},
    FlowState.EXCLUDED: {Happening.SKIP: FlowState.EXCLUDED},
}

_SATISFIED = frozenset({FlowState.SUCCESSFUL, FlowState.EXCLUDED})


@dataclass(frozen=True)
class Backoff:
    """How long to wait before a flow is tried again: the shortest wait, doubled each time, up to the longest."""

    shortest_ms: int
    longest_ms: int

    def wait_ms(self, failures: int) -> int:
        """The wait after the flow has failed so many times, at least once."""
        return min(self.longest_ms, self.shortest_ms << min(failures - 1, 32))


@dataclass(frozen=True)
class FailureOutcome:
    """What follows from a failure: another attempt, or the end of this flow and of those `skipped` because of it."""

    is_final: bool
    skipped: tuple[Identifier, ...] = ()


class Schedule:
    """The states of all flows of one run. Used by one thread."""

    def __init__(
        self,
        needs: Dag[Identifier],
        *,
        excluded: Iterable[Identifier],
        retries: Mapping[Identifier, int],
        backoff: Backoff,
    ) -> None:
        self._needs = needs
        self._retries = retries
        self._backoff = backoff
        self._states = dict.fromkeys(needs, FlowState.QUEUED)
        self._states.update(dict.fromkeys(excluded, FlowState.EXCLUDED))
        self._failures = dict.fromkeys(needs, 0)
        self._retry_at_ms: dict[Identifier, float] = {}

    def state(self, flow: Identifier) -> FlowState:
        return self._states[flow]

    @property
    def is_done(self) -> bool:
        """Whether no flow runs and none will."""
        return not any(
            state in (FlowState.QUEUED, FlowState.RUNNING, FlowState.WAITING) for state in self._states.values()
        )

    @property
    def running(self) -> list[Identifier]:
        return [flow for flow, state in self._states.items() if state is FlowState.RUNNING]

    def startable(self, now_ms: float) -> list[Identifier]:
        """The flows that may start now: all they need is done, and the time of another attempt has come."""
        return [flow for flow in self._states if self._may_start(flow, now_ms)]

    def next_attempt_ms(self) -> float | None:
        """When the next flow is to be tried again; None if none waits."""
        waiting = [at for flow, at in self._retry_at_ms.items() if self._states[flow] is FlowState.WAITING]
        return min(waiting, default=None)

    def start(self, flow: Identifier) -> None:
        """An attempt begins. Raises ValueError for a flow that cannot start as it is."""
        self._apply(flow, Happening.START)

    def succeed(self, flow: Identifier) -> None:
        """An attempt has gone well. Raises ValueError for a flow that does not run."""
        self._apply(flow, Happening.SUCCEED)

    def fail(self, flow: Identifier, now_ms: float, *, final: bool = False) -> FailureOutcome:
        """An attempt has failed. `now_ms`: from when the wait for the next one counts; `final`: there is to be none.

        Raises ValueError for a flow that does not run.
        """
        self._failures[flow] += 1
        if not final and self._failures[flow] <= self._retries[flow]:
            self._apply(flow, Happening.FAIL_FOR_NOW)
            self._retry_at_ms[flow] = now_ms + self._backoff.wait_ms(self._failures[flow])
            return FailureOutcome(is_final=False)
        self._apply(flow, Happening.FAIL_FOR_GOOD)
        return FailureOutcome(is_final=True, skipped=self._skip(self._needs.downstream(flow)))

    def progressed(self, flow: Identifier) -> None:
        """A running flow has got somewhere: failures before that no longer count."""
        self._failures[flow] = 0

    def abandon(self, flow: Identifier) -> None:
        """A running flow was stopped. Raises ValueError for one that does not run."""
        self._apply(flow, Happening.FAIL_FOR_GOOD)

    def cancel(self) -> None:
        """Nothing more is to be started."""
        self._skip({flow for flow, state in self._states.items() if state in (FlowState.QUEUED, FlowState.WAITING)})

    def _skip(self, flows: set[Identifier]) -> tuple[Identifier, ...]:
        """Skip `flows`; those that changed by it, in order."""
        ordered = [flow for flow in self._needs.sorted() if flow in flows]
        changed = [flow for flow in ordered if self._states[flow] in (FlowState.QUEUED, FlowState.WAITING)]
        for flow in ordered:
            self._apply(flow, Happening.SKIP)
        return tuple(changed)

    def _may_start(self, flow: Identifier, now_ms: float) -> bool:
        state = self._states[flow]
        if state is FlowState.WAITING:
            return self._retry_at_ms[flow] <= now_ms
        return state is FlowState.QUEUED and all(self._states[need] in _SATISFIED for need in self._needs.needs(flow))

    def _apply(self, flow: Identifier, happening: Happening) -> None:
        state = self._states[flow]
        after = TRANSITIONS[state].get(happening)
        if after is None:
            raise ValueError(f"flow {flow} is {state.value}: it cannot {happening.value}")
        self._states[flow] = after
