"""What the event log has of a pipeline as it is defined, and of what a run is to do with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from riacho import types
from riacho.errors import SparkError
from riacho.server.delta.maintenance import MaintenanceStep
from riacho.server.graph.elements import PersistedView, PipelineSink, PipelineTable, TemporaryView
from riacho.server.graph.events import EventLevel, EventType, PipelineEvent
from riacho.server.graph.names import Identifier
from riacho.server.graph.resolve import Resolution, ResolvedFlow
from riacho.server.graph.selection import TableSelection
from riacho.server.graph.stages import (
    CreateEmptyTable,
    DropTable,
    EmptyTable,
    EvolveTable,
    PublishView,
    RunFlows,
    Stage,
    StartCheckpoint,
)


def created(update_id: str, selection: TableSelection, *, storage: str, user: str) -> PipelineEvent:
    """A run begins. Confs are left out: they may hold secrets."""
    full = selection.full_refresh
    details = {
        "cause": "USER_ACTION",
        "update_id": update_id,
        "storage": storage,
        "full_refresh": full is None,
        "refresh_selection": None if selection.refresh is None else sorted(map(str, selection.refresh)),
        "full_refresh_selection": [] if full is None else sorted(map(str, full)),
    }
    return PipelineEvent(
        EventType.CREATE_UPDATE, f"Update {update_id} was started by {user or 'a client'}.", details=details
    )


def graph_created(resolution: Resolution) -> Iterator[PipelineEvent]:
    """The pipeline is understood: a summary, then its datasets, sinks and flows."""
    definition = resolution.definition
    tables, views = definition.tables, [*definition.persisted_views, *definition.temporary_views]
    flows = list(resolution.flows.values())
    details = {"num_datasets": len(tables) + len(views), "num_flows": len(flows)}
    yield PipelineEvent(
        EventType.GRAPH_CREATED,
        f"The graph of {len(tables)} tables, {len(views)} views and {len(flows)} flows was created.",
        details=details,
    )
    for output in definition.outputs.values():
        match output:
            case PipelineTable():
                yield _dataset(resolution, output)
            case PersistedView() | TemporaryView():
                temporary = isinstance(output, TemporaryView)
                kind = "TEMPORARY_VIEW" if temporary else "VIEW"
                view: dict[str, Any] = {
                    "dataset_type": kind,
                    "schema": _columns(_schema(resolution, output.identifier)),
                }
                yield PipelineEvent(
                    EventType.DATASET_DEFINITION,
                    f"View {output.identifier} is defined.",
                    details={**view, "comment": output.comment},
                    dataset=output.identifier,
                )
            case PipelineSink():
                yield PipelineEvent(
                    EventType.SINK_DEFINITION,
                    f"Sink {output.identifier} is defined as {output.format}.",
                    details={"format": output.format, "options": sorted(output.options)},
                    sink=output.identifier,
                )
    for flow in flows:
        yield _flow(resolution, flow)


def done(stage: Stage) -> PipelineEvent | None:
    """A stage that prepares the run was carried out."""
    match stage:
        case StartCheckpoint():
            return _operation("START_CHECKPOINT", f"Flow {stage.flow} starts from scratch.", str(stage.flow))
        case CreateEmptyTable():
            return _operation("CREATE_TABLE", f"Table {stage.name} was created.", str(stage.name))
        case EmptyTable():
            return _operation("TRUNCATE_TABLE", f"Table {stage.name} was emptied.", str(stage.name))
        case DropTable():
            return _operation("DROP_TABLE", f"Table {stage.name} was dropped.", str(stage.name))
        case EvolveTable():
            return _operation("ALTER_TABLE", f"Table {stage.name} was altered.", str(stage.name))
        case PublishView():
            return _operation("CREATE_VIEW", f"View {stage.identifier} was published.", str(stage.identifier))
        case RunFlows():
            return None


def maintained(table: Identifier, steps: Sequence[MaintenanceStep], failure: Exception | None) -> PipelineEvent:
    """A table of the pipeline was maintained in the background, or could not be."""
    done = ", ".join(step.value for step in steps)
    message = f"Table {table} was maintained: {done}." if failure is None else f"Table {table} could not be maintained."
    return PipelineEvent(
        EventType.MAINTENANCE_PROGRESS,
        message,
        level=EventLevel.INFO if failure is None else EventLevel.WARN,
        details={"state": "COMPLETED" if failure is None else "FAILED", "steps": [step.name for step in steps]},
        dataset=table,
        error=failure,
    )


def _operation(kind: str, message: str, name: str) -> PipelineEvent:
    details = {"type": kind, "status": "COMPLETED", "name": name}
    return PipelineEvent(EventType.OPERATION_PROGRESS, message, details=details)


def _dataset(resolution: Resolution, table: PipelineTable) -> PipelineEvent:
    kind = table.kind.name
    details = {
        "dataset_type": kind,
        "schema": _columns(_schema(resolution, table.identifier)),
        "partition_columns": list(table.partition_by),
        "format": table.format,
        "comment": table.comment,
        "table_properties": dict(table.properties),
        "num_flows": len(resolution.definition.flows_to(table.identifier)),
    }
    message = f"{str(table.kind).capitalize()} {table.identifier} is defined."
    return PipelineEvent(EventType.DATASET_DEFINITION, message, details=details, dataset=table.identifier)


def _flow(resolution: Resolution, flow: ResolvedFlow) -> PipelineEvent:
    target = resolution.definition.outputs[flow.target]
    to_sink = isinstance(target, PipelineSink)
    details = {
        "input_datasets": [str(name) for name in flow.inputs],
        "output_dataset": None if to_sink else str(flow.target),
        "output_sink": str(flow.target) if to_sink else None,
        "flow_type": "APPEND" if flow.streaming else "COMPLETE",
        "schema": _columns(flow.schema),
        "spark_conf": sorted(flow.conf),
    }
    return PipelineEvent(
        EventType.FLOW_DEFINITION,
        f"Flow {flow.identifier} writes to {flow.target}.",
        details=details,
        flow=flow.identifier,
        dataset=None if to_sink else flow.target,
        sink=flow.target if to_sink else None,
    )


def _schema(resolution: Resolution, name: Identifier) -> pa.Schema | None:
    table = resolution.definition.table(name)
    try:
        if table is not None:
            return resolution.schema_of(table)
    except SparkError:
        return None
    flows = resolution.flows_to(name)
    return flows[0].schema if flows else None


def _columns(schema: pa.Schema | None) -> list[dict[str, str]] | None:
    if schema is None:
        return None
    return [{"name": field.name, "data_type": types.type_to_ddl(field.type)} for field in schema]
