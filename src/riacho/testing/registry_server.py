"""A schema registry as a child process, for tests: Apicurio, in memory, on loopback, gone when the block is left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from riacho.testing.servers import running
from riacho.testing.services import Service, free_ports

START_LIMIT_S: Final = 120
_STARTED = re.compile(r"started in [\d.]+s\. Listening on")


class SchemaRegistryServer(Service):
    """A registry over what `make services` laid in `home`; its log is in `folder`, and nothing else of it stays.

    `url` is what its clients are told. It can be stopped and started again: it keeps its port, but not its schemas.
    Starting raises `servers.ServerStartError`.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        super().__init__()
        self._home = home.absolute()
        self._folder = folder.absolute()
        self._port, self._management_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        java = Path((self._home / "java-home").read_text().strip()) / "bin" / "java"
        settings = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self._port,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": self._management_port,
            "quarkus.otel.sdk.disabled": "true",
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            "apicurio.ccompat.max-subjects": 10_000,
            "apicurio.ccompat.legacy-id-mode.enabled": "false",
        }
        command = [str(java), "-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += [f"-D{name}={value}" for name, value in settings.items()]
        command += ["-jar", str(self._home / "app" / "quarkus-run.jar")]
        log = self._folder / "registry.log"
        self._stack.enter_context(running("the schema registry", command, {}, log, _STARTED, START_LIMIT_S))
