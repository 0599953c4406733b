"""Pipeline commands, and what a request that comes from a pipeline's definition file may not do."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.connect.operations import Responses
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession


def command(services: Services, session: ServerSession, request: pb.ExecutePlanRequest) -> Responses:
    """PipelineCommand: events while a run goes on, then one result. Raises what is wrong with the graph, or its run."""
    for reply in services.pipelines.handle(request.plan.command.pipeline_command, session):
        if reply is None:
            yield None
            continue
        response = pb.ExecutePlanResponse()
        if isinstance(reply, pb.PipelineEventResult):
            response.pipeline_event_result.CopyFrom(reply)
        else:
            response.pipeline_command_result.CopyFrom(reply)
        yield response.SerializeToString()
