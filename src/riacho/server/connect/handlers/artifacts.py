"""Artifacts: files a client sends along. riacho runs Python beside the engine and takes none yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.connect.session import ServerSession


def add(session_of: Callable[[Any], ServerSession], requests: Iterator[pb.AddArtifactsRequest]) -> bytes:
    """Raises UnsupportedOperationError: files cannot be added. The request is read to see whose session it is."""
    for request in requests:
        session_of(request)
        raise UnsupportedOperationError(
            "riacho does not support artifacts (spark.addArtifacts, or local DataFrames over 64 MiB). Put files where "
            "the server can read them; write large local data to a file and read that."
        )
    return pb.AddArtifactsResponse().SerializeToString()


def status(session: ServerSession, request: pb.ArtifactStatusesRequest) -> pb.ArtifactStatusesResponse:
    """None of the artifacts asked about is here."""
    response = pb.ArtifactStatusesResponse(session_id=session.session_id, server_side_session_id=session.server_side_id)
    for name in request.names:
        response.statuses[name].exists = False
    return response
