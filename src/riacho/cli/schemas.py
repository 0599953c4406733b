"""`riacho schemas`: the schemas of a registry as a file or a folder says they should be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import FAILED, CommandError
from riacho.cli.terminal import aside, counted, notes, output

if TYPE_CHECKING:
    from riacho.registry.changes import SchemaChange
    from riacho.registry.client import RegistryClient

EXAMPLES = """[bold]Examples[/]
  riacho schemas check schemas.yml    [dim]may these be registered?[/]
  riacho schemas diff schemas/        [dim]a folder with a file for each[/]
  riacho schemas register schemas.yml -r http://localhost:8081
"""

app = typer.Typer(
    name="schemas", help="Register schemas, and see whether they may be.", epilog=EXAMPLES, no_args_is_help=True
)

Source = Annotated[Path, typer.Argument(help="A YAML file with the subjects, or a folder with a schema for each.")]
Registry = Annotated[
    str | None,
    typer.Option("--registry", "-r", metavar="URL", help="The schema registry.", envvar="SCHEMA_REGISTRY_URL"),
]
_MARKS = {
    "new subject": ("+", "green"),
    "new version": ("~", "yellow"),
    "registered": ("=", "dim"),
    "incompatible": ("✗", "bold red"),
}


@app.command(epilog=EXAMPLES)
def check(
    source: Source,
    registry: Registry = None,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Compare schemas with those of the registry. Nothing is changed.

    Each is a new subject, a new version, registered already, or incompatible; then it says why, and the exit code is 1.
    """
    _, found = _found(source, registry)
    _show(found)
    _refuse(found)


@app.command(epilog=EXAMPLES)
def diff(
    source: Source,
    registry: Registry = None,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Show the lines in which schemas differ from the newest versions in the registry."""
    from riacho.registry.changes import difference

    _, found = _found(source, registry)
    console = output()
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for change in found:
        for line in difference(change):
            style = "bold" if line.startswith(("+++", "---")) else styles.get(line[:1], "")
            console.print(Text(line, style=style), soft_wrap=True)
    same = sum(not difference(change) for change in found)
    aside(notes(), f"{counted(len(found), 'subject')}, {same} of them as they are here")


@app.command(epilog=EXAMPLES)
def register(
    source: Source,
    registry: Registry = None,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Register schemas, and set the compatibility of their subjects. A second run has nothing to do.

    All are checked first: if one is incompatible, nothing is registered, nothing is set, and the exit code is 1.
    """
    from riacho.registry import changes

    client, found = _found(source, registry)
    if changes.refused(found):
        _show(found)
        _refuse(found)
    ids = {change.wanted.subject: number for change, number in changes.register(client, found)}
    _show(found, ids)


def _found(source: Path, registry: str | None) -> tuple[RegistryClient, list[SchemaChange]]:
    from riacho.registry.changes import changes
    from riacho.registry.client import RegistryClient
    from riacho.registry.wanted import read

    wanted = read(source)
    address = registry or wanted.registry
    if not address:
        raise CommandError(
            "which schema registry?", "give --registry URL, set SCHEMA_REGISTRY_URL, or write 'registry:' in the file"
        )
    client = RegistryClient(address)
    return client, changes(client, wanted.schemas)


def _refuse(found: list[SchemaChange]) -> None:
    from riacho.registry.changes import refused

    wrong = refused(found)
    if wrong:
        aside(notes(), f"{counted(len(wrong), 'schema')} may not be registered; nothing was changed")
        raise typer.Exit(FAILED)


def _show(found: list[SchemaChange], ids: dict[str, int | None] | None = None) -> None:
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
    for name in ("", "subject", "type", "compatibility"):
        table.add_column(name, overflow="fold")
    table.add_column("version" if ids is None else "id", justify="right")
    table.add_column("", overflow="fold")
    for change in found:
        mark, style = _MARKS[change.state.value]
        told = Text(change.state.value, style="" if style == "dim" else style)
        for complaint in change.complaints:
            told.append(f"\n{complaint}", style="default")
        number = ids.get(change.wanted.subject) if ids is not None else None
        if ids is None or number is None:
            shown = "" if change.latest is None else str(change.latest.version if ids is None else change.latest.id)
        else:
            shown = str(number)
        table.add_row(
            Text(mark, style=style), Text(change.wanted.subject), change.wanted.kind, _level(change), shown, told
        )
    output().print(table)


def _level(change: SchemaChange) -> Text:
    now = change.level or "none"
    if not change.sets_level:
        return Text(now)
    return Text.assemble((f"{now} ", "dim"), "→ ", (change.wanted.level or "", "bold"))
