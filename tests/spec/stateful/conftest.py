"""What every test of stateful queries is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pyspark.sql import DataFrame, SparkSession

from tests.spec.stateful.support import Feed, Watched

Watch = Callable[..., Watched]


@pytest.fixture
def left(spark: SparkSession, tmp_path: Path) -> Feed:
    return Feed(spark, tmp_path / "left")


@pytest.fixture
def right(spark: SparkSession, tmp_path: Path) -> Feed:
    return Feed(spark, tmp_path / "right")


@pytest.fixture
def watch(spark: SparkSession) -> Iterator[Watch]:
    """A function that starts a query on a frame, in a mode; stopped after the test."""
    spark.conf.set("spark.sql.shuffle.partitions", "1")
    started: list[Watched] = []

    def start(frame: DataFrame, mode: str = "append", checkpoint: Path | None = None) -> Watched:
        started.append(Watched(frame, mode, f"q_{uuid4().hex[:10]}", checkpoint))
        return started[-1]

    yield start
    for watched in started:
        watched.query.stop()
