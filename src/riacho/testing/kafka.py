"""A Kafka broker as a child process, for tests and benchmarks: one node, on loopback, gone when the block is left."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from riacho.testing.servers import running
from riacho.testing.services import Service, free_ports

CLUSTER_ID: Final = "cmlhY2hvLXRlc3RzLTAwMQ"
"""Of every broker: they begin with copies of one formatted storage."""
START_LIMIT_S: Final = 60
_STARTED = re.compile(r"Kafka Server started")
_LOGGING = """
status=error
rootLogger.level=WARN
rootLogger.appenderRefs=out
rootLogger.appenderRef.out.ref=STDOUT
appenders=out
appender.out.type=Console
appender.out.name=STDOUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
loggers=started
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=INFO
"""


class KafkaBroker(Service):
    """A broker over what `make services` laid in `home`, its data and its log in `folder`.

    It can be stopped and started again: it keeps its port and its data. `settings` are added to the broker's own, such
    as a listener with passwords. Starting raises `servers.ServerStartError`.
    """

    def __init__(self, home: Path, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._home = home.absolute()
        self._folder = folder.absolute()
        self._port, self._controller_port = free_ports(2)
        self._settings = dict(settings or {})
        self.bootstrap = f"127.0.0.1:{self._port}"

    @property
    def log(self) -> Path:
        """What the broker printed since it was started last."""
        return self._folder / "broker.log"

    def start(self) -> None:
        """Start it, and wait until it serves."""
        data = self._folder / "data"
        if not data.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            shutil.copytree(self._home / "formatted", data)
        settings, logging = self._folder / "server.properties", self._folder / "log4j2.properties"
        settings.write_text(broker_settings(self._port, self._controller_port, data, self._settings))
        logging.write_text(_LOGGING)
        java = Path((self._home / "java-home").read_text().strip()) / "bin" / "java"
        command = [str(java), "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += ["-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={logging}"]
        command += ["-cp", f"{self._home / 'libs'}/*", "kafka.Kafka", str(settings)]
        self._stack.enter_context(running("Kafka", command, {}, self.log, _STARTED, START_LIMIT_S))


def broker_settings(port: int, controller_port: int, data: Path, more: Mapping[str, str] | None = None) -> str:
    """The properties of a broker that is its own controller, small and quick rather than robust."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "2",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.num.partitions": "2",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "num.network.threads": "2",
        "num.io.threads": "2",
        "auto.create.topics.enable": "true",
        # So that a test of a compacted topic need not wait.
        "log.cleaner.backoff.ms": "200",
        "log.initial.task.delay.ms": "100",
        **(more or {}),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
