"""The sink of an AUTO CDC flow: each batch of events becomes a version of the auxiliary table and one of the target.

1. The events are taken in and checked: no key and no place in the sequence is NULL.
2. The rows that they touch are read from both tables, and no others; the SCD type says what becomes of them.
3. The auxiliary table is committed, then the target, each with the query's id and the batch's number. A batch that is
   run again is left out by each table that has it. One that was cut off between the two goes on with the target: what
   becomes of that does not depend on whether the auxiliary table has the batch already (see `changes.Strategy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.clock import Clock
from riacho.server.catalog.base import Catalog, Table, TableName
from riacho.server.catalog.row_changes import rewrite
from riacho.server.catalog.row_changes.change import Kept
from riacho.server.catalog.row_changes.job import Job, Runner, Snapshot, TableChange, snapshot_of
from riacho.server.catalog.row_changes.scan import by_file, spooled
from riacho.server.commands.describe import simple_type
from riacho.server.delta.constraints import checked, require_present
from riacho.server.delta.files import conform
from riacho.server.delta.maintenance import Housekeeper
from riacho.server.delta.write import AppTransaction, DeltaOperation
from riacho.server.delta.writer import DeltaWriter
from riacho.server.graph.cdc import auxiliary, failures
from riacho.server.graph.cdc.changes import CdcChange, CdcCounts, CdcEvents, Flags, RowChange
from riacho.server.graph.cdc.definition import DELETE, END_AT, SEQUENCE, TRUNCATE, CdcFlow, ScdType
from riacho.server.graph.cdc.order import has_order
from riacho.server.graph.cdc.strategies import strategy_of
from riacho.server.graph.cdc.touched import Touched, all_rows, touched
from riacho.server.streaming.quality import BatchQuality, RowCounts
from riacho.server.streaming.sinks.base import OutputMode, PlainSink, SinkBatch, SinkContext
from riacho.storage import Place

_DELTA = "delta"


@dataclass(frozen=True)
class CdcTarget:
    """What a flow is to write. `flow_name` and `label` (the quoted name of the target) are for error messages."""

    flow: CdcFlow
    flow_name: str
    name: TableName
    label: str


class CdcSink(PlainSink):
    """See the module. `housekeeper` maintains the tables beside the query."""

    name = "autocdc"

    def __init__(
        self, target: CdcTarget, catalog: Catalog, clock: Clock, housekeeper: Housekeeper | None = None
    ) -> None:
        self._target = target
        self._catalog = catalog
        self.clock = clock
        self.housekeeper = housekeeper

    def check(self, mode: OutputMode, checkpoint: Place) -> None:  # noqa: ARG002 - any mode and checkpoint will do
        """Raises AUTOCDC_TARGET_DOES_NOT_SUPPORT_MERGE, AUTOCDC_INVALID_STATE.*."""
        table = self._table()
        existing = self._catalog.table(auxiliary.auxiliary_name(table.name))
        if existing is not None:
            auxiliary.check(existing, self._target.flow, self._target.flow_name)

    def announce(self, schema: pa.Schema) -> None:  # noqa: ARG002 - the flow knows its columns
        """Make the auxiliary table."""
        auxiliary.ensured(self._catalog, self._table(), self._target.flow, self._target.flow_name)

    def open(self, context: SinkContext) -> CdcWriter:
        table = self._table()
        beside = auxiliary.ensured(self._catalog, table, self._target.flow, self._target.flow_name)
        return CdcWriter(self, self._target, context, table.location, beside.location)

    def _table(self) -> Table:
        return target_table(self._catalog, self._target)


def target_table(catalog: Catalog, target: CdcTarget) -> Table:
    """The table that a flow writes to. Raises AUTOCDC_TARGET_DOES_NOT_SUPPORT_MERGE."""
    table = catalog.table(target.name)
    if table is None or table.format.lower() != _DELTA:
        raise failures.no_merge(target.label, "<unknown>" if table is None else table.format)
    return table


class CdcWriter:
    """See `streaming.sinks.base.SinkWriter` and `streaming.quality.CountsRows`."""

    takes_parts = True

    def __init__(
        self, sink: CdcSink, target: CdcTarget, context: SinkContext, folder: Place, auxiliary_folder: Place
    ) -> None:
        self.description = f"AutoCdcSink[{folder}]"
        self.quality: BatchQuality | None = None
        self.counts: CdcCounts | None = None
        self._sink = sink
        self._target = target
        self._flow = target.flow
        self._context = context
        self._runner = Runner(context.session, sink.clock)
        self._folders = (folder, auxiliary_folder)
        self._writers = (DeltaWriter(folder, with_files=True), DeltaWriter(auxiliary_folder, with_files=True))

    def add_batch(self, batch: SinkBatch) -> int | None:
        """Raises AUTOCDC_MICROBATCH_VALIDATION.*, and what the change of a Delta table raises."""
        events = self._events(batch)
        self.quality = self.counts = None
        if not len(events):
            self._tell(CdcCounts())
            return 0
        decided = _Decided(self._flow, events)
        main, beside = self._writers
        number = AppTransaction(self._context.query_id, batch.batch_id)
        for writer, other, of in ((beside, main, _auxiliary), (main, beside, _main)):
            make = decided.maker(self._session_snapshot(other), of)
            applied = self._runner.apply(writer, self._operation(batch), make, number)
            if applied.version is not None and self._sink.housekeeper is not None:
                self._sink.housekeeper.after_commit(writer.log.table, applied.version)
        if decided.change is None:
            return None
        self._tell(decided.change.counts)
        return decided.change.counts.upserted

    def stop(self) -> None:
        """Nothing is held open."""

    def _tell(self, counts: CdcCounts) -> None:
        self.counts = counts
        out = counts.upserted + counts.deleted
        rows_in = out + counts.late + counts.duplicate
        self.quality = BatchQuality(
            RowCounts(rows_in, out, late=counts.late, duplicate=counts.duplicate),
            fates={"upserted": counts.upserted, "deleted": counts.deleted},
        )

    def _session_snapshot(self, writer: DeltaWriter) -> Callable[[], Snapshot]:
        return lambda: snapshot_of(writer.log.table, writer.state())

    def _operation(self, batch: SinkBatch) -> DeltaOperation:
        parameters = {"queryId": self._context.query_id, "epochId": str(batch.batch_id)}
        return DeltaOperation("AUTO CDC", {"scdType": self._flow.stored_as.label, **parameters})

    def _events(self, batch: SinkBatch) -> CdcEvents:
        """All rows of the batch, in order."""
        flow = self._flow
        session = self._context.session
        batches = [part for relation in batch.relations for part in session.stream(relation)]
        columns = {
            field.name: pa.chunked_array([conform(part.column(at), field.type) for part in batches], field.type)
            for at, field in enumerate(types.normalise_schema(flow.selected))
        }
        named = {
            name: pa.chunked_array([part.column(name) for part in batches]) for name in (SEQUENCE, DELETE, TRUNCATE)
        }
        rows = pa.table(columns)
        kind = types.normalise(flow.sequence)
        sequence = pa.chunked_array([conform(chunk, kind) for chunk in named[SEQUENCE].chunks], kind)
        truncates = _flags(named[TRUNCATE])
        self._check(rows, sequence, truncates, batch.batch_id)
        return CdcEvents(rows, sequence, _flags(named[DELETE]), truncates)

    def _check(self, rows: pa.Table, sequence: pa.ChunkedArray, truncates: Flags, batch_id: int) -> None:
        """Each event has a place in the sequence, and a key if it is about one."""
        if not has_order(sequence.type):
            raise failures.not_orderable(self._target.label, batch_id, simple_type(sequence.type))
        if sequence.null_count:
            raise failures.null_sequence(self._target.label, batch_id, sequence.null_count)
        keyed = rows.filter(pa.array(~truncates)) if truncates.any() else rows
        nulls = {key: keyed.column(key).null_count for key in self._flow.keys}
        if any(nulls.values()):
            counts = {key: count for key, count in nulls.items() if count}
            raise failures.null_keys(self._target.label, batch_id, counts)


def _flags(column: pa.ChunkedArray) -> Flags:
    return pc.fill_null(column, False).to_numpy().astype(np.bool_)  # type: ignore[no-any-return]


class _Decided:
    """What a batch makes of both tables, worked out once as long as nobody else changes them."""

    def __init__(self, flow: CdcFlow, events: CdcEvents) -> None:
        self._flow = flow
        self._events = events
        self._strategy = strategy_of(flow)
        self.change: CdcChange | None = None
        self._rests_on: dict[Place, int] = {}
        self._touched: dict[Place, Touched] = {}

    def maker(
        self, other: Callable[[], Snapshot], of: Callable[[CdcChange], RowChange]
    ) -> Callable[[Job, TableChange], None]:
        """Fills in the change of one table. `other` is the other one; `of` takes the change's part."""

        def make(job: Job, change: TableChange) -> None:
            if self.change is None or self._rests_on.get(job.snapshot.folder) != job.snapshot.version:
                self._decide(job.snapshot, other(), main_first=of is _main)
            assert self.change is not None
            rows = self._touched[job.snapshot.folder]
            fill(job, change, rows, of(self.change), apart=past_of(self._flow) if of is _main else None)

        return make

    def _decide(self, mine: Snapshot, other: Snapshot, *, main_first: bool) -> None:
        main, beside = (mine, other) if main_first else (other, mine)
        wanted = self._events.rows.select(self._flow.keys)
        whole = bool(self._events.truncates.any())
        rows = all_rows(main) if whole else touched(main, self._flow.keys, wanted)
        if self._flow.definition.apply_as_truncates is not None:
            nowhere = {
                name: pa.nulls(1, kind) for name, kind in zip(wanted.schema.names, wanted.schema.types, strict=True)
            }
            wanted = pa.concat_tables([wanted, pa.table(nowhere)])
        kept = touched(beside, self._flow.keys, wanted)
        named = (named_for(self._flow, part.rows) for part in (rows, kept))
        self.change = self._strategy.apply(self._flow, self._events, *named)
        self._touched = {main.folder: rows, beside.folder: kept}
        self._rests_on = {main.folder: main.version, beside.folder: beside.version}


def named_for(flow: CdcFlow, rows: pa.Table) -> pa.Table:
    """Rows of a table with the flow's own names for the columns that both have."""
    ours = {name.lower(): name for name in flow.selected.names}
    return rows.rename_columns([ours.get(name.lower(), name) for name in rows.schema.names])


def _main(change: CdcChange) -> RowChange:
    return change.target


def _auxiliary(change: CdcChange) -> RowChange:
    return change.auxiliary


def past_of(flow: CdcFlow) -> Callable[[pa.RecordBatch], pa.BooleanArray] | None:
    """Says which rows of a target are versions that have ended: only late events change them."""
    if flow.stored_as is not ScdType.TYPE_2:
        return None
    return lambda rows: rows.column(END_AT).is_valid()


def fill(
    job: Job,
    change: TableChange,
    rows: Touched,
    what: RowChange,
    *,
    apart: Callable[[pa.RecordBatch], pa.BooleanArray] | None = None,
) -> None:
    """Write the files that a change of rows makes, and note in `change` what that makes of the table.

    `apart`: see `rewrite`.
    """
    if what.empty:
        return
    snapshot = job.snapshot
    gone = rows.numbers[np.concatenate([what.deleted, what.updated])]
    replacements = Kept(_demanded(job, what.replacements), keep=snapshot.feed)
    inserted = Kept(_demanded(job, what.inserted), keep=snapshot.feed)
    rewrite.rewrite(snapshot, by_file(gone), chain(replacements, inserted), snapshot.schema, change, apart=apart)
    if snapshot.feed:
        before, out = (rows.rows.take(pa.array(places)).to_batches() for places in (what.updated, what.deleted))
        told = (
            (before, rewrite.UPDATE_BEFORE),
            (replacements.kept, rewrite.UPDATE_AFTER),
            (out, rewrite.DELETE),
            (inserted.kept, rewrite.INSERT),
        )
        rewrite.record(snapshot, chain.from_iterable(rewrite.changed(part, kind) for part, kind in told), change)
    copied = change.metrics.pop("numCopiedRows")
    change.metrics.update(
        {
            "numTargetRowsInserted": what.inserted.num_rows,
            "numTargetRowsUpdated": len(what.updated),
            "numTargetRowsDeleted": len(what.deleted),
            "numTargetRowsCopied": copied,
            "numOutputRows": copied + len(what.updated) + what.inserted.num_rows,
            "numTargetFilesAdded": len(change.added),
            "numTargetFilesRemoved": len(change.removed),
        }
    )


def _demanded(job: Job, new: pa.Table) -> Iterator[pa.RecordBatch]:
    """New rows, as the table demands them to be; they go through the engine only for what only that can compute."""
    rows = new.rename_columns(job.snapshot.schema.names)
    demands = job.snapshot.demands
    if not (demands.rules or demands.generated):
        for batch in rows.to_batches():
            require_present(batch, demands.required)
            yield batch
        return
    relation = spooled(job, (rows.schema, iter(rows.to_batches())))
    yield from checked(job.session, relation, job.snapshot.schema, demands)
