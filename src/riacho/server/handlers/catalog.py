"""The catalog API (`spark.catalog`), where riacho knows better than the engine."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.operations import Responses
from riacho.server.services import Services
from riacho.server.session import ServerSession


def answer(services: Services, session: ServerSession, request: pb.Catalog) -> Responses | None:
    """The reply to a catalog call, or None if it is the engine's to answer."""
    if request.WhichOneof("cat_type") == "drop_temp_view":
        session.drop_view(request.drop_temp_view.view_name)
        session.engine.forget(("view", request.drop_temp_view.view_name))
    return None
