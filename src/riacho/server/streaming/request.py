"""What a start asks for, as values: read from a client's command, or put together by a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.streaming import trigger
from riacho.server.streaming.quality import Checks
from riacho.server.streaming.trigger import Trigger

if TYPE_CHECKING:
    from riacho.server.streaming.context import StreamingContext
    from riacho.server.streaming.sinks.base import Sink


@dataclass(frozen=True)
class StartRequest:
    """What a start asks for, whoever asks: a client's command, or a pipeline's flow. `options`: names in lower case.

    `format` "" is the default; `table` and `path` are one or neither; `foreach_batch` and `foreach` are
    pickled functions of a client, of which one is there at most. `checks`: rules that the rows are to keep.
    `make_sink` makes a sink that has no format, whatever the others say. `shared`: other queries may write to the same
    files, as several flows of a pipeline do.
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
    foreach: pb.PythonUDF | None = None
    make_sink: Callable[[StreamingContext], Sink] | None = None
    tags: tuple[str, ...] = ()
    operation_id: str = ""
    checks: Checks | None = None
    shared: bool = False


def read_command(request: pb.ExecutePlanRequest, relation: pb.Relation) -> StartRequest:
    """The request of a WriteStreamOperationStart command; `relation` is its input, resolved.

    Raises UnsupportedOperationError for functions that are not Python and triggers that riacho does not have.
    """
    command = request.plan.command.write_stream_operation_start
    foreach_batch = _python_function(command, "foreach_batch")
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
        foreach_batch=foreach_batch,
        foreach=None if foreach_batch is not None else _python_function(command, "foreach_writer"),
        tags=tuple(request.tags),
        operation_id=request.operation_id,
    )


def _python_function(
    command: pb.WriteStreamOperationStart, field: Literal["foreach_batch", "foreach_writer"]
) -> pb.PythonUDF | None:
    """The function that a command has, if it has one."""
    if not command.HasField(field):
        return None
    function: pb.StreamingForeachFunction = getattr(command, field)
    if function.HasField("scala_function"):
        raise UnsupportedOperationError("riacho runs functions of Python clients only; this one is for a JVM.")
    return function.python_function
