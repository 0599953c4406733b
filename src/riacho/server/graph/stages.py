"""Decide what a run does, before anything is done: a list of stages that can be printed, tested and run.

Stages stand in the order in which they are carried out. Nothing here changes anything: the catalog is only read, and
the storage only looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.conf import TRIGGER_INTERVAL
from riacho.server.catalog.base import CatalogReader, TableName, View
from riacho.server.catalog.base import Table as CatalogTable
from riacho.server.graph import failures, reads, schemas
from riacho.server.graph.cdc.auxiliary import auxiliary_name
from riacho.server.graph.cdc.sink import CdcTarget
from riacho.server.graph.cdc.snapshot_flow import check_refresh
from riacho.server.graph.dag import Dag
from riacho.server.graph.elements import PersistedView, PipelineSink, PipelineTable
from riacho.server.graph.expectations import has_note, quarantine_name, wants_quarantine
from riacho.server.graph.failures import RESET_ALLOWED
from riacho.server.graph.names import Identifier
from riacho.server.graph.resolve import Resolution, ResolvedFlow
from riacho.server.graph.selection import TableSelection
from riacho.server.graph.storage import FlowCheckpoint, Storage
from riacho.server.graph.validate import reset_allowed

_log = logging.getLogger(__name__)

PIPELINES_PREFIX = "pipelines."


@dataclass(frozen=True)
class StartCheckpoint:
    """Make the directory of a new checkpoint generation, so that the flow reads its sources from the start again."""

    flow: Identifier
    checkpoint: FlowCheckpoint


@dataclass(frozen=True)
class CreateEmptyTable:
    """Make an empty table in the catalog."""

    name: TableName
    schema: pa.Schema
    format: str
    partition_by: tuple[str, ...]
    comment: str | None
    properties: Mapping[str, str]


@dataclass(frozen=True)
class EmptyTable:
    """Remove all rows of a streaming table, for its full refresh."""

    name: TableName


@dataclass(frozen=True)
class DropTable:
    """Drop the auxiliary table of a table that starts from scratch, if it is there."""

    name: TableName


@dataclass(frozen=True)
class EvolveTable:
    """Give an existing table the columns, comment and properties that the pipeline defines; rows stay."""

    name: TableName
    schema: pa.Schema
    comment: str | None
    properties: Mapping[str, str]


@dataclass(frozen=True)
class PublishView:
    """Create or replace a persisted view in the catalog."""

    identifier: Identifier
    view: View


@dataclass(frozen=True)
class StreamFlow:
    """Run a streaming query over all that is available now, or a batch query once, into a table or a sink.

    `quarantine`: the table for rows that break a rule, if there are such rules.
    """

    flow: ResolvedFlow
    checkpoint: FlowCheckpoint
    table: TableName | None
    format: str
    options: Mapping[str, str]
    quarantine: TableName | None = None

    @property
    def changes(self) -> CdcTarget | None:
        """What it changes, if it is an AUTO CDC flow."""
        if self.flow.cdc is None:
            return None
        assert self.table is not None, "validation: AUTO CDC flows feed streaming tables only"
        return CdcTarget(self.flow.cdc, str(self.flow.identifier), self.table, self.flow.target.quoted)


@dataclass(frozen=True)
class RecomputeFlow:
    """Bring a materialized view up to date in one commit; `full`: by computing all its rows anew."""

    flow: ResolvedFlow
    table: TableName
    schema: pa.Schema
    quarantine: TableName | None = None
    full: bool = False


@dataclass(frozen=True)
class SnapshotFlow:
    """Make a table follow the snapshots that a flow gives."""

    flow: ResolvedFlow
    table: TableName
    changes: CdcTarget
    full: bool = False


FlowRun = StreamFlow | RecomputeFlow | SnapshotFlow


@dataclass(frozen=True)
class RunFlows:
    """Run the flows, each after all those it depends on; `excluded` and `idle` ones are not run and count as done.

    `needs` holds all flows to tables and sinks, run or not. An idle flow was to run once, and has.
    """

    runs: Mapping[Identifier, FlowRun]
    excluded: tuple[Identifier, ...]
    needs: Dag[Identifier]
    idle: tuple[Identifier, ...] = ()


Stage = StartCheckpoint | CreateEmptyTable | EmptyTable | DropTable | EvolveTable | PublishView | RunFlows


def decide(
    resolution: Resolution, selection: TableSelection, catalog: CatalogReader, storage: Storage, default_format: str
) -> list[Stage]:
    """The stages of a run.

    Raises TABLE_NOT_RESETTABLE, CANNOT_UPDATE_PARTITION_COLUMNS, SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED.
    """
    return _Decision(resolution, selection, catalog, storage, default_format).stages()


class _Decision:
    def __init__(
        self,
        resolution: Resolution,
        selection: TableSelection,
        catalog: CatalogReader,
        storage: Storage,
        default_format: str,
    ) -> None:
        self._resolution = resolution
        self._definition = resolution.definition
        self._selection = selection
        self._catalog = catalog
        self._storage = storage
        self._default_format = default_format

    def stages(self) -> list[Stage]:
        self._check_resets()
        checkpoints = self._checkpoints()
        stages: list[Stage] = [
            StartCheckpoint(name, checkpoint) for name, (checkpoint, is_new) in checkpoints.items() if is_new
        ]
        for table in self._definition.tables:
            if self._selection.is_selected(table.quarantine_of or table.identifier):
                stages += self._materialise(table)
        stages += self._views()
        stages.append(self._flows({name: checkpoint for name, (checkpoint, _) in checkpoints.items()}))
        return stages

    def _checkpoints(self) -> dict[Identifier, tuple[FlowCheckpoint, bool]]:
        """The checkpoint that each streaming flow runs with, and whether that generation is to be started."""
        checkpoints = {}
        for flow in self._resolution.flows.values():
            if not flow.appends or self._definition.is_view(flow.target):
                continue
            current, exists = self._storage.current(flow.target, flow.identifier)
            is_new = exists and self._is_reset(flow.target)
            checkpoints[flow.identifier] = (current.next if is_new else current, is_new)
        return checkpoints

    def _is_reset(self, target: Identifier) -> bool:
        """Whether a table or sink starts from scratch; protected tables never do."""
        table = self._definition.table(target)
        return self._selection.is_full(target) and (table is None or reset_allowed(table))

    def _check_resets(self) -> None:
        """Refuse a full refresh that names a protected table. One of all tables just refreshes it."""
        for table in self._definition.tables:
            if self._selection.names_full(table.identifier) and not reset_allowed(table):
                raise failures.not_resettable(table.identifier)

    def _materialise(self, table: PipelineTable) -> list[Stage]:
        if table.partition_by and table.cluster_by:
            raise failures.clustered_and_partitioned()
        if table.cluster_by:
            _log.warning("table %s: CLUSTER BY is ignored: riacho does not cluster tables", table.identifier)
        name = table.identifier.table_name
        schema = self._schema(table)
        properties = _known_properties(table)
        existing = self._catalog.table(name)
        if existing is None:
            new_format = table.format or self._default_format
            made = CreateEmptyTable(name, schema, new_format, table.partition_by, table.comment, properties)
            return [*(self._without_state(name) if self._is_reset(table.identifier) else ()), made]
        if existing.partition_by != table.partition_by:
            raise failures.partitioning_changed(existing.partition_by, table.partition_by)
        if not table.is_streaming:
            # The rows of a materialized view are swapped together with its columns, when its flow has run.
            return _evolve(existing, existing.schema, table.comment, properties)
        if self._is_reset(table.quarantine_of or table.identifier):
            emptied = [EmptyTable(name), *self._left_in_quarantine(table), *self._without_state(name)]
            return [*emptied, *_evolve(existing, schema, table.comment, properties)]
        return _evolve(existing, schemas.merge(existing.schema, schema), table.comment, properties)

    def _left_in_quarantine(self, table: PipelineTable) -> list[Stage]:
        """Rows that were quarantined while rules did so come again from the sources: a replay would double them."""
        name = quarantine_name(table.identifier)
        left = self._catalog.table(name.table_name)
        is_ours = left is not None and name not in self._definition.outputs and has_note(left.schema)
        return [EmptyTable(name.table_name)] if is_ours else []

    def _without_state(self, name: TableName) -> list[Stage]:
        """What was kept of the events that a table without rows was made of must go too."""
        beside = auxiliary_name(name)
        return [] if self._catalog.table(beside) is None else [DropTable(beside)]

    def _schema(self, table: PipelineTable) -> pa.Schema:
        """The columns that a table is to have: as declared, else those of its flows, which may all be null."""
        declared = self._resolution.declared_schema_of(table)
        return declared or types.nullable(self._resolution.schema_of(table))

    def _views(self) -> list[Stage]:
        """Persisted views, whatever is selected; those that others read come first."""
        views = {view.identifier: view for view in self._definition.persisted_views}
        order: Dag[Identifier] = Dag()
        for name in views:
            inputs = [source for flow in self._resolution.flows_to(name) for source in flow.inputs]
            order.add(name, [source for source in inputs if source in views])
        return [PublishView(name, _published(views[name])) for name in order.sorted()]

    def _flows(self, checkpoints: Mapping[Identifier, FlowCheckpoint]) -> RunFlows:
        runs: dict[Identifier, FlowRun] = {}
        excluded: list[Identifier] = []
        idle: list[Identifier] = []
        for flow in self._materialised_flows():
            if not self._selection.is_selected(flow.target):
                excluded.append(flow.identifier)
            elif flow.flow.once and checkpoints[flow.identifier].is_committed:
                idle.append(flow.identifier)
            elif flow.cdc is not None and flow.cdc.definition.snapshots is not None:
                if self._is_reset(flow.target):
                    check_refresh(flow.cdc.definition, flow.target)
                name = flow.target.table_name
                changes = CdcTarget(flow.cdc, str(flow.identifier), name, flow.target.quoted)
                runs[flow.identifier] = SnapshotFlow(flow, name, changes)
            elif flow.appends:
                runs[flow.identifier] = self._stream(flow, checkpoints[flow.identifier])
            else:
                table = self._definition.table(flow.target)
                assert table is not None, "validation: batch flows feed materialized views only"
                name = table.identifier.table_name
                runs[flow.identifier] = RecomputeFlow(
                    flow, name, self._schema(table), self._quarantine(flow), self._is_reset(table.identifier)
                )
        return RunFlows(runs, tuple(excluded), self._needs(), tuple(idle))

    def _materialised_flows(self) -> list[ResolvedFlow]:
        """The flows to tables and sinks, as they were defined."""
        flows = (self._resolution.flows[name] for name in self._definition.flows)
        return [flow for flow in flows if not self._definition.is_view(flow.target)]

    def _stream(self, flow: ResolvedFlow, checkpoint: FlowCheckpoint) -> StreamFlow:
        output = self._definition.outputs[flow.target]
        if isinstance(output, PipelineSink):
            return StreamFlow(flow, checkpoint, None, output.format, output.options, self._quarantine(flow))
        assert isinstance(output, PipelineTable), "validation: streaming flows feed streaming tables and sinks only"
        name, form = output.identifier.table_name, output.format or self._default_format
        return StreamFlow(flow, checkpoint, name, form, {}, self._quarantine(flow))

    def _quarantine(self, flow: ResolvedFlow) -> TableName | None:
        """Where the flow's rows go that are to be quarantined."""
        table = self._definition.quarantine_of(flow.target) if wants_quarantine(flow.expectations) else None
        return None if table is None else table.identifier.table_name

    def _first_loads(self, flow: ResolvedFlow) -> list[Identifier]:
        """Flows that run once into the target of an AUTO CDC flow, and before it: two would hinder each other."""
        if flow.cdc is None or flow.flow.once:
            return []
        return [other.identifier for other in self._resolution.flows_to(flow.target) if other.flow.once]

    def _needs(self) -> Dag[Identifier]:
        """Which flows to tables and sinks need which others, also through views."""
        all_flows: Dag[Identifier] = Dag()
        for flow in self._resolution.flows.values():
            sources = [source.identifier for name in flow.inputs for source in self._resolution.flows_to(name)]
            all_flows.add(flow.identifier, sources)
        materialised = {flow.identifier for flow in self._materialised_flows()}
        needs: Dag[Identifier] = Dag()
        for flow in self._materialised_flows():
            upstream = {*all_flows.upstream(flow.identifier), *self._first_loads(flow)}
            needs.add(flow.identifier, [name for name in all_flows if name in upstream and name in materialised])
        return needs


def _evolve(
    existing: CatalogTable, schema: pa.Schema, comment: str | None, properties: Mapping[str, str]
) -> list[Stage]:
    """The stage that brings an existing table up to date; none if it is. Properties are set, never taken away."""
    same_properties = all(existing.properties.get(key) == value for key, value in properties.items())
    same_comment = comment is None or comment == existing.comment
    if same_properties and same_comment and types.normalise_schema(existing.schema).equals(schema):
        return []
    return [EvolveTable(existing.name, schema, comment, properties)]


def _known_properties(table: PipelineTable) -> dict[str, str]:
    """The properties that the catalog keeps: `pipelines.` ones that nothing knows are dropped with a warning."""
    known = {}
    for key, value in table.properties.items():
        lower = key.lower()
        if lower == RESET_ALLOWED:
            known[RESET_ALLOWED] = value
        elif lower == TRIGGER_INTERVAL.key:
            continue  # whoever runs the flow looks at it
        elif lower.startswith(PIPELINES_PREFIX):
            _log.warning("table %s: unknown property %s is ignored", table.identifier, key)
        else:
            known[key] = value
    return known


def _published(view: PersistedView) -> View:
    """The view with all names in its text written in full: what they mean must not depend on who reads it."""
    text = reads.qualify_text(view.text, view.scope.qualify)
    return View(view.identifier.table_name, text, view.comment)
