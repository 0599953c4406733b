"""The process that runs Sail: `python -m riacho.server.engine.sail.child_main`.

It prints the port it listens on, then waits for its standard input to close. That happens however riacho
ends, SIGKILL included, so an engine never outlives its owner. It leaves with `os._exit`, because Sail waits forever at
exit while a session is open.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Serve until standard input closes."""
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(ip="127.0.0.1", port=0)
    server.start(background=True)
    _, port = server.listening_address
    print(port, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
