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
from contextlib import suppress
from pathlib import Path
from typing import IO

from riacho.errors import SparkError, SparkGeneralError

PROGRAM = "riacho.server.workers.program"
START_TIMEOUT_S = 60.0
POLL_S = 0.2
STOP_TIMEOUT_S = 2.0
_PYTHON_EXCEPTION_THROWN = -2


class WorkerFailed(Exception):  # noqa: N818 - what happened, not what is wrong
    """The user's function raised; the text is the worker's traceback."""


class PythonWorker:
    """A running worker. `function` is pickled; `hidden`: prefix of the worker's own chatter on stdout, if it has any.

    `check_stop` is asked now and then while something is waited for, and may raise; who takes the worker over may put
    one of its own. Raises STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE when it does not start in time or cannot load
    the function.
    """

    def __init__(
        self,
        module: str,
        *,
        connect_url: str,
        session_id: str,
        function: bytes,
        hidden: str | None = None,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.check_stop = check_stop
        self._connection: socket.socket | None = None
        with (
            tempfile.TemporaryDirectory(prefix="riacho-worker-") as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening,
        ):
            path = Path(folder) / "socket"
            listening.bind(str(path))
            listening.listen(1)
            self._process = _spawn(module, connect_url, path)
            try:
                assert self._process.stdout is not None
                threading.Thread(target=_forward, args=(self._process.stdout, hidden), daemon=True).start()
                self._connection = self._accept(listening)
                self._load(session_id, function)
            except BaseException:
                self.stop()
                raise

    def call(self, name: str, number: int) -> None:
        """Send one (string, int64) and wait for the function to return.

        Raises WorkerFailed for what the function raised, SparkGeneralError for an answer that the protocol does not
        define, ConnectionError.
        """
        self._write(name.encode())
        self._send(struct.pack(">q", number))
        self._read_answer()

    def _read_answer(self) -> None:
        """Wait for what the worker says of its work."""
        code = self._read_int()
        if code == _PYTHON_EXCEPTION_THROWN:
            raise WorkerFailed(self._read_text())
        if code != 0:
            raise SparkGeneralError(f"The Python worker answered {code}, which its protocol does not define.")

    def stop(self) -> None:
        """End the process, whatever it does. Idempotent."""
        # The process first: one that sees its connection close tells of it at length.
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        _running.discard(self._process)
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._connection is not None:
            self._connection.close()

    def _load(self, session_id: str, function: bytes) -> None:
        """Let the worker load the function."""
        deadline = time.monotonic() + START_TIMEOUT_S
        check_stop = self.check_stop

        def check() -> None:
            check_stop()
            if time.monotonic() > deadline:
                raise _initialization_failure("no answer", f"it took more than {START_TIMEOUT_S:.0f} s to load")

        self.check_stop = check
        code = 0
        try:
            self._read_int()  # the worker's pid
            self._write(f"{sys.version_info.major}.{sys.version_info.minor}".encode())
            self._write(session_id.encode())
            self._write(function)
            code = self._read_int()
            told = self._read_text() if code == _PYTHON_EXCEPTION_THROWN else f"it answered {code}"
        except ConnectionError as error:
            raise _initialization_failure("nothing", str(error)) from None
        self.check_stop = check_stop
        if code != 0:
            raise _initialization_failure(str(code), told)

    def _accept(self, listening: socket.socket) -> socket.socket:
        deadline = time.monotonic() + START_TIMEOUT_S
        listening.settimeout(POLL_S)
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                connected, _ = listening.accept()
            except TimeoutError:
                self.check_stop()
            else:
                connected.settimeout(POLL_S)
                return connected
        exit_code = self._process.poll()
        how = f"within {START_TIMEOUT_S:.0f} s" if exit_code is None else f"(exit code {exit_code})"
        raise _initialization_failure("nothing", f"it did not start {how}; see the server's standard error")

    def _write(self, data: bytes) -> None:
        self._send(struct.pack(">i", len(data)) + data)

    def _send(self, data: bytes) -> None:
        """Send all of it, however long the worker takes to read it."""
        assert self._connection is not None
        left = memoryview(data)
        while left:
            try:
                left = left[self._connection.send(left) :]
            except TimeoutError:
                self.check_stop()

    def _read_text(self) -> str:
        return self._read(self._read_int()).decode()

    def _read_int(self) -> int:
        (value,) = struct.unpack(">i", self._read(4))
        return int(value)

    def _read(self, size: int) -> bytes:
        """Exactly `size` bytes. A user's function takes as long as it likes: only a stop, or its end, ends this."""
        assert self._connection is not None
        data = b""
        while len(data) < size:
            try:
                part = self._connection.recv(size - len(data))
            except TimeoutError:
                self.check_stop()
                continue
            if not part:
                raise ConnectionError(
                    f"the Python worker ended (exit code {self._process.poll()}); its errors are on the server's "
                    "standard error"
                )
            data += part
        return data


def _spawn(module: str, connect_url: str, path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", PROGRAM, module],
        env={
            **worker_environment(),
            "PYTHON_WORKER_FACTORY_SOCK_PATH": str(path),
            "SPARK_CONNECT_LOCAL_URL": connect_url,
        },
        stdin=subprocess.PIPE,  # closes with this process, and then the worker ends
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    _running.add(process)
    return process


def worker_environment() -> dict[str, str]:
    """The environment of every process that runs a user's Python code."""
    return {
        **os.environ,
        # PySpark's client looks for a Spark installation when it is not started from a script, and gives up without
        # one. It never uses what it finds.
        "SPARK_HOME": str(_pyspark_folder()),
        "SPARK_PYTHON_RUNTIME": "PYTHON_WORKER",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }


def _pyspark_folder() -> Path:
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def check_version(client: str) -> None:
    """Refuse a function that another Python pickled, whose code this one cannot read ("3.11"; "" is not known).

    Raises STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE.
    """
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if client and client != own:
        raise _initialization_failure(
            "nothing",
            f"[PYTHON_VERSION_MISMATCH] Python in worker has different version: {own} than that in driver: {client}, "
            "PySpark cannot run with different minor versions. Run riacho with the client's Python.",
        )


_running: set[subprocess.Popen[str]] = set()


def kill_all() -> None:
    """End every worker of this process at once, for an owner that has no time to wait."""
    for process in list(_running):
        process.kill()


def _initialization_failure(code: str, cause: str) -> InitializationError:
    return InitializationError.of(
        "STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE",
        f"Streaming Runner initialization failed, returned {code}. Cause: {cause}",
        sql_state="XXKST",
        resFromPython=code,
        msg=cause,
    )


class InitializationError(SparkError):
    """The worker did not start, or could not load the user's function."""

    java_classes = (
        "org.apache.spark.api.python.StreamingPythonRunner$StreamingPythonRunnerInitializationException",
        "org.apache.spark.SparkException",
        "java.lang.Exception",
        "java.lang.Throwable",
        "java.lang.Object",
    )


def _forward(lines: IO[str], hidden: str | None) -> None:
    """Pass on what the user's function prints, without the worker's own chatter."""
    for line in lines:
        if hidden is None or not line.startswith(hidden):
            sys.stdout.write(line)
            sys.stdout.flush()
