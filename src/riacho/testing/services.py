"""What the servers of other projects that tests start have in common: ports, and how they are started and stopped."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import Self


class Service(ABC):
    """A server as a child process. `with` starts it and stops it; in between it can be stopped and started again."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it serves. Raises `servers.ServerStartError`."""

    def stop(self) -> None:
        """Stop it, if it runs. What it keeps on disk stays."""
        self._stack.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
