"""One engine process: how it is called, and how it is retired when its calls have ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import grpc

from riacho.errors import EngineLost
from riacho.server.engine.sail.child import EngineChild

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # No compression: on a loopback, compressing replies costs ten times what it saves.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # Each process has its own address, so pooled connections of an earlier one must not be shared.
    ("grpc.use_local_subchannel_pool", 1),
)
_SERVICE = "/spark.connect.SparkConnectService/"


def _as_is(message: bytes) -> bytes:
    return message


class ResponseStream(Protocol):
    """The responses of a call in progress."""

    def __iter__(self) -> Iterator[bytes]:
        """The responses as they arrive."""

    def cancel(self) -> bool:
        """End the call; does nothing if it has already ended."""


class EngineProcess:
    """A running Sail with one channel to it. `epoch` numbers the processes of one engine, from 1.

    Raises SparkGeneralError if the process does not start.
    """

    def __init__(self, epoch: int, child: EngineChild) -> None:
        self.epoch = epoch
        self.child = child
        self._in_flight = 0
        self._idle = threading.Condition()
        self.address = f"127.0.0.1:{child.port()}"
        self._channel = grpc.insecure_channel(self.address, options=_CHANNEL_OPTIONS)
        self._unary: dict[str, grpc.UnaryUnaryMultiCallable[bytes, bytes]] = {}
        self._execute = self._channel.unary_stream(
            _SERVICE + "ExecutePlan", request_serializer=_as_is, response_deserializer=_as_is
        )

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the process while a call runs, so that `retire` waits for the call."""
        with self._idle:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def call(self, method: str, request: bytes, *, timeout_s: float | None = None) -> bytes:
        """One unary RPC, in bytes. Raises grpc.RpcError, also when `timeout_s` has passed."""
        stub = self._unary.get(method)
        if stub is None:
            stub = self._unary[method] = self._channel.unary_unary(
                _SERVICE + method, request_serializer=_as_is, response_deserializer=_as_is
            )
        return stub(request, timeout=timeout_s)

    def execute(self, request: bytes) -> ResponseStream:
        """ExecutePlan, in bytes. Raises grpc.RpcError while read."""
        return cast("ResponseStream", self._execute(request))

    def retire(self, timeout_s: float) -> None:
        """Wait at most `timeout_s` until no call is in progress, then end the process."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout_s)
        self.stop()

    def stop(self) -> None:
        """End the process now. Calls in progress fail. Idempotent."""
        self._channel.close()
        self.child.stop()


def lost(error: grpc.RpcError) -> EngineLost | None:
    """`EngineLost` if this failure means that the process is gone, else None."""
    code, details, _ = outcome(error)
    if code is grpc.StatusCode.UNAVAILABLE:
        return EngineLost("the engine's process ended during the call")
    if code is grpc.StatusCode.CANCELLED and "channel closed" in details.lower():
        return EngineLost("the engine's process was replaced during the call")
    return None


def outcome(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, dict[str, str | bytes]]:
    """Code, text and trailing metadata of a failed call. gRPC's errors are also calls, which its type stubs omit."""
    call: Any = error
    return call.code(), call.details() or "", dict(call.trailing_metadata() or ())
