"""The watermark moves as Spark's does; delays are read as Spark reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.conf import WATERMARK_POLICY
from riacho.errors import IllegalArgumentError, ParseError
from riacho.intervals import interval_us
from riacho.server.streaming.execution import EventTime
from riacho.server.streaming.watermark import WatermarkPolicy, WatermarkTracker, delay_ms


def seen(max_ms: int) -> EventTime:
    return EventTime(max_ms=max_ms, min_ms=0, avg_ms=0, count=1)


BATCHES = st.lists(st.tuples(st.none() | st.integers(-100, 1000), st.none() | st.integers(-100, 1000)), max_size=12)


@pytest.mark.parametrize("policy", list(WatermarkPolicy))
@given(batches=BATCHES)
def test_it_only_moves_up(policy: WatermarkPolicy, batches: list[tuple[int | None, int | None]]) -> None:
    tracker = WatermarkTracker([10, 50], policy)
    before = tracker.value_ms
    for batch in batches:
        after = tracker.advance([None if time is None else seen(time) for time in batch])
        assert after >= before
        before = after


@given(batches=BATCHES)
def test_min_is_behind_every_operator_and_max_is_at_the_first(batches: list[tuple[int | None, int | None]]) -> None:
    lowest, highest = WatermarkTracker([10, 50], WatermarkPolicy.MIN), WatermarkTracker([10, 50], WatermarkPolicy.MAX)
    for batch in batches:
        times = [None if time is None else seen(time) for time in batch]
        assert lowest.advance(times) <= highest.advance(times)
    reached = [
        max((time for time in column if time is not None), default=None) for column in zip(*batches, strict=True)
    ]
    values = [0 if time is None else time - delay for time, delay in zip(reached, [10, 50], strict=False)]
    assert lowest.value_ms == max(0, min(values, default=0))
    assert highest.value_ms == max(0, max(values, default=0))


def test_after_a_restart_it_waits_until_the_operators_have_caught_up() -> None:
    tracker = WatermarkTracker([0, 0], WatermarkPolicy.MIN, start_ms=500)
    assert tracker.advance([seen(900), None]) == 500
    assert tracker.advance([None, seen(700)]) == 700


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("10 minutes", 600_000),
        ("1 hour 30 minutes", 5_400_000),
        ("interval 2 days", 172_800_000),
        ("INTERVAL 1 WEEK", 604_800_000),
        ("1.5 seconds", 1_500),
        ("2 hours -30 minutes", 5_400_000),
        ("1 month", 31 * 86_400_000),
        ("0 seconds", 0),
    ],
)
def test_delays(text: str, milliseconds: int) -> None:
    assert delay_ms(text) == milliseconds


def test_intervals_keep_months_apart() -> None:
    assert interval_us("1 year 2 months 3 seconds") == (14, 3_000_000)


@pytest.mark.parametrize("text", ["", "soon", "10", "minutes", "10 minuten", "1.5 minutes", "10 minutes later"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="CANNOT_PARSE_INTERVAL"):
        delay_ms(text)


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(IllegalArgumentError, match=r"delay threshold \(-1 second\) should not be negative"):
        delay_ms("-1 second")


def test_policies() -> None:
    assert WatermarkPolicy.of({}) is WatermarkPolicy.MIN
    assert WatermarkPolicy.of({WATERMARK_POLICY.key: "MAX"}) is WatermarkPolicy.MAX
    with pytest.raises(IllegalArgumentError, match="median"):
        WatermarkPolicy.of({WATERMARK_POLICY.key: "median"})
