"""Views that are kept fresh: each once for a change, after those it reads, and none is left behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riacho.server.graph.names import Identifier
from riacho.server.graph.turns import ViewTurns

A, B, C = (Identifier((name,)) for name in "abc")
CHAIN: dict[Identifier, set[Identifier]] = {A: set(), B: {A}, C: {A, B}}


def begins(turns: ViewTurns, view: Identifier) -> bool:
    return turns.begin(view, 0, lambda: None)


def test_a_view_comes_after_those_it_reads() -> None:
    turns = ViewTurns(CHAIN, at_once=3)
    for view in (C, B, A):
        turns.mark(view)
    assert [begins(turns, view) for view in (C, B, A)] == [False, False, True]
    assert not begins(turns, C)
    turns.rest(A)
    turns.awake(A)
    assert [begins(turns, view) for view in (C, B)] == [False, True]
    turns.rest(B)
    turns.awake(B)
    assert begins(turns, C)


def test_changes_that_never_end_leave_nobody_behind() -> None:
    turns = ViewTurns(CHAIN, at_once=3)
    for view in (A, B, C):
        turns.mark(view)
    assert begins(turns, A)
    turns.rest(A)
    turns.awake(A)
    turns.mark(A)
    assert begins(turns, A), "it has changed again"
    assert begins(turns, B), "it has waited once for a, and does not again"


def test_nobody_waits_for_a_view_that_rests_or_has_failed() -> None:
    turns = ViewTurns(CHAIN, at_once=3)
    turns.mark(A)
    assert begins(turns, A)
    turns.rest(A)
    turns.mark(A)  # its interval is not over
    turns.mark(B)
    assert not begins(turns, A)
    assert begins(turns, B)
    turns.leave(B)
    turns.mark(C)
    assert begins(turns, C)


def test_so_many_at_once_and_the_first_first() -> None:
    views = [Identifier((name,)) for name in "pqr"]
    turns = ViewTurns({view: set() for view in views}, at_once=2)
    for view in reversed(views):
        turns.mark(view)
    assert [begins(turns, view) for view in views] == [False, True, True]
    turns.leave(views[1])
    assert begins(turns, views[0])


@given(st.lists(st.sampled_from([A, B, C]), max_size=30), st.integers(1, 3))
def test_whatever_changes_is_refreshed_in_the_end(changes: list[Identifier], at_once: int) -> None:
    turns = ViewTurns(CHAIN, at_once)
    changed: set[Identifier] = set()
    for number, view in enumerate(changes):
        turns.mark(view)
        changed.add(view)
        if number % 2:
            continue
        for each in sorted(changed):
            if begins(turns, each):
                turns.rest(each)
                turns.awake(each)
                changed.discard(each)
    for _ in range(3):
        for each in sorted(changed):
            if begins(turns, each):
                turns.rest(each)
                turns.awake(each)
                changed.discard(each)
    assert not changed
