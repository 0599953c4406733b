"""What Spark says when something is wrong with a topic. Source: `kafka-error-conditions.json`, `KafkaExceptions`.

Unlike its other errors, Spark shows these without their condition and SQLSTATE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from riacho.errors import IllegalArgumentError, IllegalStateError, SparkGeneralError
from riacho.server.kafka.offsets import TopicPartition, as_set, shown

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

_DATA_LOSS: Final = (
    "Some data may have been lost because they are not available in Kafka any more;\n"
    "either the data was aged out by Kafka or the topic may have been deleted before all the data in the\n"
    "topic was processed.\n"
    "If you don't want your streaming query to fail on such cases, set the source option failOnDataLoss to false.\n"
    "Reason: "
)
LOSS_IS_ALLOWED: Final = (
    "Some data may have been lost because they are not available in Kafka any more; either the data was aged out by "
    "Kafka or the topic may have been deleted before all the data in the topic was processed. If you want your "
    'streaming query to fail on such cases, set the source option "failOnDataLoss" to "true".'
)
"""What is behind each warning of lost data that does not fail the query."""
GROUP_ID_SET: Final = (
    "Kafka option 'kafka.group.id' has been set on this query, it is\n"
    "not recommended to set this option. This option is unsafe to use since multiple concurrent\n"
    "queries or sources using the same group id will interfere with each other as they are part\n"
    "of the same consumer group. Restarted queries may also suffer interference from the\n"
    "previous run having the same group id. The user should have only one query per group id,\n"
    "and/or set the option 'kafka.session.timeout.ms' to be very small so that the Kafka\n"
    "consumers from the previous query are marked dead by the Kafka group coordinator before the\n"
    "restarted query starts running."
)

ReportLoss = Callable[["KafkaDataLoss"], None]
"""What to do about lost data: raise it, or warn of it."""


class KafkaIllegalStateError(IllegalStateError):
    java_classes: ClassVar[tuple[str, ...]] = (
        "org.apache.spark.sql.kafka010.KafkaIllegalStateException",
        *IllegalStateError.java_classes,
    )


class KafkaDataLoss(KafkaIllegalStateError):  # noqa: N818 - Spark's condition
    """KAFKA_DATA_LOSS: messages that should be there are not. `reason`: without the text that all of them share."""

    def __init__(self, kind: str, reason: str, **parameters: str) -> None:
        super().__init__(
            _DATA_LOSS + reason, condition=f"KAFKA_DATA_LOSS.{kind}", sql_state="22000", parameters=parameters
        )
        self.reason = reason


class KafkaClientError(SparkGeneralError):
    """What the client could not do, in librdkafka's words."""

    java_classes: ClassVar[tuple[str, ...]] = (
        "org.apache.kafka.common.KafkaException",
        "java.lang.RuntimeException",
        *SparkGeneralError.java_classes,
    )


def cause_of(error: Exception) -> KafkaError:
    """What is in a KafkaException."""
    cause: KafkaError = error.args[0]
    return cause


def start_not_as_assigned(
    given: Iterable[TopicPartition], assigned: Iterable[TopicPartition]
) -> KafkaIllegalStateError:
    """The starting or ending offsets of an option are of other partitions than there are."""
    specified, there = as_set(given), as_set(assigned)
    return KafkaIllegalStateError(
        "Partitions specified for Kafka start offsets don't match what are assigned. Maybe topic partitions are "
        "created \nor deleted while the query is running. Use -1 for latest, -2 for earliest.\n"
        f"Specified: {specified} Assigned: {there}",
        condition="KAFKA_START_OFFSET_DOES_NOT_MATCH_ASSIGNED",
        parameters={"specifiedPartitions": specified, "assignedPartitions": there},
    )


def times_not_as_assigned(
    position: str, given: Iterable[TopicPartition], assigned: Iterable[TopicPartition]
) -> KafkaIllegalStateError:
    """The same of times. `position`: `start` or `end`."""
    specified, there = as_set(given), as_set(assigned)
    return KafkaIllegalStateError(
        f"Partitions specified for Kafka timestamp based {position} offsets don't match what are assigned. Maybe topic "
        "partitions are created \nor deleted while the query is running, or you didn't specify all the partitions.\n"
        f"Specified: {specified} Assigned: {there}",
        condition="KAFKA_TIMESTAMP_OFFSET_DOES_NOT_MATCH_ASSIGNED",
        parameters={"position": position, "specifiedPartitions": specified, "assignedPartitions": there},
    )


def no_match_for_time(partition: TopicPartition, time_ms: int) -> IllegalArgumentError:
    """There is no message of that time or later, and the query did not say what to do then."""
    return IllegalArgumentError(
        f"No offset matched from request of topic-partition {partition} and timestamp {time_ms}."
    )


def different_partitions(start: Iterable[TopicPartition], end: Iterable[TopicPartition]) -> IllegalArgumentError:
    """Starting and ending offsets name different partitions."""
    first, last = shown(start), shown(end)
    return IllegalArgumentError(
        "The specified start offset and end offset should have the same topic-partitions.\n"
        f"Topic-partitions for start offset: {first}, topic-partitions for end offset: {last}.",
        condition="MISMATCHED_TOPIC_PARTITIONS_BETWEEN_START_OFFSET_AND_END_OFFSET",
        parameters={"tpsForStartOffset": first, "tpsForEndOffset": last},
    )


def start_after_end(kind: str, partition: TopicPartition, start: int, end: int) -> IllegalArgumentError:
    """As the options say it. `kind`: `offset` or `timestamp`."""
    return IllegalArgumentError(
        f"The specified start {kind} {start} is greater than the end {kind} {end} for topic {partition.topic} "
        f"partition {partition.number}.",
        condition="UNRESOLVED_START_OFFSET_GREATER_THAN_END_OFFSET",
        parameters={
            "offsetType": kind,
            "startOffset": str(start),
            "endOffset": str(end),
            "topic": partition.topic,
            "partition": str(partition.number),
        },
    )


def resolved_start_after_end(partition: TopicPartition, start: int, end: int) -> KafkaIllegalStateError:
    """As the broker says it."""
    return KafkaIllegalStateError(
        f"The resolved start offset {start} is greater than the resolved end offset {end} for topic {partition.topic} "
        f"partition {partition.number}.\n"
        "Please investigate in this order:\n"
        "1. Check whether start offset is set beyond the end offset or the latest available offset after resolution. "
        "Possible inputs are:\n"
        "  (a) Start offset is set to a timestamp, and the end offset is set to an index of offset.\n"
        "  (b) Start offset is set to an index of offset, and the end offset is set to a timestamp.\n"
        "  (c) Start offset is set, and the end offset is set to latest.\n"
        "2. Check whether the Kafka topic-partition is deleted and re-created.",
        condition="RESOLVED_START_OFFSET_GREATER_THAN_END_OFFSET",
        parameters={
            "startOffset": str(start),
            "endOffset": str(end),
            "topic": partition.topic,
            "partition": str(partition.number),
        },
    )


def null_topic() -> KafkaIllegalStateError:
    """A row to be written says no topic, and there is no option either."""
    return KafkaIllegalStateError(
        "The Kafka message data sent to the producer contains a null topic. Use the `topic` option for setting a "
        "default topic.",
        condition="KAFKA_NULL_TOPIC_IN_DATA",
    )


def malformed_timestamp(partition: TopicPartition, offset: int, time_ms: int) -> KafkaIllegalStateError:
    """The time of a message is none, counted in milliseconds."""
    return KafkaIllegalStateError(
        f"Record at topic {partition.topic} partition {partition.number} offset {offset} has timestamp value {time_ms} "
        "that overflows when converting to Spark's microsecond-precision TimestampType.\n"
        "Kafka record timestamps must be in milliseconds since epoch per the Kafka protocol. The provided value "
        "suggests the producer may be writing timestamps in microseconds or nanoseconds instead.\n"
        "Ensure the Kafka producer sets the ProducerRecord timestamp in milliseconds.",
        condition="KAFKA_MALFORMED_RECORD_TIMESTAMP",
        sql_state="22008",
        parameters={
            "topic": partition.topic,
            "partition": str(partition.number),
            "offset": str(offset),
            "timestamp": str(time_ms),
        },
    )


def partitions_deleted(partitions: Iterable[TopicPartition], *, group_id_set: bool) -> KafkaDataLoss:
    """Partitions that were read are gone."""
    gone = as_set(partitions)
    if group_id_set:
        return KafkaDataLoss(
            "PARTITIONS_DELETED_AND_GROUP_ID_CONFIG_PRESENT",
            f"Partitions {gone} have been deleted.\n{GROUP_ID_SET}",
            partitions=gone,
            groupIdConfig="group.id",
        )
    return KafkaDataLoss("PARTITIONS_DELETED", f"Partitions {gone} have been deleted.", partitions=gone)


def initial_offset_not_found(partitions: Iterable[TopicPartition]) -> KafkaDataLoss:
    """Partitions were there a moment ago."""
    gone = as_set(partitions)
    return KafkaDataLoss(
        "INITIAL_OFFSET_NOT_FOUND_FOR_PARTITIONS",
        f"Cannot find initial offsets for partitions {gone}. They may have been deleted.",
        partitions=gone,
    )


def added_partition_lost_its_begin(partition: TopicPartition, start: int) -> KafkaDataLoss:
    """A partition that is new to the query has already lost messages."""
    return KafkaDataLoss(
        "ADDED_PARTITION_DOES_NOT_START_FROM_OFFSET_ZERO",
        f"Added partition {partition} starts from {start} instead of 0.",
        topicPartition=str(partition),
        startOffset=str(start),
    )


def offset_changed(partition: TopicPartition, before: int, now: int) -> KafkaDataLoss:
    """The partition ends before the place where the query stands."""
    return KafkaDataLoss(
        "PARTITION_OFFSET_CHANGED",
        f"Partition {partition} offset was changed from {before} to {now}.\n"
        "This could be either 1) a user error that the start offset is set beyond available offset when starting query,"
        " or 2) the kafka topic-partition is deleted and re-created.",
        topicPartition=str(partition),
        prevOffset=str(before),
        newOffset=str(now),
    )


def could_not_read(partition: TopicPartition, start: int, end: int, group_id: str) -> KafkaDataLoss:
    """Messages of a range are gone."""
    return KafkaDataLoss(
        "COULD_NOT_READ_OFFSET_RANGE",
        f"Could not read records in offset [{start}, {end}) for topic partition {partition}\n"
        f"with consumer group {group_id}.",
        startOffset=str(start),
        endOffset=str(end),
        topicPartition=str(partition),
        groupId=group_id,
    )


_TRANSIENT: Final = "The error could be transient - restart your query, and report if you still see the same issue.\n"
_LOST_NOW: Final = "with Trigger.AvailableNow. " + _TRANSIENT


def other_partitions_than_frozen(
    frozen: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]
) -> SparkGeneralError:
    """A batch of a run with availableNow ends in other partitions than the run has set itself."""
    first, last = as_set(frozen), as_set(end)
    return SparkGeneralError(
        "Kafka data source in Trigger.AvailableNow should provide the same topic partitions in pre-fetched offset to "
        f"end offset for each microbatch. {_TRANSIENT}"
        f"topic-partitions for pre-fetched offset: {first}, topic-partitions for end offset: {last}."
    )


def end_after_frozen(frozen: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]) -> SparkGeneralError:
    """A batch of a run with availableNow ends behind the end that the run has set itself."""
    return SparkGeneralError(
        "For Kafka data source with Trigger.AvailableNow, end offset should have lower or equal offset per each topic "
        f"partition than pre-fetched offset. {_TRANSIENT}"
        f"pre-fetched offset: {_as_map(frozen)}, end offset: {_as_map(end)}."
    )


def partitions_lost(latest: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]) -> SparkGeneralError:
    """Partitions that a run with availableNow was to read are gone."""
    return SparkGeneralError(
        f"Some of partitions in Kafka topic(s) have been lost during running query {_LOST_NOW}"
        f"topic-partitions for latest offset: {as_set(latest)}, topic-partitions for end offset: {as_set(end)}"
    )


def end_after_latest(latest: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]) -> SparkGeneralError:
    """Partitions end before the end that a run with availableNow has set itself."""
    return SparkGeneralError(
        "Some of partitions in Kafka topic(s) report available offset which is less than end offset during running "
        f"query {_LOST_NOW}"
        f"latest offset: {_as_map(latest)}, end offset: {_as_map(end)}"
    )


def _as_map(positions: Mapping[TopicPartition, int]) -> str:
    """Positions as Scala prints a map."""
    return f"Map({', '.join(f'{each} -> {positions[each]}' for each in sorted(positions))})"
