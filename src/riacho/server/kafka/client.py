"""Questions to the brokers: which partitions there are, and where they begin and end. Source: `KafkaOffsetReaderAdmin`.

Every call has a limit, and looks up in between whether somebody wants the query to stop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from riacho.extras import require
from riacho.ids import new_uuid
from riacho.server.kafka import failures, settings
from riacho.server.kafka.client_log import CLIENT_LOG
from riacho.server.kafka.failures import KafkaClientError
from riacho.server.kafka.offsets import EARLIEST, LATEST, Positions, TopicPartition, as_set
from riacho.server.kafka.options import AtEnd, AtOffsets, AtTimes, KafkaReadOptions, Limit, OnNoMatch, Topics

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, KafkaException
    from confluent_kafka import TopicPartition as ClientPartition

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
API_TIMEOUT_MS: Final = 60_000
"""How long Kafka's Java client asks before it gives up (`default.api.timeout.ms`)."""
SLICE_S: Final = 1.0
"""A call that waits looks up this often."""
INTERNAL: Final = ("__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata")
"""Kafka's own topics, which no pattern finds."""
NO_ANSWER: Final = ("_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN")
"""librdkafka's names of what goes by when the brokers are there again."""
CheckStop = Callable[[], None]


def available() -> None:
    """Raises AnalysisError if Kafka's client is not installed."""
    require("confluent_kafka", "kafka", "The format kafka")


class KafkaClient:
    """Asks the brokers for one read. Not for several threads at once, except that any may `close` it."""

    def __init__(self, options: KafkaReadOptions, check_stop: CheckStop = lambda: None) -> None:
        available()
        self._options = options
        self._check_stop = check_stop
        self._timeout_s = settings.timeout_s(options.settings, "default.api.timeout.ms", API_TIMEOUT_MS)
        self.group_id = options.settings.get("group.id") or f"{options.group_id_prefix}-{new_uuid()}"
        self._refused: KafkaError | None = None
        self._asker = self.consumer()

    def consumer(self) -> Consumer:
        """A new consumer with the settings of the query, to read messages with.

        Questions have one of their own: on a connection where a request waits for messages, others wait behind it.
        """
        from confluent_kafka import Consumer

        chosen: dict[str, Any] = {
            **settings.consumer(self._options.settings, self.group_id),
            "error_cb": self._hear,
        }
        return settings.accepted(lambda given: Consumer(given, logger=CLIENT_LOG), chosen)

    def _hear(self, error: KafkaError) -> None:
        """An error that is about no call: a login that is refused is tried again and again, until one looks here."""
        if error.name() == "_AUTHENTICATION":
            self._refused = error

    def partitions(self) -> list[TopicPartition]:
        """The partitions that the query reads now, in order. Raises KafkaClientError for a topic that is not there."""
        return self._asked(lambda: self._partitions(self._options.topics))

    def earliest(self, partitions: Iterable[TopicPartition]) -> Positions:
        """Where partitions begin."""
        return self._resolve(dict.fromkeys(partitions, EARLIEST))

    def latest(
        self, partitions: Iterable[TopicPartition], known: Mapping[TopicPartition, int] | None = None
    ) -> Positions:
        """Where partitions end. Asks again if one ends before the place that is `known` of it: a broker may be late."""
        asked = dict.fromkeys(partitions, LATEST)
        found = self._resolve(asked)
        for _ in range(self._options.fetch_attempts - 1):
            late = {each for each, end in found.items() if known is not None and known.get(each, end) > end}
            if not late:
                break
            _log.warning("Partitions end before the place that was known of them: %s", as_set(late))
            self._pause()
            found = self._resolve(asked)
        return found

    def start(self, limit: Limit, partitions: list[TopicPartition]) -> Positions:
        """Where a new read starts. Raises what is wrong with the limit, seen with the partitions that there are."""
        return self._limit(limit, partitions, "start")

    def end(self, limit: Limit, partitions: list[TopicPartition]) -> Positions:
        """Where a read ends that ends. Raises as `start`."""
        return self._limit(limit, partitions, "end")

    def watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        """Where one partition begins and ends."""
        begin = self._resolve({partition: EARLIEST})
        end = self._resolve({partition: LATEST})
        return begin[partition], end[partition]

    def close(self) -> None:
        """Let go of the connections, without waiting for them."""
        close_behind(self._asker)

    def _limit(self, limit: Limit, partitions: list[TopicPartition], side: str) -> Positions:
        match limit:
            case AtEnd(position):
                return self._resolve(dict.fromkeys(partitions, position))
            case AtOffsets(positions):
                if positions.keys() != set(partitions):
                    raise failures.start_not_as_assigned(positions, partitions)
                unresolved = {each: offset for each, offset in positions.items() if offset in (EARLIEST, LATEST)}
                return {**positions, **self._resolve(unresolved)}
            case AtTimes(times, on_no_match):
                if isinstance(times, int):
                    times = dict.fromkeys(partitions, times)
                elif times.keys() != set(partitions):
                    raise failures.times_not_as_assigned(side, times, partitions)
                return self._at_times(times, on_no_match if side == "start" else OnNoMatch.LATEST)
        raise AssertionError(limit)

    def _at_times(self, times: Positions, on_no_match: OnNoMatch) -> Positions:
        found = self._resolve(times)
        for partition, offset in found.items():
            if offset < 0 and on_no_match is OnNoMatch.ERROR:
                raise failures.no_match_for_time(partition, times[partition])
        missing = {partition: LATEST for partition, offset in found.items() if offset < 0}
        return {**found, **self._resolve(missing)}

    def _resolve(self, places: Mapping[TopicPartition, int]) -> Positions:
        """Offsets of places: `EARLIEST`, `LATEST`, or a time in ms; below 0 where there is no such message."""
        if not places:
            return {}
        return self._asked(lambda: self._offsets_for(places))

    def _offsets_for(self, places: Mapping[TopicPartition, int]) -> Positions:
        from confluent_kafka import KafkaException
        from confluent_kafka import TopicPartition as ClientPartition

        asked = [ClientPartition(partition.topic, partition.number, place) for partition, place in places.items()]
        found: Positions = {}
        for answer in self._within_time(lambda limit_s: self._asker.offsets_for_times(asked, timeout=limit_s)):
            if answer.error is not None:
                raise KafkaException(answer.error)
            found[_partition(answer)] = answer.offset
        return found

    def _partitions(self, topics: Topics) -> list[TopicPartition]:
        if topics.pattern is not None:
            return self._matching(topics)
        names = topics.names or dict.fromkeys(partition.topic for partition in topics.partitions)
        there = [partition for name in names for partition in self._of_topic(name)]
        if topics.partitions:
            there = [partition for partition in there if partition in topics.partitions]
        return sorted(there)

    def _matching(self, topics: Topics) -> list[TopicPartition]:
        assert topics.pattern is not None
        listed = self._within_time(lambda limit_s: self._asker.list_topics(timeout=limit_s))
        return sorted(
            TopicPartition(name, number)
            for name, topic in listed.topics.items()
            if name not in INTERNAL and topics.pattern.search(name)
            for number in topic.partitions
        )

    def _of_topic(self, name: str) -> list[TopicPartition]:
        from confluent_kafka import KafkaException

        listed = self._within_time(lambda limit_s: self._asker.list_topics(name, timeout=limit_s))
        topic = listed.topics[name]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return [TopicPartition(name, number) for number in topic.partitions]

    def _within_time(self, ask: Callable[[float], Answer]) -> Answer:
        """Ask again and again in short calls, until there is an answer or the time is over."""
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + self._timeout_s
        while True:
            self._check_stop()
            try:
                return ask(max(min(SLICE_S, deadline - time.monotonic()), 0.05))
            except KafkaException as error:
                found = error if failures.cause_of(error).name() != "_UNKNOWN_PARTITION" else self._unreachable(error)
                self._asker.poll(0)
                if self._refused is not None:
                    raise KafkaException(self._refused) from None
                if failures.cause_of(found).name() not in NO_ANSWER or time.monotonic() >= deadline:
                    raise found from None

    def _unreachable(self, error: KafkaException) -> KafkaException:
        """Why a partition seems to have no leader: `error` says so also when there is no broker to ask."""
        from confluent_kafka import KafkaException

        try:
            self._asker.list_topics(timeout=SLICE_S)
        except KafkaException as reason:
            return reason
        return error

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """The answer of `ask`, which is tried several times. Raises KafkaClientError: what was wrong the last time."""
        from confluent_kafka import KafkaException

        attempts = max(self._options.fetch_attempts, 1)
        for attempt in range(1, attempts + 1):
            try:
                return ask()
            except KafkaException as error:
                if attempt == attempts:
                    raise client_error(error, self._options.settings) from None
                _log.warning("Error in attempt %d getting Kafka offsets: %s", attempt, failures.cause_of(error).str())
                self._pause()
        raise AssertionError("unreachable")

    def _pause(self) -> None:
        """Wait before the next attempt."""
        deadline = time.monotonic() + self._options.fetch_retry_ms / 1000
        while (left := deadline - time.monotonic()) > 0:
            self._check_stop()
            time.sleep(min(left, 0.1))


_JAVA_ERRORS: Final[Mapping[str, str]] = {
    "UNKNOWN_TOPIC_OR_PART": "UnknownTopicOrPartitionException: This server does not host this topic-partition.",
    "_TIMED_OUT": "TimeoutException: The brokers did not answer in time.",
    "_MSG_TIMED_OUT": "TimeoutException: Messages could not be delivered in time.",
    "_TRANSPORT": "TimeoutException: The brokers cannot be reached.",
    "_ALL_BROKERS_DOWN": "TimeoutException: The brokers cannot be reached.",
    "_UNKNOWN_PARTITION": "TimeoutException: A partition has no leader, or is not there.",
    "_AUTHENTICATION": "SaslAuthenticationException: Authentication failed.",
    "TOPIC_AUTHORIZATION_FAILED": "TopicAuthorizationException: Not authorized to access topics.",
    "GROUP_AUTHORIZATION_FAILED": "GroupAuthorizationException: Not authorized to access group.",
    "MSG_SIZE_TOO_LARGE": "RecordTooLargeException: A message is larger than kafka.max.request.size.",
    "TOPIC_EXCEPTION": "InvalidTopicException: The topic's name is not valid.",
}  # fmt: skip
"""How Java's client puts an error, by librdkafka's name of it."""


def client_error(error: Exception, given: Mapping[str, str] | None = None) -> KafkaClientError:
    """What a KafkaException says, by the name that Java's client has for it. `given`: the settings, for the address."""
    cause = failures.cause_of(error)
    name = cause.name()
    java = _JAVA_ERRORS.get(name, f"KafkaException: {name}.")
    address = (given or {}).get("bootstrap.servers")
    where = f" of {address}" if address else ""
    return KafkaClientError(f"org.apache.kafka.common.errors.{java} (Kafka's client{where} says: {cause.str()})")


def close_behind(consumer: Consumer) -> None:
    """Close a consumer on a thread of its own: that may wait for brokers that are gone."""
    threading.Thread(target=consumer.close, name="riacho-kafka-close", daemon=True).start()


def _partition(found: ClientPartition) -> TopicPartition:
    return TopicPartition(found.topic, found.partition)
