"""A Python process that runs a user's function, over the protocol of PySpark's own workers.

The worker is a stock module of PySpark, so what the function sees is exactly what it sees on Spark: it connects back to
this server as an ordinary client of the user's session. Frames are big-endian; a string is an int32 length and UTF-8.
Source: `org.apache.spark.sql.connect.planner.StreamingPythonRunner` and `pyspark/worker_util.py`.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from riacho.errors import SparkError, SparkGeneralError

START_TIMEOUT_S = 60.0
POLL_S = 0.2
STOP_TIMEOUT_S = 5.0
_PYTHON_EXCEPTION_THROWN = -2


class WorkerFailed(Exception):  # noqa: N818 - what happened, not what is wrong
    """The user's function raised; the text is the worker's traceback."""


class PythonWorker:
    """A running worker. `handshake`: the pickled function; `hidden`: prefix of the worker's own chatter on stdout.

    Raises StreamingPythonRunnerInitializationException when it does not start or cannot load the function.
    """

    def __init__(
        self,
        module: str,
        *,
        connect_url: str,
        session_id: str,
        function: bytes,
        hidden: str,
        check_stop: Callable[[], None],
    ) -> None:
        self._check_stop = check_stop
        with tempfile.TemporaryDirectory(prefix="riacho-worker-") as folder:
            path = Path(folder) / "socket"
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
                listening.bind(str(path))
                listening.listen(1)
                self._process = subprocess.Popen(
                    [sys.executable, "-u", "-m", module],
                    env={
                        **os.environ,
                        "PYTHON_WORKER_FACTORY_SOCK_PATH": str(path),
                        "SPARK_CONNECT_LOCAL_URL": connect_url,
                        # PySpark's client looks for a Spark installation when it is not started from a script, and
                        # gives up without one. It never uses what it finds.
                        "SPARK_HOME": str(_pyspark_folder()),
                        "SPARK_PYTHON_RUNTIME": "PYTHON_WORKER",
                        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
                    },
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                    text=True,
                )
                assert self._process.stdout is not None
                threading.Thread(target=_forward, args=(self._process.stdout, hidden), daemon=True).start()
                self._socket = self._accept(listening)
        try:
            self._read_int()  # the worker's pid
            self._write(f"{sys.version_info.major}.{sys.version_info.minor}".encode())
            self._write(session_id.encode())
            self._write(function)
            self._read_outcome()
        except (WorkerFailed, ConnectionError) as error:
            self.stop()
            raise InitializationError(f"[STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE] {error}") from None

    def call(self, name: str, number: int) -> None:
        """Send one (string, int64) and wait for the function to return. Raises WorkerFailed, ConnectionError."""
        self._write(name.encode())
        self._socket.sendall(struct.pack(">q", number))
        self._read_outcome()

    def stop(self) -> None:
        """End the process, whatever it does. Idempotent."""
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)

    def _accept(self, listening: socket.socket) -> socket.socket:
        deadline = time.monotonic() + START_TIMEOUT_S
        listening.settimeout(POLL_S)
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                connected, _ = listening.accept()
            except TimeoutError:
                self._check_stop()
            else:
                connected.settimeout(POLL_S)
                return connected
        self._process.kill()
        raise InitializationError(
            f"[STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE] The Python worker did not start within "
            f"{START_TIMEOUT_S:.0f} s (exit code {self._process.poll()}); see the server's standard error."
        )

    def _write(self, data: bytes) -> None:
        self._socket.sendall(struct.pack(">i", len(data)) + data)

    def _read_outcome(self) -> None:
        code = self._read_int()
        if code == _PYTHON_EXCEPTION_THROWN:
            raise WorkerFailed(self._read(self._read_int()).decode())
        if code != 0:
            raise SparkGeneralError(f"The Python worker answered {code}, which its protocol does not define.")

    def _read_int(self) -> int:
        (value,) = struct.unpack(">i", self._read(4))
        return int(value)

    def _read(self, size: int) -> bytes:
        """Exactly `size` bytes. A user's function takes as long as it likes: only a stop, or its end, ends this."""
        data = b""
        while len(data) < size:
            try:
                part = self._socket.recv(size - len(data))
            except TimeoutError:
                self._check_stop()
                continue
            if not part:
                raise ConnectionError(
                    f"the Python worker ended (exit code {self._process.poll()}); its errors are on the server's "
                    "standard error"
                )
            data += part
        return data


def _pyspark_folder() -> Path:
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


class InitializationError(SparkError):
    """The worker did not start, or could not load the user's function."""

    java_classes = (
        "org.apache.spark.api.python.StreamingPythonRunner$StreamingPythonRunnerInitializationException",
        "org.apache.spark.SparkException",
        "java.lang.Exception",
        "java.lang.Throwable",
        "java.lang.Object",
    )


def _forward(lines: IO[str], hidden: str) -> None:
    """Pass on what the user's function prints, without the worker's own chatter."""
    for line in lines:
        if not line.startswith(hidden):
            sys.stdout.write(line)
            sys.stdout.flush()
