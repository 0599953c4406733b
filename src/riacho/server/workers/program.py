"""Runs the program of a worker: `python -m riacho.server.workers.program MODULE`.

The worker's standard input closes when the server ends, however it does, SIGKILL included. Then the worker ends too,
whatever it does, and says nothing: programs of PySpark print a traceback when their connection closes, and a function
that waits for an answer of the server would wait for minutes.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from contextlib import suppress


def main(module: str) -> None:
    """Run `module` as the main program. Does not return once the server has gone."""
    threading.Thread(target=_end_with_the_server, args=(os.dup(0),), daemon=True).start()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # what the user's function may read, and its children have
    os.close(nothing)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except (EOFError, ConnectionError):
        # What a user's function raises never gets here: it is told to the server.
        _end()


def _end_with_the_server(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    _end()


def _end() -> None:
    """Leave without what Python does at exit: flushing to a server that is not there fails, and is told at length."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
