"""The catalog API (`spark.catalog`), where riacho knows better than the engine."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.session import ServerSession


def note(session: ServerSession, request: pb.Catalog) -> None:
    """Keep what a catalog call changes in the session; the engine answers it."""
    match request.WhichOneof("cat_type"):
        case "set_current_database":
            use_database(session, request.set_current_database.db_name)
        case "drop_temp_view":
            name = request.drop_temp_view.view_name
            session.drop_view(name)
            session.engine.forget(("view", name))


def use_database(session: ServerSession, name: str) -> None:
    """Make `name` the database that unqualified names mean, here and in the engine. Raises what the engine says."""
    request = pb.ExecutePlanRequest(session_id=session.session_id)
    request.user_context.user_id = session.user_id
    request.plan.root.catalog.set_current_database.db_name = name
    encoded = request.SerializeToString()
    for _ in session.engine.execute_plan(encoded):
        pass
    session.engine.remember(("current database",), "ExecutePlan", encoded)
    session.current_database = name
