"""`riacho generate SYSTEM`: write or send what a system's source would, with an option for each of its settings.

A generator's options are the fields of its dataclass: name, type and default from the field, help from the text beside
the type. What makes the data loads NumPy and Arrow, so a generator is imported when it is asked for.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
import typer.main
from rich.text import Text
from typer.core import TyperGroup

from riacho.cli import options, systems
from riacho.cli.failures import CommandError
from riacho.cli.systems import Generator, Landed
from riacho.cli.terminal import aside, counted, duration, output
from riacho.errors import SparkError

_ABOUT = """[bold]Examples[/]
  riacho generate telecom --help    [dim]all options[/]
"""


class Generators(TyperGroup):
    """The systems that have a generator, each loaded when it is named."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return [name for name in systems.names() if systems.has_generator(systems.find(name))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        try:
            system = systems.find(cmd_name)
        except CommandError as error:
            raise typer.BadParameter(f"{error.message}: {error.hint}", ctx) from None
        return _command(system) if systems.has_generator(system) else None


app = typer.Typer(name="generate", cls=Generators, invoke_without_command=True, rich_markup_mode="rich", epilog=_ABOUT)


@app.callback()
def generate(context: typer.Context) -> None:
    """Generate the input of a system, reproducibly from a seed."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _command(system: Path) -> Any:
    """`riacho generate SYSTEM TARGET`, its argument and its options made of the generator's."""
    generator = systems.load_generator(system)

    def write(target: str, verbose: bool, **given: Any) -> None:  # noqa: ARG001
        try:
            settings = generator.Options(**{name: _read(generator, name, value) for name, value in given.items()})
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        _write(generator, target, settings)

    place = generator.TARGET
    parameters = [
        _parameter("target", Annotated[str, typer.Argument(help=place.help, metavar=place.metavar)], place.default),
        *_settings(generator),
        _parameter("verbose", options.Verbose, False),
    ]
    write.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    write.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    built = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False)
    built.command(name=system.name, help=generator.ABOUT, epilog=generator.EXAMPLES)(write)
    return typer.main.get_command(built)


def _settings(generator: Generator) -> Iterable[inspect.Parameter]:
    """An option for each field of an options dataclass; `interval_s` is `--interval`, its help names the unit."""
    hints = get_type_hints(generator.Options, include_extras=True)
    for field in dataclasses.fields(generator.Options):
        kind, text = get_args(hints[field.name])
        name = field.name.removesuffix("_s").replace("_", "-")
        option = typer.Option(f"--{name}/--no-{name}" if kind is bool else f"--{name}", help=text)
        default = field.default
        if words := generator.WORDS.get(field.name):
            kind, default = words.kind, None
            option.metavar = words.metavar
        yield _parameter(field.name, Annotated[kind, option], default)


def _read(generator: Generator, name: str, value: Any) -> Any:
    words = generator.WORDS.get(name)
    return value if words is None else words.read(value)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _write(generator: Generator, target: str, settings: Any) -> None:
    """Run the generator, telling of each piece as it arrives, or of all together if they come at once. Ctrl-C ends it.

    Raises CommandError where the target takes nothing.
    """
    console = output()
    started = time.monotonic()
    pieces, rows = 0, 0
    try:
        for landed in generator.generate(target, settings):
            pieces, rows = pieces + 1, rows + landed.rows
            if settings.wait or landed.damage:
                console.print(_told(landed), soft_wrap=True)
    except KeyboardInterrupt:
        aside(console, "interrupted")
    except (SparkError, ValueError) as error:
        done = f"{counted(rows, 'row')} arrived before" if rows else "nothing was sent"
        raise CommandError(str(error), done) from error
    place = generator.TARGET
    took = f" in {duration(time.monotonic() - started)}"
    told = f"{counted(pieces, place.unit)}, {counted(rows, 'row')} {place.to} {target}"
    console.print(Text.assemble(("✓ ", "green"), told, (took, "dim")), soft_wrap=True)
    aside(console, f"  next: {place.next_command(target)}")


def _told(landed: Landed) -> Text:
    text = Text(f"  {landed}")
    return text.append(f"  {landed.damage}", style="yellow") if landed.damage else text
