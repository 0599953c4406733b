"""`riacho up`: serve Spark Connect over a warehouse folder until stopped."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

DEFAULT_PORT = 15002
DEFAULT_WAREHOUSE = Path("warehouse")


def up(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = DEFAULT_PORT,
    warehouse: Annotated[Path, typer.Option(help="Folder that holds the tables.")] = DEFAULT_WAREHOUSE,
    host: Annotated[str, typer.Option(help="Address to listen on. Others than loopback let anybody in.")] = "127.0.0.1",
) -> None:
    """Start the server; stock PySpark connects with [bold]SparkSession.builder.remote(URL)[/]. Ctrl-C stops it."""
    from riacho.server.server import RiachoServer

    console = Console(highlight=False)
    server = RiachoServer(warehouse.absolute(), host=host, port=port)
    console.print(server.url, style="bold cyan")
    console.print(f"[dim]tables in {warehouse.absolute()} · Ctrl-C stops[/]", soft_wrap=True)

    def stop(*_: object) -> None:
        # Stopping waits for threads, which a signal handler must not.
        threading.Thread(target=server.stop, name="riacho-stop").start()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    server.wait()
