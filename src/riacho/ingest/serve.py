"""Serving: the port, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from riacho.errors import SparkGeneralError
from riacho.extras import require
from riacho.ingest.app import WHAT, IngestServer
from riacho.ingest.config import IngestConfig

if TYPE_CHECKING:
    import uvicorn

STOP_LIMIT_S: Final = 5
CONNECTIONS: Final = 1000


class IngestService:
    """A port that is taken and an ingest server behind it. Clients may connect once it is made; `run` answers them.

    `port` 0 takes a free one. Raises SparkGeneralError if the port is taken, AnalysisError if the extra is missing,
    IllegalStateError if another process has one of the logs.
    """

    def __init__(
        self,
        folder: Path,
        config: IngestConfig,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        hook: Callable[[str], None] = lambda _: None,
    ) -> None:
        require("uvicorn", "ingest", WHAT)
        self._socket = _listening(host, port)
        try:
            self._server = IngestServer(folder, config, hook=hook)
        except BaseException:
            self._socket.close()
            raise
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        self._uvicorn = self._made()

    def _made(self) -> uvicorn.Server:
        import uvicorn

        class Server(uvicorn.Server):
            """Signals are for whoever owns the process; uvicorn would take them, and send them on at its end."""

            @contextmanager
            def capture_signals(self) -> Iterator[None]:
                yield

        config = uvicorn.Config(
            self._server.app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=STOP_LIMIT_S,
            lifespan="on",
        )
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        return Server(config)

    def run(self) -> None:
        """Answer until `stop` is called; what was taken is then on disk."""
        try:
            asyncio.run(self._uvicorn.serve(sockets=[self._socket]))
        finally:
            self._server.close()

    def stop(self) -> None:
        """End `run`; from any thread, and from a signal handler. Idempotent."""
        self._uvicorn.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise SparkGeneralError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Stop the program that has the port, or choose "
            "another with --http HOST:PORT (port 0 takes any free one)."
        ) from None
    return listening
