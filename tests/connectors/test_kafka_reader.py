"""What has been read ahead of a range is there for the next one, and no more of it is kept than need be."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from riacho.server.kafka import reader, rows
from riacho.server.kafka.client import KafkaClient
from riacho.server.kafka.offsets import TopicPartition
from riacho.server.kafka.options import KafkaReadOptions
from riacho.server.kafka.ranges import Range
from riacho.server.kafka.reader import RangeReader
from tests.connectors.topics import Kafka

MANY = 5_000


def test_a_partition_that_is_far_ahead_waits(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "KEPT_ROWS", 100)
    monkeypatch.setattr(reader, "CALL_ROWS", 50)
    topic = kafka.topic(2)
    kafka.produce(topic, (str(number) for number in range(MANY)), 0)
    kafka.produce(topic, (str(number) for number in range(300)), 1)
    given = {"kafka.bootstrap.servers": kafka.bootstrap, "subscribe": topic}
    client = KafkaClient(KafkaReadOptions.of(given, stream=True))
    ranges = RangeReader(client, rows.schema(headers=False), fail_on_data_loss=True, poll_timeout_ms=30_000)
    one, two = TopicPartition(topic, 0), TopicPartition(topic, 1)

    def offsets(*wanted: Range) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {0: [], 1: []}
        for batch in ranges.read(wanted):
            for number, offset in zip(batch["partition"].to_pylist(), batch["offset"].to_pylist(), strict=True):
                found[number].append(offset)
        return found

    def span(*ends: int) -> list[int]:
        return list(range(*ends))

    every: Iterable[tuple[int, int, int, int]] = [(0, 10, 0, 250), (10, 20, 250, 300), (20, MANY, 300, 300)]
    for first, last, other_first, other_last in every:
        found = offsets(Range(one, first, last), Range(two, other_first, other_last))
        assert found == {0: span(first, last), 1: span(other_first, other_last)}
    assert offsets(Range(one, 5, 7)) == {0: [5, 6], 1: []}, "a range may be read again"
    ranges.close()
    client.close()
