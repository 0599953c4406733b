"""The gate before a server: what passes, what fails, and what the server has seen of it."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from riacho.testing.gate import CUT, LOSE_ANSWER, Gate, answer, slow


class _Kept(BaseHTTPRequestHandler):
    """A server that keeps what was put."""

    protocol_version = "HTTP/1.1"
    kept: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._reply(b"")

    def do_GET(self) -> None:
        self._reply(self.kept[self.path])

    def _reply(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Kept", "yes")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def gate() -> Iterator[Gate]:
    _Kept.kept.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Kept)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with Gate(f"http://127.0.0.1:{server.server_address[1]}") as gate:
        yield gate
    server.shutdown()
    server.server_close()


def put(gate: Gate, path: str, content: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(gate.url + path, content, method="PUT"), timeout=10):
        pass


def test_what_passes_is_forwarded_as_it_is(gate: Gate) -> None:
    put(gate, "/a%20b", b"content")
    with urllib.request.urlopen(f"{gate.url}/a%20b", timeout=10) as reply:
        assert (reply.read(), reply.headers["X-Kept"]) == (b"content", "yes")
    assert gate.requests == [("PUT", "/a b"), ("GET", "/a b")]
    assert (gate.count("GET"), gate.count("GET", "b"), gate.count("HEAD")) == (1, 1, 0)


def test_a_rule_counts_for_its_method_and_path_and_as_often_as_it_says(gate: Gate) -> None:
    came = gate.on("PUT", "/log/", answer(503, "SlowDown"), times=2)
    put(gate, "/other", b"1")
    assert not came.is_set()
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            put(gate, "/log/1", b"2")
        assert b"<Code>SlowDown</Code>" in refused.value.read()
    assert came.is_set()
    assert "/log/1" not in _Kept.kept
    put(gate, "/log/1", b"3")
    assert _Kept.kept["/log/1"] == b"3"


def test_a_cut_shows_the_server_nothing_and_a_lost_answer_all(gate: Gate) -> None:
    gate.on("*", "/cut", CUT)
    gate.on("*", "/lost", LOSE_ANSWER)
    gate.on("*", "/slow", slow(0.01))
    put(gate, "/slow", b"1")
    for path in ("/cut", "/lost"):
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError, urllib.error.URLError)):
            put(gate, path, b"2")
    assert _Kept.kept == {"/slow": b"1", "/lost": b"2"}


def test_a_gate_that_refuses_lets_in_again_at_the_same_address(gate: Gate) -> None:
    put(gate, "/a", b"1")
    gate.on("PUT", "/b", slow(0), then=gate.refuse)
    for path in ("/b", "/c"):
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError, urllib.error.URLError)):
            put(gate, path, b"2")
    gate.let_in()
    put(gate, "/d", b"3")
    assert {"/a", "/d"} <= _Kept.kept.keys()
    assert "/c" not in _Kept.kept
