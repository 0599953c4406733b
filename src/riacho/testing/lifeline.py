"""Run a command that must not outlive whoever started it: `python lifeline.py COMMAND…`, with a pipe as standard input.

When the pipe closes, because its owner asked for it or because it died of whatever cause, the command and everything
it started is told to stop (SIGTERM), and after `GRACE_S` made to (SIGKILL). Run as a file, not as a module, so that
nothing but the standard library is loaded.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

GRACE_S = 10


def _kill_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def main(command: list[str]) -> int:
    """The command's exit code, once it and its group are gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our owner, who then closes the pipe
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def stop() -> None:
        _kill_group(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            _kill_group(child.pid, signal.SIGKILL)

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stop()

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop, daemon=True).start())
    code = child.wait()
    _kill_group(child.pid, signal.SIGKILL)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
