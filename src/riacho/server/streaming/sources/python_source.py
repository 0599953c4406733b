"""Python data sources as streams: the user's `DataSourceStreamReader` or `SimpleDataSourceStreamReader`.

One worker holds the reader for as long as the query runs and is asked for offsets; partitions are read by others, side
by side. A simple reader gives its rows when it is asked for the next offset: they wait in the worker until the batch is
read, and a batch that is run again after a crash is read between its offsets. Which method is called when, and what is
wrong with it, is as in Spark: `PythonMicroBatchStream` and the classes built on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from riacho.errors import SparkError
from riacho.ids import BatchId, Offset
from riacho.server.streaming.sources.base import ReadLimit, SourceContext, SourceData
from riacho.server.workers.sources.failures import refused, stream_failed
from riacho.server.workers.sources.reading import PartitionReads, fitted
from riacho.server.workers.sources.source import UserSource
from riacho.server.workers.sources.worker import SentRows, UserCodeFailed

STOP_LIMIT_S: Final = 5.0
"""How long a reader's `stop` may take; then its process is ended."""
_CLASS: Final = "org.apache.spark.sql.execution.datasources.v2.python.PythonMicroBatchStream"


@dataclass(frozen=True)
class PythonStreamSource:
    """See `streaming.sources.base.Source`. Its schema is asked for when it is made."""

    user: UserSource
    has_metadata: bool = False

    @property
    def name(self) -> str:
        return self.user.name

    @property
    def schema(self) -> pa.Schema:
        return self.user.schema

    def open(self, context: SourceContext) -> PythonStreamReader:
        """Raises PYTHON_DATA_SOURCE_ERROR for a reader that cannot be made."""
        return PythonStreamReader(self.user, context.check_stop, context.query_id)


class PythonStreamReader:
    """See `streaming.sources.base.SourceReader`."""

    def __init__(self, user: UserSource, check_stop: Callable[[], None], query_id: str = "") -> None:
        self._running = {"sql.streaming.queryId": query_id}
        self._schema = user.schema
        self._schema_json = user.schema_json
        self._check_stop = check_stop
        self._worker = user.make(check_stop)
        self._sent: SentRows | None = None
        self._reads: PartitionReads | None = None
        self._available_now = False
        self._frozen: Offset | None = None
        self._latest: Offset | None = None
        self._limit: dict[str, Any] | None = None
        try:
            can = self._made()
        except BaseException:
            self._worker.stop()
            raise
        self._is_simple: bool = can["simple"]
        self._is_limited: bool = can["limited"]
        self._reports: bool = can["reports"]
        self._supports_available_now: bool = can["available_now"]
        kind = "WithAdmissionControl" if self._is_limited else ""
        kind = "WithTriggerAvailableNow" if self._supports_available_now else kind
        self.description = f"{_CLASS}{kind}@{id(self) & 0xFFFFFFFF:x}"

    def _made(self) -> dict[str, Any]:
        try:
            can, _ = self._worker.call("stream_reader", schema=self._schema_json, running=self._running)
        except UserCodeFailed as failure:
            if failure.stage:
                raise stream_failed(failure.stage, failure) from None
            raise refused("plan", "initialize source", failure) from None
        return can

    def prepare_available_now(self) -> None:
        """A reader that has no notion of it gives one batch of all that there is."""
        self._available_now = True
        if self._supports_available_now:
            self._call("prepareForTriggerAvailableNow", "prepare_available_now")

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset:
        if self._frozen is not None:
            return self._frozen
        once = self._available_now and not self._supports_available_now
        if self._is_limited:
            arguments = {
                "limit": self._taken(limit, everything=once),
                "start": self._initial() if start is None else start,
            }
            end = self._offset("latestOffset", "latest_offset", **arguments)
        else:
            end = self._offset("latestOffset", "latest_offset")
        self._latest = None if self._is_limited else end
        if self._reports:
            reported = self._call("reportLatestOffset", "report_latest_offset")["value"]
            self._latest = None if reported is None else Offset(reported)
        if once:
            self._frozen = end
        return end

    def _taken(self, limit: ReadLimit, *, everything: bool) -> dict[str, Any] | None:
        """How much the next batch takes; None for all."""
        if self._is_simple:
            return None
        if self._limit is None:
            self._limit = self._call("getDefaultReadLimit", "default_limit")["value"]
        return None if everything or limit.everything else self._limit

    def begin(self, batch_id: BatchId) -> None:
        """What Spark's tasks find in their `TaskContext`, ours find there too."""
        self._running["streaming.sql.batchId"] = str(batch_id)

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        return SourceData(self._schema, self._rows(start, end))

    def _rows(self, start: Offset | None, end: Offset) -> Iterator[pa.RecordBatch]:
        begin = self._initial() if start is None else start
        self._settle()
        sent = self._sent = self._worker.rows("partitions", start=begin, end=end)
        try:
            for batch in sent:
                yield fitted(batch, self._schema)
        except UserCodeFailed as failure:
            raise stream_failed("planPartitions", failure) from None
        self._sent = None
        assert sent.answer is not None
        if sent.answer["prefetched"]:
            return
        if self._reads is None:
            self._reads = PartitionReads(self._pickled(), self._schema, self._check_stop)
        yield from self._reads.rows(sent.blobs, self._running)

    def _pickled(self) -> bytearray:
        """The reader that the other workers read with: another one, that knows nothing of what this one was asked."""
        try:
            _, (reader,) = self._worker.call("stream_read")
        except UserCodeFailed as failure:
            raise refused("initialize", "reader", failure) from None
        return reader

    def commit(self, end: Offset) -> None:
        self._call("commitSource", "commit_offset", end=end)

    def latest(self) -> Offset | None:
        return self._latest

    def stop(self) -> None:
        if self._reads is not None:
            self._reads.close()
        deadline = time.monotonic() + STOP_LIMIT_S

        def check() -> None:
            if time.monotonic() > deadline:
                raise TimeoutError

        # The query is over, so nobody is told what goes wrong now. A request to stop the query has been heard already.
        with suppress(SparkError, UserCodeFailed, TimeoutError):
            self._worker.check_stop = check
            self._call("stop", "stop")
        self._worker.stop()

    def _initial(self) -> Offset:
        return self._offset("initialOffset", "initial_offset")

    def _offset(self, action: str, command: str, **arguments: Any) -> Offset:
        return Offset(self._call(action, command, **arguments)["value"])

    def _call(self, action: str, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask the reader. Raises PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR, and what `check_stop` raises."""
        try:
            self._settle()
            answer, _ = self._worker.call(command, **arguments)
        except UserCodeFailed as failure:
            raise stream_failed(action, failure) from None
        return answer

    def _settle(self) -> None:
        """Let the rest of an answer go by that nobody read to its end."""
        sent, self._sent = self._sent, None
        for _ in sent or ():
            pass
