"""The Delta sink: each batch is one version of the table, exactly once.

The version carries a `txn` action with the query's id and the batch's number. A batch whose number is not above the
one in the table has been committed before and is left out, so a batch that was cut off anywhere may be run again.
A batch without rows still makes a version, with the `txn` action alone. Source: Delta's `DeltaSink`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from riacho.clock import Clock, SystemClock
from riacho.conf import AUTO_MERGE
from riacho.errors import AnalysisError
from riacho.options import Option
from riacho.server.delta.files import remove_stale_staging
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.delta.options import DeltaOptions
from riacho.server.delta.transactions import committed_rows
from riacho.server.delta.write import AppTransaction, DeltaOperation, RowWriter, WriteMode
from riacho.server.delta.writer import DeltaWriter
from riacho.server.streaming.sinks.base import QUERY_OPTIONS, OutputMode, PlainSink, SinkBatch, SinkContext
from riacho.storage import Place

STALE_STAGING_S = 24 * 3600.0
OPTIONS = (
    Option("mergeSchema", "false", "add columns and struct fields that the table lacks"),
    Option("overwriteSchema", "false", "complete mode: each batch can have its own columns and partitions"),
)
"""What the documentation lists."""


@dataclass(frozen=True)
class DeltaSink(PlainSink):
    """Append to, or with the complete mode replace, the Delta table at `path`; it is made by the first batch.

    Options (any case): `mergeSchema` adds columns that the table lacks; `overwriteSchema` (complete mode only) lets
    each batch bring its own schema. `housekeeper` maintains the table beside the query.
    """

    path: Place
    partition_by: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    housekeeper: Housekeeper | None = None
    name: str = "delta"

    def check(self, mode: OutputMode, checkpoint: Place) -> None:  # noqa: ARG002 - any checkpoint will do
        """Raises DELTA_UNSUPPORTED_OUTPUT_MODE for the update mode."""
        if mode is OutputMode.UPDATE:
            raise AnalysisError.of(
                "DELTA_UNSUPPORTED_OUTPUT_MODE",
                "Data source delta does not support Update output mode",
                sql_state="0AKDC",
                dataSource="delta",
                mode="Update",
            )

    def open(self, context: SinkContext) -> DeltaSinkWriter:
        """Raises DELTA_UNSUPPORTED_OUTPUT_MODE, DELTA_NULL_SCHEMA_IN_STREAMING_WRITE, DELTA_ILLEGAL_OPTION."""
        self.check(context.output_mode, context.scratch)
        if any(_holds_null(f.type) for f in context.schema):
            raise AnalysisError.of(
                "DELTA_NULL_SCHEMA_IN_STREAMING_WRITE",
                "Delta doesn't accept NullTypes in the schema for streaming writes.",
                sql_state="42P18",
            )
        options = DeltaOptions.check("Delta sink", (*OPTIONS, *QUERY_OPTIONS), self.options)
        complete = context.output_mode is OutputMode.COMPLETE
        auto_merge = AUTO_MERGE.read(context.session.get_conf)
        mode = WriteMode(
            overwrite=complete,
            merge_schema=options.flag("mergeSchema", auto_merge),
            overwrite_schema=complete and options.flag("overwriteSchema"),
            partition_by=self.partition_by or None,
        )
        remove_stale_staging(self.path, STALE_STAGING_S, time.time())
        return DeltaSinkWriter(self, context, mode)


class DeltaSinkWriter:
    """See `streaming.sinks.base.SinkWriter`. Holds the table's state between batches."""

    takes_parts = True

    def __init__(self, sink: DeltaSink, context: SinkContext, mode: WriteMode) -> None:
        self.description = f"DeltaSink[{sink.path}]"
        self._sink = sink
        self._context = context
        self._rows = RowWriter(DeltaWriter(sink.path, with_files=mode.overwrite), context.session, mode, sink.clock)

    def add_batch(self, batch: SinkBatch) -> int | None:
        context = self._context
        parameters = {
            "outputMode": str(context.output_mode).capitalize(),
            "queryId": context.query_id,
            "epochId": str(batch.batch_id),
        }
        numbered = AppTransaction(context.query_id, batch.batch_id)
        operation = DeltaOperation("STREAMING UPDATE", parameters)
        written = self._rows.write(batch.relations, batch.schema, operation, numbered)
        if written.version is None:
            return committed_rows(self._sink.path, numbered)
        if self._sink.housekeeper is not None:
            self._sink.housekeeper.after_commit(self._sink.path, written.version)
        return written.rows

    def stop(self) -> None:
        """Nothing is held open."""


def _holds_null(arrow: pa.DataType) -> bool:
    if pa.types.is_null(arrow):
        return True
    return any(_holds_null(arrow.field(index).type) for index in range(arrow.num_fields))
