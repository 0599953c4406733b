"""One engine process: how it is started, reached, measured and ended."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, cast

import grpc

from riacho.errors import EngineLost, SparkGeneralError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0

# Sail reads its settings from the environment. A deep plan overflows the default stack and takes the whole process
# with it; an idle session is gone for good after its time-out, and riacho's sessions live as long as their clients.
_SAIL_SETTINGS = {
    "SAIL_RUNTIME__STACK_SIZE": str(64 << 20),
    "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(7 * 24 * 3600),
    # Its one catalog has the name that Spark's has, so that full names such as spark_catalog.bronze.events resolve.
    "SAIL_CATALOG__LIST": '[{name="spark_catalog", type="memory", initial_database=["default"]}]',
    "RUST_LOG": "error",
}
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Identity only: compressing replies on a loopback costs ten times what it saves.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # Each process has its own address, so pooled connections of an earlier one must not be shared.
    ("grpc.use_local_subchannel_pool", 1),
)
_SERVICE = "/spark.connect.SparkConnectService/"


def _as_is(message: bytes) -> bytes:
    return message


class ResponseStream(Protocol):
    """The responses of a call under way."""

    def __iter__(self) -> Iterator[bytes]:
        """The responses as they come."""

    def cancel(self) -> bool:
        """End the call; one that has ended stays as it is."""


class EngineProcess:
    """A running Sail with one channel to it. `epoch` numbers the processes of one engine, from 1.

    Raises SparkGeneralError when the process does not come up within 30 s.
    """

    def __init__(self, epoch: int, *, on_log: int | None = None) -> None:
        self.epoch = epoch
        self._in_flight = 0
        self._idle = threading.Condition()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "riacho.engine.sail_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=on_log,
            # Its own group: a Ctrl-C in the terminal is for riacho to handle, in order.
            start_new_session=True,
            env={**_SAIL_SETTINGS, **os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        self.pid = self._child.pid
        self.address = f"127.0.0.1:{self._read_port()}"
        self._channel = grpc.insecure_channel(self.address, options=_CHANNEL_OPTIONS)
        self._unary: dict[str, Callable[[bytes], bytes]] = {}
        self._execute = self._channel.unary_stream(
            _SERVICE + "ExecutePlan", request_serializer=_as_is, response_deserializer=_as_is
        )

    def _read_port(self) -> int:
        stdout = self._child.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], START_TIMEOUT_S)
        line = stdout.readline() if ready else b""
        if not line.strip().isdigit():
            self._child.kill()
            raise SparkGeneralError(
                f"The engine did not start within {START_TIMEOUT_S:.0f} s (exit code {self._child.poll()}). "
                "Run `riacho doctor` to see what is missing."
            )
        return int(line)

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def memory_bytes(self) -> int:
        """Resident memory of the process; 0 where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the process while a call runs, so that `retire` waits for it."""
        with self._idle:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def call(self, method: str, request: bytes) -> bytes:
        """One unary RPC, in bytes. Raises grpc.RpcError."""
        stub = self._unary.get(method)
        if stub is None:
            stub = self._unary[method] = self._channel.unary_unary(
                _SERVICE + method, request_serializer=_as_is, response_deserializer=_as_is
            )
        return stub(request)

    def execute(self, request: bytes) -> ResponseStream:
        """ExecutePlan, in bytes. Raises grpc.RpcError while read."""
        return cast("ResponseStream", self._execute(request))

    def retire(self, timeout_s: float) -> None:
        """Wait until no call is under way, at most `timeout_s`, then end the process."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout_s)
        self.stop()

    def stop(self) -> None:
        """End the process now. Calls under way fail. Idempotent."""
        self._channel.close()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(STOP_TIMEOUT_S)
        self._child.stdout.close()


def lost(error: grpc.RpcError) -> EngineLost | None:
    """`EngineLost` if this failure means that the process is gone, else None."""
    code, details, _ = outcome(error)
    if code is grpc.StatusCode.UNAVAILABLE:
        return EngineLost("the engine's process ended while it worked")
    if code is grpc.StatusCode.CANCELLED and "channel closed" in details.lower():
        return EngineLost("the engine's process was replaced while it worked")
    return None


def outcome(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, dict[str, str | bytes]]:
    """Code, text and trailing metadata of a failed call. gRPC's errors are calls too, which its types do not say."""
    call: Any = error
    return call.code(), call.details() or "", dict(call.trailing_metadata() or ())
