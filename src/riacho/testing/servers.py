"""Servers as child processes, for tests and benchmarks: riacho's own, and Apache Spark's to compare it with.

Both are started on a free port, speak Spark Connect, write what they print to a log file, and are gone when the
`with` block is left or this process dies.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from riacho.testing import lifeline

STOP_LIMIT_S = lifeline.GRACE_S + 5
_POLL_S = 0.02
_RIACHO_ADDRESS = re.compile(r"sc://\S+?:\d+")
# Spark's log: warnings, and the one line that tells the port.
_SPARK_LOGGING = """
rootLogger.level = warn
rootLogger.appenderRef.stdout.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
logger.address.name = org.apache.spark.sql.connect.service.SparkConnectServer
logger.address.level = info
logger.master.name = org.apache.spark.deploy.master.Master
logger.master.level = info
logger.worker.name = org.apache.spark.deploy.worker.Worker
logger.worker.level = info
"""
_MASTER_ADDRESS = re.compile(r"Starting Spark master at (spark://\S+)")
_REGISTERED = re.compile(r"Successfully registered with master")
_SPARK_PORT = re.compile(r"Spark Connect server started at: \S*:(\d+)")


@dataclass(frozen=True)
class Server:
    """A running server. `url` is what `SparkSession.builder.remote` takes; `log` holds what the server printed."""

    name: str
    url: str
    log: Path


class ServerStartError(RuntimeError):
    """A server ended, or was silent for too long, before it told its address. The message ends with its log."""


@contextmanager
def riacho_server(
    folder: Path, *, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None, limit_s: float = 30
) -> Iterator[Server]:
    """`riacho up` with its warehouse and its log in `folder`. Raises ServerStartError."""
    command = [
        sys.executable,
        "-m",
        "riacho",
        "up",
        "--port",
        "0",
        "--warehouse",
        str(folder / "warehouse"),
        *arguments,
    ]
    environment = {"PYTHONUNBUFFERED": "1", **(environment or {})}
    with running("riacho", command, environment, folder / "riacho.log", _RIACHO_ADDRESS, limit_s) as address:
        yield Server("riacho", address[0], folder / "riacho.log")


@contextmanager
def spark_server(
    home: Path,
    folder: Path,
    *,
    cores: int = 2,
    settings: Mapping[str, str] | None = None,
    limit_s: float = 120,
) -> Iterator[Server]:
    """Apache Spark's Connect server, from the environment `home` that `make oracle` laid, its warehouse in `folder`.

    `settings` are added to the ones below, or take their place. Raises ServerStartError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logging = folder / "log4j2.properties"
    logging.write_text(_SPARK_LOGGING)
    jars = sorted((home / "jars").glob("*.jar"))
    conf = {
        "spark.master": f"local[{cores}]",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraClassPath": os.pathsep.join(str(jar) for jar in jars),
        "spark.driver.extraJavaOptions": f"-Duser.timezone=UTC -Dderby.system.home={folder}",
        "spark.local.dir": str(folder / "scratch"),
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(cores),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.databricks.delta.snapshotPartitions": str(cores),
        "spark.ui.enabled": "false",
        **(settings or {}),
    }
    python = home / "bin" / "python"
    (root,) = home.glob("lib/python3.*/site-packages/pyspark")
    command = [str(root / "bin" / "spark-submit"), "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
    environment = {
        "JAVA_HOME": (home / "java-home").read_text().strip(),
        "SPARK_HOME": str(root),
        "SPARK_SUBMIT_OPTS": f"-Dlog4j2.configurationFile=file:{logging}",
        "PYSPARK_PYTHON": str(python),
        "PYSPARK_DRIVER_PYTHON": str(python),
    }
    command.append("spark-internal")
    with running("Spark", command, environment, folder / "spark.log", _SPARK_PORT, limit_s) as port:
        yield Server("spark", f"sc://127.0.0.1:{port[1]}", folder / "spark.log")


@contextmanager
def spark_cluster(
    home: Path, folder: Path, *, workers: int = 2, settings: Mapping[str, str] | None = None, limit_s: float = 180
) -> Iterator[Server]:
    """A standalone cluster of one master and `workers` of one core each, and a Connect server whose plans run there.

    `home`, `folder` and `settings` as for `spark_server`. Takes about 2 GB of memory and a minute to start. `limit_s`:
    for each of the processes. Raises ServerStartError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logging = folder / "daemons.properties"
    logging.write_text(_SPARK_LOGGING)
    (root,) = home.glob("lib/python3.*/site-packages/pyspark")
    environment = {
        "JAVA_HOME": (home / "java-home").read_text().strip(),
        "SPARK_HOME": str(root),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_JAVA_OPTS": f"-Dlog4j2.configurationFile=file:{logging}",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_WORKER_DIR": str(folder / "work"),
        "PYSPARK_PYTHON": str(home / "bin" / "python"),
    }
    place = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    with ExitStack() as cluster:

        def start(name: str, kind: str, *arguments: str, shows: re.Pattern[str]) -> re.Match[str]:
            command = [str(root / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}", *place, *arguments]
            log = folder / f"{name}.log"
            return cluster.enter_context(running(f"Spark's {name}", command, environment, log, shows, limit_s))

        master = start("master", "master.Master", shows=_MASTER_ADDRESS)[1]
        for number in range(1, workers + 1):
            of_worker = ("--cores", "1", "--memory", "1g", master)
            start(f"worker-{number}", "worker.Worker", *of_worker, shows=_REGISTERED)
        jars = sorted((home / "jars").glob("*.jar"))
        conf = {
            "spark.master": master,
            "spark.cores.max": str(workers),
            "spark.executor.cores": "1",
            "spark.executor.memory": "600m",
            "spark.executor.extraClassPath": os.pathsep.join(str(jar) for jar in jars),
            **(settings or {}),
        }
        yield cluster.enter_context(spark_server(home, folder, cores=workers, settings=conf, limit_s=limit_s))


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    address: re.Pattern[str],
    limit_s: float,
) -> Iterator[re.Match[str]]:
    """Start `command` in the folder of `log`, wait until its log shows `address`, and stop it afterwards."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, lifeline.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env={**outer_environment(), **environment},
        )
    try:
        yield _wait_for(address, log, process, name, limit_s)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(STOP_LIMIT_S)


def outer_environment() -> dict[str, str]:
    """This process's environment without what would turn a server into a client of another, or load another Spark."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}


def _wait_for(
    pattern: re.Pattern[str], log: Path, process: subprocess.Popen[bytes], name: str, limit_s: float
) -> re.Match[str]:
    deadline = time.monotonic() + limit_s
    while True:
        text = log.read_text(errors="replace")
        if found := pattern.search(text):
            return found
        if process.poll() is not None:
            raise ServerStartError(f"{name} ended with code {process.returncode}. Its log, {log}:\n{text[-4000:]}")
        if time.monotonic() > deadline:
            raise ServerStartError(f"{name} gave no address within {limit_s} s. Its log, {log}:\n{text[-4000:]}")
        time.sleep(_POLL_S)
