"""The life of a streaming query as a table.

    INITIALIZING ──started──► ACTIVE ──ended──► TERMINATED
          └───────────────────ended───────────────┘

`started`: sources and sink are open. `ended`: the trigger is done, somebody stopped it, or it failed; the failure, if
there is one, is kept beside the state. Source: `org.apache.spark.sql.execution.streaming.StreamExecution.State`.
"""

from __future__ import annotations

from enum import Enum, auto


class QueryState(Enum):
    INITIALIZING = auto()
    ACTIVE = auto()
    TERMINATED = auto()


class QueryEvent(Enum):
    STARTED = auto()
    ENDED = auto()


TRANSITIONS: dict[QueryState, dict[QueryEvent, QueryState]] = {
    QueryState.INITIALIZING: {QueryEvent.STARTED: QueryState.ACTIVE, QueryEvent.ENDED: QueryState.TERMINATED},
    QueryState.ACTIVE: {QueryEvent.ENDED: QueryState.TERMINATED},
    QueryState.TERMINATED: {},
}


def apply(state: QueryState, event: QueryEvent) -> QueryState:
    """The state after `event`. Raises ValueError for one that the state does not take."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ValueError(f"a query that is {state.name} cannot take {event.name}") from None
