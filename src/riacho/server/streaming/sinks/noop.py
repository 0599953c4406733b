"""The noop sink: the batch is executed and its rows are dropped. For measuring everything but the sink."""

from __future__ import annotations

from riacho.server.streaming.sinks.base import PlainSink, SinkBatch, SinkContext


class NoopSink(PlainSink):
    """Takes every output mode."""

    name = "noop"
    temporary_checkpoint = True

    def open(self, context: SinkContext) -> NoopWriter:
        return NoopWriter(context)


class NoopWriter:
    takes_parts = True
    description = "org.apache.spark.sql.execution.datasources.noop.NoopTable$"

    def __init__(self, context: SinkContext) -> None:
        self._session = context.session

    def add_batch(self, batch: SinkBatch) -> int:
        return sum(rows.num_rows for relation in batch.relations for rows in self._session.stream(relation))

    def stop(self) -> None:
        """Nothing is open."""
