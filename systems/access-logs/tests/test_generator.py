"""The platform's users: what they do, that it can be repeated, how dirty it is, and that what is sent arrives."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from riacho.cli import systems

SYSTEM = Path(__file__).parents[1]
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
accesses: Any = systems.part(SYSTEM, "generator.accesses")
sending: Any = systems.part(SYSTEM, "generator.send")


class HandClock:
    """A clock that moves when somebody sleeps."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return round(self.at.timestamp() * 1000)

    def monotonic_ms(self) -> float:
        return self.now_ms()

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.at += timedelta(seconds=seconds)


def made(**settings: Any) -> pa.Table:
    options = accesses.AccessOptions(**{"count": 20_000, "rate": 50.0, "start": START, "wait": False, **settings})
    return pa.concat_tables([table for _, table in accesses.events(accesses.Platform(options, START), options)])


def test_an_event_has_the_documented_shape() -> None:
    event = accesses.documents(made(count=1))[0]

    assert list(event) == ["_id", "id", "access_timestamp", "device", "content_type", "location"]
    assert list(event["location"]) == ["country", "city"]
    assert event["_id"][14] == "4"
    assert datetime.fromisoformat(event["access_timestamp"]).tzinfo is not None


def test_the_same_seed_gives_the_same_events_and_another_gives_others() -> None:
    assert made(seed=3).equals(made(seed=3))
    assert not made(seed=3).equals(made(seed=4))


def test_every_event_has_an_id_of_its_own_but_for_those_that_are_sent_twice() -> None:
    clean, dirty = made(dirt=0), made(dirt=5)

    assert len(set(clean["_id"].to_pylist())) == 20_000
    repeated = 20_000 - len(set(dirty["_id"].to_pylist()))
    assert repeated == pytest.approx(20_000 * 5 * accesses.SHARES[accesses.Dirt.REPEATED], rel=0.3)


def test_evenings_are_busy_and_nights_are_not() -> None:
    table = made(rate=1.0, interval_s=600, count=86_400, dirt=0, start=datetime(2026, 1, 5, tzinfo=UTC))
    hours = Counter(text[11:13] for text in table["access_timestamp"].to_pylist())

    assert hours["21"] > 5 * hours["04"]
    assert hours.most_common(1)[0][0] in {"20", "21"}


def test_no_event_is_sent_later_than_the_pipeline_allows() -> None:
    options = accesses.AccessOptions(rate=500, start=START, interval_s=1, dirt=0)
    platform = accesses.Platform(options, START)
    for number in range(20):
        sent = (START + timedelta(seconds=number + 1)).replace(tzinfo=None)
        times = platform.stretch(number)["access_timestamp"].to_pylist()
        late = sent - datetime.fromisoformat(min(times)).replace(tzinfo=None)
        assert late <= timedelta(seconds=accesses.LONGEST_DELAY_S + 1)


def test_a_burst_adds_what_was_asked_for_from_a_few_users() -> None:
    usual = made(rate=1.0, evenly=True, count=400, dirt=0)
    attacked = made(rate=1.0, evenly=True, count=4_000, dirt=0, burst=2_000, burst_after_s=60.0, burst_minutes=1.5)
    times = Counter(text[11:16] for text in attacked["access_timestamp"].to_pylist())

    assert times["12:01"] == pytest.approx(2_060, abs=60)
    assert times["12:02"] == pytest.approx(1_060, abs=60)
    users = Counter(attacked["id"].to_pylist())
    assert len([user for user, n in users.items() if n > 100]) == accesses.BOTS
    assert max(Counter(usual["id"].to_pylist()).values()) < 30


def test_how_dirty_events_are() -> None:
    table = made(count=100_000, rate=1_000.0, dirt=2)
    found = {
        "device": table["device"].to_pylist().count("refrigerator"),
        "content": table["content_type"].to_pylist().count("clip"),
        "user": table["id"].null_count,
        "time": table["access_timestamp"].to_pylist().count("yesterday"),
    }

    assert found == pytest.approx({"device": 200, "content": 200, "user": 200, "time": 100}, rel=0.35)
    assert made(dirt=0)["id"].null_count == 0


def test_history_is_written_at_once_and_live_events_when_they_happen(tmp_path: Path) -> None:
    clock = HandClock(START)
    history = list(
        sending.generate(
            str(tmp_path / "h"), accesses.AccessOptions(count=100, rate=10, wait=False), clock=clock, sleep=clock.sleep
        )
    )
    assert clock.slept == []
    assert abs(history[-1].at - START) < timedelta(seconds=5)

    options = accesses.AccessOptions(count=100, rate=20, interval_s=0.5, evenly=True)
    live = list(sending.generate(str(tmp_path / "l"), options, clock=clock, sleep=clock.sleep))
    assert set(clock.slept) == {0.5}
    assert sum(sent.rows for sent in live) == 100
    lines = [line for file in sorted((tmp_path / "l").iterdir()) for line in file.read_text().splitlines()]
    assert len({json.loads(line)["_id"] for line in lines}) == pytest.approx(100, abs=2)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rate": -1.0}, "rate is -1.0"),
        ({"wait": False}, "count is None"),
        ({"dirt": 11.0}, "dirt is 11.0"),
        ({"start": START.replace(tzinfo=None)}, "start is"),
        ({"interval_s": 0.0}, "interval_s is 0.0"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        accesses.AccessOptions(**wrong)


def test_the_days_of_the_backtest_have_the_attacks_that_were_asked_for() -> None:
    backtest: Any = systems.load_backtest(SYSTEM)
    series = backtest.series(10, 12, 7)
    attacks = Counter(attack for attack in series["attack"].to_pylist() if attack is not None)

    assert series.num_rows == 14_400
    assert len(attacks) == 12
    assert all(2 <= minutes <= 10 for minutes in attacks.values())
    assert np.mean(backtest.series(10, 0, 7)["accesses"].to_numpy()) == pytest.approx(60, rel=0.02)
