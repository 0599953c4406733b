"""Rows as messages. Source: Spark's `KafkaWriter`, `KafkaRowWriter`.

A producer sends in the background: what `write` was given is in Kafka when `flush` returns. Rows go from Arrow to the
client in one loop, and only messages that could not be sent call back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.errors import AnalysisError, IllegalArgumentError, SparkGeneralError
from riacho.options import Option, Options
from riacho.server.kafka import failures, rows, settings
from riacho.server.kafka.client import NO_ANSWER, CheckStop, client_error
from riacho.server.kafka.client_log import CLIENT_LOG
from riacho.server.kafka.options import SETTINGS, client_settings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer


OPTIONS: Final = (
    Option("kafka.bootstrap.servers", None, "where the brokers are: `host:port`, several with commas; required"),
    Option("topic", None, "the topic of all rows; without it each row says its own in a column `topic`"),
    Option("includeHeaders", "false", "accepted: a column `headers` is written whatever it says"),
    Option(
        "riacho.exactlyOnce",
        "false",
        "riacho only, streams: each batch is one transaction, which a `read_committed` reader sees once",
    ),
    Option(
        "kafka.transactional.id",
        None,
        "streams: the name of these transactions, of which only one query may have it; it turns `riacho.exactlyOnce` "
        "on. By default it is made from the query's id",
    ),
    SETTINGS,
)
"""What the documentation lists."""
FULL_WAIT_S: Final = 0.1
_ANY: Final = -1
"""The partition that the client chooses, by the key."""
DELIVERY_TIMEOUT_MS: Final = 120_000
_OF_CONNECTION: Final = ("bootstrap.", "client.", "security.", "sasl.", "ssl.", "socket.", "reconnect.", "metadata.")
_BYTES: Final = (pa.string(), pa.binary())
_WANTED: Final[Mapping[str, tuple[pa.DataType, ...]]] = {
    "topic": (pa.string(),),
    "key": _BYTES,
    "value": _BYTES,
    "headers": (rows.HEADERS_TYPE,),
    "partition": (pa.int32(),),
}


@dataclass(frozen=True)
class KafkaWriteOptions:
    """The options of a write, checked. `settings`: those of the client, without `kafka.`."""

    settings: Mapping[str, str]
    topic: str | None
    exactly_once: bool = False

    @classmethod
    def of(cls, given: Mapping[str, str], more: Iterable[Option] = ()) -> KafkaWriteOptions:
        """`more`: options that others read. Raises IllegalArgumentError, MISSING_KAFKA_OPTION."""
        options = Options.check("Kafka sink", (*OPTIONS, *more), given)
        chosen = client_settings(given)
        for part, noun in (("key", "keys"), ("value", "value")):
            if f"{part}.serializer" in chosen:
                raise IllegalArgumentError(
                    f"Kafka option '{part}.serializer' is not supported as {noun} are serialized with "
                    "ByteArraySerializer."
                )
        if "bootstrap.servers" not in chosen:
            raise SparkGeneralError(
                "Kafka option bootstrap.servers is not set. Please make sure it is set and retry.",
                condition="MISSING_KAFKA_OPTION",
                parameters={"option": "bootstrap.servers"},
            )
        topic = options.maybe("topic")
        exactly_once = options.flag("riacho.exactlyOnce") or "transactional.id" in chosen
        return cls(chosen, None if topic is None else topic.strip(), exactly_once)

    def with_setting(self, name: str, default: str) -> KafkaWriteOptions:
        """With a setting of the client, unless the user gave it."""
        return replace(self, settings={name: default, **self.settings})

    def connection(self) -> dict[str, str]:
        """The settings that say how to reach the brokers, which a producer shares with others."""
        return {name: value for name, value in self.settings.items() if name.startswith(_OF_CONNECTION)}


class MessageWriter:
    """Sends rows of one schema. For one thread. `transactional_id`: set for one whose messages come in transactions.

    Raises _LEGACY_ERROR_TEMP_3080 for columns that are missing or of another type, IllegalArgumentError for settings
    that the client does not take.
    """

    def __init__(
        self,
        given: KafkaWriteOptions,
        schema: pa.Schema,
        check_stop: CheckStop = lambda: None,
        transactional_id: str | None = None,
    ) -> None:
        check_columns(schema, given.topic)
        self._topic = given.topic
        self._settings = given.settings
        self._check_stop = check_stop
        self._error: KafkaError | None = None
        self.disturbed = False
        """A broker has been away since this was made."""
        self.written_to: str | None = None
        """One of the topics that the last `write` wrote to."""
        self.producer = self._connect(given, transactional_id)

    def write(self, batches: Iterable[pa.RecordBatch]) -> int:
        """Hand rows to the client; how many. Raises KAFKA_NULL_TOPIC_IN_DATA, and KafkaClientError for earlier ones."""
        count = 0
        self.written_to = None
        for batch in batches:
            self._check_stop()
            if batch.num_rows:
                self._send(batch)
                count += batch.num_rows
            self.producer.poll(0)
            self.raise_error()
        return count

    def flush(self) -> None:
        """Wait until all messages are in Kafka. Raises KafkaClientError for one that could not be sent."""
        while self.producer.flush(FULL_WAIT_S):
            self._check_stop()
            self.raise_error()
        self.raise_error()

    def raise_error(self) -> None:
        """Raise what became of a message that could not be sent, if there is one."""
        from confluent_kafka import KafkaException

        if self._error is not None:
            error, self._error = self._error, None
            raise client_error(KafkaException(error), self._settings)

    def close(self) -> None:
        """Drop what has not been sent."""
        self.producer.purge()
        self.producer.flush(FULL_WAIT_S)

    def _connect(self, given: KafkaWriteOptions, transactional_id: str | None) -> Producer:
        from confluent_kafka import Producer

        # librdkafka does not let a message wait for longer than its transaction may take.
        of_transaction = int(settings.timeout_s(given.settings, "transaction.timeout.ms", DELIVERY_TIMEOUT_MS) * 1000)
        chosen: dict[str, Any] = {
            "delivery.timeout.ms": str(min(DELIVERY_TIMEOUT_MS, of_transaction)),
            **settings.producer(given.settings),
            "delivery.report.only.error": True,
            "on_delivery": self._not_sent,
            "error_cb": self._disturb,
        }
        chosen.pop("transactional.id", None)
        if transactional_id is not None:
            chosen["transactional.id"] = transactional_id
            chosen["enable.idempotence"] = "true"
        return settings.accepted(lambda found: Producer(found, logger=CLIENT_LOG), chosen)

    def _disturb(self, error: KafkaError) -> None:
        if error.name() in NO_ANSWER:
            self.disturbed = True

    def _not_sent(self, error: KafkaError | None, _: Message) -> None:
        if error is not None and self._error is None and error.name() not in ("_PURGE_QUEUE", "_PURGE_INFLIGHT"):
            self._error = error

    def _send(self, batch: pa.RecordBatch) -> None:
        """Hand one batch to the client, column by column turned into Python's values."""
        from confluent_kafka import KafkaException

        topics = self._topics(batch)
        self.written_to = self._topic if topics is None else topics[0]
        values = _bytes(batch, "value")
        keys = _bytes(batch, "key")
        partitions = _partitions(batch)
        headers = _headers(batch)
        try:
            if topics is None and partitions is None and headers is None:
                self._produce_plain(values, keys)
            else:
                count = batch.num_rows
                self._produce(
                    topics or [self._topic] * count,
                    values,
                    keys,
                    partitions or [_ANY] * count,
                    headers or [None] * count,
                )
        except KafkaException as error:
            raise client_error(error, self._settings) from None

    def _produce_plain(self, values: Sequence[bytes | None], keys: Sequence[bytes | None]) -> None:
        """Rows of a value and perhaps a key for one topic, which most are."""
        produce, topic = self.producer.produce, self._topic or ""
        for value, key in zip(values, keys, strict=True):
            try:
                produce(topic, value, key)
            except BufferError:
                self._wait_for_room(topic, value, key)

    def _produce(self, *columns: Sequence[Any]) -> None:
        """Rows of topic, value, key, partition and headers."""
        produce = self.producer.produce
        for topic, value, key, partition, headers in zip(*columns, strict=True):
            more = {"headers": headers} if headers else {}
            try:
                produce(topic, value, key, partition, **more)
            except BufferError:
                self._wait_for_room(topic, value, key, partition, **more)

    def _wait_for_room(self, *message: Any, **more: Any) -> None:
        """The client holds as many messages as it may: wait until some are sent, then hand it this one."""
        while True:
            self.producer.poll(FULL_WAIT_S)
            self._check_stop()
            self.raise_error()
            try:
                self.producer.produce(*message, **more)
            except BufferError:
                continue
            return

    def _topics(self, batch: pa.RecordBatch) -> list[str] | None:
        """The topic of each row; None if all have the option's."""
        if self._topic is not None:
            return None
        column = _column(batch, "topic")
        if column.null_count:
            raise failures.null_topic()
        topics: list[str] = column.to_pylist()
        return topics


def check_columns(schema: pa.Schema, topic: str | None) -> None:
    """Raises _LEGACY_ERROR_TEMP_3080 for what cannot be written."""
    if topic is None and "topic" not in schema.names:
        raise _wrong(
            "topic option required when no 'topic' attribute is present. Use the topic option for setting a topic."
        )
    for name, wanted in _WANTED.items():
        if name == "topic" and topic is not None:
            continue
        if name not in schema.names:
            if name == "value":
                raise _wrong("Required attribute 'value' not found")
            continue
        found = types.normalise(schema.field(schema.names.index(name)).type)
        if not any(_same(found, each) for each in wanted):
            shown = " or ".join(_catalog_text(each) for each in wanted)
            raise _wrong(f"{name} attribute unsupported type {_catalog_text(found)}. {name} must be a(n) {shown}")


def _wrong(text: str) -> AnalysisError:
    return AnalysisError(text, condition="_LEGACY_ERROR_TEMP_3080", parameters={"msg": text})


def _same(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether the types are the same, whatever may be null and however fields are spelled."""
    if pa.types.is_list(found) and pa.types.is_list(wanted):
        return _same(found.value_type, wanted.value_type)
    if pa.types.is_struct(found) and pa.types.is_struct(wanted):
        return [field.name.lower() for field in found] == [field.name.lower() for field in wanted] and all(
            _same(one.type, other.type) for one, other in zip(found, wanted, strict=True)
        )
    return bool(found.equals(wanted))


def _catalog_text(arrow: pa.DataType) -> str:
    """A type as Spark's catalog writes it: `array<struct<key:string,value:binary>>`."""
    if pa.types.is_map(arrow):
        return f"map<{_catalog_text(arrow.key_type)},{_catalog_text(arrow.item_type)}>"
    if pa.types.is_list(arrow):
        return f"array<{_catalog_text(arrow.value_type)}>"
    if pa.types.is_struct(arrow):
        return f"struct<{','.join(f'{field.name}:{_catalog_text(field.type)}' for field in arrow)}>"
    return types.type_to_ddl(arrow).lower()


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """The first column of that name, as Spark takes it."""
    return batch.column(batch.schema.names.index(name))


def _bytes(batch: pa.RecordBatch, name: str) -> Sequence[bytes | None]:
    if name not in batch.schema.names:
        return [None] * batch.num_rows
    values: list[bytes | None] = pc.cast(_column(batch, name), pa.binary()).to_pylist()
    return values


def _partitions(batch: pa.RecordBatch) -> list[int] | None:
    """The partition of each row, -1 for the client's choice; None if that is all of them."""
    if "partition" not in batch.schema.names:
        return None
    column = _column(batch, "partition")
    least = pc.min(column).as_py()
    if least is not None and least < 0:
        raise IllegalArgumentError(
            f"Invalid partition: {least}. Partition number should always be non-negative or null."
        )
    numbers: list[int] = column.fill_null(_ANY).to_pylist()
    return numbers


def _headers(batch: pa.RecordBatch) -> list[list[tuple[str, bytes | None]] | None] | None:
    if "headers" not in batch.schema.names:
        return None
    column = _column(batch, "headers")
    headers = column.flatten()
    if headers.null_count or headers.field(0).null_count:
        raise IllegalArgumentError("A header that is to be written to Kafka, or its key, is null.")
    return [None if each is None else [tuple(header.values()) for header in each] for each in column.to_pylist()]
