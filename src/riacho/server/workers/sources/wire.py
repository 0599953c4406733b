"""Messages between the server and a worker: JSON, and after it any number of byte strings."""

from __future__ import annotations

import json
import select
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

POLL_S: Final = 0.2
_MAX_PARTS: Final = 64
"""How many byte strings are given to the system at once; it has a limit of 1024."""

Message = dict[str, Any]


class Channel:
    """One end of a socket. `check` is asked now and then while something is waited for, and may raise.

    Without `check` it waits for as long as it takes.
    """

    def __init__(self, connection: socket.socket, check: Callable[[], None] | None = None) -> None:
        self.check = check or (lambda: None)
        self._connection = connection
        connection.settimeout(None if check is None else POLL_S)

    def send(self, message: Message, blobs: Sequence[bytes | memoryview] = ()) -> None:
        """Raises ConnectionError if the other end is gone, and what `check` raises."""
        sizes = [len(blob) for blob in blobs]
        head = json.dumps({**message, "blobs": sizes}).encode()
        parts = [memoryview(struct.pack(">I", len(head)) + head), *(memoryview(blob).cast("B") for blob in blobs)]
        while parts:
            try:
                sent = self._connection.sendmsg(parts[:_MAX_PARTS])
            except TimeoutError:
                self.check()
                continue
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][sent:]

    def receive(self) -> tuple[Message, list[bytearray]]:
        """The next message. Raises ConnectionError at the end of the stream, and what `check` raises."""
        (size,) = struct.unpack(">I", self._read(4))
        message: Message = json.loads(self._read(size))
        return message, [self._read(size) for size in message.pop("blobs")]

    def is_readable(self) -> bool:
        """Whether a message is there, or the end of the stream."""
        waiting = select.poll()
        waiting.register(self._connection, select.POLLIN)
        return bool(waiting.poll(0))

    def close(self) -> None:
        self._connection.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            try:
                got = self._connection.recv_into(view)
            except TimeoutError:
                self.check()
                continue
            if not got:
                raise ConnectionError("the other end of the connection is gone")
            view = view[got:]
        return data
