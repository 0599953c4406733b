"""Kafka in batches: reads of a range of offsets, and writes. Source: Spark's `KafkaBatch`, `KafkaSourceProvider`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.batch.batch_source import RowsRead
from riacho.server.batch.wanted import Wanted
from riacho.server.batch.write_context import WriteContext
from riacho.server.engine.base import EngineSession
from riacho.server.engine.schemas import given_schema
from riacho.server.kafka import client, failures, options, rows
from riacho.server.kafka.client import KafkaClient
from riacho.server.kafka.options import KafkaReadOptions
from riacho.server.kafka.ranges import Range
from riacho.server.kafka.reader import RangeReader
from riacho.server.kafka.writer import KafkaWriteOptions, MessageWriter


@dataclass(frozen=True)
class KafkaBatchRead:
    """Topics as a table: by default all that is in them when it is read."""

    given: Mapping[str, str]
    schema: pa.Schema

    def read(self, wanted: Wanted) -> RowsRead:  # noqa: ARG002 - a message comes as a whole
        """See `own_reads.BatchSource`."""
        return RowsRead(self.schema, self._messages())

    def _messages(self) -> Iterator[pa.RecordBatch]:
        """Raises what Spark raises for options that do not fit the topics, KAFKA_DATA_LOSS, KafkaClientError."""
        given = KafkaReadOptions.of(self.given, stream=False)
        asked = KafkaClient(given)
        try:
            partitions = asked.partitions()
            start, end = asked.start(given.start, partitions), asked.end(given.end, partitions)
            for partition, first in start.items():
                if first > end[partition]:
                    raise failures.resolved_start_after_end(partition, first, end[partition])
            reader = RangeReader(
                asked,
                self.schema,
                fail_on_data_loss=given.fail_on_data_loss,
                poll_timeout_ms=given.poll_timeout_ms,
            )
            try:
                yield from reader.read(Range(each, start[each], end[each]) for each in partitions)
            finally:
                reader.close()
        finally:
            asked.close()


def kafka_read(source: pb.Read.DataSource, session: EngineSession) -> KafkaBatchRead:
    """See `own_reads.MakeBatchSource`. Raises what Spark refuses when the DataFrame is made."""
    client.available()
    given = dict(source.options)
    options.check(given, stream=False)
    schema = rows.schema(headers=options.includes_headers(given))
    declared = given_schema(source.schema, session)
    if declared is not None and not types.nullable(declared).equals(schema):
        raise _other_schema(declared, schema)
    return KafkaBatchRead(given, schema)


def kafka_write(context: WriteContext, operation: pb.WriteOperation) -> None:
    """See `writes.Writer`. Rows that were sent before a failure stay, as in Spark.

    Raises what is wrong with the mode, the options and the columns, KAFKA_NULL_TOPIC_IN_DATA, KafkaClientError.
    """
    client.available()
    modes = {
        pb.WriteOperation.SAVE_MODE_OVERWRITE: "Overwrite",
        pb.WriteOperation.SAVE_MODE_IGNORE: "Ignore",
    }
    # Spark writes a table, which is new, by overwriting it.
    if operation.WhichOneof("save_type") == "table" and operation.mode != pb.WriteOperation.SAVE_MODE_IGNORE:
        raise _no_such_mode("Overwrite")
    if operation.mode in modes:
        raise _no_such_mode(modes[operation.mode])
    given = KafkaWriteOptions.of(operation.options)
    writer = MessageWriter(given, context.session.schema(operation.input))
    try:
        writer.write(context.session.stream(operation.input))
        writer.flush()
    finally:
        writer.close()


def _no_such_mode(mode: str) -> AnalysisError:
    return AnalysisError(
        f"Save mode {mode} not allowed for Kafka. Allowed save modes are Append and ErrorIfExists (default).",
        condition="_LEGACY_ERROR_TEMP_3081",
        parameters={"mode": mode, "append": "Append", "errorIfExists": "ErrorIfExists"},
    )


def _other_schema(declared: pa.Schema, actual: pa.Schema) -> AnalysisError:
    given, there = types.to_ddl(declared), ",".join(types.to_ddl(pa.schema([field])) for field in actual)
    return AnalysisError.of(
        "USER_SPECIFIED_AND_ACTUAL_SCHEMA_MISMATCH",
        "The user-specified schema doesn't match the actual schema:\n"
        f"user-specified: {given}, actual: {there}. If you're using\n"
        "DataFrameReader.schema API or creating a table, please do not specify the schema.\n"
        "Or if you're scanning an existed table, please drop it and re-create it.",
        sql_state="42K03",
        schema=given,
        actualSchema=there,
    )
