"""Pipeline commands, and what a request that comes from a pipeline's definition file may not do."""

from __future__ import annotations

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.operations import Responses
from riacho.server.services import Services
from riacho.server.session import ServerSession


def check_context(services: Services, request: pb.ExecutePlanRequest) -> None:
    """Nothing yet."""


def check_analysis(services: Services, request: pb.AnalyzePlanRequest) -> None:
    """Nothing yet."""


def command(services: Services, session: ServerSession, request: pb.PipelineCommand) -> Responses:
    """Nothing yet."""
    raise UnsupportedOperationError("pipelines are not there yet")
    yield
