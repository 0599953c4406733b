"""Temporary views. The engine knows the batch ones; those that stream are known only here.

They are known by their names in lower case, for case makes no difference; global ones with `global_temp.` before.
"""

from __future__ import annotations

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.connect.operations import Responses
from riacho.server.connect.relations import resolve
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.engine.base import GLOBAL
from riacho.server.plan.facts import is_streaming


def create(_: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """CreateDataFrameViewCommand. Raises what `define` raises."""
    view = request.plan.command.create_dataframe_view
    define(session, view.input, view.name, is_global=view.is_global, replace=view.replace)
    return iter(())


def define(session: ServerSession, relation: pb.Relation, name: str, *, is_global: bool, replace: bool) -> None:
    """Make a temporary view. Raises TEMP_TABLE_OR_VIEW_ALREADY_EXISTS."""
    key = (GLOBAL + name if is_global else name).lower()
    if not replace and key in session.temporary_views:
        shown = f"`global_temp`.`{name}`" if is_global else f"`{name}`"
        raise AnalysisError.of(
            "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS",
            f"Cannot create the temporary view {shown} because it already exists. Choose a different name, drop "
            "or replace the existing view, or add the IF NOT EXISTS clause to tolerate pre-existing views.",
            sql_state="42P07",
            relationName=shown,
        )
    relation = resolve(session, relation)
    if is_streaming(relation):
        session.engine.drop_view(key)  # what it replaces may be no stream
    else:
        session.engine.create_view(key, relation)
    session.add_view(key, relation)


def drop(session: ServerSession, name: str) -> bool:
    """Forget a temporary view; whether there was one."""
    key = name.lower()
    known = session.drop_view(key)
    return session.engine.drop_view(key) or known
