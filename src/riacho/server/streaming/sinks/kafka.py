"""The Kafka sink: rows as messages, at least once, or by option exactly once. Source: Spark's `KafkaStreamingWrite`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa

from riacho.server.kafka import client
from riacho.server.kafka.transactions import BatchTransactions
from riacho.server.kafka.writer import KafkaWriteOptions, MessageWriter
from riacho.server.streaming.sinks.base import QUERY_OPTIONS, PlainSink, SinkBatch, SinkContext

DESCRIPTION: Final = "org.apache.spark.sql.kafka010.KafkaSourceProvider$KafkaTable"


class KafkaSink(PlainSink):
    """Takes every output mode; `options`: as the user gave them. They are checked when the query opens it, as in Spark.

    Raises AnalysisError if Kafka's client is not installed.
    """

    name = "kafka"

    def __init__(self, options: Mapping[str, str]) -> None:
        client.available()
        self._options = options

    def open(self, context: SinkContext) -> KafkaSinkWriter:
        """Raises what is wrong with the options and the columns, and KafkaClientError."""
        return KafkaSinkWriter(KafkaWriteOptions.of(self._options, QUERY_OPTIONS), context)


class KafkaSinkWriter:
    """See `streaming.sinks.base.SinkWriter`. One producer for the whole run."""

    description = DESCRIPTION
    takes_parts = True

    def __init__(self, given: KafkaWriteOptions, context: SinkContext) -> None:
        self._context = context
        self._transactions: BatchTransactions | None = None
        self._plain: MessageWriter | None = None
        if given.exactly_once:
            self._transactions = BatchTransactions(given, context.schema, context.query_id, context.check_stop)
        else:
            self._plain = MessageWriter(given, context.schema, context.check_stop)

    def add_batch(self, batch: SinkBatch) -> int | None:
        """Raises KAFKA_NULL_TOPIC_IN_DATA, KafkaClientError."""
        if self._transactions is not None:
            return self._transactions.write(batch.batch_id, lambda: self._rows(batch))
        assert self._plain is not None
        rows = self._plain.write(self._rows(batch))
        self._plain.flush()
        return rows

    def stop(self) -> None:
        for writer in (self._transactions, self._plain):
            if writer is not None:
                writer.close()

    def _rows(self, batch: SinkBatch) -> Iterator[pa.RecordBatch]:
        for relation in batch.relations:
            yield from self._context.session.stream(relation)
