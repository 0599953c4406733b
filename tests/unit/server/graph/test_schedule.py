from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.graph.dag import Dag
from riacho.server.graph.names import Identifier
from riacho.server.graph.schedule import TRANSITIONS, Backoff, FlowState, Happening, Schedule

A, B, C, D = (Identifier((name,)) for name in "abcd")
CHAIN = {A: (), B: (A,), C: (A, B), D: ()}
BACKOFF = Backoff(shortest_ms=5_000, longest_ms=3_600_000)


def schedule(
    needs: dict[Identifier, tuple[Identifier, ...]], excluded: tuple[Identifier, ...] = (), retries: int = 2
) -> Schedule:
    return Schedule(Dag(needs), excluded=excluded, retries=dict.fromkeys(needs, retries), backoff=BACKOFF)


def test_flows_wait_for_what_they_need() -> None:
    flows = schedule(CHAIN)
    assert flows.startable(0) == [A, D]
    flows.start(A)
    assert flows.startable(0) == [D]
    flows.succeed(A)
    assert flows.startable(0) == [B, D]


def test_excluded_flows_count_as_done() -> None:
    flows = schedule(CHAIN, excluded=(A, D))
    assert flows.startable(0) == [B]


def test_a_failed_flow_is_tried_again_later_and_in_the_end_takes_others_along() -> None:
    flows = schedule(CHAIN, excluded=(C,))
    now_ms = 0.0
    for wait_ms in (5_000, 10_000):
        flows.start(A)
        assert not flows.fail(A, now_ms).is_final
        assert flows.next_attempt_ms() == now_ms + wait_ms
        assert A not in flows.startable(now_ms + wait_ms - 1)
        now_ms += wait_ms
        assert A in flows.startable(now_ms)
    flows.start(A)
    failure = flows.fail(A, now_ms)
    assert failure.is_final
    assert failure.skipped == (B,)
    assert flows.state(C) is FlowState.EXCLUDED
    assert flows.startable(now_ms) == [D]
    assert not flows.is_done
    flows.start(D)
    flows.succeed(D)
    assert flows.is_done


def test_cancelled_flows_do_not_start() -> None:
    flows = schedule(CHAIN)
    flows.start(A)
    flows.cancel()
    assert not flows.is_done
    flows.abandon(A)
    assert flows.is_done


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(shortest_ms=5_000, longest_ms=30_000)
    assert [backoff.wait_ms(failures) for failures in (1, 2, 3, 4, 1000)] == [5_000, 10_000, 20_000, 30_000, 30_000]


@pytest.mark.parametrize("state", FlowState)
@pytest.mark.parametrize("happening", Happening)
def test_what_cannot_happen_changes_nothing(state: FlowState, happening: Happening) -> None:
    flows = schedule({A: ()})
    flows._states[A] = state
    after = TRANSITIONS[state].get(happening)
    if after is None:
        with pytest.raises(ValueError, match="it cannot"):
            flows._apply(A, happening)
        assert flows.state(A) is state
    else:
        flows._apply(A, happening)
        assert flows.state(A) is after


@given(
    st.dictionaries(st.integers(0, 7), st.lists(st.integers(0, 7), max_size=3), min_size=1),
    st.lists(st.booleans(), max_size=60),
    st.integers(0, 2),
)
def test_every_run_ends(edges: dict[int, list[int]], outcomes: list[bool], retries: int) -> None:
    """Whatever fails, each flow ends, and none runs before what it needs has."""
    needs = {node: [need for need in edges.get(node, []) if need < node] for node in range(8)}
    names = {node: Identifier((str(node),)) for node in needs}
    dag = Dag({names[node]: [names[need] for need in below] for node, below in needs.items()})
    flows = Schedule(dag, excluded=(), retries=dict.fromkeys(dag, retries), backoff=BACKOFF)
    now_ms, left = 0.0, list(outcomes)
    while not flows.is_done:
        startable = flows.startable(now_ms)
        if not startable:
            now_ms = flows.next_attempt_ms() or now_ms
            continue
        flow = startable[0]
        assert all(flows.state(need) is FlowState.SUCCESSFUL for need in dag.needs(flow))
        flows.start(flow)
        if left and left.pop():
            flows.fail(flow, now_ms)
        else:
            flows.succeed(flow)
    ended = {flows.state(flow) for flow in dag}
    assert ended <= {FlowState.SUCCESSFUL, FlowState.FAILED, FlowState.SKIPPED}
