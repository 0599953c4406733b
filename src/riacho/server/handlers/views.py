"""Temporary views made from DataFrames. The engine knows the batch ones; those that stream are known only here."""

from __future__ import annotations

from riacho.errors import AnalysisError
from riacho.plan.facts import is_streaming
from riacho.protos import pb
from riacho.server.handlers import batch
from riacho.server.operations import Responses
from riacho.server.relations import resolve
from riacho.server.services import Services
from riacho.server.session import ServerSession


def create(_: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """CreateDataFrameViewCommand. Raises TEMP_TABLE_OR_VIEW_ALREADY_EXISTS."""
    view = request.plan.command.create_dataframe_view
    if not view.replace and view.name.lower() in session.views:
        raise AnalysisError.of(
            "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS",
            f"Cannot create the temporary view `{view.name}` because it already exists. Choose a different name, drop "
            "or replace the existing view, or add the IF NOT EXISTS clause to tolerate pre-existing views.",
            sql_state="42P07",
            relationName=f"`{view.name}`",
        )
    relation = resolve(session, view.input)
    if is_streaming(relation):
        session.add_view(view.name, relation)
        return
    if relation is not view.input:
        view.input.CopyFrom(relation)
    yield from batch.forward(session, request)
    session.add_view(view.name, relation)
    session.engine.remember(("view", view.name), "ExecutePlan", batch.engine_request(request))
