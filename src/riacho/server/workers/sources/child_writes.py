"""The commands of a worker that writes: plan, write a task's rows, then commit or abort.

Source: `pyspark/sql/worker/{write_into_data_source,commit_data_source_write,python_streaming_sink_runner}.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError
from pyspark.sql.datasource import (
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    DataSourceStreamWriter,
    DataSourceWriter,
    WriterCommitMessage,
)
from pyspark.sql.types import Row, StructType

from riacho.server.workers.rows import rows_of
from riacho.server.workers.sources.objects import (
    Blobs,
    LostServer,
    Reply,
    UserObjects,
    class_of,
    dumps,
    loads,
    made,
    mismatch,
    struct,
)
from riacho.server.workers.sources.wire import Channel, Message


class WriteCommands(UserObjects):
    """See `child.Worker`; all commands are called alike, whether or not they are given objects."""

    def do_plan_write(self, use: Message, schema: str, mode: str, blobs: Blobs) -> Reply:
        """Make a data source and its writer; the answer has the writer, pickled.

        `writerForMode(schema, mode)` is called instead of `writer(schema, overwrite)` where a class has it. It may give
        None: there is nothing to write. Without it, the answer to another mode than Spark has says so.
        """
        cls = class_of(blobs[0], use["provider"])
        for_mode = hasattr(cls, "writerForMode")
        if not for_mode and mode not in ("append", "overwrite"):
            return {"refused": True}, []
        self._schema = struct(schema)
        self._source = made(cls, use)
        if for_mode:
            writer = self._source.writerForMode(self._schema, mode)
            if writer is None:
                return {"nothing": True}, []
        else:
            writer = self._source.writer(self._schema, mode == "overwrite")
        if not isinstance(writer, DataSourceWriter):
            raise mismatch("an instance of DataSourceWriter", writer)
        return {"most_tasks": getattr(writer, "most_tasks", None)}, [dumps((writer, self._schema))]

    def do_plan_stream_write(
        self, use: Message, schema: str, overwrite: bool, query_id: str, batch_id: int, blobs: Blobs
    ) -> Reply:
        """The same for a batch of a stream, which has a writer of its own kind; with `forBatch` it is told which."""
        cls = class_of(blobs[0], use["provider"])
        self._schema = struct(schema)
        self._source = made(cls, use)
        writer = self._source.streamWriter(self._schema, overwrite)
        if not isinstance(writer, DataSourceStreamWriter | DataSourceStreamArrowWriter):
            raise mismatch("an instance of DataSourceStreamWriter or DataSourceStreamArrowWriter", writer)
        if hasattr(writer, "forBatch"):
            writer.forBatch(query_id, batch_id)
        return {"most_tasks": getattr(writer, "most_tasks", None)}, [dumps((writer, self._schema))]

    def do_write(self, blobs: Blobs) -> Reply:
        """One task: the rows come as messages after this one. The answer has the commit message, pickled."""
        rows = _TaskRows(self._channel)
        writer, schema = loads(blobs[0])
        if isinstance(writer, DataSourceArrowWriter | DataSourceStreamArrowWriter):
            told = writer.write(rows)
        else:
            told = writer.write(_as_rows(rows, schema))
        if not isinstance(told, WriterCommitMessage):
            raise PySparkRuntimeError(
                errorClass="DATA_SOURCE_TYPE_MISMATCH",
                messageParameters={
                    "expected": "'WriterCommitMessage' as the return type of the `write` method",
                    "actual": type(told).__name__,
                },
            )
        rows.skip()
        return {}, [dumps(told)]

    def do_finish_write(self, given: list[bool], abort: bool, blobs: Blobs) -> Reply:
        """Commit or abort what the tasks wrote; `given` says which of them have a message."""
        messages = messages_of(given, blobs[1:])
        writer, _ = loads(blobs[0])
        (writer.abort if abort else writer.commit)(messages)
        return {}, []

    def do_finish_stream_write(
        self,
        schema: str,
        overwrite: bool,
        batch_id: int,
        given: list[bool],
        abort: bool,
        blobs: Blobs,
    ) -> Reply:
        """The same for one batch of a stream. As in Spark, a new writer is asked for it."""
        messages = messages_of(given, blobs)
        writer = self._source.streamWriter(schema=struct(schema), overwrite=overwrite)
        (writer.abort if abort else writer.commit)(messages, batch_id)
        return {}, []


class _TaskRows(Iterator[pa.RecordBatch]):
    """The batches of a task, as they come from the server."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._schema: pa.Schema | None = None
        self._ended = False

    def __next__(self) -> pa.RecordBatch:
        while not self._ended:
            try:
                message, blobs = self._channel.receive()
            except ConnectionError as error:
                self._ended = True
                raise LostServer from error
            if "schema" in message:
                self._schema = pa.ipc.read_schema(pa.py_buffer(blobs[0]))
            elif "end" in message:
                self._ended = True
            else:
                return pa.ipc.read_record_batch(pa.py_buffer(blobs[0]), self._schema)
        raise StopIteration

    def skip(self) -> None:
        """Let what is still to come go by, for the next message is another command."""
        for _ in self:
            pass


def _as_rows(batches: Iterator[pa.RecordBatch], schema: StructType) -> Iterator[Row]:
    for batch in batches:
        yield from rows_of(batch, schema)


def messages_of(given: list[bool], blobs: Blobs) -> list[Any]:
    """The tasks' messages, None for those that have none. Raises `mismatch` for an object that is no message."""
    left = iter(blobs)
    messages = [loads(next(left)) if there else None for there in given]
    for message in messages:
        if message is not None and not isinstance(message, WriterCommitMessage):
            raise mismatch("an instance of WriterCommitMessage", message)
    return messages
