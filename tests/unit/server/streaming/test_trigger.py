from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import IllegalArgumentError, ParseError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.streaming.trigger import AvailableNow, Once, ProcessingTime, from_command, interval_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [("10 seconds", 10_000), ("interval 1 minute 30 seconds", 90_000), ("0 seconds", 0), ("500 milliseconds", 500)],
)
def test_intervals(text: str, ms: int) -> None:
    assert interval_ms(text) == ms


def test_what_is_no_interval_is_refused() -> None:
    with pytest.raises(ParseError):
        interval_ms("soon")
    with pytest.raises(IllegalArgumentError, match="month"):
        interval_ms("1 month")
    with pytest.raises(IllegalArgumentError, match="negative"):
        interval_ms("-1 second")


def test_triggers_of_a_command() -> None:
    start = pb.WriteStreamOperationStart
    assert from_command(start()) == ProcessingTime(0)
    assert from_command(start(processing_time_interval="5 seconds")) == ProcessingTime(5000)
    assert from_command(start(available_now=True)) == AvailableNow()
    assert from_command(start(once=True)) == Once()
    with pytest.raises(UnsupportedOperationError, match="continuous"):
        from_command(start(continuous_checkpoint_interval="1 second"))


@given(interval=st.integers(1, 100_000), now=st.integers(0, 10**13))
def test_the_next_start_is_the_next_multiple(interval: int, now: int) -> None:
    due = ProcessingTime(interval).next_start_ms(now)
    assert due % interval == 0
    assert now < due <= now + interval
