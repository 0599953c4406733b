"""A sink whose rows are measured against rules first: what reaches it are the rows that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from riacho.clock import Clock
from riacho.errors import SparkRuntimeError
from riacho.protos import pb
from riacho.server.delta.transactions import committed_rows
from riacho.server.delta.write import AppTransaction, DeltaOperation, RowWriter, WriteMode
from riacho.server.delta.writer import DeltaWriter
from riacho.server.streaming.quality import VIOLATED, BatchQuality, Checks, CountsRows
from riacho.server.streaming.sifting import (
    Sift,
    SiftedRows,
    aside_schema,
    prepared_bits,
    prepared_rules,
    prepared_tests,
)
from riacho.server.streaming.sinks.base import OutputMode, Sink, SinkBatch, SinkContext, SinkWriter
from riacho.storage import Place


@dataclass(frozen=True)
class CheckedSink:
    """See `base.Sink`. `schema`: the columns of the flow's query, which the rules are about.

    `bits_first`, `has_source`: see `sifting.Sift`.
    """

    sink: Sink
    checks: Checks
    schema: pa.Schema
    clock: Clock
    bits_first: bool = False
    has_source: bool = False

    @property
    def name(self) -> str:
        return self.sink.name

    @property
    def temporary_checkpoint(self) -> bool:
        return self.sink.temporary_checkpoint

    def check(self, mode: OutputMode, checkpoint: Place) -> None:
        self.sink.check(mode, checkpoint)

    def prepare(self) -> None:
        self.sink.prepare()

    def announce(self, schema: pa.Schema) -> None:
        self.sink.announce(schema)

    def close(self) -> None:
        self.sink.close()

    def open(self, context: SinkContext) -> CheckedWriter:
        """Raises what the engine says of a rule."""
        bits = prepared_bits(context.session, self.schema, self.checks.expectations)
        assert context.spool is not None, "a query has a spool for its sink"
        sift = Sift(
            self.checks,
            bits,
            partial(prepared_rules, context.session, self.schema, self.checks.expectations),
            context.session,
            context.spool,
            self.clock,
            context.query_id,
            prepared_tests(context.session, self.schema, self.checks.expectations) if self.bits_first else {},
            self.bits_first,
            self.has_source,
        )
        return CheckedWriter(self.sink.open(context), sift, context, self.schema)


class CheckedWriter:
    """See `base.SinkWriter`. Rows that are put aside are committed before the sink commits, once for each batch."""

    quality: BatchQuality | None = None
    _in_quarantine: int | None = None
    _repeated = False

    def __init__(self, writer: SinkWriter, sift: Sift, context: SinkContext, schema: pa.Schema) -> None:
        self.description = writer.description
        self.takes_parts = writer.takes_parts
        self._writer = writer
        self._sift = sift
        self._query_id = context.query_id
        self._schema = aside_schema(schema)
        quarantine = sift.checks.quarantine
        self._aside = (
            None
            if quarantine is None
            else RowWriter(DeltaWriter(quarantine), context.session, WriteMode(merge_schema=True), sift.clock)
        )

    def add_batch(self, batch: SinkBatch) -> int | None:
        self._in_quarantine = None if self._aside is None else 0
        self._repeated = False
        sifted = self._sift.batch(
            batch.relations,
            batch.batch_id,
            lambda relations, _: self._put_aside(relations, batch.batch_id),
            batch.source,
        )
        try:
            rows = self._writer.add_batch(SinkBatch(batch.batch_id, sifted, batch.schema))
            if sifted.quality is None:
                self._repeated = True
                _count(sifted)
        finally:
            self._sift.spool.clear()
        counted = sifted.quality
        self.quality = None if counted is None else replace(self._fates(counted), in_quarantine=self._in_quarantine)
        return rows

    def _fates(self, counted: BatchQuality) -> BatchQuality:
        """With what a sink that makes changes of its rows says of those that reached it."""
        beneath = self._writer.quality if isinstance(self._writer, CountsRows) else None
        if beneath is None:
            return counted
        rows = beneath.rows
        rest = replace(counted.rows, out=rows.out, late=rows.late, duplicate=rows.duplicate)
        return replace(counted, rows=rest, fates=beneath.fates)

    def stop(self) -> None:
        self._writer.stop()

    def _put_aside(self, relations: Sequence[pb.Relation], batch_id: int) -> None:
        """Commit the rows put aside, unless that was done before: the batch may be a repetition.

        If the target has the batch already, nothing is put aside any more, whatever the rules say by now.
        """
        if not relations or self._aside is None:
            return
        application = f"{self._query_id}/quarantine"
        parameters = {"outputMode": "Append", "queryId": application, "epochId": str(batch_id)}
        numbered = AppTransaction(application, batch_id)
        if self._repeated:
            self._in_quarantine = committed_rows(self._aside.table, numbered)
            return
        written = self._aside.write(relations, self._schema, DeltaOperation("STREAMING UPDATE", parameters), numbered)
        repeated = written.version is None
        self._in_quarantine = committed_rows(self._aside.table, numbered) if repeated else written.rows


def _count(sifted: SiftedRows) -> None:
    """Go through the rows of a repetition, which the sink does not, so that it is known what there was."""
    try:
        for _ in sifted:
            pass
    except SparkRuntimeError as error:
        if error.condition != VIOLATED:
            raise
        # Its rules are others than when it was committed.
