"""`riacho up`: serve Spark Connect over a warehouse folder until stopped."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from riacho.cli import options
from riacho.cli.failures import INTERRUPTED
from riacho.cli.ingest_child import DEFAULT_HTTP
from riacho.cli.project import parse_confs
from riacho.cli.terminal import aside, notes, output, warn
from riacho.server.engine.sail.child import EngineChild
from riacho.storage import Place, is_storage_key, rebound, serve_with

if TYPE_CHECKING:
    from riacho.cli.ingest_child import IngestChild
    from riacho.server.connect.server import RiachoServer

EXAMPLES = """[bold]Examples[/]
  riacho up                               [dim]tables in ./warehouse[/]
  riacho up --port 0 -w /data/lake        [dim]any free port; it is printed[/]

[bold]Then, in Python[/]
  from pyspark.sql import SparkSession
  spark = SparkSession.builder.remote("sc://localhost:15002").getOrCreate()

[bold]Or with Spark's own pipelines command[/]
  export SPARK_REMOTE=sc://localhost:15002
  cd systems/telecom && python -m pyspark.pipelines.cli run
"""


def up(
    port: Annotated[
        int,
        typer.Option("--port", "-p", min=0, max=65535, metavar="PORT", help="Port to listen on; 0 picks a free one."),
    ] = options.DEFAULT_PORT,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on. Anyone who can reach it can connect."),
    ] = "127.0.0.1",
    conf: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="How object storage is reached, for all sessions: spark.hadoop.fs.s3a.… (credentials are better in "
            "the environment). Repeatable.",
        ),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="HOST:PORT", help="Also take events over HTTP there: `riacho ingest serve`."),
    ] = None,
    ingest: Annotated[
        Path | None,
        typer.Option("--ingest", metavar="FILE", help="The file with their endpoints; any name is taken without."),
    ] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="Stop when standard input ends, for use as a child process.")
    ] = False,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Start the server that PySpark connects to.

    Prints its address and serves until Ctrl-C or SIGTERM. Then it stops each query between two steps of a batch, so
    that nothing is lost and the next start continues from there.
    """
    # Before anything else: it loads while we do.
    engine = EngineChild()
    from riacho.server.connect.server import RiachoServer

    _serve_with(parse_confs(conf or []))
    warehouse = rebound(warehouse)  # for the credentials just given
    if not is_loopback(host):
        warn(
            f"whoever can reach {host}:{port} can read and change the tables and run code here; there is no password "
            "→ listen on 127.0.0.1 and use a tunnel (ssh -L), unless the network is yours alone"
        )
    # Before the port is taken: what is wrong with it is said at once.
    wanted = _ingest_wanted(http or DEFAULT_HTTP, ingest, warehouse) if http or ingest else None
    server = RiachoServer(warehouse.absolute(), host=host, port=port, engine=engine)
    stopping = threading.Event()
    events: list[IngestChild] = []

    def stop(*_: object) -> None:
        if stopping.is_set():
            os._exit(INTERRUPTED)  # asked twice: whoever asks does not want to wait
        stopping.set()
        for child in events:
            threading.Thread(target=child.stop, name="riacho-ingest-stop", daemon=True).start()
        # Stopping waits for threads, which a signal handler must not.
        threading.Thread(target=server.stop, name="riacho-stop", daemon=True).start()
        threading.Thread(target=_end_late, name="riacho-stop-limit", daemon=True).start()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if until_eof:
        threading.Thread(target=_at_eof, args=(stop,), name="riacho-until-eof", daemon=True).start()
    if wanted is not None:
        events.append(_taking_events(wanted, server, stopping))
    # Whoever reads the address may connect, and wait for an answer, or stop us at once.
    output().print(server.url, style="bold cyan", soft_wrap=True)
    aside(notes(), f"tables in {warehouse.absolute()} · Ctrl-C stops")
    load_and_start(server)
    server.wait()
    for child in events:
        child.stop()
    aside(notes(), "stopped")
    if stopping.is_set():
        # Not by returning: the interpreter waits at its end for threads that may never end, such as one that reads.
        _end(0)


def _ingest_wanted(http: str, file: Path | None, warehouse: Place) -> tuple[str, Path | None, Path]:
    """Where, which endpoints and where they are kept. Raises BadParameter, CommandError, IllegalArgumentError."""
    from riacho.cli.ingest import address, configured, kept_in

    configured(file, address(http)[0])
    folder = os.environ.get("RIACHO_INGEST_FOLDER")
    return http, file, Path(folder).absolute() if folder else kept_in(warehouse)


def _taking_events(
    wanted: tuple[str, Path | None, Path], server: RiachoServer, stopping: threading.Event
) -> IngestChild:
    """The ingest server, whose address is printed. Raises CommandError."""
    from riacho.cli.ingest_child import IngestChild

    try:
        child = IngestChild(*wanted)
    except BaseException:
        server.stop()
        raise
    if stopping.is_set():
        child.stop()
    output().print(child.url, style="bold cyan", soft_wrap=True)
    aside(notes(), f"events are kept in {wanted[2]}")
    return child


def _serve_with(confs: dict[str, str]) -> None:
    """Raises BadParameter for a conf that is not one of object storage."""
    for key in confs:
        if not is_storage_key(key):
            raise typer.BadParameter(
                f"{key!r} is not a conf of object storage (spark.hadoop.fs.s3a.…): set it in the session",
                param_hint="--conf",
            )
    serve_with(confs)


def load_and_start(server: RiachoServer) -> None:
    """Load what a server needs, and no more, and answer clients from now on."""
    from riacho.allocator import keep_large_blocks
    from riacho.arrow import leave_pandas_out

    keep_large_blocks()
    leave_pandas_out()
    server.start()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _end_late() -> None:
    from riacho.server.connect.server import STOP_LIMIT_S

    time.sleep(STOP_LIMIT_S)
    warn("something did not stop in time and is cut off; streaming queries repeat their last batch at the next start")
    _end(1)


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _at_eof(act: Callable[[], None]) -> None:
    sys.stdin.buffer.read()
    act()
