"""The commands put together, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from riacho.cli.up import up
from riacho.errors import SparkError

app = typer.Typer(
    name="riacho",
    help="Spark streaming code, unmodified, on one machine with no JVM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(up)


@app.callback()
def _root() -> None:
    """Keep `riacho COMMAND` a group while it has one command."""


def run() -> None:
    """Run the command line; a failure that has a message of its own is shown as one line, without a traceback."""
    try:
        app()
    except SparkError as error:
        Console(stderr=True).print(f"[red]error:[/] {error.message}", highlight=False, soft_wrap=True)
        sys.exit(1)
