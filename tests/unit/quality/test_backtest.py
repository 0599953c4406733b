"""What is held against the truth: attacks that were found, moments that were flagged in vain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from riacho.quality.backtest import Score, score

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


TRUTH = {at(minute): {3: 0, 4: 0, 5: 0, 8: 1, 9: 1}.get(minute) for minute in range(12)}


def test_an_attack_is_found_by_any_of_its_moments_and_the_delay_is_what_went_by_before() -> None:
    found = score(TRUTH, {at(4), at(5), at(11)})

    assert found == Score(attacks=2, found=1, flagged=3, right=2, delays=[1])
    assert (found.recall, found.precision, found.false_alarms) == (0.5, 2 / 3, 1)


def test_without_attacks_or_flags_there_is_no_share() -> None:
    assert score(TRUTH, set()).precision is None
    assert score(dict.fromkeys(TRUTH), {at(1)}).recall is None
    assert score(dict.fromkeys(TRUTH), {at(1)}).false_alarms == 1
