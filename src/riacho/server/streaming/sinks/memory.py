"""The memory sink: the result as a temporary view with the query's name.

Rows stay on the server, for as long as the client's session lives, as Arrow files that the view reads. A batch id at or
below the last one taken is a repetition. Source: `org.apache.spark.sql.execution.streaming.sources.MemorySink`.
"""

from __future__ import annotations

import pyarrow as pa

from riacho.ids import BatchId
from riacho.protos import pb
from riacho.server.engine.base import Engine, EngineSession, Spool
from riacho.server.engine.spool import empty
from riacho.server.streaming.sinks.base import OutputMode, SinkBatch, SinkContext

MAX_FILES = 64
"""Beyond so many files the view is written again as one, so that a long query's view stays quick to read."""


class MemorySink:
    """`session` is the client's own session, where the view `name` appears."""

    name = "memory"

    def __init__(self, view: str, session: EngineSession, engine: Engine) -> None:
        self._view = view
        self._session = session
        self._engine = engine

    def show_empty(self, schema: pa.Schema) -> None:
        """Make the view, without rows: it is there before the first batch."""
        self._session.create_view(self._view, empty(schema))

    def open(self, context: SinkContext) -> MemoryWriter:
        return MemoryWriter(context, self._view, self._session, self._engine)


class MemoryWriter:
    takes_parts = False
    description = "MemorySink"

    def __init__(self, context: SinkContext, view: str, session: EngineSession, engine: Engine) -> None:
        self._context = context
        self._view = view
        self._session = session
        self._engine = engine
        self._latest: BatchId | None = None
        self._rows = context.schema.empty_table()
        self._files = 0
        self._spool = self._new_spool()
        self._relation, _ = self._spool.put(self._rows.to_batches(), context.schema)
        session.create_view(view, self._relation)

    def add_batch(self, batch: SinkBatch) -> int:
        new = self._context.session.run(batch.relation).cast(self._context.schema)
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
        added, _ = self._spool.put(new.to_batches(), new.schema)
        relation = pb.Relation()
        relation.CopyFrom(self._relation)
        relation.read.data_source.paths.extend(added.read.data_source.paths)
        self._show(relation)

    def _replace(self, rows: pa.Table) -> None:
        # The old files go only when the view no longer reads them.
        old, self._spool, self._rows, self._files = self._spool, self._new_spool(), rows, 0
        relation, _ = self._spool.put(rows.to_batches(), rows.schema)
        self._show(relation)
        old.close()

    def _show(self, relation: pb.Relation) -> None:
        self._relation = relation
        self._files += 1
        self._session.create_view(self._view, relation)

    def _new_spool(self) -> Spool:
        spool = self._engine.spool(f"memory-{self._view}", zone=self._context.session.zone.engine)
        self._session.on_release(spool.close)
        return spool
