"""Temporary views. The engine knows the batch ones; those that stream are known only here.

They are known by their names in lower case, for case makes no difference; global ones with `global_temp.` before.
"""

from __future__ import annotations

from riacho.errors import AnalysisError
from riacho.identifiers import quoted
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


def define(
    session: ServerSession, relation: pb.Relation, name: str, *, is_global: bool, replace: bool, is_text: bool = False
) -> None:
    """Make a temporary view; `is_text`: of SQL text, which may not give two columns one name, as Spark has it.

    Raises TEMP_TABLE_OR_VIEW_ALREADY_EXISTS, COLUMN_ALREADY_EXISTS.
    """
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
        session.add_view(key, relation)
        return
    relation = session.kept.keep(relation)
    own = False
    try:
        session.engine.create_view(key, relation)
    except AnalysisError:
        alike = _column_named_twice(session, relation)  # which the engine cannot have in a view
        if alike is None:
            raise
        if is_text:
            raise AnalysisError.of(
                "COLUMN_ALREADY_EXISTS",
                f"The column {quoted([alike])} already exists. Choose another name or rename the existing column.",
                sql_state="42711",
                columnName=quoted([alike]),
            ) from None
        own = True
        session.engine.drop_view(key)
    session.add_view(key, relation, own=own)


def _column_named_twice(session: ServerSession, relation: pb.Relation) -> str | None:
    """A name that two columns of a relation have. Raises AnalysisError for a relation that there cannot be."""
    names = session.engine.schema(relation).names
    return next((name for at, name in enumerate(names) if name in names[:at]), None)


def drop(session: ServerSession, name: str) -> bool:
    """Forget a temporary view; whether there was one."""
    key = name.lower()
    known = session.drop_view(key)
    return session.engine.drop_view(key) or known
