"""DataFrame writes: to tables and Delta, in formats of riacho's own, and what is left to the engine."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.batch import writes
from riacho.server.batch.format_names import check_write
from riacho.server.commands import SqlContext
from riacho.server.commands.merge_into import merge_into
from riacho.server.connect.handlers import batch, view_inserts
from riacho.server.connect.operations import Responses
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.plan.formats import short_name


def write(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """WriteOperation (`df.write`). Raises DATA_SOURCE_NOT_FOUND, and what writers raise."""
    operation = request.plan.command.write_operation
    if (short := short_name(operation.source)) != operation.source.lower():
        operation.source = short
    if writes.write(services.writing(session), operation):
        return
    insert = view_inserts.of_operation(operation, session.engine)
    if insert is not None:
        view_inserts.insert(services.writing(session), insert)
        return
    if not services.writes.write(session.engine, operation, session.current_database):
        check_write(operation)
        yield from batch.forward(session, request)


def write_v2(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """WriteOperationV2 (`df.writeTo`)."""
    services.writes.write_v2(session.engine, request.plan.command.write_operation_v2, session.current_database)
    return iter(())


def merge(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """MergeIntoTableCommand (`df.mergeInto`). Raises as the MERGE statement."""
    context = SqlContext(services.catalog, session.engine, session.temporary_views, services.clock)
    merge_into(request.plan.command.merge_into_table_command, context)
    return iter(())
