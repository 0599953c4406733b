"""The Spark Connect service: each RPC is unpacked, handed to its handler, and the answer wrapped. No logic sits here.

Messages cross as bytes: a request is decoded once, to see who answers it; what the engine answers is passed on as it
came, with the ids of this server put behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc

from riacho import storage
from riacho.errors import SparkError, SparkGeneralError
from riacho.ids import OperationId, SessionId, new_uuid
from riacho.protos import pb
from riacho.server.connect.handlers import analyze, artifacts, config, execute, interrupt
from riacho.server.connect.operations import Operation
from riacho.server.connect.services import Services
from riacho.server.connect.session import ServerSession
from riacho.server.connect.status import as_spark_error, to_grpc

_log = logging.getLogger(__name__)

SERVICE_NAME = "spark.connect.SparkConnectService"

Request = TypeVar("Request")


def _as_is(message: bytes) -> bytes:
    return message


class ConnectService(grpc.GenericRpcHandler):
    """Routes the RPCs of `spark.connect.SparkConnectService`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        unary = grpc.unary_unary_rpc_method_handler
        stream = grpc.unary_stream_rpc_method_handler
        self._methods = {
            f"/{SERVICE_NAME}/{name}": kind(self._guarded(method), _as_is, _as_is)
            for name, kind, method in (
                ("AnalyzePlan", unary, self._analyze_plan),
                ("Config", unary, self._config),
                ("ArtifactStatus", unary, self._artifact_status),
                ("Interrupt", unary, self._interrupt),
                ("ReleaseExecute", unary, self._release_execute),
                ("ReleaseSession", unary, self._release_session),
                ("FetchErrorDetails", unary, self._fetch_error_details),
                ("AddArtifacts", grpc.stream_unary_rpc_method_handler, self._add_artifacts),
            )
        } | {
            f"/{SERVICE_NAME}/{name}": stream(self._guarded_stream(method), _as_is, _as_is)
            for name, method in (("ExecutePlan", self._execute_plan), ("ReattachExecute", self._reattach_execute))
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._methods.get(handler_call_details.method)

    def _execute_plan(self, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        request = pb.ExecutePlanRequest.FromString(data)
        session = self._session(request)
        request.operation_id = request.operation_id or new_uuid()
        operation_id = OperationId(request.operation_id)
        reattachable = any(option.reattach_options.reattachable for option in request.request_options)
        suffix = pb.ExecutePlanResponse(
            session_id=session.session_id, server_side_session_id=session.server_side_id, operation_id=operation_id
        ).SerializeToString()
        responses = execute.execute(self._services, session, request)
        if reattachable:
            responses = _completed(responses)
        operation = Operation(operation_id, responses, suffix, reattachable=reattachable, tags=frozenset(request.tags))
        self._services.operations.add(session.session_id, operation)
        try:
            yield from operation.responses(None, context.is_active)
        finally:
            if not reattachable:
                operation.release(None)
                self._services.operations.remove(session.session_id, operation_id)

    def _reattach_execute(self, data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        request = pb.ReattachExecuteRequest.FromString(data)
        session = self._session(request)
        operation = self._services.operations.get(session.session_id, OperationId(request.operation_id))
        if not operation.reattachable:
            raise SparkGeneralError.of(
                "INVALID_CURSOR.NOT_REATTACHABLE",
                "The cursor is invalid. The cursor is not reattachable.",
                sql_state="HY109",
            )
        after = request.last_response_id if request.HasField("last_response_id") else None
        yield from operation.responses(after, context.is_active)

    def _release_execute(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        request = pb.ReleaseExecuteRequest.FromString(data)
        session_id, operation_id = SessionId(request.session_id), OperationId(request.operation_id)
        operation = self._services.operations.find(session_id, operation_id)
        response = pb.ReleaseExecuteResponse(session_id=session_id)
        session = self._services.sessions.find(request.user_context.user_id, session_id)
        if session is not None:
            response.server_side_session_id = session.server_side_id
        if operation is not None:
            response.operation_id = operation_id
            if request.HasField("release_until"):
                operation.release(request.release_until.response_id)
            else:
                operation.release(None)
                self._services.operations.remove(session_id, operation_id)
        return response.SerializeToString()

    def _analyze_plan(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        request = pb.AnalyzePlanRequest.FromString(data)
        session = self._session(request)
        own = pb.AnalyzePlanResponse(session_id=session.session_id, server_side_session_id=session.server_side_id)
        return analyze.analyze(self._services, session, request) + own.SerializeToString()

    def _config(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        request = pb.ConfigRequest.FromString(data)
        session = self._session(request)
        own = pb.ConfigResponse(session_id=session.session_id, server_side_session_id=session.server_side_id)
        return config.config(session, request) + own.SerializeToString()

    def _interrupt(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        request = pb.InterruptRequest.FromString(data)
        session = self._session(request)
        response = pb.InterruptResponse(session_id=session.session_id, server_side_session_id=session.server_side_id)
        response.interrupted_ids.extend(interrupt.interrupt(self._services, session, request))
        return response.SerializeToString()

    def _release_session(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        request = pb.ReleaseSessionRequest.FromString(data)
        response = pb.ReleaseSessionResponse(session_id=request.session_id)
        session = self._services.sessions.find(request.user_context.user_id, request.session_id)
        if session is not None:
            response.server_side_session_id = session.server_side_id
            interrupt.end_session(self._services, session)
        return response.SerializeToString()

    def _fetch_error_details(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        request = pb.FetchErrorDetailsRequest.FromString(data)
        response = self._services.errors.details(request.error_id)
        response.session_id = request.session_id
        session = self._services.sessions.find(request.user_context.user_id, request.session_id)
        if session is not None:
            response.server_side_session_id = session.server_side_id
        return response.SerializeToString()

    def _add_artifacts(self, requests: Iterator[bytes], _: grpc.ServicerContext) -> bytes:
        return artifacts.add(self._session, (pb.AddArtifactsRequest.FromString(data) for data in requests))

    def _artifact_status(self, data: bytes, _: grpc.ServicerContext) -> bytes:
        request = pb.ArtifactStatusesRequest.FromString(data)
        return artifacts.status(self._session(request), request).SerializeToString()

    def _session(self, request: Any) -> ServerSession:
        session = self._services.sessions.get(
            request.user_context.user_id, request.session_id, request.client_observed_server_side_session_id
        )
        storage.use(session.engine.storage)  # this thread works for the session until it takes the next call
        return session

    def _guarded(self, method: Callable[[Request, grpc.ServicerContext], bytes]) -> Callable[..., bytes]:
        def guarded(request: Request, context: grpc.ServicerContext) -> bytes:
            try:
                return method(request, context)
            except BaseException as error:  # a panic of a library in Rust is no Exception
                self._abort(error, context)
                raise AssertionError from error  # abort does not return

        return guarded

    def _guarded_stream(
        self, method: Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]
    ) -> Callable[..., Iterator[bytes]]:
        def guarded(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            try:
                yield from method(request, context)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, the client is told
                self._abort(error, context)

        return guarded

    def _abort(self, error: BaseException, context: grpc.ServicerContext) -> None:
        if not isinstance(error, SparkError):
            _log.error("an unexpected error in a call", exc_info=error)
        context.abort_with_status(to_grpc(as_spark_error(error), self._services.errors))


def _completed(responses: Iterator[bytes | None]) -> Iterator[bytes | None]:
    """A reattachable stream says when it is complete; one that ends without saying so is attached to again."""
    yield from responses
    done = pb.ExecutePlanResponse()
    done.result_complete.SetInParent()
    yield done.SerializeToString()
