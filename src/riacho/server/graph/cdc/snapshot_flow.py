"""Flows that make a table follow snapshots: how they come, and how they run.

`riacho.pipelines` sends the snapshots as one query, in which a column says which snapshot a row is of:

    Hint riacho_snapshots  what was asked for (JSON), keys, tracked columns, versions
      Union by name, of the snapshots
        Project *, version AS __riacho_snapshot_version

For each snapshot the target gets one commit, then the auxiliary table a row without keys, with the snapshot's version.
Cut off between the two, the snapshot is applied again, and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from riacho import types
from riacho.clock import Clock
from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.catalog.base import Catalog
from riacho.server.catalog.row_changes.job import Job, Runner, TableChange
from riacho.server.delta.files import conform
from riacho.server.delta.write import DeltaOperation
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.engine.spool import empty
from riacho.server.graph.cdc import auxiliary, failures
from riacho.server.graph.cdc.changes import NOTHING, CdcCounts, RowChange, new_rows
from riacho.server.graph.cdc.definition import (
    END_AT,
    METADATA,
    SEQUENCE,
    START_AT,
    AutoCdc,
    ColumnSelection,
    ScdType,
    SnapshotSource,
    column_names,
)
from riacho.server.graph.cdc.order import has_order, ranks
from riacho.server.graph.cdc.scd1 import DELETED_AT
from riacho.server.graph.cdc.sink import CdcTarget, fill, named_for, past_of, target_table
from riacho.server.graph.cdc.snapshots import change_of
from riacho.server.graph.cdc.touched import all_rows
from riacho.server.graph.names import Identifier, parse
from riacho.server.plan import build

HINT: Final = "riacho_snapshots"
VERSION: Final = "__riacho_snapshot_version"


def sent(command: pb.PipelineCommand.DefineFlow) -> pb.Relation | None:
    """The query of a flow of snapshots, if the command defines one. It travels in a form that Spark refuses."""
    inner = pb.PipelineCommand.DefineFlow()
    if not command.HasField("extension") or not command.extension.Unpack(inner):
        return None
    relation = inner.relation_flow_details.relation
    is_one = relation.WhichOneof("rel_type") == "hint" and relation.hint.name.lower() == HINT
    return relation if is_one else None


def from_hint(
    relation: pb.Relation, target: Identifier, columns_of: Callable[[Identifier], pa.Schema | None]
) -> tuple[pb.Relation, AutoCdc]:
    """The query and the definition of a flow of snapshots; `columns_of` knows the columns of tables.

    Raises AUTOCDC_EMPTY_KEYS, AUTOCDC_NON_COLUMN_IDENTIFIER, AUTOCDC_MULTIPART_COLUMN_IDENTIFIER.
    """
    first, *sent = relation.hint.parameters
    given: dict[str, Any] = json.loads(first.literal.string)
    keys, versions = sent[: given["keys"]], sent[len(sent) - given["versions"] :]
    tracked = column_names(sent[given["keys"] : len(sent) - given["versions"]])
    definition = AutoCdc(
        source=parse(given["source"]) if "source" in given else target,
        keys=tuple(column_names(keys)),
        sequence_by=build.col(VERSION),
        stored_as=ScdType(given["stored_as"]),
        columns=ColumnSelection((VERSION,), excluded=True),
        track_history=ColumnSelection(tuple(tracked), given["excluded"]) if tracked else None,
        snapshots=SnapshotSource(tuple(versions), given.get("after"), is_table="source" in given),
    )
    return (relation.hint.input if versions else _nothing(target, columns_of(target))), definition


def _nothing(target: Identifier, columns: pa.Schema | None) -> pb.Relation:
    """What stands for the query when no snapshot is new: the target's own columns."""
    if columns is None:
        raise IllegalArgumentError(
            f"There is no snapshot for {target}, and no table of that name: its columns are unknown."
        )
    since = columns.field(START_AT).type if START_AT in columns.names else columns.field(METADATA).type.field(0).type
    own = [field for field in columns if field.name not in (START_AT, END_AT, METADATA)]
    return empty(pa.schema([*own, pa.field(VERSION, since)]))


@dataclass(frozen=True)
class SnapshotRun:
    """One run of a flow of snapshots into its target."""

    target: CdcTarget
    catalog: Catalog
    clock: Clock
    engine: EngineSession
    check_stop: Callable[[], None]

    def run(self, relation: pb.Relation) -> CdcCounts:
        """Apply the snapshots that are new; how many rows changed. `relation`: the flow's events.

        Raises AUTOCDC_MICROBATCH_VALIDATION.*, AUTOCDC_SNAPSHOT_DUPLICATE_KEYS, AUTOCDC_INVALID_STATE.*,
        AUTOCDC_TARGET_DOES_NOT_SUPPORT_MERGE, and what the change of a Delta table raises.
        """
        flow = self.target.flow
        source = flow.definition.snapshots
        assert source is not None, "the run of a flow of snapshots"
        table = target_table(self.catalog, self.target)
        beside = auxiliary.ensured(self.catalog, table, flow, self.target.flow_name)
        kind = types.normalise(flow.sequence)
        if not has_order(kind):
            raise failures.not_orderable(self.target.label, 0, types.type_to_ddl(kind).lower())
        main = DeltaWriter(table.location, with_files=True)
        memory = _Memory(DeltaWriter(beside.location, with_files=True), self.target, self._runner)
        upserted = deleted = 0
        last = memory.version(kind)
        for number, version in enumerate(self._versions(source, kind)):
            if last is not None and not self._is_newer(version, last, source):
                continue
            self.check_stop()
            rows = relation if len(source.versions) == 1 else _only(relation, source.versions[number])
            counts = self._apply(main, rows, version)
            memory.keep(version)
            upserted, deleted, last = upserted + counts.upserted, deleted + counts.deleted, version
        return CdcCounts(upserted, deleted)

    @property
    def _runner(self) -> Runner:
        return Runner(self.engine, self.clock)

    def _versions(self, source: SnapshotSource, kind: pa.DataType) -> list[pa.Scalar]:
        """The versions as values. They are constants, so one row tells them all."""
        if not source.versions:
            return []
        one = empty(pa.schema([("c", pa.int64())]))
        counted = build.group(one, [], [build.alias(build.call("count", build.col("c")), "c")])
        columns = [build.alias(version, f"v{number}") for number, version in enumerate(source.versions)]
        row = self.engine.run(build.project(counted, columns))
        values = [conform(column.combine_chunks(), kind) for column in row.columns]
        if any(value.null_count for value in values):
            raise failures.null_sequence(self.target.label, 0, sum(value.null_count for value in values))
        return [value[0] for value in values]

    def _is_newer(self, version: pa.Scalar, last: pa.Scalar, source: SnapshotSource) -> bool:
        """Whether a snapshot is yet to be applied. A time that does not rise is an error; a retry is not."""
        new, old = (int(found[0]) for found in ranks(_array(version), _array(last)))
        if new <= old and source.is_table:
            raise IllegalArgumentError(
                f"The snapshot of {self.target.flow.definition.source} was taken at {version}, and the last one at "
                f"{last}: the clock was set back. Run the flow again when it is past that time."
            )
        return new > old

    def _apply(self, writer: DeltaWriter, relation: pb.Relation, version: pa.Scalar) -> CdcCounts:
        flow = self.target.flow
        counts = CdcCounts()
        columns = types.normalise_schema(flow.selected)
        batches = list(self.engine.stream(relation))
        given = {
            field.name: pa.chunked_array([conform(part.column(field.name), field.type) for part in batches], field.type)
            for field in columns
        }
        snapshot = pa.table(given)

        def make(job: Job, change: TableChange) -> None:
            nonlocal counts
            rows = all_rows(job.snapshot)
            what, counts = change_of(flow, snapshot, version, named_for(flow, rows.rows))
            fill(job, change, rows, what, apart=past_of(flow))

        parameters = {"scdType": flow.stored_as.label, "version": str(version)}
        self._runner.apply(writer, DeltaOperation("AUTO CDC FROM SNAPSHOT", parameters), make)
        return counts


class _Memory:
    """The version of the last snapshot, in the auxiliary table: a row without keys."""

    def __init__(self, writer: DeltaWriter, target: CdcTarget, runner: Runner) -> None:
        self._writer = writer
        self._target = target
        self._runner = runner

    def version(self, kind: pa.DataType) -> pa.Scalar | None:
        """The version that is kept, if there is one."""
        found: list[pa.Scalar] = []

        def look(job: Job, change: TableChange) -> None:  # noqa: ARG001 - nothing changes
            rows = all_rows(job.snapshot).rows
            if len(rows):
                column = (
                    rows.column(METADATA).combine_chunks()
                    if self._is_type_1
                    else rows.column(START_AT).combine_chunks()
                )
                values = column.field(column.type.get_field_index(DELETED_AT)) if self._is_type_1 else column
                found.append(conform(values, kind)[0])

        self._runner.apply(self._writer, DeltaOperation("AUTO CDC FROM SNAPSHOT", {}), look)
        return found[0] if found else None

    def keep(self, version: pa.Scalar) -> None:
        """Commit a version."""

        def make(job: Job, change: TableChange) -> None:
            rows = all_rows(job.snapshot)
            since = _array(version)
            if self._is_type_1:
                columns = {METADATA: pa.StructArray.from_arrays([since], names=[DELETED_AT])}
            else:
                columns = {START_AT: since}
            none = rows.rows.schema.empty_table()
            what = RowChange(np.arange(len(rows.rows)), NOTHING, none, new_rows(rows.rows.schema, 1, columns))
            fill(job, change, rows, what)

        parameters = {"version": str(version)}
        self._runner.apply(self._writer, DeltaOperation("AUTO CDC FROM SNAPSHOT", parameters), make)

    @property
    def _is_type_1(self) -> bool:
        return self._target.flow.stored_as is ScdType.TYPE_1


def _array(value: pa.Scalar) -> pa.Array:
    return pa.repeat(value, 1)


def _only(events: pb.Relation, version: pb.Expression) -> pb.Relation:
    """The rows of one snapshot."""
    return build.where(events, build.call("<=>", build.col(SEQUENCE), version))


def check_refresh(definition: AutoCdc, target: Identifier) -> None:
    """Refuse to start a table from scratch with snapshots that go on after one it had.

    Raises UnsupportedOperationError.
    """
    if definition.snapshots is not None and definition.snapshots.after is not None:
        raise UnsupportedOperationError(
            f"{target} is to be refreshed in full, but its snapshots were asked for after version "
            f"{definition.snapshots.after} only. Name the table in the command that defines and runs the pipeline "
            "(--full-refresh, --full-refresh-all), so that its source is asked from the first snapshot on."
        )
