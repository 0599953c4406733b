"""What a start asks for, as values: read from a client's command, or put together by a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.streaming import trigger
from riacho.server.streaming.trigger import Trigger


@dataclass(frozen=True)
class StartRequest:
    """What a start asks for, whoever asks: a client's command, or a pipeline's flow. `options`: names in lower case.

    `format` "" is the default; `table` and `path` are one or neither; `foreach_batch` is a client's pickled function.
    """

    relation: pb.Relation
    trigger: Trigger
    output_mode: str = "append"
    name: str | None = None
    format: str = ""
    table: str = ""
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()
    foreach_batch: pb.PythonUDF | None = None
    tags: tuple[str, ...] = ()
    operation_id: str = ""


def read_command(request: pb.ExecutePlanRequest, relation: pb.Relation) -> StartRequest:
    """The request of a WriteStreamOperationStart command; `relation` is its input, resolved.

    Raises UnsupportedOperationError for foreach writers and for triggers that riacho does not have.
    """
    command = request.plan.command.write_stream_operation_start
    if command.HasField("foreach_writer"):
        raise UnsupportedOperationError(
            "riacho does not run foreach writers yet. Use foreachBatch: it gets each batch as a DataFrame."
        )
    return StartRequest(
        relation=relation,
        trigger=trigger.from_command(command),
        output_mode=command.output_mode,
        name=command.query_name or None,
        format=command.format,
        table=command.table_name,
        path=command.path,
        options={key.lower(): value for key, value in command.options.items()},
        partition_by=tuple(command.partitioning_column_names),
        foreach_batch=command.foreach_batch.python_function if command.HasField("foreach_batch") else None,
        tags=tuple(request.tags),
        operation_id=request.operation_id,
    )
