"""The rules for anomalies on days that are made up: what they find, and that the score is the documented one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from riacho.cli import systems
from riacho.quality import anomalies
from riacho.quality.backtest import score
from riacho.testing.servers import Server
from riacho.testing.systems import connected

backtest: Any = systems.load_backtest(Path(__file__).parents[1])


@pytest.fixture(scope="module")
def spark(start_server: Callable[[str], Server]) -> Iterator[SparkSession]:
    with connected(start_server("riacho")) as session:
        yield session


def flagged(spark: SparkSession, series: pa.Table, rule: str) -> set[datetime]:
    found = backtest.RULES[rule](spark.createDataFrame(series.drop_columns("attack")))
    return set(found.toArrow()["minute"].to_pylist())


@pytest.mark.parametrize("rule", ["limit", "history"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thirty_normal_days_raise_nothing_and_every_burst_of_2000_is_found(
    spark: SparkSession, rule: str, seed: int
) -> None:
    assert flagged(spark, backtest.series(30, 0, seed), rule) == set()

    attacked = backtest.series(30, 20, seed, sizes=(2_000, 2_001))
    truth = dict(zip(attacked["minute"].to_pylist(), attacked["attack"].to_pylist(), strict=True))
    found = score(truth, flagged(spark, attacked, rule))
    assert (found.attacks, found.recall, found.precision) == (20, 1.0, 1.0)
    assert set(found.delays) == {0}


def test_the_score_is_the_documented_one(spark: SparkSession) -> None:
    """Worked out again one minute after the other, with a gap in the middle, on few days, so that both ways occur."""
    series = backtest.series(3, 4, 7).drop_columns("attack")
    series = pa.concat_tables([series.slice(0, 1_000), series.slice(1_100, 1_700), series.slice(3_000)])
    values = dict(zip(series["minute"].to_pylist(), series["accesses"].to_pylist(), strict=True))
    by_hour: dict[tuple[Any, int], list[int]] = {}
    for minute, value in values.items():
        by_hour.setdefault((minute.date(), minute.hour), []).append(value)

    def documented(minute: datetime) -> tuple[float, float] | None:
        days = (minute.date() - timedelta(days=ago) for ago in range(1, anomalies.DAYS + 1))
        before = [value for day in days for value in by_hour.get((day, minute.hour), [])]
        if len(before) < anomalies.FEWEST:
            ago = (minute - timedelta(minutes=minutes) for minutes in range(1, 61))
            before = [values[each] for each in ago if each in values]
            if len(before) < 10:
                return None
        middle = median(before)
        mad = median([abs(value - middle) for value in before])
        return middle, (values[minute] - middle) / max(1.4826 * mad, middle**0.5, middle / 10, 1)

    scored = anomalies.scored(spark.createDataFrame(series), time="minute", value="accesses").toArrow().to_pylist()
    found = {row["minute"]: (row["expected"], row["score"]) for row in scored}
    wanted = {minute: told for minute in values if (told := documented(minute)) is not None}

    assert len(found) == len(scored)
    assert found.keys() == wanted.keys()
    assert all(found[minute] == pytest.approx(wanted[minute]) for minute in wanted)
    assert {row["minute"]: row["accesses"] for row in scored} == {minute: values[minute] for minute in wanted}
