"""The server's side of one worker: commands, answers and rows."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from riacho.errors import SparkError
from riacho.server.engine.stopping import Check, current_check
from riacho.server.workers.sources import fork_server, told
from riacho.server.workers.sources.wire import Channel, Message

Blob = bytes | bytearray


class UserCodeFailed(Exception):  # noqa: N818 - what happened, not what is wrong
    """The user's code raised; the text is its traceback. `stage`: the step of the command, where it has several.

    `error`: what was raised, if it was one of riacho's own errors, which then says all that is to be said.
    """

    def __init__(self, text: str, stage: str = "", error: SparkError | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.stage = stage
        self.error = error


class SourceWorker:
    """A running worker. `check_stop` is asked now and then while it is waited for, and may raise; by default it is what
    stops the work on this thread.

    All calls raise UserCodeFailed, also for a worker that ended by itself, and what `check_stop` raises; after that it
    is only good for being stopped.
    """

    def __init__(self, check_stop: Check | None = None) -> None:
        self._channel = Channel(fork_server.connect(), check_stop or current_check())
        self._process: int | None = None
        self._pid: int | None = None
        try:
            hello, _ = self._received()
        except BaseException:
            self._channel.close()
            raise
        self._pid = int(hello["pid"])
        if hasattr(os, "pidfd_open"):
            # Names this process and no later one of the same number.
            with suppress(OSError):
                self._process = os.pidfd_open(self._pid)

    @property
    def check_stop(self) -> Check:
        """What is asked while the worker is waited for."""
        return self._channel.check

    @check_stop.setter
    def check_stop(self, check: Check) -> None:
        self._channel.check = check

    def call(self, command: str, blobs: Sequence[Blob] = (), **arguments: Any) -> tuple[Message, list[bytearray]]:
        """Have a command done; its answer."""
        self._send({"command": command, **arguments}, blobs)
        return self._received()

    def rows(self, command: str, blobs: Sequence[Blob] = (), **arguments: Any) -> SentRows:
        """Have a command done that sends rows before its answer."""
        self._send({"command": command, **arguments}, blobs)
        return SentRows(self._received)

    def open_write(self, writer: Blob) -> None:
        """Begin a task of a writer: `put` its rows, `end_write`, then ask for its `message`."""
        self._send({"command": "write"}, [writer])
        self._written: pa.Schema | None = None

    def put(self, batch: pa.RecordBatch) -> None:
        """Rows for the task that was opened; all batches have the same schema. Raises a failure that is known yet."""
        if self._channel.is_readable():
            self._received()  # nothing but a failure comes before the end of the rows
        if self._written is None:
            self._written = batch.schema
            self._send({"schema": True}, [batch.schema.serialize()])
        self._send({"batch": True}, [batch.serialize()])

    def end_write(self) -> None:
        """There are no more rows for the task."""
        self._send({"end": True})

    def message(self) -> bytearray:
        """The commit message of the task that was ended, pickled."""
        _, (message,) = self._received()
        return message

    def stop(self) -> None:
        """End the process, whatever it does. Idempotent."""
        self._channel.close()
        if self._pid is None:
            return
        with suppress(ProcessLookupError):
            if self._process is not None:
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            elif not hasattr(os, "pidfd_open"):
                os.kill(self._pid, signal.SIGKILL)
        if self._process is not None:
            os.close(self._process)
        self._pid = self._process = None

    def _send(self, message: Message, blobs: Iterable[Any] = ()) -> None:
        try:
            self._channel.send(message, [memoryview(blob) for blob in blobs])
        except ConnectionError as error:
            raise _ended(error) from None

    def _received(self) -> tuple[Message, list[bytearray]]:
        try:
            message, blobs = self._channel.receive()
        except ConnectionError as error:
            raise _ended(error) from None
        if "error" in message:
            raise UserCodeFailed(message["error"], message["stage"], told.error_of(message.get("raised")))
        return message, blobs


class SentRows(Iterator[pa.RecordBatch]):
    """Rows as they come from a worker; `answer` is what came after the last of them."""

    def __init__(self, receive: Callable[[], tuple[Message, list[bytearray]]]) -> None:
        self._receive = receive
        self._schema: pa.Schema | None = None
        self.answer: Message | None = None
        self.blobs: list[bytearray] = []

    def __next__(self) -> pa.RecordBatch:
        while self.answer is None:
            message, blobs = self._receive()
            if "schema" in message:
                self._schema = pa.ipc.read_schema(pa.py_buffer(blobs[0]))
            elif "batch" in message:
                return pa.ipc.read_record_batch(pa.py_buffer(blobs[0]), self._schema)
            else:
                self.answer, self.blobs = message, blobs
        raise StopIteration


def _ended(error: ConnectionError) -> UserCodeFailed:
    return UserCodeFailed(
        f"The Python worker ended before it answered ({error}); its errors are on the server's standard error.\n"
    )
