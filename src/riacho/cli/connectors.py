"""`riacho connectors`: what can be read and written, and with which options."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import CommandError
from riacho.cli.terminal import aside, counted, notes, output

if TYPE_CHECKING:
    from riacho.connectors.catalogue import Entry

EXAMPLES = """[bold]Examples[/]
  riacho connectors                    [dim]all of them[/]
  riacho connectors kafka              [dim]one, with its options[/]
  riacho connectors --format json      [dim]for programs[/]
"""


def connectors(
    name: Annotated[str | None, typer.Argument(help="Show this connector and its options.")] = None,
    format: options.Format = options.OutputFormat.TABLE,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """List the connectors: what each reads and writes, in batches and as streams, and what it guarantees.

    A connector that is not installed says what to install. With a name: its options, as its documentation has them.
    """
    from riacho.connectors.catalogue import CATALOGUE, entry

    if name is None:
        shown = CATALOGUE
    else:
        found = entry(name)
        if found is None:
            known = ", ".join(each.name for each in CATALOGUE)
            raise CommandError(f"there is no connector {name!r}", f"there are {known}")
        shown = (found,)
    match format:
        case options.OutputFormat.JSON:
            told = [_told(each, with_options=name is not None) for each in shown]
            output().file.write(json.dumps(told if name is None else told[0], indent=2, ensure_ascii=False) + "\n")
        case options.OutputFormat.CSV:
            import pyarrow as pa

            from riacho.cli import rows

            if name is None:
                rows.write(pa.Table.from_pylist([_told(each) for each in shown]), format, output())
            else:
                lines = [{"table": title, **row} for title, row in _options(shown[0])]
                rows.write(pa.Table.from_pylist(lines), format, output())
        case _ if name is None:
            _list(shown)
        case _:
            _show(shown[0])


def _list(shown: tuple[Entry, ...]) -> None:
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
    table.add_column("connector", no_wrap=True)
    table.add_column("batch", no_wrap=True)
    table.add_column("stream", no_wrap=True)
    table.add_column("guarantee", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("what", overflow="fold", style="dim")
    missing = set()
    for each in shown:
        if not each.installed:
            missing.add(str(each.extra))
        mark = Text("✓", style="green") if each.installed else Text("✗", style="yellow")
        table.add_row(
            Text(each.name, style="bold"), _ways(each.batch), _ways(each.stream), each.guarantee, mark, each.summary
        )
    output().print(table)
    if missing:
        aside(notes(), f"✗ is not installed: pip install 'riacho[{','.join(sorted(missing))}]'")
    aside(notes(), f"{counted(len(shown), 'connector')} · `riacho connectors NAME` shows options")


def _show(each: Entry) -> None:
    console = output()
    console.print(Text.assemble((each.name, "bold"), f"  {each.summary}"))
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column(overflow="fold")
    if each.aliases:
        facts.add_row("also", ", ".join(each.aliases))
    facts.add_row("batch", ", ".join(each.batch) or "–")
    facts.add_row("stream", ", ".join(each.stream) or "–")
    if each.guarantee:
        facts.add_row("guarantee", each.guarantee)
    if each.extra:
        there = Text("installed", "green") if each.installed else Text(f"pip install 'riacho[{each.extra}]'", "yellow")
        facts.add_row("needs", Text.assemble(f"extra {each.extra}: ", there))
    facts.add_row("other Sparks", "after riacho.connectors.register(spark)" if each.any_spark else "their own, or none")
    facts.add_row("page", f"docs/{each.page}")
    console.print(facts)
    for title, table_options in each.tables():
        table = Table(
            title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="cyan",
            pad_edge=False,
        )  # fmt: skip
        table.add_column("option", overflow="fold", min_width=20)
        table.add_column("default", overflow="fold", max_width=16)
        table.add_column("what it does", overflow="fold")
        for option in table_options:
            names = Text("\n").join([Text(option.name), *(Text(alias, style="dim") for alias in option.aliases)])
            told = option.help.replace("`", "")
            what = Text(told) if option.supported else Text.assemble(("refused: ", "yellow"), told)
            table.add_row(names, "" if option.default is None else option.default or Text("empty", "dim"), what)
        console.print(table)


def _ways(ways: tuple[str, ...]) -> Text:
    return Text(", ".join(ways)) if ways else Text("–", style="dim")


def _told(each: Entry, *, with_options: bool = False) -> dict[str, object]:
    told: dict[str, object] = {
        "name": each.name,
        "summary": each.summary,
        "batch": ",".join(each.batch),
        "stream": ",".join(each.stream),
        "guarantee": each.guarantee,
        "extra": each.extra,
        "installed": each.installed,
        "any_spark": each.any_spark,
        "page": f"docs/{each.page}",
    }
    if with_options:
        told["options"] = [{"table": title, **row} for title, row in _options(each)]
    return told


def _options(each: Entry) -> list[tuple[str, dict[str, object]]]:
    return [
        (title, {"option": o.name, "default": o.default, "help": o.help, "supported": o.supported})
        for title, table in each.tables()
        for o in table
    ]
