"""Reads ranges of offsets: all partitions side by side, by one consumer that stays and reads ahead.

The end of a range need not be a message: what a transaction or compaction leaves out is passed when a later message
or the end of the partition shows that nothing else comes. Messages beyond a range stay for the next one, so that a
stream which continues where it was never waits for what has arrived already. Source: Spark's `KafkaDataConsumer`.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import methodcaller
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from riacho.server.kafka import collector, failures, rows
from riacho.server.kafka.client import SLICE_S, CheckStop, KafkaClient, client_error, close_behind
from riacho.server.kafka.failures import KafkaClientError
from riacho.server.kafka.offsets import TopicPartition
from riacho.server.kafka.ranges import Range

if TYPE_CHECKING:
    from confluent_kafka import Message
    from confluent_kafka import TopicPartition as ClientPartition

_log = logging.getLogger(__name__)

BATCH_ROWS: Final = 32_768
CALL_ROWS: Final = 10_000
"""Messages asked for in one call of the client."""
KEPT_ROWS: Final = 50_000
"""Of a partition that others are waited for: beyond that it pauses."""
WAIT_S: Final = 0.1
_HOPELESS: Final = ("TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "_AUTHENTICATION")


@dataclass
class _PartitionRead:
    """One partition: where the reading of it is, what has been read beyond, and what is wanted now."""

    partition: TopicPartition
    position: int
    """The offset of the next message that the consumer, or `kept`, gives."""
    end: int = 0
    kept: list[Message] = field(default_factory=list)
    nothing_before: int = 0
    """The client has said that it gave all messages before this offset."""
    paused: bool = False

    @property
    def done(self) -> bool:
        return self.position >= self.end

    def pass_gap(self) -> None:
        """Go over offsets that are no messages, as far as that is known."""
        if not self.kept and not self.done:
            self.position = max(self.position, min(self.nothing_before, self.end))


class RangeReader:
    """See the module. `fail_on_data_loss`: whether messages that are gone fail the read, or are passed with a warning.

    For one thread at a time.
    """

    def __init__(
        self,
        client: KafkaClient,
        schema: pa.Schema,
        *,
        fail_on_data_loss: bool,
        poll_timeout_ms: int,
        unused: frozenset[str] = frozenset(),
        check_stop: CheckStop = lambda: None,
    ) -> None:
        self._client = client
        self._consumer = client.consumer()
        self._schema = schema
        self._fail_on_data_loss = fail_on_data_loss
        self._poll_timeout_ms = poll_timeout_ms
        self._unused = unused
        self._check_stop = check_stop
        self._places: dict[TopicPartition, _PartitionRead] = {}
        self._known: set[str] = set()

    def read(self, ranges: Iterable[Range]) -> Iterator[pa.RecordBatch]:
        """The messages of the ranges, one for each partition.

        Raises KAFKA_DATA_LOSS for messages that are gone, KafkaClientError if the brokers give nothing for too long.
        """
        wanted = self._start([each for each in ranges if each.end > each.start])
        gathered: list[rows.Run] = []
        count = 0
        for run in self._runs(wanted):
            gathered.append(run)
            count += len(run[1])
            if count >= BATCH_ROWS:
                yield self._batch(gathered)
                gathered, count = [], 0
        if gathered:
            yield self._batch(gathered)

    def _batch(self, gathered: list[rows.Run]) -> pa.RecordBatch:
        with collector.quiet():
            return rows.to_batch(gathered, self._schema, self._unused)

    def keep_only(self, partitions: Iterable[TopicPartition]) -> None:
        """Read no partitions ahead but these."""
        for partition in self._places.keys() - set(partitions):
            self._forget(partition)

    def close(self) -> None:
        """Let go of the connections, without waiting for them."""
        close_behind(self._consumer)

    def _start(self, wanted: list[Range]) -> list[_PartitionRead]:
        """The places of the ranges' partitions, there where the ranges start."""
        moved: list[_PartitionRead] = []
        for partition, start, end in wanted:
            place = self._places.get(partition)
            if place is None or place.position != start:
                self._forget(partition)
                place = self._places[partition] = _PartitionRead(partition, start)
                moved.append(place)
            place.end = end
        # All at once: the client would ask for the first alone, and the broker may wait for messages of it.
        self._assign(moved)
        return [self._places[each.partition] for each in wanted]

    def _runs(self, wanted: list[_PartitionRead]) -> Iterator[rows.Run]:
        """Messages by partition, until every place is at its end."""
        for place in wanted:
            kept, place.kept = place.kept, []
            if taken := self._take(place, kept):
                yield place.partition, taken
            place.pass_gap()
        deadline = self._deadline()
        while waiting := [place for place in wanted if not place.done]:
            self._check_stop()
            for place in waiting:
                if place.paused:
                    self._resume(place)
            messages = self._next_messages(sum(place.end - place.position for place in waiting))
            if messages:
                deadline = self._deadline()
            elif time.monotonic() > deadline:
                raise KafkaClientError(
                    f"java.util.concurrent.TimeoutException: Cannot fetch record for offset {waiting[0].position} in "
                    f"{self._poll_timeout_ms} milliseconds (topic-partition {waiting[0].partition})"
                )
            yield from self._sorted(messages)

    def _next_messages(self, most: int) -> list[Message]:
        """What the client has now; if it has nothing, it is waited for a moment."""
        with collector.quiet():
            messages = self._consumer.consume(min(most, CALL_ROWS), timeout=0)
        if not messages:
            message = self._consumer.poll(WAIT_S)
            messages = [] if message is None else [message]
        return messages

    def _sorted(self, messages: list[Message]) -> Iterator[rows.Run]:
        """The messages that are wanted, by partition; errors are looked after."""
        topics = {partition.topic for partition in self._places}
        only = topics.pop() if len(topics) == 1 else None
        key_of: Callable[[Message], int | tuple[str, int]] = _topic_and_number if only is None else _NUMBER
        for key, group in groupby(messages, key_of):
            run = list(group)
            partition = TopicPartition(*key) if isinstance(key, tuple) else TopicPartition(only or "", key)
            place = self._places.get(partition)
            if place is None:
                self._look_after_stray(run)
                continue
            for good, error in _split_at_errors(run):
                if good and (taken := self._take(place, good)):
                    yield partition, taken
                if error is not None:
                    self._look_after(place, error)

    def _take(self, place: _PartitionRead, messages: list[Message]) -> list[Message]:
        """Those of the messages that belong to the range; those behind it are kept for the next one."""
        if not messages:
            return []
        if place.kept or place.done:
            self._keep(place, messages)
            return []
        last = messages[-1].offset()
        assert last is not None, "a message has an offset"
        if last < place.end:
            place.position = last + 1
            return messages
        cut = bisect_left(messages, place.end, key=_OFFSET)
        place.position = place.end
        self._keep(place, messages[cut:])
        return messages[:cut]

    def _keep(self, place: _PartitionRead, messages: list[Message]) -> None:
        place.kept.extend(messages)
        if len(place.kept) > KEPT_ROWS and not place.paused:
            place.paused = True
            self._consumer.pause([self._named(place)])

    def _resume(self, place: _PartitionRead) -> None:
        """Read ahead again; the client continues behind the last message that it gave."""
        place.paused = False
        self._consumer.resume([self._named(place)])

    def _look_after(self, place: _PartitionRead, message: Message) -> None:
        """An error that the client gives in place of a message."""
        from confluent_kafka import KafkaException

        error = message.error()
        assert error is not None
        name = error.name()
        if name == "_PARTITION_EOF":
            place.nothing_before = message.offset() or 0
            place.pass_gap()
            if not place.done:
                self._look_at_the_end(place)
        elif name in ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"):
            if place.done:
                self._forget(place.partition)  # what was read ahead is gone; the next range will say what that means
            else:
                self._lost(place)
        elif error.fatal() or name in _HOPELESS:
            raise client_error(KafkaException(error))
        else:
            _log.warning("Kafka's client says of %s: %s", place.partition, error.str())

    def _look_after_stray(self, messages: Sequence[Message]) -> None:
        """Of what is not read any more, or of no partition at all."""
        for message in messages:
            error = message.error()
            if error is not None:
                _log.debug("Kafka's client says: %s", error.str())

    def _look_at_the_end(self, place: _PartitionRead) -> None:
        """The partition seems to end before the range does: more may have come meanwhile, or messages are gone."""
        _, latest = self._client.watermarks(place.partition)
        if latest < place.end:
            self._lost(place)

    def _lost(self, place: _PartitionRead) -> None:
        """The messages at the place are gone. Raises KAFKA_DATA_LOSS, or goes on with the next ones that are there."""
        loss = failures.could_not_read(place.partition, place.position, place.end, self._client.group_id)
        if self._fail_on_data_loss:
            raise loss
        earliest, latest = self._client.watermarks(place.partition)
        _log.warning(
            "Cannot fetch offset %d. Some data may be lost. The current available offset range of %s is [%d, %d). %s",
            place.position,
            place.partition,
            earliest,
            latest,
            failures.LOSS_IS_ALLOWED,
        )
        if place.position >= latest or earliest >= place.end:
            self._forget(place.partition)
            place.position = place.end
            return
        place.position = max(place.position, earliest)
        place.kept, place.paused, place.nothing_before = [], False, 0
        self._unassign(place)
        self._assign([place])

    def _forget(self, partition: TopicPartition) -> None:
        place = self._places.pop(partition, None)
        if place is not None:
            self._unassign(place)

    def _assign(self, places: list[_PartitionRead]) -> None:
        from confluent_kafka import KafkaException

        for topic in {place.partition.topic for place in places} - self._known:
            # A client that has just heard of a topic looks for its leaders a second later, unless it is asked.
            with suppress(KafkaException):
                self._consumer.list_topics(topic, timeout=SLICE_S)
            self._known.add(topic)
        if places:
            self._consumer.incremental_assign([self._named(place, place.position) for place in places])

    def _unassign(self, place: _PartitionRead) -> None:
        self._consumer.incremental_unassign([self._named(place)])

    @staticmethod
    def _named(place: _PartitionRead, offset: int = -1001) -> ClientPartition:
        from confluent_kafka import TopicPartition as ClientPartition

        return ClientPartition(place.partition.topic, place.partition.number, offset)

    def _deadline(self) -> float:
        return time.monotonic() + self._poll_timeout_ms / 1000


_NUMBER: Final[Callable[[Message], int]] = methodcaller("partition")
_OFFSET: Final[Callable[[Message], int]] = methodcaller("offset")


def _topic_and_number(message: Message) -> tuple[str, int]:
    return message.topic() or "", _NUMBER(message)


def _split_at_errors(messages: list[Message]) -> Iterator[tuple[list[Message], Message | None]]:
    """The messages up to each error, and the error; None behind the last ones."""
    bad = [index for index, message in enumerate(messages) if message.error() is not None]
    start = 0
    for index in bad:
        yield messages[start:index], messages[index]
        start = index + 1
    if start < len(messages):
        yield messages[start:], None
