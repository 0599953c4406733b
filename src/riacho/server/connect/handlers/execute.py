"""ExecutePlan: each kind of plan to the handler of its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from riacho.errors import AnalysisError, InvalidPlanInputError
from riacho.protos import pb
from riacho.server.connect.handlers import batch, listeners, pipelines, sql, streaming, views, writes
from riacho.server.connect.operations import Responses
from riacho.server.connect.relations import resolve_inside
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.graph.context import check_execution
from riacho.server.plan.failures import told_of_dataframe

Handler = Callable[[Services, ServerSession, pb.ExecutePlanRequest], Responses]

COMMANDS: Mapping[str, Handler] = {
    "write_stream_operation_start": streaming.start,
    "streaming_query_command": streaming.query_command,
    "streaming_query_manager_command": streaming.manager_command,
    "streaming_query_listener_bus_command": listeners.bus,
    "pipeline_command": pipelines.command,
    "sql_command": sql.command,
    "create_dataframe_view": views.create,
    "write_operation": writes.write,
    "write_operation_v2": writes.write_v2,
    "merge_into_table_command": writes.merge,
    "register_function": batch.remembered,
    "register_table_function": batch.remembered,
    "register_data_source": batch.register_data_source,
    "remove_cached_remote_relation_command": batch.nothing,
}
"""Commands by name; those that are not here are the engine's."""

_WITH_RELATIONS = frozenset({"write_operation", "write_operation_v2", "merge_into_table_command", "checkpoint_command"})
"""Commands whose relations the engine runs, so they must be ones that it knows."""


def execute(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """The responses to a plan, without the ids that every response carries. Nothing runs before the first is asked for.

    Raises SparkError, EngineLost while they are read.
    """
    check_execution(request.user_context.extensions, request.plan)
    try:
        yield from _responses(services, session, request)
    except AnalysisError as error:
        raise told_of_dataframe(error, request.plan) from error


def _responses(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    match request.plan.WhichOneof("op_type"):
        case "root":
            yield from batch.query(services, session, request)
        case "command":
            command = request.plan.command
            kind = command.WhichOneof("command_type") or ""
            if kind in _WITH_RELATIONS:
                resolve_inside(session, command)
            yield from COMMANDS.get(kind, batch.engines)(services, session, request)
        case other:
            raise InvalidPlanInputError(f"A plan must be a root or a command, not {other}")
