"""Batch reads of Python data sources: a `BatchSource` whose rows the user's reader gives."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from riacho.conf import FILTER_PUSHDOWN
from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.batch import own_reads
from riacho.server.batch.batch_source import BatchSource, MakeBatchSource, RowsRead
from riacho.server.batch.wanted import Wanted
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.workers.sources import registered
from riacho.server.workers.sources.failures import refused
from riacho.server.workers.sources.reading import PartitionReads
from riacho.server.workers.sources.source import UserSource
from riacho.server.workers.sources.worker import Blob, UserCodeFailed

_WIDE: Final = 1 << 10
"""Bits, for what has no fixed number of them."""


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

    def read(self, wanted: Wanted) -> RowsRead:
        """See `own_reads.BatchSource`.

        A reader that has `pushFilters` is given the filters, and one with `pruneColumns` is told which columns to give:
        at least one, so that it need not know of rows without columns. One with `pushLimit` is told how many rows will
        do, if it does all filters.

        Raises PYTHON_DATA_SOURCE_ERROR for a reader that cannot be made, PYTHON_EXCEPTION for one that fails.
        """
        pushdown = self._source.found.connector or FILTER_PUSHDOWN.read(self._session.get_conf)
        filters = [(each.name, each.column, each.value, each.negated) for each in wanted.filters]
        columns = wanted.of(self.schema).names or [self._narrowest()]
        with self._source.made() as planner:
            try:
                answer, (reader, *partitions) = planner.call(
                    "plan_read",
                    [pickle.dumps(filters)],
                    schema=self._source.schema_json,
                    pushdown=pushdown,
                    columns=columns if len(columns) < len(self.schema) else None,
                    limit=wanted.limit,
                )
            except UserCodeFailed as failure:
                raise _not_planned(failure) from None
        given = set(columns) if answer["pruned"] else set(self.schema.names)
        schema = pa.schema([column for column in self.schema if column.name in given])
        return RowsRead(schema, _rows(reader, schema, partitions), frozenset(answer["done"]))

    def _narrowest(self) -> str:
        """The column with the least bytes, as far as its type tells."""
        sizes = [(_width(column.type), at) for at, column in enumerate(self.schema)]
        return self.schema.names[min(sizes)[1]] if sizes else ""


def _width(kind: pa.DataType) -> int:
    try:
        return int(kind.bit_width)
    except ValueError:
        return _WIDE


def _rows(reader: Blob, schema: pa.Schema, partitions: Sequence[Blob]) -> Iterator[pa.RecordBatch]:
    reads = PartitionReads(reader, schema)
    try:
        yield from reads.rows(partitions)
    finally:
        reads.close()


def _not_planned(failure: UserCodeFailed) -> SparkError:
    if failure.stage == "partitions":
        return refused("generate", "read partitions", failure)
    return refused("initialize", "reader", failure)
