"""Where the server gets workers from: one process that forks them, started when the first is asked for."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from riacho.server.workers.python_worker import worker_environment
from riacho.server.workers.sources.fork_server_program import LOAD

_lock = threading.Lock()
_fork_server: _ForkServer | None = None


class _ForkServer:
    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._loaded: set[str] = set()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "riacho.server.workers.sources.fork_server_program", str(theirs.fileno())],
                env=worker_environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    def hand_over(self, connection: socket.socket) -> None:
        """Have a worker forked that serves this end. Raises OSError if the process is gone."""
        socket.send_fds(self._control, [b"w"], [connection.fileno()])

    def load(self, module: str) -> None:
        """Have a module imported before the workers that come after. Raises OSError if the process is gone."""
        if module in self._loaded or not hasattr(os, "memfd_create"):
            return
        self._loaded.add(module)
        name = os.memfd_create("module")
        try:
            os.write(name, module.encode())
            socket.send_fds(self._control, [LOAD], [name])
        finally:
            os.close(name)

    def kill(self) -> None:
        """End it and all its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)


def warm_up() -> None:
    """Start what workers come from, without waiting for it: a worker will be wanted soon."""
    global _fork_server  # noqa: PLW0603 - one for the process, as long as it lives
    with _lock:
        if _fork_server is None:
            _fork_server = _ForkServer()


def load(module: str) -> None:
    """Have a module of riacho's own be there already in all workers from now on; only what takes long to import."""
    warm_up()
    with _lock, suppress(OSError):
        if _fork_server is not None:
            _fork_server.load(module)


def connect() -> socket.socket:
    """The server's end of the connection to a new worker. Raises OSError if none can be started."""
    global _fork_server  # noqa: PLW0603 - one for the process, as long as it lives
    ours, theirs = socket.socketpair()
    with theirs, _lock:
        try:
            if _fork_server is None:
                _fork_server = _ForkServer()
            _fork_server.hand_over(theirs)
        except OSError:  # it may have been killed: for want of memory, say
            if _fork_server is not None:
                _fork_server.kill()
            _fork_server = _ForkServer()
            _fork_server.hand_over(theirs)
    return ours


def kill_all() -> None:
    """End every worker at once, and the process that they come from."""
    global _fork_server
    with _lock:
        server, _fork_server = _fork_server, None
    if server is not None:
        server.kill()


atexit.register(kill_all)
