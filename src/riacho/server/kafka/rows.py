"""Messages as rows. Source: Spark's `KafkaRecordToRowConverter`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import methodcaller
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from riacho.server.kafka import failures
from riacho.server.kafka.offsets import TopicPartition
from riacho.types import TIMESTAMP

if TYPE_CHECKING:
    from confluent_kafka import Message

HEADERS_TYPE: Final = pa.list_(
    pa.field("element", pa.struct([pa.field("key", pa.string()), pa.field("value", pa.binary())]))
)
_COLUMNS: Final = (
    pa.field("key", pa.binary()),
    pa.field("value", pa.binary()),
    pa.field("topic", pa.string()),
    pa.field("partition", pa.int32()),
    pa.field("offset", pa.int64()),
    pa.field("timestamp", TIMESTAMP),
    pa.field("timestampType", pa.int32()),
)
_LARGEST_MS: Final = np.iinfo(np.int64).max // 1000


def schema(*, headers: bool) -> pa.Schema:
    """The columns of a Kafka source."""
    return pa.schema([*_COLUMNS, pa.field("headers", HEADERS_TYPE)] if headers else _COLUMNS)


Run = tuple[TopicPartition, Sequence["Message"]]
"""Messages of one partition, in order."""


def to_batch(runs: Sequence[Run], columns: pa.Schema, unused: frozenset[str] = frozenset()) -> pa.RecordBatch:
    """Messages as rows. The columns in `unused` are null: nobody looks at them.

    Raises KAFKA_MALFORMED_RECORD_TIMESTAMP.
    """
    messages = runs[0][1] if len(runs) == 1 else list(chain.from_iterable(messages for _, messages in runs))
    counts = [len(messages) for _, messages in runs]
    arrays: dict[str, pa.Array] = {}
    for field in columns:
        if field.name in unused:
            arrays[field.name] = pa.nulls(len(messages), field.type)
        elif field.name == "topic":
            arrays["topic"] = _topics(runs, counts)
        elif field.name == "partition":
            numbers = np.array([partition.number for partition, _ in runs], np.int32)
            arrays["partition"] = pa.array(np.repeat(numbers, counts))
        elif field.name in _BY_MESSAGE:
            arrays[field.name] = pa.array(list(map(_BY_MESSAGE[field.name], messages)), field.type)
    # Each tuple is let go at once: to keep them would cost more than to ask twice.
    if "timestamp" not in arrays:
        arrays["timestamp"] = _times(np.array([message.timestamp()[1] for message in messages], np.int64), runs)
    if "timestampType" not in arrays:
        kinds = np.array([message.timestamp()[0] for message in messages], np.int32)
        # librdkafka counts from 0 for a message without a time, Java from -1.
        arrays["timestampType"] = pa.array(kinds - 1)
    return pa.record_batch([arrays[name] for name in columns.names], schema=columns)


def _topics(runs: Sequence[Run], counts: Sequence[int]) -> pa.Array:
    names = pa.array([partition.topic for partition, _ in runs], pa.string())
    if len(set(names.to_pylist())) == 1:
        return pa.repeat(names[0], sum(counts))
    return names.take(pa.array(np.repeat(np.arange(len(runs)), counts)))


def _times(stamps_ms: np.ndarray, runs: Sequence[Run]) -> pa.Array:
    if np.abs(stamps_ms).max(initial=0) > _LARGEST_MS:
        for partition, messages in runs:
            for message in messages:
                if abs(message.timestamp()[1]) > _LARGEST_MS:
                    raise failures.malformed_timestamp(partition, message.offset() or 0, message.timestamp()[1])
    return pa.array(stamps_ms * 1000).cast(TIMESTAMP)


def _headers(message: Message) -> list[dict[str, object]] | None:
    found = message.headers()
    return [{"key": key, "value": value} for key, value in found] if found else None


_BY_MESSAGE: Final[Mapping[str, Callable[[Message], object]]] = {
    "key": methodcaller("key"),
    "value": methodcaller("value"),
    "offset": methodcaller("offset"),
    "headers": _headers,
}
"""The columns whose values the client gives message by message. `map` and `methodcaller` loop in C."""
