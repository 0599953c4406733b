"""The commands put together, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.main
from rich.text import Text
from typer.core import TyperGroup

from riacho import __version__
from riacho.cli.failures import FAILED, INTERRUPTED, explain
from riacho.cli.options import Settings
from riacho.cli.terminal import aside, notes

_EXAMPLES = """[bold]Getting started[/]
  riacho demo                       [dim]see a whole system run in seconds[/]
  riacho up                         [dim]then connect to sc://localhost:15002[/]
  riacho run systems/telecom        [dim]run a pipeline project[/]
  riacho sql 'SHOW TABLES IN gold'  [dim]query the tables[/]

Help for each command: riacho COMMAND --help
Exit codes: 0 success, 1 failure, 2 wrong usage.
"""


_NAMES = (
    "demo", "init", "up", "run", "schedule", "status", "events", "quarantine", "sql", "tables", "connectors", "ingest",
    "dead-letter", "topics", "schemas", "mongo", "anomalies", "doctor", "generate", "state",
)  # fmt: skip
"""The commands as help lists them. Each is a module beside this one, with a function of that name or an `app`."""


class Commands(TyperGroup):
    """A group of commands, each loaded when it is asked for, whose errors are one line each."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _Loaded()})

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> Any:
        """Run a command and end the program with its exit code."""
        settings = Settings()
        # gRPC's core logs to standard error what the exception says again; who wants it sets the variable.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            code = super().main(args, **{**extra, "prog_name": "riacho", "standalone_mode": False, "obj": settings})
        except BrokenPipeError:
            # Who reads our output has enough of it, as `head` does. Python must not try to write the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(FAILED)
        except (Exception, typer.Abort) as error:  # noqa: BLE001 (the last stop: nothing may leave as a traceback)
            if settings.verbose:
                traceback.print_exc()
            failure = explain(error)
            notes().print(Text.assemble(("error: ", "bold red"), failure.line), soft_wrap=True)
            sys.exit(failure.code)
        if code == INTERRUPTED:
            aside(notes(), "interrupted")
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="riacho",
    cls=Commands,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Loaded(Mapping[str, Any]):
    """The commands by name; a server that starts should not wait for what prints tables."""

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


@cache
def _load(name: str) -> Any:
    module = import_module(f"riacho.cli.{name.replace('-', '_')}")
    group = typer.Typer(rich_markup_mode="rich")
    if hasattr(module, "app"):
        group.add_typer(module.app)
    else:
        function = getattr(module, name)
        group.command(help=_reflowed(inspect.getdoc(function) or ""), epilog=module.EXAMPLES)(function)
    return typer.main.get_group(group).commands[name]


def _reflowed(text: str) -> str:
    """The paragraphs of a docstring, to be laid out for whatever width the terminal has."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"riacho {__version__}")
        raise typer.Exit


@app.callback()
def riacho(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 (its callback does the work)
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Spark streaming code, unmodified, on one machine with no JVM."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
