"""An HTTP server that answers as a test says, and misbehaves when it is told to."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import pytest
from pyspark.sql import SparkSession

from riacho.connectors import register
from riacho.testing.servers import Server


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What to answer. `cut`: send only so many bytes and close; `hang_s`: be silent first; `packed`: gzip."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang_s: float = 0
    packed: bool = False

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


Handler = Callable[[Asked], Any]
"""Gives a Reply, or what is its body."""


class RestServer:
    """Routes by path: a handler, or a list of replies whose last is given again and again. Knows what was asked."""

    def __init__(self, certificate: Path | None = None) -> None:
        """`certificate`: a file with a certificate and its key, for https."""
        self._certificate = certificate
        self.routes: dict[str, Handler] = {}
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self._port}"

    def on(self, path: str, *replies: Any) -> str:
        """Have a path answered, in turn, or by the one function that is given; its address."""
        if len(replies) == 1 and callable(replies[0]):
            self.routes[path] = replies[0]
        else:
            waiting = list(replies)
            lock = threading.Lock()

            def handler(_: Asked) -> Any:
                with lock:
                    return waiting.pop(0) if len(waiting) > 1 else waiting[0]

            self.routes[path] = handler
        return self.url + path

    def of(self, path: str) -> list[Asked]:
        """What was asked of a path."""
        return [asked for asked in self.asked if asked.path == path]

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        route = self.routes.get(asked.path)
        if route is None:
            return Reply({"error": "no such path"}, 404)
        made = route(asked)
        return made if isinstance(made, Reply) else Reply(made)

    def start(self) -> None:
        """Listen, on the port it had before."""
        owner = self

        class Exchange(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                reply = owner.answer(Asked(self.command, parts.path, query, dict(self.headers.items()), body))
                if reply.hang_s and owner.ended.wait(reply.hang_s):  # a server that stops answers nobody
                    self.close_connection = True
                    return
                content = reply.content()
                if reply.packed:
                    content = gzip.compress(content)
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                if reply.packed:
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(ConnectionError):  # who asked may be gone
                    self.wfile.write(content if reply.cut is None else content[: reply.cut])
                if reply.cut is not None:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = _do  # noqa: N815 - their names

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.ended.clear()
        deadline = time.monotonic() + 10
        while self._server is None:
            with suppress(OSError):
                self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Exchange)
            assert self._server or time.monotonic() < deadline, "the port stays taken"
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.ended.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@pytest.fixture(scope="session")
def _rest() -> Iterator[RestServer]:
    with RestServer() as server:
        yield server


@pytest.fixture
def rest(_rest: RestServer) -> RestServer:
    """A server that has answered nothing yet."""
    _rest.routes.clear()
    _rest.asked.clear()
    return _rest


@pytest.fixture
def connectors(spark: SparkSession, server: Server) -> SparkSession:
    """A session that knows the connectors: riacho does, and Spark after it was told."""
    if server.name == "spark":
        register(spark)
    return spark
