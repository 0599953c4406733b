"""ExecutePlan: each kind of plan to the handler of its name."""

from __future__ import annotations

from riacho.errors import InvalidPlanInputError
from riacho.pipelines.context import check_execution
from riacho.protos import pb
from riacho.server.handlers import batch, listeners, pipelines, sql, streaming, views, writes
from riacho.server.operations import Responses
from riacho.server.relations import resolve_inside
from riacho.server.services import Services
from riacho.server.session import ServerSession

_BATCH_COMMANDS = frozenset(
    {"write_operation", "write_operation_v2", "merge_into_table_command", "checkpoint_command", "register_function"}
)
"""Commands whose relations the engine runs, so they must be ones that it knows."""


def execute(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """The responses to a plan, without the ids that every response carries. Nothing runs before the first is asked for.

    Raises SparkError, EngineLost while they are read.
    """
    check_execution(request.user_context.extensions, request.plan)
    match request.plan.WhichOneof("op_type"):
        case "root":
            yield from batch.query(services, session, request)
        case "command":
            yield from _command(services, session, request)
        case other:
            raise InvalidPlanInputError(f"A plan must be a root or a command, not {other}")


def _command(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    command = request.plan.command
    if command.WhichOneof("command_type") in _BATCH_COMMANDS:
        resolve_inside(session, command)
    match command.WhichOneof("command_type"):
        case "write_stream_operation_start":
            yield from streaming.start(services, session, request)
        case "streaming_query_command":
            yield from streaming.query_command(services, session, command.streaming_query_command)
        case "streaming_query_manager_command":
            yield from streaming.manager_command(services, session, command.streaming_query_manager_command)
        case "streaming_query_listener_bus_command":
            yield from listeners.bus(session, command.streaming_query_listener_bus_command)
        case "pipeline_command":
            yield from pipelines.command(services, session, command.pipeline_command)
        case "sql_command":
            yield from sql.command(services, session, request)
        case "create_dataframe_view":
            yield from views.create(session, request)
        case "remove_cached_remote_relation_command":
            # foreachBatch's relations end with the batch; a client that lets go of one earlier loses nothing.
            return
        case "write_operation":
            yield from writes.write(services, session, request)
        case "write_operation_v2":
            writes.write_v2(services, session, request)
        case "register_function" | "register_table_function" | "register_data_source":
            yield from batch.remembered(session, request)
        case _:
            yield from batch.forward(session, request)
