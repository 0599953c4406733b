"""The stages of a run as text, one line each: what a dry run logs, and a run before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from riacho import types
from riacho.server.graph import stages
from riacho.server.graph.names import Identifier
from riacho.server.graph.stages import Stage


def explain(planned: Iterable[Stage]) -> str:
    """The stages as an indented list."""
    return "\n".join(line for stage in planned for line in _lines(stage))


def _lines(stage: Stage) -> Iterator[str]:
    match stage:
        case stages.StartCheckpoint():
            yield f"start checkpoint {stage.checkpoint.generation} of flow {stage.flow}"
        case stages.CreateEmptyTable():
            yield f"create table {stage.name} ({types.to_ddl(stage.schema)}) using {stage.format}"
            if stage.partition_by:
                yield f"    partitioned by {', '.join(stage.partition_by)}"
        case stages.EmptyTable():
            yield f"empty table {stage.name}"
        case stages.DropTable():
            yield f"drop table {stage.name}"
        case stages.EvolveTable():
            yield f"alter table {stage.name} to ({types.to_ddl(stage.schema)})"
        case stages.PublishView():
            yield f"publish view {stage.view.name} as {stage.view.text}"
        case stages.RunFlows():
            yield "run flows"
            for name in stage.needs.sorted():
                yield f"    {_flow(stage, name)}"


def _flow(stage: stages.RunFlows, name: Identifier) -> str:
    match run := stage.runs.get(name):
        case None:
            return f"{name}: excluded"
        case stages.RecomputeFlow():
            return f"{name}: {'recompute' if run.full else 'refresh'} {run.table}"
        case stages.SnapshotFlow():
            return f"{name}: follow snapshots in {run.table}"
        case stages.StreamFlow():
            target = run.table or f"sink {run.flow.target}"
            verb = "stream into" if run.changes is None else "apply changes to"
            return f"{name}: {verb} {target}, checkpoint {run.checkpoint.path}"
