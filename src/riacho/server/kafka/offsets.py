"""Positions in topics, and how Spark writes them: `{"topic":{"0":12,"1":7}}`. Source: Spark's `JsonUtils`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from riacho.errors import IllegalArgumentError

LATEST: Final = -1
EARLIEST: Final = -2
"""What stands for a position in options."""


class TopicPartition(NamedTuple):
    """One partition of a topic; `str` is as Kafka's Java client shows it."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"


Positions = dict[TopicPartition, int]
"""The offset of the next message of each partition."""


def to_json(positions: Mapping[TopicPartition, int]) -> str:
    """Positions as a checkpoint has them; the same positions always give the same text."""
    topics: dict[str, dict[str, int]] = {}
    for partition in sorted(positions):
        topics.setdefault(partition.topic, {})[str(partition.number)] = positions[partition]
    return json.dumps(topics, separators=(",", ":"), ensure_ascii=False)


def from_json(text: str) -> Positions:
    """Raises IllegalArgumentError for text that is nothing of the kind."""
    found = _by_partition(text)
    if found is None:
        raise IllegalArgumentError(f'Expected e.g. {{"topicA":{{"0":23,"1":-1}},"topicB":{{"0":-2}}}}, got {text}')
    return found


def timestamps_from_json(text: str) -> Positions:
    """A time for each partition, in milliseconds since 1970. Raises IllegalArgumentError."""
    found = _by_partition(text)
    if found is None:
        raise IllegalArgumentError(
            'Expected e.g. {"topicA": {"0": 123456789, "1": 123456789},\n'
            f'"topicB": {{"0": 123456789, "1": 123456789}}}}, got {text}'
        )
    return found


def partitions_from_json(text: str) -> list[TopicPartition]:
    """What `assign` says: `{"topicA":[0,1]}`. Raises IllegalArgumentError."""
    try:
        given = json.loads(text)
        return [TopicPartition(topic, _whole(number)) for topic, numbers in given.items() for number in numbers]
    except (ValueError, AttributeError, TypeError):
        raise IllegalArgumentError(f'Expected e.g. {{"topicA":[0,1],"topicB":[0,1]}}, got {text}') from None


def shown(partitions: Iterable[TopicPartition]) -> str:
    """Partitions as Spark's messages list them."""
    return ", ".join(str(partition) for partition in sorted(partitions))


def as_set(partitions: Iterable[TopicPartition]) -> str:
    """The same as Scala prints a set."""
    return f"Set({shown(partitions)})"


def _by_partition(text: str) -> Positions | None:
    try:
        given = json.loads(text)
        return {
            TopicPartition(topic, int(number)): _whole(value)
            for topic, values in given.items()
            for number, value in values.items()
        }
    except (ValueError, AttributeError, TypeError):
        return None


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(value)
    return int(value)
