"""The process that workers are forked from. It has loaded what every worker needs, and none of a user's code.

Starting Python and loading PySpark takes half a second; a fork takes milliseconds. The server sends a socket for each
worker that it wants, and files with the names of modules that workers of a connector will need. When the server is
gone, however it went, all workers are ended at once: none of them goes on writing while the next server starts the
same batch again.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
from contextlib import suppress

import pyarrow as pa

WARM = (
    "pyspark.cloudpickle",
    "pyspark.sql.conversion",
    "pyspark.sql.datasource",
    "pyspark.sql.datasource_internal",
    "pyspark.sql.streaming.datasource",
    "pyspark.sql.worker.plan_data_source_read",
    "riacho.server.workers.sources.child",
)


LOAD = b"l"
"""What is sent with a file that has a module's name; with a socket anything else is."""


def main() -> None:
    """Fork a worker for each socket that arrives on the one whose number is the first argument."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in WARM:
        importlib.import_module(name)
    pa.array([0])  # loads pandas, which takes longer than all the rest
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers: the system forgets them when they end
    while True:
        data, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            os.killpg(0, signal.SIGKILL)
        for number in sockets:
            if data == LOAD:
                _load(number)
            elif os.fork() == 0:
                control.close()
                _work(number)
            os.close(number)


def _load(number: int) -> None:
    """Import the module whose name a file has. One that cannot be imported is told by the worker that needs it."""
    with suppress(Exception):
        importlib.import_module(os.pread(number, 1000, 0).decode())


def _work(number: int) -> None:
    """Be a worker until the connection ends; does not return."""
    from riacho.server.workers.sources import child

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        child.serve(socket.socket(fileno=number))
        code = 0
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
