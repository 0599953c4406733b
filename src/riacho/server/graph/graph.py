"""A pipeline as it is being defined: outputs and flows, registered one by one, checked as a whole when a run starts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from riacho.server.graph import failures
from riacho.server.graph.elements import (
    Flow,
    Output,
    PersistedView,
    PipelineSink,
    PipelineTable,
    TableKind,
    TemporaryView,
    type_name,
)
from riacho.server.graph.expectations import quarantine_name, wants_quarantine
from riacho.server.graph.names import CurrentNamespace, Identifier
from riacho.server.streaming.quality import Expectation

Kind = TypeVar("Kind", PipelineTable, TemporaryView, PersistedView, PipelineSink)


@dataclass(frozen=True)
class PipelineDefinition:
    """A whole pipeline, its names unique. Outputs and flows stand in the order they were defined."""

    outputs: Mapping[Identifier, Output]
    flows: Mapping[Identifier, Flow]

    @cached_property
    def tables(self) -> list[PipelineTable]:
        return self._of(PipelineTable)

    @cached_property
    def persisted_views(self) -> list[PersistedView]:
        return self._of(PersistedView)

    @cached_property
    def temporary_views(self) -> list[TemporaryView]:
        return self._of(TemporaryView)

    @cached_property
    def inputs(self) -> frozenset[Identifier]:
        """The names that a flow reads from the pipeline itself. All others are tables of the catalog."""
        return frozenset(self.flows) | {table.identifier for table in self.tables}

    def table(self, name: Identifier) -> PipelineTable | None:
        """The table of that name."""
        output = self.outputs.get(name)
        return output if isinstance(output, PipelineTable) else None

    def expectations(self, flow: Flow) -> tuple[Expectation, ...]:
        """The rules that the rows of a flow are to keep: its target's, then its own."""
        table = self.table(flow.target)
        of_table = () if table is None else table.expectations
        # `riacho.pipelines` sends those of a table with its flows too, for stock Spark.
        known = {(rule.name, rule.on_violation, rule.text) for rule in of_table}
        own = [rule for rule in flow.expectations if (rule.name, rule.on_violation, rule.text) not in known]
        return (*of_table, *own)

    def quarantine_of(self, dataset: Identifier) -> PipelineTable | None:
        """The table for quarantined rows of a dataset, if it has one."""
        return next((table for table in self.tables if table.quarantine_of == dataset), None)

    def flows_to(self, target: Identifier) -> list[Flow]:
        """The flows that write to an output; to a quarantine table, those that write to its dataset."""
        return self._flows_to.get(target, [])

    def is_view(self, name: Identifier) -> bool:
        """Whether it is a view of either kind: its query takes its place where it is read."""
        return isinstance(self.outputs.get(name), TemporaryView | PersistedView)

    @cached_property
    def _flows_to(self) -> dict[Identifier, list[Flow]]:
        grouped: dict[Identifier, list[Flow]] = {}
        for flow in self.flows.values():
            grouped.setdefault(flow.target, []).append(flow)
        for table in self.tables:
            if table.quarantine_of is not None:
                grouped[table.identifier] = grouped.get(table.quarantine_of, [])
        return grouped

    def _of(self, kind: type[Kind]) -> list[Kind]:
        return [output for output in self.outputs.values() if isinstance(output, kind)]


@dataclass
class DataflowGraph:
    """What a client has defined so far under one graph id.

    `scope`: the catalog and database that unqualified names mean; `conf`: SQL confs of all flows. Both are fixed when
    the graph is made.
    """

    graph_id: str
    scope: CurrentNamespace
    conf: Mapping[str, str] = field(default_factory=dict)
    _outputs: list[Output] = field(default_factory=list)
    _flows: list[Flow] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_output(self, output: Output) -> None:
        """Register an output. That its name is taken shows when a run starts, as in Spark."""
        with self._lock:
            self._outputs.append(output)

    def add_flow(self, flow: Flow) -> None:
        """Register a flow. Its own confs win over those of the graph."""
        with self._lock:
            self._flows.append(replace(flow, conf={**self.conf, **flow.conf}))

    def has_output(self, name: Identifier) -> bool:
        """Whether an output of that name is registered already."""
        with self._lock:
            return any(output.identifier == name for output in self._outputs)

    def is_sink(self, name: Identifier) -> bool:
        """Whether a sink of that name is registered already."""
        with self._lock:
            return any(isinstance(output, PipelineSink) and output.identifier == name for output in self._outputs)

    def is_temporary_view(self, name: Identifier) -> bool:
        """Whether a temporary view of that name is registered already."""
        with self._lock:
            return any(isinstance(output, TemporaryView) and output.identifier == name for output in self._outputs)

    def definition(self) -> PipelineDefinition:
        """All that is registered now.

        Raises RUN_EMPTY_PIPELINE, PIPELINE_DUPLICATE_IDENTIFIERS, FLOW_NAME_CONFLICTS_WITH_TABLE, and
        IllegalArgumentError for a flow to an output that there is not.
        """
        with self._lock:
            outputs, flows = list(self._outputs), list(self._flows)
        if all(isinstance(output, TemporaryView) for output in outputs):
            raise failures.empty_pipeline()
        _check_outputs(outputs)
        _check_flows(flows, {output.identifier: output for output in outputs})
        outputs += _quarantines(outputs, flows, self.scope)
        _check_outputs(outputs)
        return PipelineDefinition({o.identifier: o for o in outputs}, {f.identifier: f for f in flows})


def _quarantines(outputs: Iterable[Output], flows: Iterable[Flow], scope: CurrentNamespace) -> list[PipelineTable]:
    """A table for each dataset that has rows to quarantine; that of a sink is in the pipeline's own database."""
    rules: dict[Identifier, list[Expectation]] = {}
    for flow in flows:
        rules.setdefault(flow.target, []).extend(flow.expectations)
    tables = []
    for output in outputs:
        of_table = output.expectations if isinstance(output, PipelineTable) else ()
        if not wants_quarantine([*of_table, *rules.get(output.identifier, ())]):
            continue
        if isinstance(output, PipelineTable):
            kept = {key: value for key, value in output.properties.items() if key.lower() == failures.RESET_ALLOWED}
            tables.append(_quarantine(output, quarantine_name(output.identifier), output.kind, kept))
        elif isinstance(output, PipelineSink):
            name = scope.qualify(quarantine_name(output.identifier))
            tables.append(_quarantine(output, name, TableKind.STREAMING_TABLE, {}))
    return tables


def _quarantine(
    output: PipelineTable | PipelineSink, name: Identifier, kind: TableKind, properties: Mapping[str, str]
) -> PipelineTable:
    return PipelineTable(
        identifier=name,
        kind=kind,
        format="delta",
        comment=f"Rows that broke a rule of {output.identifier.name}",
        properties=properties,
        quarantine_of=output.identifier,
    )


def _check_outputs(outputs: Iterable[Output]) -> None:
    types: dict[Identifier, list[str]] = {}
    for output in outputs:
        types.setdefault(output.identifier, []).append(type_name(output))
    for name, found in types.items():
        if len(found) > 1:
            raise failures.duplicate_output(name, found)


def _check_flows(flows: list[Flow], outputs: Mapping[Identifier, Output]) -> None:
    times = Counter(flow.identifier for flow in flows)
    for flow in flows:
        if times[flow.identifier] > 1:
            targets = [other.target for other in flows if other.identifier == flow.identifier]
            raise failures.duplicate_flow(flow.identifier, targets)
        if not flow.is_default and isinstance(outputs.get(flow.identifier), PipelineTable):
            raise failures.flow_named_like_table(flow.identifier, flow.target)
        if flow.target not in outputs:
            raise failures.unknown_target(flow.identifier, flow.target)
