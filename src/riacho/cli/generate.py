"""`riacho generate SYSTEM`: write the files that a system's source would, with an option for each of its settings.

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
    """Generate the input files of a system, reproducibly from a seed."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _command(system: Path) -> Any:
    """`riacho generate SYSTEM DIRECTORY`, its options made of the generator's."""
    generator = systems.load_generator(system)

    def write(directory: Path, verbose: bool, **given: Any) -> None:  # noqa: ARG001
        try:
            settings = generator.Options(**{name: _read(generator, name, value) for name, value in given.items()})
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        _write(system, generator, directory, settings)

    directory = Annotated[Path, typer.Argument(help="Landing folder; created if missing.")]
    parameters = [
        _parameter("directory", directory, Path("landing")),
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


def _write(system: Path, generator: Generator, directory: Path, settings: Any) -> None:
    """Run the generator, telling of each file as it lands, or of all together if they land at once. Ctrl-C ends it."""
    console = output()
    started = time.monotonic()
    files, rows = 0, 0
    try:
        for landed in generator.generate(directory, settings):
            files, rows = files + 1, rows + landed.rows
            if settings.wait or landed.damage:
                console.print(_told(landed), soft_wrap=True)
    except KeyboardInterrupt:
        aside(console, "interrupted")
    took = f" in {duration(time.monotonic() - started)}"
    told = f"{counted(files, 'file')}, {counted(rows, 'row')} below {directory}"
    console.print(Text.assemble(("✓ ", "green"), told, (took, "dim")), soft_wrap=True)
    aside(console, f"  next: {_next_command(system, directory)}")


def _next_command(system: Path, directory: Path) -> str:
    """How to run the system on what has landed; without a setting, if that is where it looks."""
    project = directory.parent
    if directory.name == "landing" and systems.is_project(project):
        return f"riacho run {project}"
    shown = system.resolve()
    shown = shown.relative_to(Path.cwd()) if shown.is_relative_to(Path.cwd()) else shown
    return f"riacho run {shown} --conf {system.name}.landing={directory.absolute()}"


def _told(landed: Landed) -> Text:
    text = Text(f"  {landed}")
    return text.append(f"  {landed.damage}", style="yellow") if landed.damage else text
