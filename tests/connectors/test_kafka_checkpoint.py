"""The checkpoint of a query over Kafka goes from riacho to Spark, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from riacho.testing.servers import Server
from tests.connectors.test_kafka_source import run, stream, values
from tests.connectors.topics import Kafka
from tests.spec.support import batches


@pytest.fixture
def session(start_server: Callable[[str], Server]) -> Iterator[Callable[[str], SparkSession]]:
    """A function from `riacho` or `spark` to a session there."""
    opened: list[SparkSession] = []

    def open_session(name: str) -> SparkSession:
        opened.append(SparkSession.builder.remote(start_server(name).url).create())
        return opened[-1]

    yield open_session
    for each in opened:
        each.stop()


@pytest.mark.parametrize(("first", "second"), [("riacho", "spark"), ("spark", "riacho")])
def test_a_checkpoint_moves(
    session: Callable[[str], SparkSession], kafka: Kafka, tmp_path: Path, first: str, second: str
) -> None:
    topic = kafka.topic(2)
    kafka.produce(topic, ["a", "b"])
    for name, read in ((first, 2), (second, 1), (first, 1)):
        spark = session(name)
        query = run(stream(spark, kafka, subscribe=topic, startingOffsets="earliest"), tmp_path)
        assert batches(query) == [read], name
        kafka.produce(topic, [f"after-{name}"], partition=1)
    assert values(session(first), tmp_path) == sorted(["a", "b", f"after-{first}", f"after-{second}"])
