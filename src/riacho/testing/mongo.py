"""A server of MongoDB's protocol as a child process, for tests: on loopback, gone when the block is left.

It is SecantusDB, which has change streams, pre-images, validators and logins. It is not MongoDB: its resume tokens have
a form of their own, and it keeps time series in plain collections.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from riacho.testing.servers import running
from riacho.testing.services import Service, free_ports

START_LIMIT_S: Final = 60
_STARTED = re.compile(r"listening on|Listening on|started on", re.IGNORECASE)


class MongoServer(Service):
    """A server over what `make services` laid in `home`, its data and its log in `folder`.

    It can be stopped and started again: it keeps its port and its data. `auth`: whether it asks for a login; the first
    user is made without, so start, make it, stop, and set `auth`. `arguments`: more of the
    server's own. Starting raises `servers.ServerStartError`.
    """

    def __init__(self, home: Path, folder: Path, *, auth: bool = False, arguments: Sequence[str] = ()) -> None:
        super().__init__()
        self._home = home.absolute()
        self._folder = folder.absolute()
        (self.port,) = free_ports(1)
        self.auth = auth
        self.arguments = tuple(arguments)
        self.uri = f"mongodb://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What the server printed since it was started last."""
        return self._folder / "mongo.log"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        programs = self._home / "venv" / "bin"  # by its Python: a script remembers where it was installed
        command = [str(programs / "python"), str(programs / "secantusd-py")]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--storage-path", str(data), "--cache-size", "256M", "--log-level", "INFO", *self.arguments]
        if self.auth:
            command.append("--auth")
        self._stack.enter_context(running("MongoDB", command, {}, self.log, _STARTED, START_LIMIT_S))
