"""What a query may ask of a Kafka source, in a stream and in a batch. Source: Spark's `KafkaSourceProvider`.

Spark looks at some options when the DataFrame is made, and at the values of others when a stream starts; so does this.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from riacho.errors import IllegalArgumentError, NoSuchElementError, NumberFormatError
from riacho.options import Option, Options
from riacho.server.kafka import failures, offsets
from riacho.server.kafka.offsets import EARLIEST, LATEST, Positions, TopicPartition

_log = logging.getLogger(__name__)

PREFIX: Final = "kafka."
SETTINGS: Final = Option("kafka.*", None, "any setting of Kafka's client: see the table below")
OPTIONS: Final = (
    Option("kafka.bootstrap.servers", None, "where the brokers are: `host:port`, several with commas; required"),
    Option("subscribe", None, "the topics to read, with commas; this, `subscribePattern` or `assign` is required"),
    Option("subscribePattern", None, "a Java regular expression; topics whose name has a match are read"),
    Option("assign", None, 'the partitions to read: `{"topicA":[0,1],"topicB":[2]}`'),
    Option(
        "startingOffsets",
        None,
        "where a new query starts: `earliest`, `latest`, or an offset for each partition, `-2` for its beginning and "
        '`-1` for its end: `{"topicA":{"0":23,"1":-1}}`. By default a stream starts with `latest`, a batch with '
        "`earliest`",
    ),
    Option(
        "startingOffsetsByTimestamp",
        None,
        "start with the first message at or after a time, in milliseconds since 1970, for each partition: "
        '`{"topicA":{"0":1700000000000}}`. Goes before `startingOffsets`',
    ),
    Option("startingTimestamp", None, "the same time for all partitions. Goes before the other two"),
    Option(
        "startingOffsetsByTimestampStrategy",
        "error",
        "a partition without messages at or after the time: `error` fails, `latest` starts at its end",
    ),
    Option("endingOffsets", "latest", "batch: where to end: `latest`, or an offset for each partition (`-1`: its end)"),
    Option("endingOffsetsByTimestamp", None, "batch: end before the first message at or after a time"),
    Option("endingTimestamp", None, "batch: the same time for all partitions"),
    Option(
        "failOnDataLoss",
        "true",
        "fail if messages are gone that have not been read, or topics; `false` warns and continues with what is there",
    ),
    Option("includeHeaders", "false", "add a column `headers`"),
    Option("maxOffsetsPerTrigger", None, "the maximum number of offsets in a batch, shared out by how much there is"),
    Option("minOffsetsPerTrigger", None, "wait until there are so many new offsets"),
    Option("maxTriggerDelay", "15m", "with `minOffsetsPerTrigger`: the longest that a batch waits for them"),
    Option("minPartitions", None, "accepted: riacho reads all partitions side by side anyway"),
    Option("maxRecordsPerPartition", None, "accepted: as `minPartitions`"),
    Option("kafkaConsumer.pollTimeoutMs", "120000", "how long to wait for messages that should be there"),
    Option("fetchOffset.numRetries", "3", "how often to ask for offsets before giving up"),
    Option("fetchOffset.retryIntervalMs", "1000", "how long to wait before asking again"),
    Option("groupIdPrefix", None, "how the consumer group's name starts, if `kafka.group.id` does not give it"),
    Option(
        "kafka.group.id", None, "the consumer group's name; by default each query has one of its own. Nothing is "
        "committed to it"
    ),
    Option(
        "riacho.offsetsGroup",
        None,
        "riacho only: commit the offsets of finished batches to this consumer group, so that tools which watch lag "
        "see the query. Where a query starts is up to its checkpoint all the same",
    ),
    SETTINGS,
)  # fmt: skip
"""What the documentation lists."""


class OnNoMatch(StrEnum):
    """`startingOffsetsByTimestampStrategy`."""

    ERROR = "ERROR"
    LATEST = "LATEST"


@dataclass(frozen=True)
class AtEnd:
    """`earliest` or `latest`: of all partitions. `position` is `EARLIEST` or `LATEST`."""

    position: int


@dataclass(frozen=True)
class AtOffsets:
    """An offset for each partition; it may be `EARLIEST` or `LATEST`."""

    positions: Positions


@dataclass(frozen=True)
class AtTimes:
    """The first message at or after a time in milliseconds: of each partition, or the same of all."""

    times_ms: Positions | int
    on_no_match: OnNoMatch = OnNoMatch.ERROR


Limit = AtEnd | AtOffsets | AtTimes
"""Where a read starts or ends, as options say it."""


@dataclass(frozen=True)
class Topics:
    """What is read: one of the three. `shown`: as Spark's progress has it."""

    names: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    partitions: tuple[TopicPartition, ...] = ()
    shown: str = ""


@dataclass(frozen=True)
class KafkaReadOptions:
    """The options of a read, checked. `settings`: those of the client, without `kafka.`. Times in milliseconds."""

    topics: Topics
    settings: Mapping[str, str]
    start: Limit
    end: Limit
    include_headers: bool
    fail_on_data_loss: bool
    poll_timeout_ms: int
    fetch_attempts: int
    fetch_retry_ms: int
    group_id_prefix: str
    max_offsets: int | None
    min_offsets: int | None
    max_delay_ms: int
    offsets_group: str | None

    @classmethod
    def of(cls, given: Mapping[str, str], *, stream: bool) -> KafkaReadOptions:
        """All options. Raises what `check` raises, and for values that mean nothing."""
        check(given, stream=stream)
        options = _table(given)
        prefix = "spark-kafka-source" if stream else "spark-kafka-relation"
        start = _limit(options, "starting", AtEnd(LATEST if stream else EARLIEST))
        return cls(
            topics=_topics(options),
            settings=client_settings(given),
            start=start,
            end=AtEnd(LATEST) if stream else _limit(options, "ending", AtEnd(LATEST)),
            include_headers=includes_headers(given),
            fail_on_data_loss=_flag(options, "failOnDataLoss"),
            poll_timeout_ms=_number(options, "kafkaConsumer.pollTimeoutMs"),
            fetch_attempts=_number(options, "fetchOffset.numRetries"),
            fetch_retry_ms=_number(options, "fetchOffset.retryIntervalMs"),
            group_id_prefix=options.maybe("groupIdPrefix") or prefix,
            max_offsets=_maybe_number(options, "maxOffsetsPerTrigger") if stream else None,
            min_offsets=_maybe_number(options, "minOffsetsPerTrigger") if stream else None,
            max_delay_ms=(options.duration_ms("maxTriggerDelay") or 0) if stream else 0,
            offsets_group=options.maybe("riacho.offsetsGroup"),
        )


def check(given: Mapping[str, str], *, stream: bool) -> None:
    """What Spark refuses when the DataFrame is made. Raises IllegalArgumentError, NumberFormatError."""
    options = _table(given)
    if stream:
        if options.is_given("endingOffsets"):
            raise IllegalArgumentError("ending offset not valid in streaming queries")
        if options.is_given("endingOffsetsByTimestamp"):
            raise IllegalArgumentError("ending timestamp not valid in streaming queries")
    else:
        _check_batch_limits(options)
    _check_topics(options)
    for name in ("minPartitions", "maxRecordsPerPartition"):
        number = _maybe_number(options, name)
        if number is not None and number <= 0:
            shown = name if name == "minPartitions" else name.lower()  # so does Spark
            raise IllegalArgumentError(f"{shown} must be positive")
    _check_settings(client_settings(given), options)
    least, most = (options.maybe(f"{name}OffsetsPerTrigger") for name in ("min", "max"))
    if least is not None and most is not None and whole(least) > whole(most):
        raise IllegalArgumentError(
            f"The value of minOffsetPerTrigger({whole(least)}) is higher than the maxOffsetsPerTrigger({whole(most)})."
        )
    if not stream:
        for name in ("maxOffsetsPerTrigger", "minOffsetsPerTrigger", "maxTriggerDelay"):
            if options.is_given(name):
                _log.warning("%s option ignored in batch queries", name)
        start, end = (_limit(options, side, AtEnd(LATEST)) for side in ("starting", "ending"))
        _check_order(start, end)


def includes_headers(given: Mapping[str, str]) -> bool:
    """Raises IllegalArgumentError."""
    return _flag(_table(given), "includeHeaders")


def client_settings(given: Mapping[str, str]) -> dict[str, str]:
    """The client's settings among options, by their names without `kafka.`."""
    lowered = {name.lower(): value for name, value in given.items()}
    return {name.removeprefix(PREFIX): value for name, value in lowered.items() if name.startswith(PREFIX)}


def whole(text: str) -> int:
    """Raises NumberFormatError, as Java does."""
    try:
        return int(text)
    except ValueError:
        raise NumberFormatError(f'For input string: "{text}"') from None


def _table(given: Mapping[str, str]) -> Options:
    return Options.check("Kafka source", OPTIONS, given)


def _topics(options: Options) -> Topics:
    if (text := options.maybe("subscribe")) is not None:
        names = _names(text)
        return Topics(names=names, shown=f"Subscribe[{', '.join(names)}]")
    if (text := options.maybe("subscribePattern")) is not None:
        try:
            pattern = re.compile(text.strip(), re.ASCII)  # Java's classes are ASCII
        except re.error as error:
            raise IllegalArgumentError(f"subscribePattern = {text!r} is no regular expression: {error}") from None
        return Topics(pattern=pattern, shown=f"SubscribePattern[{text.strip()}]")
    partitions = tuple(offsets.partitions_from_json(options.text("assign")))
    return Topics(partitions=partitions, shown=f"Assign[{', '.join(str(each) for each in partitions)}]")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check_topics(options: Options) -> None:
    ways = [name for name in ("subscribe", "subscribePattern", "assign") if options.is_given(name)]
    if len(ways) != 1:
        number = "Only one of the following options can" if ways else "One of the following options must"
        raise IllegalArgumentError(
            f"{number} be specified for Kafka source: subscribe, subscribepattern, assign. See the docs for more "
            "details."
        )
    (way,) = ways
    text = options.text(way)
    if way == "assign" and not text.strip().startswith("{"):
        raise IllegalArgumentError(f"No topicpartitions to assign as specified value for option 'assign' is '{text}'")
    if way == "subscribe" and not _names(text):
        raise IllegalArgumentError(f"No topics to subscribe to as specified value for option 'subscribe' is '{text}'")
    if way == "subscribePattern" and not text.strip():
        raise IllegalArgumentError(
            f"Pattern to subscribe is empty as specified value for option 'subscribePattern' is '{text}'"
        )


def _check_settings(settings: Mapping[str, str], options: Options) -> None:
    if "group.id" in settings:
        _log.warning(failures.GROUP_ID_SET)
        if options.is_given("groupIdPrefix"):
            _log.warning("Option groupIdPrefix will be ignored as option kafka.group.id has been set.")
    if "auto.offset.reset" in settings:
        raise IllegalArgumentError(
            "\nKafka option 'auto.offset.reset' is not supported.\n"
            "Instead set the source option 'startingoffsets' to 'earliest' or 'latest'\n"
            "to specify where to start. Structured Streaming manages which offsets are consumed\n"
            "internally, rather than relying on the kafkaConsumer to do it. This will ensure that no\n"
            "data is missed when new topics/partitions are dynamically subscribed. Note that\n"
            "'startingoffsets' only applies when a new Streaming query is started, and\n"
            "that resuming will always pick up from where the query left off. See the docs for more\n"
            "details.\n         "
        )
    for part in ("key", "value"):
        if f"{part}.deserializer" in settings:
            raise IllegalArgumentError(
                f"Kafka option '{part}.deserializer' is not supported as {part}s are deserialized as byte arrays with "
                f"ByteArrayDeserializer. Use DataFrame operations to explicitly deserialize the {part}s."
            )
    for name in ("enable.auto.commit", "interceptor.classes"):
        if name in settings:
            raise IllegalArgumentError(f"Kafka option '{name}' is not supported")
    if "bootstrap.servers" not in settings:
        raise IllegalArgumentError("Option 'kafka.bootstrap.servers' must be specified for configuring Kafka consumer")


def _limit(options: Options, side: str, default: Limit) -> Limit:
    """Where a read starts or ends. `side`: `starting` or `ending`. Raises IllegalArgumentError."""
    text = options.text("startingOffsetsByTimestampStrategy").upper()
    if text not in OnNoMatch.__members__:
        raise NoSuchElementError(f"No value found for '{text}'")
    on_no_match = OnNoMatch(text)
    if options.is_given(f"{side}Timestamp"):
        given = options.text(f"{side}Timestamp").strip()
        try:
            return AtTimes(int(given), on_no_match)
        except ValueError:
            raise IllegalArgumentError(f"Expected a single long value, got {given}") from None
    if options.is_given(f"{side}OffsetsByTimestamp"):
        return AtTimes(offsets.timestamps_from_json(options.text(f"{side}OffsetsByTimestamp").strip()), on_no_match)
    if not options.is_given(f"{side}Offsets"):
        return default
    given = options.text(f"{side}Offsets").strip()
    if given.lower() in ("latest", "earliest"):
        return AtEnd(LATEST if given.lower() == "latest" else EARLIEST)
    positions = offsets.from_json(given)
    for partition, offset in positions.items():
        if offset < min(EARLIEST, LATEST):
            raise IllegalArgumentError(
                f"{side}Offsets for {partition} is {offset}: give an offset from 0 on, -2 for the earliest message or "
                "-1 for the end"
            )
    return AtOffsets(positions)


def _check_batch_limits(options: Options) -> None:
    match _limit(options, "starting", AtEnd(EARLIEST)):
        case AtEnd(position) if position == LATEST:
            raise IllegalArgumentError("starting offset can't be latest for batch queries on Kafka")
        case AtOffsets(positions):
            for partition, offset in positions.items():
                if offset == LATEST:
                    raise IllegalArgumentError(
                        f"startingOffsets for {partition} can't be latest for batch queries on Kafka"
                    )
    match _limit(options, "ending", AtEnd(LATEST)):
        case AtEnd(position) if position == EARLIEST:
            raise IllegalArgumentError("ending offset can't be earliest for batch queries on Kafka")
        case AtOffsets(positions):
            for partition, offset in positions.items():
                if offset == EARLIEST:
                    raise IllegalArgumentError(
                        f"ending offset for {partition} can't be earliest for batch queries on Kafka"
                    )


def _check_order(start: Limit, end: Limit) -> None:
    match start, end:
        case AtOffsets(first), AtOffsets(last):
            _check_positions("offset", first, last)
        case AtTimes(dict() as first), AtTimes(dict() as last):
            _check_positions("timestamp", first, last)


def _check_positions(kind: str, first: Positions, last: Positions) -> None:
    if first.keys() != last.keys():
        raise failures.different_partitions(first, last)
    for partition, begin in first.items():
        if begin > last[partition] >= 0:
            raise failures.start_after_end(kind, partition, begin, last[partition])


def _flag(options: Options, name: str) -> bool:
    text = options.text(name)
    if text.lower() not in ("true", "false"):
        raise IllegalArgumentError(f'For input string: "{text}"')
    return text.lower() == "true"


def _number(options: Options, name: str) -> int:
    return whole(options.text(name))


def _maybe_number(options: Options, name: str) -> int | None:
    text = options.maybe(name)
    return None if text is None else whole(text)
