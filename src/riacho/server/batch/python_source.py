"""Batch reads of Python data sources: a `BatchSource` whose rows the user's reader gives."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from riacho.conf import FILTER_PUSHDOWN
from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.batch import own_reads
from riacho.server.batch.own_reads import BatchSource, MakeBatchSource
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.workers.sources import registered
from riacho.server.workers.sources.failures import refused
from riacho.server.workers.sources.reading import PartitionReads
from riacho.server.workers.sources.source import UserSource
from riacho.server.workers.sources.worker import UserCodeFailed


def lookup(name: str, session: EngineSession) -> MakeBatchSource | None:
    """See `own_reads.Lookup`: riacho's own formats, and the Python data sources that the session knows."""
    own = own_reads.of_every_session(name, session)
    if own is not None:
        return own
    found = registered.find(name, session)
    return None if found is None else _maker(found)


def _maker(found: UserClass) -> MakeBatchSource:
    def make(read: pb.Read.DataSource, session: EngineSession) -> BatchSource:
        return PythonBatchSource(registered.use(read, found, session), session)

    return make


class PythonBatchSource:
    """See `own_reads.BatchSource`. Its schema is asked for when it is made: what is wrong with it stops the plan."""

    def __init__(self, source: UserSource, session: EngineSession) -> None:
        self._source = source
        self._session = session
        self.schema: pa.Schema = source.schema

    def read(self) -> Iterator[pa.RecordBatch]:
        """Raises PYTHON_DATA_SOURCE_ERROR for a reader that cannot be made, PYTHON_EXCEPTION for one that fails."""
        pushdown = self._source.found.connector or FILTER_PUSHDOWN.read(self._session.get_conf)
        with self._source.made() as planner:
            try:
                _, (reader, *partitions) = planner.call("plan_read", schema=self._source.schema_json, pushdown=pushdown)
            except UserCodeFailed as failure:
                raise _not_planned(failure) from None
        reads = PartitionReads(reader, self.schema)
        try:
            yield from reads.rows(partitions)
        finally:
            reads.close()


def _not_planned(failure: UserCodeFailed) -> SparkError:
    if failure.stage == "partitions":
        return refused("generate", "read partitions", failure)
    return refused("initialize", "reader", failure)
