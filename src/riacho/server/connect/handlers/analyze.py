"""AnalyzePlan: plans that stream are analysed over empty inputs; all else is the engine's."""

from __future__ import annotations

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.connect.relations import resolve
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.graph.context import check_analysis
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.failures import told_of_dataframe
from riacho.server.streaming.planning import plan_stream

SPARK_VERSION = "4.2.0"


def analyze(services: Services, session: ServerSession, request: pb.AnalyzePlanRequest) -> bytes:
    """The reply in bytes, without ids. Raises SparkError, EngineLost."""
    check_analysis(request.user_context.extensions)
    try:
        return _reply(services, session, request)
    except AnalysisError as error:
        raise told_of_dataframe(error, request) from error


def _reply(services: Services, session: ServerSession, request: pb.AnalyzePlanRequest) -> bytes:
    kind = request.WhichOneof("analyze") or ""
    response = pb.AnalyzePlanResponse()
    if kind == "spark_version":
        response.spark_version.version = SPARK_VERSION
        return response.SerializeToString()
    detail = getattr(request, kind)
    if "plan" in detail.DESCRIPTOR.fields_by_name:
        relation = resolve(session, detail.plan.root, rows=False)
        streams = is_streaming(relation)
        if streams:
            relation = plan_stream(relation, session.views, services.make_source(session), session.engine).empty()
        if kind == "is_streaming":
            response.is_streaming.is_streaming = streams
            return response.SerializeToString()
        if relation is not detail.plan.root:
            detail.plan.root.CopyFrom(relation)
    request.ClearField("client_observed_server_side_session_id")
    return session.engine.analyze(request)
