"""What must hold of a pipeline before it runs. The checks stand in Spark's order; the first that fails is what is said.

Source: `DataflowGraph.validationFailure`. Its check that the graph is sorted cannot fail here: resolving it sorted it.
"""

from __future__ import annotations

from collections.abc import Callable

from riacho.errors import AnalysisError
from riacho.server.graph import failures
from riacho.server.graph.cdc import failures as cdc_failures
from riacho.server.graph.dag import Dag
from riacho.server.graph.elements import Output, PersistedView, PipelineSink, PipelineTable, TemporaryView
from riacho.server.graph.failures import RESET_ALLOWED, FailedFlow, UnresolvedPipelineError
from riacho.server.graph.names import Identifier
from riacho.server.graph.resolve import Resolution, ResolvedFlow


def validate(resolution: Resolution) -> None:
    """Raises AnalysisError for the first check that fails."""
    for check in CHECKS:
        check(resolution)


def every_flow_is_resolved(resolution: Resolution) -> None:
    """Circular dependencies are named as such; else all failed flows are listed by whose fault it is.

    Raises UnresolvedPipelineError.
    """
    unresolved = resolution.unresolved
    blocked_by = {
        name: [
            flow.identifier
            for dataset in failure.inputs
            for flow in resolution.definition.flows_to(dataset)
            if flow.identifier in unresolved
        ]
        for name, failure in unresolved.items()
    }
    cycle = Dag(blocked_by).find_cycle()
    if cycle is not None:
        downstream, upstream = (unresolved[name].flow.target for name in (cycle[0], cycle[-1]))
        raise failures.circular(downstream, upstream)
    if unresolved:
        failed = {name: FailedFlow(name, failure.error) for name, failure in unresolved.items()}
        raise UnresolvedPipelineError(
            direct=[failure for name, failure in failed.items() if not blocked_by[name]],
            downstream=[failure for name, failure in failed.items() if blocked_by[name]],
        )


def declared_schemas_hold(resolution: Resolution) -> None:
    """What a table's flows give fits into the columns that were declared for it, if it has a default flow.

    Raises AnalysisError.
    """
    for table in resolution.definition.tables:
        declared = resolution.declared_schema_of(table)
        if declared is None or table.identifier not in resolution.flows:
            continue
        inferred = resolution.schema_of(table)
        if not inferred.equals(declared):
            raise failures.schema_not_compatible(
                table.identifier, streaming=table.is_streaming, declared=declared, inferred=inferred
            )


def materialized_views_have_one_query(resolution: Resolution) -> None:
    """Only a streaming table can have several flows. Raises AnalysisError."""
    for table in resolution.definition.tables:
        flows = resolution.flows_to(table.identifier)
        if not table.is_streaming and len(flows) > 1:
            raise failures.several_queries(table.identifier, [flow.identifier for flow in flows])


def cdc_targets_have_one_flow(resolution: Resolution) -> None:
    """A table that an AUTO CDC flow changes is changed by no other flow, but for first loads: such flows run once.

    Raises AUTOCDC_MULTIPLE_FLOWS_TO_TARGET.
    """
    for table in resolution.definition.tables:
        flows = resolution.flows_to(table.identifier)
        changing = [flow.cdc for flow in flows if flow.cdc is not None]
        if len(flows) < 2 or not changing:
            continue
        lasting = [flow for flow in changing if not flow.definition.once]
        alike = {(flow.stored_as, flow.keys, flow.sequence) for flow in changing}
        if len(changing) < len(flows) or len(lasting) > 1 or len(alike) > 1:
            raise cdc_failures.several_flows(table.identifier, [flow.identifier for flow in flows])


def persisted_views_read_no_temporary_ones(resolution: Resolution) -> None:
    """A view that outlives the run cannot read one that does not. Raises AnalysisError."""
    temporary = {view.identifier for view in resolution.definition.temporary_views}
    for view in resolution.definition.persisted_views:
        for flow in resolution.flows_to(view.identifier):
            for name in flow.inputs:
                if name in temporary:
                    raise failures.temporary_object(view.identifier, name)


def every_dataset_has_a_flow(resolution: Resolution) -> None:
    """Tables and views need a query. Raises AnalysisError."""
    for name, output in resolution.definition.outputs.items():
        if not isinstance(output, PipelineSink) and not resolution.flows_to(name):
            raise failures.without_flow(name)


def resettable_tables_feed_resettable_ones(resolution: Resolution) -> None:
    """A streaming table that must not be reset cannot read from a table whose rows a full refresh may take away.

    Raises AnalysisError.
    """
    datasets = dataset_graph(resolution)
    for table in resolution.definition.tables:
        flows = resolution.flows_to(table.identifier)
        if reset_allowed(table) or not any(flow.streaming for flow in flows):
            continue
        tables = (resolution.definition.table(name) for name in datasets.upstream(table.identifier))
        resettable = [upstream.identifier for upstream in tables if upstream is not None and reset_allowed(upstream)]
        if resettable:
            raise failures.resettable_dependency(table.identifier, resettable)


def flows_stream_where_they_must(resolution: Resolution) -> None:
    """Streaming tables and sinks take streams, materialized and persisted views take batches. Raises AnalysisError."""
    for flow in resolution.flows.values():
        output = resolution.definition.outputs[flow.target]
        if flow.flow.cdc is not None and not isinstance(output, PipelineTable):
            raise _not_changeable(flow, output)
        if flow.flow.once:
            _once(flow, output)
            continue
        if flow.flow.cdc is not None and flow.flow.cdc.snapshots is not None:
            if flow.streaming:
                raise failures.streaming_for_snapshots(flow.identifier)
            if flow.expectations:
                raise failures.expectations_of_snapshots(flow.target)
            continue
        match output:
            case PipelineTable(is_streaming=True) if not flow.streaming:
                raise failures.batch_for_streaming_table(flow.identifier, flow.target)
            case PipelineTable(is_streaming=False) if flow.streaming:
                raise failures.streaming_for_materialized_view(flow.identifier, flow.target)
            case PersistedView() if flow.streaming:
                raise failures.streaming_for_persisted_view(flow.identifier, flow.target)
            case PipelineSink() if not flow.streaming:
                raise failures.batch_for_sink(flow.identifier, flow.target)


def _not_changeable(flow: ResolvedFlow, output: Output) -> AnalysisError:
    if isinstance(output, TemporaryView):
        return failures.changes_for_temporary_view(flow.identifier, flow.target)
    return failures.changes_for_other_target(flow.identifier, flow.target)


def _once(flow: ResolvedFlow, output: Output) -> None:
    """A flow that runs once is a batch query into what others append to."""
    if flow.streaming:
        raise failures.streaming_for_once(flow.identifier)
    if not isinstance(output, PipelineSink) and not (isinstance(output, PipelineTable) and output.is_streaming):
        raise failures.once_for_other_target(flow.identifier, flow.target)


def every_table_has_columns(resolution: Resolution) -> None:
    """The flows of a table do not contradict each other."""
    for table in resolution.definition.tables:
        resolution.schema_of(table)


CHECKS: tuple[Callable[[Resolution], None], ...] = (
    every_flow_is_resolved,
    declared_schemas_hold,
    cdc_targets_have_one_flow,
    materialized_views_have_one_query,
    persisted_views_read_no_temporary_ones,
    every_dataset_has_a_flow,
    resettable_tables_feed_resettable_ones,
    flows_stream_where_they_must,
    every_table_has_columns,
)


def dataset_graph(resolution: Resolution) -> Dag[Identifier]:
    """Which output needs which datasets of the pipeline."""
    datasets: Dag[Identifier] = Dag()
    for name in resolution.definition.outputs:
        datasets.add(name, [source for flow in resolution.flows_to(name) for source in flow.inputs])
    return datasets


def reset_allowed(table: PipelineTable) -> bool:
    """Whether a full refresh may take this table's rows away."""
    values = {key.lower(): value for key, value in table.properties.items()}
    return values.get(RESET_ALLOWED, "true").strip().lower() != "false"
