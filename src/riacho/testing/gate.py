"""A gate before a server that speaks HTTP, for tests of what happens when the network or the server fails.

    with Gate(server.url) as gate:
        … clients are told gate.url …
        gate.refuse()                                    # as if the server were stopped
        gate.let_in()                                    # and back
        gate.on("PUT", "/_delta_log/", answer(503, "SlowDown"), times=2)
        gate.on("PUT", "/offsets/", LOSE_ANSWER)         # the server has it, and the client does not know
        assert gate.count("HEAD") == 0

What passes is forwarded as it is. A rule is asked before a request is forwarded, in the order rules were made; it is
gone when it has been used `times` times.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

FORWARD_LIMIT_S: Final = 60
_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True)
class Fault:
    """What happens to a request.

    `before`: is the connection cut before the server has seen the request. `after`: is it cut when the server has done
    it, without an answer. `status` and `body`: the answer, given in the server's place. `delay_s`: how long the request
    waits first.
    """

    before: bool = False
    after: bool = False
    status: int = 0
    body: str = ""
    delay_s: float = 0.0


CUT: Final = Fault(before=True)
"""The connection ends, and the server has seen nothing of the request."""
LOSE_ANSWER: Final = Fault(after=True)
"""The server does what it was asked, and the connection ends before its answer."""


def answer(status: int, code: str = "", message: str = "not now") -> Fault:
    """An answer as S3 gives errors: `503 SlowDown`, `403 AccessDenied`."""
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Fault(status=status, body=body)


def slow(delay_s: float) -> Fault:
    """The request waits, and is then forwarded."""
    return Fault(delay_s=delay_s)


@dataclass
class _GateRule:
    method: str
    part: str
    fault: Fault
    times: int
    used: threading.Event = field(default_factory=threading.Event)
    then: Callable[[], None] | None = None


class Gate:
    """A gate before the server at `target` (`http://host:port`); clients are told `url`.

    It keeps its port while it refuses connections. `requests` has the method and the path of all that came so far, the
    path with its query and decoded; `answered_bytes` is the size of all contents that the server has sent.
    """

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._target = (address.hostname or "127.0.0.1", address.port or 80)
        self._lock = threading.Lock()
        self._rules: list[_GateRule] = []
        self._open: set[socket.socket] = set()
        self._refuses = False
        self.requests: list[tuple[str, str]] = []
        self.answered_bytes = 0
        gate = self

        class Handler(_GateHandler):
            def setup(self) -> None:
                self.gate = gate
                super().setup()

        self._server = _GateServer(("127.0.0.1", 0), Handler)
        self._server.gate = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def on(
        self, method: str, part: str, fault: Fault, *, times: int = 1, then: Callable[[], None] | None = None
    ) -> threading.Event:
        """Let the next `times` requests of a method (`*` for any) whose path contains `part` meet with a fault.

        The event that is returned is set when the first of them came; `then` is called just before its fault.
        """
        rule = _GateRule(method, part, fault, times, then=then)
        with self._lock:
            self._rules.append(rule)
        return rule.used

    def clear(self) -> None:
        """Forget all rules."""
        with self._lock:
            self._rules.clear()

    def refuse(self) -> None:
        """Cut all connections, and every new one at once."""
        with self._lock:
            self._refuses = True
            connections = list(self._open)
        for connection in connections:
            _cut(connection)

    def let_in(self) -> None:
        """End what `refuse` began."""
        with self._lock:
            self._refuses = False

    def count(self, method: str, part: str = "") -> int:
        """How many requests of that method came whose path contains `part`."""
        return sum(one == method and part in path for one, path in list(self.requests))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self._server.shutdown()
        self._server.server_close()

    def admit(self, connection: socket.socket) -> bool:
        """Whether a new connection may stay; for the handlers."""
        with self._lock:
            if not self._refuses:
                self._open.add(connection)
            return not self._refuses

    def leave(self, connection: socket.socket) -> None:
        """A connection has ended; for the handlers."""
        with self._lock:
            self._open.discard(connection)

    def fault(self, method: str, path: str) -> Fault | None:
        """What happens to this request; for the handlers."""
        with self._lock:
            self.requests.append((method, path))
            rule = next((r for r in self._rules if r.method in {"*", method} and r.part in path), None)
            if rule is None:
                return None
            rule.times -= 1
            if rule.times <= 0:
                self._rules.remove(rule)
            first = not rule.used.is_set()
        if first and rule.then is not None:
            rule.then()
        rule.used.set()
        return rule.fault

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the server behind; for the handlers."""
        return http.client.HTTPConnection(*self._target, timeout=FORWARD_LIMIT_S)


class _GateServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    gate: Gate

    def verify_request(self, request: Any, client_address: Any) -> bool:
        del client_address
        return self.gate.admit(request)

    def shutdown_request(self, request: Any) -> None:
        self.gate.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client or the gate has cut the connection: that is what this is for."""


class _GateHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    gate: Gate

    def setup(self) -> None:
        super().setup()
        self._behind: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self._behind is not None:
            self._behind.close()
        with suppress(OSError):
            super().finish()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.gate.fault(self.command, unquote(self.path))
        if fault is not None:
            if fault.delay_s:
                time.sleep(fault.delay_s)
            if fault.before:
                self._end()
                return
            if fault.status:
                self._answer(fault.status, [("Content-Type", "application/xml")], fault.body.encode())
                return
        status, headers, content = self._forward(body)
        self.gate.answered_bytes += len(content)
        if fault is not None and fault.after:
            self._end()
        else:
            self._answer(status, headers, content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - names that http.server looks for

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {name: text for name, text in self.headers.items() if name.lower() not in _HOP}
        if body or self.command in {"PUT", "POST"}:
            headers["Content-Length"] = str(len(body))
        for again in (True, False):
            if self._behind is None:
                self._behind = self.gate.connect()
            try:
                self._behind.request(self.command, self.path, body or None, headers)
                found = self._behind.getresponse()
                return found.status, found.getheaders(), found.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # The server has ended an idle connection.
                self._behind.close()
                self._behind = None
                if not again:
                    raise
        raise AssertionError

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        length = None
        for name, text in headers:
            if name.lower() == "content-length":
                length = text
            elif name.lower() not in _HOP:
                self.send_header(name, text)
        if self.command != "HEAD" or length is None:
            length = str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _end(self) -> None:
        self.close_connection = True
        _cut(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
