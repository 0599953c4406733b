"""The memory sink: the result as a temporary view with the query's name.

Rows stay on the server, for as long as the client's session lives, as Arrow files that the view reads. A batch id at or
below the last one taken is a repetition. Source: `org.apache.spark.sql.execution.streaming.sources.MemorySink`.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.ids import BatchId
from riacho.protos import pb
from riacho.server.engine.base import Engine, EngineSession, Spool
from riacho.server.engine.spool import empty
from riacho.server.streaming.sinks.base import OutputMode, PlainSink, SinkBatch, SinkContext
from riacho.storage import Place

MAX_FILES = 64
"""Beyond so many files the view is written again as one, so that a long query's view stays quick to read."""
REPLACED_TO_KEEP = 3
"""A reader that planned before a view was replaced finds its files for so many replacements more."""


class ShowView(Protocol):
    """Makes or replaces a temporary view of the client's session, and brings views built on it up to date."""

    def __call__(self, name: str, relation: pb.Relation, columns: list[str]) -> None:
        """`relation` has a column for each of `columns`, of which two may have one name."""


class MemorySink(PlainSink):
    """`session` is the client's own session, where the view `name` appears by way of `show`."""

    name = "memory"
    temporary_checkpoint = True

    def __init__(self, view: str, session: EngineSession, engine: Engine, show: ShowView) -> None:
        self._view = view
        self._session = session
        self._engine = engine
        self._show = show

    def check(self, mode: OutputMode, checkpoint: Place) -> None:
        """Raises AnalysisError where the query would go on: what the sink held is gone, so only complete mode may."""
        if mode is not OutputMode.COMPLETE and any((checkpoint / "offsets").glob("[0-9]*")):
            raise AnalysisError(
                "This query does not support recovering from checkpoint location. "
                f"Delete {checkpoint / 'offsets'} to start over.",
                condition="_LEGACY_ERROR_TEMP_1299",
                parameters={"checkpointPath": str(checkpoint / "offsets")},
            )

    def announce(self, schema: pa.Schema) -> None:
        """Make the view, without rows: it is there before the first batch."""
        self._show(self._view, empty(told_apart(schema)), schema.names)

    def open(self, context: SinkContext) -> MemoryWriter:
        return MemoryWriter(context, self._view, self._session, self._engine, self._show)


class MemoryWriter:
    takes_parts = False
    description = "MemorySink"

    def __init__(self, context: SinkContext, view: str, session: EngineSession, engine: Engine, show: ShowView) -> None:
        self._context = context
        self._view = view
        self._session = session
        self._engine = engine
        self._show_view = show
        self._latest: BatchId | None = None
        self._schema = told_apart(context.schema)
        self._rows = self._schema.empty_table()
        self._files = 0
        self._replaced: deque[Spool] = deque()
        self._spool = self._new_spool()
        self._show(self._put(self._rows))

    def add_batch(self, batch: SinkBatch) -> int:
        given = self._context.session.run(batch.relation)
        new = given.rename_columns(self._schema.names).cast(self._schema)
        if self._latest is not None and batch.batch_id <= self._latest:
            return int(new.num_rows)
        if self._context.output_mode is OutputMode.COMPLETE:
            self._replace(new)
        else:
            self._append(new)
        self._latest = batch.batch_id
        return int(new.num_rows)

    def stop(self) -> None:
        """The view stays until the session ends."""

    def _append(self, new: pa.Table) -> None:
        if new.num_rows == 0:
            return
        self._rows = pa.concat_tables([self._rows, new])
        if self._files >= MAX_FILES:
            self._replace(self._rows)
            return
        relation = pb.Relation()
        relation.CopyFrom(self._relation)
        relation.read.data_source.paths.extend(self._put(new).read.data_source.paths)
        self._show(relation)

    def _replace(self, rows: pa.Table) -> None:
        self._replaced.append(self._spool)
        self._spool, self._rows, self._files = self._new_spool(), rows, 0
        self._show(self._put(rows))
        while len(self._replaced) > REPLACED_TO_KEEP:
            self._replaced.popleft().close()

    def _put(self, rows: pa.Table) -> pb.Relation:
        relation, _ = self._spool.put(rows.to_batches(), rows.schema)
        return relation

    def _show(self, relation: pb.Relation) -> None:
        self._relation = relation
        self._files += 1
        self._show_view(self._view, relation, self._context.schema.names)

    def _new_spool(self) -> Spool:
        spool = self._engine.spool(f"memory-{self._view}", zone=self._context.session.zone.engine)
        self._session.on_release(spool.close)
        return spool


def told_apart(schema: pa.Schema) -> pa.Schema:
    """`schema` with names of its own for each column, where two have one name: a file cannot hold those."""
    if len(set(schema.names)) == len(schema.names):
        return schema
    return pa.schema([field.with_name(f"_{at}") for at, field in enumerate(schema)])
