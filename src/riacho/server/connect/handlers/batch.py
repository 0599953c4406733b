"""Batch plans: handed to the engine as they came, its replies handed back as they come."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.connect.handlers import catalog
from riacho.server.connect.operations import Responses
from riacho.server.connect.relations import resolve
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.plan.checks import check_batch
from riacho.server.plan.facts import is_streaming
from riacho.server.workers.sources import registered


def query(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """Execute a relation.

    Raises AnalysisError for a streaming one: "Queries with streaming sources must be executed with
    writeStream.start()".
    """
    relation = request.plan.root
    if relation.WhichOneof("rel_type") == "catalog":
        answer = catalog.answer(services, session, relation.catalog)
        if answer is not None:
            yield from answer
            return
    resolved = resolve(session, relation)
    if is_streaming(resolved):
        check_batch(resolved)
    if resolved is not relation:
        request.plan.root.CopyFrom(resolved)
    yield from forward(session, request)


def forward(session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """Let the engine answer a plan; its replies are passed on in bytes."""
    yield from session.engine.execute_plan(engine_request(request))


def engines(_: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """A command that riacho has no part in."""
    yield from forward(session, request)


def nothing(_services: Services, _session: ServerSession, _request: pb.ExecutePlanRequest) -> Responses:
    """A DataFrame known by id is let go. foreachBatch's end with their batch, so there is nothing to do."""
    return iter(())


def remembered(_: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """Forward a command that sets something up in the session, and keep it for an engine that takes over."""
    command = request.plan.command
    kind = command.WhichOneof("command_type") or ""
    detail = getattr(command, kind)
    name: str = getattr(detail, "function_name", "") or getattr(detail, "name", "")
    yield from session.engine.set_up((kind, name.lower()), engine_request(request))


def register_data_source(_: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """RegisterDataSource (`spark.dataSource.register`). Raises DATA_SOURCE_ALREADY_EXISTS."""
    registered.register(session.engine, request.plan.command.register_data_source)
    return iter(())


def engine_request(request: pb.ExecutePlanRequest) -> pb.ExecutePlanRequest:
    """The request as the engine gets it: it knows neither this server's session id nor attaching again."""
    request.ClearField("client_observed_server_side_session_id")
    request.ClearField("request_options")
    return request
