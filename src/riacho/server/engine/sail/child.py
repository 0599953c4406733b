"""The engine's process: starts it, learns its port, measures its memory and ends it.

The engine takes as long to load as the server does, so it is started first, and this module imports nothing that can
be imported later.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from riacho.errors import SparkGeneralError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 2.0

# Sail reads its settings from the environment. A deep plan overflows the default stack and crashes the whole process;
# an idle session is lost for good after its time-out, whereas riacho's sessions live as long as their clients.
_SAIL_SETTINGS = {
    "SAIL_RUNTIME__STACK_SIZE": str(64 << 20),
    "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(7 * 24 * 3600),
    # Its only catalog is named like Spark's, so that full names such as spark_catalog.bronze.events resolve.
    "SAIL_CATALOG__LIST": '[{name="spark_catalog", type="memory", initial_database=["default"]}]',
    "RUST_LOG": "error",
}


class EngineChild:
    """A Sail process that starts when this is created, and ends with `stop` or when this process ends in any way.

    `on_log`: a file descriptor for its log, by default this process's standard error.
    """

    def __init__(self, *, on_log: int | None = None) -> None:
        self._port: int | None = None
        self._starting = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "riacho.server.engine.sail.child_main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=on_log,
            # A process group of its own: riacho handles a Ctrl-C in the terminal, and shuts down in order.
            start_new_session=True,
            env={**_SAIL_SETTINGS, **os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists; it may still be starting."""
        return self._process.poll() is None

    def port(self) -> int:
        """Wait for the process to listen and return its port. Raises SparkGeneralError if that takes more than 30 s."""
        with self._starting:
            if self._port is None:
                self._port = self._read_port()
            return self._port

    def memory_bytes(self) -> int:
        """Resident memory of the process; 0 where the system does not report it."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """End the process now. Idempotent."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with suppress(BrokenPipeError):
            stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
        stdout.close()

    def _read_port(self) -> int:
        stdout = self._process.stdout
        assert stdout is not None
        told, _, _ = select.select([stdout], [], [], START_TIMEOUT_S)
        line = stdout.readline() if told else b""
        if line.strip().isdigit():
            return int(line)
        if not told:
            self._process.kill()
        self.stop()
        how = f"it ended with code {self._process.returncode}" if told else f"it was silent for {START_TIMEOUT_S:.0f} s"
        raise SparkGeneralError(f"The engine did not start: {how}. Run `riacho doctor` to see what is missing.")
