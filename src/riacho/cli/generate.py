"""`riacho generate SYSTEM`: write the files that a system's source would, with an option for each of its settings.

A generator's options are the fields of its dataclass: name, type and default from the field, help from the text beside
the type. What makes the data loads NumPy and Arrow, so a generator is imported when it is asked for.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer
import typer.main
from rich.text import Text
from typer.core import TyperGroup

from riacho.cli import options
from riacho.cli.project import SPEC_NAMES
from riacho.cli.terminal import aside, counted, duration, output

if TYPE_CHECKING:
    from riacho.generate.telecom import Damage, LandedFile, TelecomOptions

EXAMPLES = """[bold]Examples[/]
  riacho generate telecom systems/telecom/landing          [dim]until Ctrl-C[/]
  riacho generate telecom landing --batches 48 --no-wait   [dim]at once[/]
  riacho generate telecom landing --interval 0.5           [dim]faster[/]
  riacho generate telecom landing --damage 6:truncated     [dim]a bad file[/]
"""

_ABOUT = """[bold]Examples[/]
  riacho generate telecom --help    [dim]what can be set[/]
"""

_TELECOM_HELP = "Devices of an internet provider connect and disconnect: a Parquet file every few seconds."


class Generators(TyperGroup):
    """The systems that have a generator, each loaded when it is named."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(_GENERATORS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        make = _GENERATORS.get(cmd_name)
        return None if make is None else make()


app = typer.Typer(name="generate", cls=Generators, invoke_without_command=True, rich_markup_mode="rich", epilog=_ABOUT)


@app.callback()
def generate(context: typer.Context) -> None:
    """Write the files that a system's source would write, seeded and repeatable."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def telecom_command() -> Any:
    """`riacho generate telecom DIRECTORY`, its options made of `TelecomOptions`."""
    from riacho.generate.telecom import TelecomOptions

    def telecom(directory: Path, verbose: bool, **given: Any) -> None:  # noqa: ARG001
        try:
            settings = TelecomOptions(**{name: _FROM_WORDS.get(name, _as_is)(value) for name, value in given.items()})
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        _write(directory, settings)

    directory = Annotated[Path, typer.Argument(help="Landing folder; made if it is missing.")]
    parameters = [
        _parameter("directory", directory, Path("landing")),
        *_settings(TelecomOptions),
        _parameter("verbose", options.Verbose, False),
    ]
    telecom.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    telecom.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    built = typer.Typer(rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False)
    built.command(name="telecom", help=_TELECOM_HELP, epilog=EXAMPLES)(telecom)
    return typer.main.get_command(built)


_GENERATORS: dict[str, Callable[[], Any]] = {"telecom": telecom_command}


def _settings(table: type[TelecomOptions]) -> Iterable[inspect.Parameter]:
    """An option for each field of an options dataclass; `interval_s` is `--interval`, its help names the unit."""
    hints = get_type_hints(table, include_extras=True)
    for field in dataclasses.fields(table):
        kind, text = get_args(hints[field.name])
        name = field.name.removesuffix("_s").replace("_", "-")
        words = f"--{name}/--no-{name}" if kind is bool else f"--{name}"
        if field.name in _FROM_WORDS:
            kind, metavar = _WORDS[field.name]
            option = typer.Option(words, help=text, metavar=metavar)
        else:
            option = typer.Option(words, help=text)
        yield _parameter(field.name, Annotated[kind, option], field.default if field.name != "damage" else None)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _write(directory: Path, settings: TelecomOptions) -> None:
    """Run the generator, telling of each file as it lands, or of all together if they land at once. Ctrl-C ends it."""
    from riacho.generate import telecom

    console = output()
    started = time.monotonic()
    files, rows = 0, 0
    try:
        for landed in telecom.generate(directory, settings):
            files, rows = files + 1, rows + landed.rows
            if settings.wait or landed.damage:
                console.print(_told(landed), soft_wrap=True)
    except KeyboardInterrupt:
        aside(console, "interrupted")
    took = f" in {duration(time.monotonic() - started)}"
    told = f"{counted(files, 'file')}, {counted(rows, 'row')} below {directory}"
    console.print(Text.assemble(("✓ ", "green"), told, (took, "dim")), soft_wrap=True)
    aside(console, f"  next: {_next_command(directory)}")


def _next_command(directory: Path) -> str:
    """How to run the system on what has landed; without a setting, if that is where it looks."""
    project = directory.parent
    if directory.name == "landing" and any((project / name).is_file() for name in SPEC_NAMES):
        return f"riacho run {project}"
    return f"riacho run systems/telecom --conf telecom.landing={directory.absolute()}"


def _told(landed: LandedFile) -> Text:
    kind = f"{landed.kind.device} {landed.kind.status}"
    text = Text(f"  {kind:<24} {landed.rows:>6,} rows  {landed.path.name}")
    return text.append(f"  {landed.damage}", style="yellow") if landed.damage else text


def _as_is(value: Any) -> Any:
    return value


def _moment(words: str | None) -> datetime | None:
    """A time in ISO 8601, in UTC where it does not say. Raises ValueError."""
    if words is None:
        return None
    try:
        moment = datetime.fromisoformat(words)
    except ValueError:
        raise ValueError(f"start is {words!r}: it must be a time like 2026-01-05T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _damages(words: list[str] | None) -> tuple[tuple[int, Damage], ...]:
    """`12:truncated` as the number of a batch and what happens to its file. Raises ValueError."""
    from riacho.generate.telecom import Damage

    found: list[tuple[int, Damage]] = []
    for word in words or ():
        batch, _, damage = word.partition(":")
        if not batch.isdecimal() or damage not in list(Damage):
            raise ValueError(f"damage is {word!r}: it must be BATCH:DAMAGE, with DAMAGE one of {', '.join(Damage)}")
        found.append((int(batch), Damage(damage)))
    return tuple(found)


# Settings that are words on the command line and something else in the generator.
_WORDS: dict[str, tuple[Any, str]] = {"start": (str | None, "TIME"), "damage": (list[str] | None, "BATCH:DAMAGE")}
_FROM_WORDS: dict[str, Callable[[Any], Any]] = {"start": _moment, "damage": _damages}
