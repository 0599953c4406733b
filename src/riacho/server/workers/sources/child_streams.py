"""The commands of a worker that has a stream reader: offsets, the partitions between them.

Source: `pyspark/sql/streaming/python_streaming_source_runner.py`.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any, Final

from pyspark.sql.datasource import DataSourceStreamReader
from pyspark.sql.datasource_internal import ReadLimitRegistry, _SimpleStreamReaderWrapper, _streamReader
from pyspark.sql.streaming.datasource import SupportsTriggerAvailableNow

from riacho.server.workers.sources.objects import Blobs, Reply, Stage, UserObjects, dumps, in_task, mismatch, struct
from riacho.server.workers.sources.wire import Message

_AVAILABLE_NOW: Final[Any] = SupportsTriggerAvailableNow
"""An abstract class, but only by its name for the type checker."""
_LIMITS: Final = ReadLimitRegistry()


class StreamCommands(UserObjects):
    """See `child.Worker`; all commands are called alike, whether or not they are given objects."""

    def do_stream_reader(self, schema: str, running: dict[str, str], blobs: Blobs) -> Reply:  # noqa: ARG002
        """Make a stream reader: what it can do."""
        in_task(running)
        self._schema = struct(schema)
        self._reader = _streamReader(self._source, self._schema)
        simple = isinstance(self._reader, _SimpleStreamReaderWrapper)
        with Stage("checkSupportedFeatures"):
            if not isinstance(self._reader, DataSourceStreamReader):
                raise mismatch("an instance of DataSourceStreamReader", self._reader)
            limited = simple or len(inspect.signature(self._reader.latestOffset).parameters) > 0
        available_now = isinstance(self._user_reader, _AVAILABLE_NOW)
        reports = type(self._reader).reportLatestOffset is not DataSourceStreamReader.reportLatestOffset
        return {"simple": simple, "limited": limited, "available_now": available_now, "reports": reports}, []

    @property
    def _user_reader(self) -> Any:
        wrapped = isinstance(self._reader, _SimpleStreamReaderWrapper)
        return self._reader.simple_reader if wrapped else self._reader

    def do_initial_offset(self, blobs: Blobs) -> Reply:  # noqa: ARG002
        return {"value": json.dumps(self._reader.initialOffset())}, []

    def do_latest_offset(self, blobs: Blobs, start: str | None = None, limit: Message | None = None) -> Reply:  # noqa: ARG002
        """With `start` for readers that take it and a limit, which is none of the reader's own if it is missing."""
        if start is None:
            return {"value": json.dumps(self._reader.latestOffset())}, []
        taken = _LIMITS.get(limit or {"_type": "ReadAllAvailable"})
        return {"value": json.dumps(self._reader.latestOffset(json.loads(start), taken))}, []

    def do_default_limit(self, blobs: Blobs) -> Reply:  # noqa: ARG002
        limit = self._reader.getDefaultReadLimit()
        return {"value": {**dataclasses.asdict(limit), "_type": type(limit).__name__}}, []

    def do_report_latest_offset(self, blobs: Blobs) -> Reply:  # noqa: ARG002
        if isinstance(self._reader, _SimpleStreamReaderWrapper):
            return {"value": None}, []
        offset = self._reader.reportLatestOffset()
        return {"value": None if offset is None else json.dumps(offset)}, []

    def do_prepare_available_now(self, blobs: Blobs) -> Reply:  # noqa: ARG002
        self._user_reader.prepareForTriggerAvailableNow()
        return {}, []

    def do_partitions(self, start: str, end: str, blobs: Blobs) -> Reply:  # noqa: ARG002
        """The partitions of a range; `prefetched` if a simple reader's rows of it were sent already, before this."""
        begin, until = json.loads(start), json.loads(end)
        partitions = [dumps(partition) for partition in self._reader.partitions(begin, until)]
        if isinstance(self._reader, _SimpleStreamReaderWrapper):
            rows = self._reader.getCache(begin, until)
            if rows is not None:
                self._send_rows(rows)
                return {"prefetched": True}, []
        return {"prefetched": False}, partitions

    def do_stream_read(self, blobs: Blobs) -> Reply:  # noqa: ARG002
        """A reader for partitions, pickled: another than the one that is asked for offsets, as in Spark."""
        return {}, [self._pickled_reader(_streamReader(self._source, self._schema))]

    def do_commit_offset(self, end: str, blobs: Blobs) -> Reply:  # noqa: ARG002
        self._reader.commit(json.loads(end))
        return {}, []

    def do_stop(self, blobs: Blobs) -> Reply:  # noqa: ARG002
        self._reader.stop()
        return {}, []
