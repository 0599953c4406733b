"""riacho's errors as gRPC statuses that a Spark client turns into its own exceptions. The one place where they meet.

Source: `org.apache.spark.sql.connect.utils.ErrorUtils`; the client's side is `pyspark.errors.exceptions.connect`.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from riacho.errors import EngineLost, SparkError, SparkGeneralError
from riacho.ids import new_uuid
from riacho.protos import pb

# gRPC refuses more than 8 KiB of trailers; the rest of a long error is fetched by its id (Spark: MAX_MESSAGE_SIZE).
MAX_MESSAGE = 2048
MAX_PARAMETERS = 1024
ERRORS_TO_KEEP = 200
DOMAIN = "org.apache.spark"


class ErrorLog:
    """The last errors of a server by id, for clients that fetch the whole of one."""

    def __init__(self) -> None:
        self._errors: OrderedDict[str, SparkError] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, error: SparkError) -> str:
        """An id for `error`."""
        error_id = new_uuid()
        with self._lock:
            self._errors[error_id] = error
            while len(self._errors) > ERRORS_TO_KEEP:
                self._errors.popitem(last=False)
        return error_id

    def details(self, error_id: str) -> pb.FetchErrorDetailsResponse:
        """All about the error of that id; an empty answer if it is not kept any more."""
        response = pb.FetchErrorDetailsResponse()
        with self._lock:
            error = self._errors.get(error_id)
        if error is not None:
            response.root_error_idx = 0
            entry = response.errors.add(message=error.message)
            entry.error_type_hierarchy.extend(error.java_classes)
            if error.condition is not None:
                entry.spark_throwable.error_class = error.condition
                entry.spark_throwable.message_parameters.update(error.parameters)
                if error.sql_state is not None:
                    entry.spark_throwable.sql_state = error.sql_state
        return response


def as_spark_error(error: BaseException) -> SparkError:
    """Any failure as one a Spark client can read."""
    if isinstance(error, SparkError):
        return error
    if isinstance(error, EngineLost):
        return SparkGeneralError(
            "The engine's process ended while it ran this request, possibly because it ran out of memory. A new engine "
            "has started: run the request again."
        )
    return SparkGeneralError(
        f"[INTERNAL_ERROR] {type(error).__name__}: {error} SQLSTATE: XX000", condition="INTERNAL_ERROR"
    )


def to_grpc(error: SparkError, log: ErrorLog) -> grpc.Status:
    """The status to abort a call with. Never UNAVAILABLE, which a client would retry for ten minutes."""
    info = error_details_pb2.ErrorInfo(reason=error.java_classes[0], domain=DOMAIN)
    info.metadata["classes"] = json.dumps(list(error.java_classes))
    info.metadata["errorId"] = log.keep(error)
    if error.condition is not None:
        info.metadata["errorClass"] = error.condition
        parameters = json.dumps(error.parameters)
        if len(parameters) <= MAX_PARAMETERS:
            info.metadata["messageParameters"] = parameters
    if error.sql_state is not None:
        info.metadata["sqlState"] = error.sql_state
    detail = any_pb2.Any()
    detail.Pack(info)
    message = error.message if len(error.message) <= MAX_MESSAGE else error.message[: MAX_MESSAGE - 1] + "…"
    status = status_pb2.Status(code=code_pb2.INTERNAL, message=message, details=[detail])
    return rpc_status.to_status(status)  # type: ignore[no-any-return]
