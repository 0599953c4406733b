"""Waiting for a query to have nothing left to do."""

from __future__ import annotations

import threading

from riacho.server.streaming.query_status import QueryStatus


def test_the_trigger_under_way_does_not_count() -> None:
    status = QueryStatus()
    wait = status.idle_waiter()
    status.found_nothing()
    assert not wait(0)
    status.found_nothing()
    assert wait(0)


def test_triggers_that_come_between_two_slices_of_a_wait_count() -> None:
    """A slice may be shorter than the time between triggers, so no slice sees two of them."""
    status = QueryStatus()
    wait = status.idle_waiter()
    for _ in range(2):
        assert not wait(0)
        status.found_nothing()
    assert wait(0)


def test_the_end_of_the_run_ends_the_wait() -> None:
    status = QueryStatus()
    wait = status.idle_waiter()
    threading.Timer(0.01, status.end).start()
    assert wait(20)
