"""The server: a port and an engine at once, what answers there a moment later, and all of it ended in order.

Loading what answers takes half a second, and so does loading PySpark in a client. So the two need not wait for each
other, this module loads little itself: gRPC, to take the port.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc

from riacho.errors import SparkGeneralError
from riacho.server.engine.sail.child import EngineChild
from riacho.storage import Place

if TYPE_CHECKING:
    from riacho.server.connect.backend import Backend
    from riacho.server.streaming.batch import QueryObserver

# One thread per call under way; a client that waits for a query, or listens, holds one. They are made when needed.
MAX_CALLS = 1000
QUERIES_LIMIT_S = 4.0
STOP_GRACE_S = 1.0
STOP_LIMIT_S = 15.0
"""A stop that takes longer than this has met something that cannot be stopped: whoever owns the process ends it."""
REFUSAL_S = 3.0
WAKE_S = 0.5
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 64 << 10),
)


class RiachoServer:
    """A Spark Connect server over a warehouse folder. Clients may connect once it is made; `start` answers them.

    What can go wrong with a start goes wrong when it is made. `port` 0 takes a free one; `engine` is a process that was
    started already, and belongs to this server from now on.
    Raises OSError if the folder cannot be made, SparkGeneralError if the port is taken or the engine does not come up.
    """

    def __init__(
        self, warehouse: Place, *, host: str = "127.0.0.1", port: int, engine: EngineChild | None = None
    ) -> None:
        self._warehouse = warehouse
        self._engine = engine or EngineChild()
        self._grpc = grpc.server(ThreadPoolExecutor(MAX_CALLS, "riacho-call"), options=_OPTIONS)
        self._backend: Backend | None = None
        self._changing = threading.Lock()
        self._stopped = threading.Event()
        try:
            warehouse.mkdir(parents=True, exist_ok=True)
            self.port = _listen(self._grpc, host, port)
            self._engine.port()
        except BaseException:
            self._engine.stop()
            raise
        self.url = f"sc://{'localhost' if host == '127.0.0.1' else host}:{self.port}"

    def start(self, observer: QueryObserver | None = None) -> None:
        """Answer. `observer` watches every step of every query, for tests. Does nothing after `stop`.

        If that fails, those who came are told why, which takes `REFUSAL_S`; then the failure is raised.
        """
        with self._changing:
            if self._stopped.is_set():
                return
            try:
                from riacho.server.connect.backend import Backend

                self._backend = Backend(self._warehouse, self._engine, f"sc://127.0.0.1:{self.port}", observer=observer)
            except Exception as error:
                self._answer_with(_Refusal(f"The server did not start. {type(error).__name__}: {error}"))
                self._stopped.wait(REFUSAL_S)
                raise
            self._answer_with(self._backend.service)

    def wait(self) -> None:
        """Serve until `stop` is called, from another thread or a signal handler."""
        # With a limit: Python runs signal handlers in the main thread, and a wait without one may not notice a signal.
        while not self._stopped.wait(WAKE_S):
            pass

    @property
    def backend(self) -> Backend:
        """What answers; there once the server has started."""
        assert self._backend is not None
        return self._backend

    def stop(self) -> None:
        """Stop the queries (their checkpoints are complete), then the calls, then the engine. Idempotent.

        Waits for a `start` that is under way. What does not end in time is cut off, and what goes wrong does not keep
        the rest from being stopped; it is raised at the end.
        """
        with self._changing, ExitStack() as stopping:
            if self._stopped.is_set():
                return
            stopping.callback(self._stopped.set)
            stopping.callback(self._engine.stop)
            if self._backend is not None:
                stopping.callback(self._backend.stop_engine)
            stopping.callback(self._end_calls)
            if self._backend is not None:
                self._backend.stop_work(QUERIES_LIMIT_S)

    def _end_calls(self) -> None:
        self._grpc.stop(STOP_GRACE_S).wait(STOP_GRACE_S + 1)

    def _answer_with(self, service: grpc.GenericRpcHandler) -> None:
        self._grpc.add_generic_rpc_handlers((service,))
        self._grpc.start()


class _Refusal(grpc.GenericRpcHandler):
    """Ends every call with a reason: not UNAVAILABLE, after which a client would go on trying for ten minutes."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(self._refuse)

    def _refuse(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INTERNAL, self._reason)
        raise AssertionError  # abort does not return


def _listen(server: grpc.Server, host: str, port: int) -> int:
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise SparkGeneralError(
            f"Cannot listen on {host}:{port}: another program has that port, perhaps another riacho. Stop it, or "
            "choose another with --port (0 takes any free one)."
        )
    return bound
