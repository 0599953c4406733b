"""Small steps with topics that tests share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from confluent_kafka.admin import NewTopic as Topic

LIMIT_S = 30
TIME_MS = 1_700_000_000_000
"""The time of the first message that `produce` writes; each is a millisecond later."""


@dataclass(frozen=True)
class Kafka:
    """A broker by its address. What is done here is there when the call returns."""

    bootstrap: str

    def topic(self, partitions: int = 2, name: str | None = None, **settings: str) -> str:
        """A new topic. `settings`: with `_` for `.`."""
        name = name or f"t-{uuid4().hex[:12]}"
        config = {key.replace("_", "."): value for key, value in settings.items()}
        self._admin.create_topics([Topic(name, partitions, 1, config=config)])[name].result(LIMIT_S)
        self._until(lambda: len(self._partitions(name)) == partitions)
        return name

    def delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])[topic].result(LIMIT_S)
        self._until(lambda: not self._partitions(topic))

    def add_partitions(self, topic: str, total: int) -> None:
        self._admin.create_partitions([NewPartitions(topic, total)])[topic].result(LIMIT_S)
        self._until(lambda: len(self._partitions(topic)) == total)

    def forget_before(self, topic: str, partition: int, offset: int) -> None:
        """Have the messages before an offset be gone, as retention does."""
        for done in self._admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            done.result(LIMIT_S)

    def produce(self, topic: str, values: Iterable[str], partition: int = 0, first_ms: int = TIME_MS) -> None:
        """Messages `k` + value and value."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5})
        for index, value in enumerate(values):
            producer.produce(topic, value, f"k{value}", partition=partition, timestamp=first_ms + index)
        assert producer.flush(LIMIT_S) == 0

    def transactional(self, name: str | None = None) -> Producer:
        """A producer whose transactions may begin."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": name or uuid4().hex})
        producer.init_transactions(LIMIT_S)
        return producer

    def messages(self, topic: str, isolation: str = "read_committed") -> list[Message]:
        """What a consumer sees of a topic now."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": uuid4().hex,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        try:
            left = set(self._partitions(topic))
            consumer.assign([TopicPartition(topic, number, 0) for number in left])
            found: list[Message] = []
            deadline = time.monotonic() + LIMIT_S
            while left:
                assert time.monotonic() < deadline, f"partitions {left} of {topic} do not end"
                message = consumer.poll(0.2)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition() or 0)
            return found
        finally:
            consumer.close()

    def until_compacted(self, topic: str, below: int) -> None:
        """Wait until a compacted topic has fewer messages than that."""
        # A segment ends when a message comes that is so much later than its first.
        self.produce(topic, ["later"], first_ms=TIME_MS + 3_600_000)
        self._until(lambda: len(self.messages(topic)) < below)

    def values(self, topic: str, isolation: str = "read_committed") -> list[str]:
        """The values of a topic, sorted."""
        return sorted((message.value() or b"").decode() for message in self.messages(topic, isolation))

    def committed(self, group: str, topic: str, partitions: Sequence[int]) -> list[int]:
        """What a group has committed, for each partition; -1001 for nothing."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            found = consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=LIMIT_S)
            return [each.offset for each in found]
        finally:
            consumer.close()

    def _partitions(self, topic: str) -> list[int]:
        listed = self._admin.list_topics(timeout=LIMIT_S).topics.get(topic)
        return [] if listed is None or listed.error is not None else sorted(listed.partitions)

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited {LIMIT_S} s in vain"
            time.sleep(0.02)


def offsets(topic: str, *of_partitions: int) -> str:
    """Offsets as options have them: of partition 0, 1, …"""
    return json.dumps({topic: {str(number): offset for number, offset in enumerate(of_partitions)}})
