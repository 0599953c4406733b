from __future__ import annotations

import pytest

from riacho.server.streaming.lifecycle import TRANSITIONS, QueryEvent, QueryState, apply


@pytest.mark.parametrize("state", QueryState)
@pytest.mark.parametrize("event", QueryEvent)
def test_each_event_is_taken_or_refused_as_the_table_says(state: QueryState, event: QueryEvent) -> None:
    if event in TRANSITIONS[state]:
        assert apply(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(ValueError, match=state.name):
            apply(state, event)


def test_every_state_leads_to_the_end() -> None:
    assert all(QueryEvent.ENDED in TRANSITIONS[state] for state in QueryState if state is not QueryState.TERMINATED)
