"""Python data sources as sinks: each batch is written by the user's `DataSourceStreamWriter`.

The writer is made anew for each batch, and once more for its commit, as in Spark; so what is to be known at the commit
stands in the messages of its tasks. Exactly once is the user's business: a batch that was cut off comes again under its
number. Source: `org.apache.spark.sql.execution.datasources.v2.python.PythonStreamingWrite`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import pyarrow as pa

from riacho.errors import IllegalArgumentError
from riacho.ids import BatchId
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.streaming.sinks.base import OutputMode, PlainSink, SinkBatch, SinkContext
from riacho.server.workers.sources import registered
from riacho.server.workers.sources.failures import stream_failed
from riacho.server.workers.sources.worker import SourceWorker, UserCodeFailed
from riacho.server.workers.sources.writing import Message, Tasks, WriterTasks, unhurried

_CLASS: Final = "org.apache.spark.sql.execution.datasources.v2.python.PythonTable"


@dataclass(frozen=True)
class PythonSink(PlainSink):
    """`options`: those of the start, also its path."""

    name: str
    found: UserClass
    options: Mapping[str, str]
    session: EngineSession

    def open(self, context: SinkContext) -> PythonSinkWriter:
        """Raises IllegalArgumentError for the update mode."""
        if context.output_mode is OutputMode.UPDATE:
            raise IllegalArgumentError(f"requirement failed: {self.name} does not support Update mode.")
        return PythonSinkWriter(self, context)


class PythonSinkWriter:
    """See `streaming.sinks.base.SinkWriter`."""

    takes_parts = True

    def __init__(self, sink: PythonSink, context: SinkContext) -> None:
        self.description = f"{_CLASS}@{id(self) & 0xFFFFFFFF:x}"
        self._context = context
        self._overwrite = context.output_mode is OutputMode.COMPLETE
        self._source = registered.source_of(sink.name, sink.found, sink.options, sink.session, context.schema)
        self._planner: SourceWorker | None = None
        self._tasks = WriterTasks(context.schema, context.session.zone, context.check_stop)

    def add_batch(self, batch: SinkBatch) -> int:
        """Raises PYTHON_DATA_SOURCE_ERROR for a writer that cannot be made, PYTHON_EXCEPTION for one that fails,
        PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR for a commit that does.
        """
        if self._planner is None:
            self._planner = SourceWorker(self._context.check_stop)
        made = self._source.stream_writer(
            self._planner, overwrite=self._overwrite, query_id=self._context.query_id, batch_id=batch.batch_id
        )
        with unhurried(self._planner):
            return self._tasks.write(
                made.data,
                self._rows(batch),
                Tasks().no_more_than(made.most_tasks),
                partial(self._finish, batch.batch_id),
            )

    def _finish(self, batch_id: BatchId, messages: list[Message], *, abort: bool) -> None:
        assert self._planner is not None
        told = [message for message in messages if message is not None]
        given = [message is not None for message in messages]
        try:
            self._planner.call(
                "finish_stream_write",
                told,
                schema=self._source.schema_json,
                overwrite=self._overwrite,
                batch_id=batch_id,
                given=given,
                abort=abort,
            )
        except UserCodeFailed as failure:
            raise stream_failed("abort" if abort else "commit", failure) from None

    def _rows(self, batch: SinkBatch) -> Iterator[pa.RecordBatch]:
        for relation in batch.relations:
            yield from self._context.session.stream(relation)

    def stop(self) -> None:
        self._tasks.close()
        if self._planner is not None:
            self._planner.stop()
