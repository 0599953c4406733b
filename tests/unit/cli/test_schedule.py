"""The steps of a schedule: one after the other, tried again, told; and when the next run begins."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from riacho.cli.schedule import ScheduleRunner
from riacho.cli.systems import ScheduledTask


class StoppedError(Exception):
    """Raised by a test's sleep to end a schedule."""


class HandClock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.at_ms = 1_767_614_730_000  # 2026-01-05T12:05:30Z
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_ms(self) -> float:
        return self.at_ms

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at_ms += round(seconds * 1000)


def failing(times: int, result: Any) -> Callable[[Any], Any]:
    """A step that fails so often, then gives `result`."""
    left = [times]

    def run(_: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise ValueError("no answer\nmore")
        return result

    return run


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def told() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def runner(clock: HandClock, told: io.StringIO) -> ScheduleRunner:
    return ScheduleRunner(Console(file=told, width=100), clock, clock.sleep)


def test_each_step_gets_what_the_one_before_gave(runner: ScheduleRunner, told: io.StringIO) -> None:
    steps = [
        ScheduledTask("collect", lambda given: [given, 1]),
        ScheduledTask("send", len, lambda found: f"{found} sent"),
    ]

    assert runner.run(steps)
    lines = told.getvalue().splitlines()
    assert lines[0] == "2026-01-05 12:05:30"
    assert lines[1].split()[:4] == ["✓", "collect", "[None,", "1]"]
    assert "2 sent" in lines[2]


def test_a_step_that_fails_is_tried_again_with_longer_pauses(
    runner: ScheduleRunner, clock: HandClock, told: io.StringIO
) -> None:
    assert runner.run([ScheduledTask("collect", failing(3, "done"))])
    assert clock.slept == [2.0, 4.0, 8.0]
    assert "no answer more; again in 4 s (attempt 2 of 4)" in told.getvalue()


def test_a_step_that_fails_for_good_ends_the_run(runner: ScheduleRunner, told: io.StringIO) -> None:
    ran: list[Any] = []
    assert not runner.run([ScheduledTask("collect", failing(9, None), attempts=2), ScheduledTask("send", ran.append)])
    assert ran == []
    assert "✗ collect" in told.getvalue()


def test_runs_begin_at_multiples_of_the_interval_and_none_is_made_up_for(
    runner: ScheduleRunner, clock: HandClock
) -> None:
    began: list[int] = []

    def run(_: Any) -> None:
        began.append(clock.at_ms)
        if len(began) == 2:
            clock.sleep(700)  # longer than an interval
        if len(began) == 4:
            raise StoppedError

    with pytest.raises(KeyboardInterrupt):
        runner.forever([ScheduledTask("slow", _stopping(run), attempts=1)], 600_000)
    minutes = [(moment - 1_767_614_400_000) / 60_000 for moment in began]
    assert minutes == [5.5, 10, 30, 40]


def _stopping(run: Callable[[Any], None]) -> Callable[[Any], None]:
    """`StoppedError` gets through a runner that takes every Exception for a failure."""

    def step(given: Any) -> None:
        try:
            run(given)
        except StoppedError:
            raise KeyboardInterrupt from None

    return step
