"""Batch reads of Python data sources: a `BatchSource` whose rows the user's reader gives."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from riacho.conf import FILTER_PUSHDOWN
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.batch import own_reads
from riacho.server.batch.own_reads import BatchSource, MakeBatchSource
from riacho.server.engine.base import EngineSession, UserClass
from riacho.server.engine.schemas import given_schema
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
        given = given_schema(read.schema, session)
        options = options_of(read.options, read.paths)
        return PythonBatchSource(registered.source_of(read.format, found, options, session, given), session)

    return make


class PythonBatchSource:
    """See `own_reads.BatchSource`. Its schema is asked for when it is made: what is wrong with it stops the plan."""

    def __init__(self, source: UserSource, session: EngineSession) -> None:
        self._source = source
        self._session = session
        self.schema: pa.Schema = source.schema

    def read(self) -> Iterator[pa.RecordBatch]:
        """Raises PYTHON_DATA_SOURCE_ERROR for a reader that cannot be made, PYTHON_EXCEPTION for one that fails."""
        pushdown = FILTER_PUSHDOWN.read(self._session.get_conf)
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


def _not_planned(failure: UserCodeFailed) -> AnalysisError:
    if failure.stage == "partitions":
        return refused("generate", "read partitions", failure)
    return refused("initialize", "reader", failure)


def options_of(options: Mapping[str, str], paths: Sequence[str]) -> dict[str, str]:
    """The options as the user's class gets them: a path is one, several are JSON.

    Raises AnalysisError if a path is given both ways.
    """
    given = dict(options)
    if not paths:
        return given
    if any(name.lower() in ("path", "paths") for name in given):
        raise AnalysisError(
            "There is a 'path' or 'paths' option set and load() is called with path parameters. Either remove the path "
            "option if it's the same as the path parameter, or add it to the load() parameter if you do want to read "
            "multiple paths.",
            condition="_LEGACY_ERROR_TEMP_1306",
        )
    if len(paths) == 1:
        given["path"] = paths[0]
    else:
        given["paths"] = json.dumps(list(paths), separators=(",", ":"), ensure_ascii=False)
    return given
