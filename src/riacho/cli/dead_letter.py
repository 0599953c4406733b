"""`riacho dead-letter`: records that could not be read, and reading them again."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import FAILED, CommandError
from riacho.cli.session import session
from riacho.cli.terminal import aside, counted, notes, output, printable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from riacho.dead_letters import DeadLetters, ReplayClaim, Reread

EXAMPLES = """[bold]Examples[/]
  riacho dead-letter list ops.dead_letters                     [dim]how many, of which sources, and why[/]
  riacho dead-letter show ops.dead_letters 3f2a                [dim]one of them, with its bytes[/]
  riacho dead-letter replay ops.dead_letters --into bronze.orders --schema 'id STRING'
  riacho dead-letter replay /data/letters --into /data/orders --source ingest/orders --yes
"""
_SHOWN = 2000

app = typer.Typer(
    name="dead-letter", help="Look at records that could not be read, and read them again.", epilog=EXAMPLES,
    no_args_is_help=True,
)  # fmt: skip

Letters = Annotated[str, typer.Argument(metavar="TABLE", help="The table of dead letters: a name, or a folder.")]
Source = Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only those of this source.")]


@app.command("list", epilog=EXAMPLES)
def list_(
    table: Letters,
    source: Source = None,
    all: Annotated[bool, typer.Option("--all", help="Also list letters that were replayed.")] = False,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="List this many letters, the latest ones.")] = 20,
    format: options.Format = options.OutputFormat.TABLE,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """List dead letters: how many there are of each source and why, and the latest of them. This only reads."""
    import pyarrow as pa

    from riacho.cli import rows
    from riacho.connectors.bad_records import schema

    with session(warehouse, remote, verbose=verbose) as spark:
        letters = _letters(spark, table)
        found = letters.letters(source, everything=all, limit=limit)
        if format is not options.OutputFormat.TABLE:
            rows.write(pa.Table.from_pylist(found, schema=schema()), format, output())
            return
        summary = letters.summary(source)
    if not summary:
        aside(notes(), f"no dead letters in {table}")
        return
    grid = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
    grid.add_column("source", overflow="fold")
    grid.add_column("waiting", justify="right", no_wrap=True)
    grid.add_column("replayed", justify="right", no_wrap=True)
    grid.add_column("last", no_wrap=True)
    grid.add_column("reason", overflow="fold")
    for each in summary:
        waits = Text(f"{each.waiting:,}", style="yellow" if each.waiting else "dim")
        grid.add_row(
            Text(printable(each.source)), waits, f"{each.replayed:,}", _time(each.last), Text(printable(each.reason))
        )
    output().print(grid)
    if not found:
        return
    grid = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
    grid.add_column("id", no_wrap=True)
    grid.add_column("position", overflow="fold", max_width=28)
    grid.add_column("record", overflow="fold", max_width=60)
    for letter in found:
        grid.add_row(letter["id"][:8], Text(printable(letter["position"])), _bytes(letter["raw"], 120))
    output().print(grid)
    aside(notes(), "`riacho dead-letter show TABLE ID` shows one, `replay` reads them again")


@app.command(epilog=EXAMPLES)
def show(
    table: Letters,
    id: Annotated[str, typer.Argument(help="The letter's id, or how it begins.")],
    raw: Annotated[bool, typer.Option("--raw", help="Print the record's bytes as they are, and nothing else.")] = False,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Show one dead letter: what is wrong with it, where it came from, its bytes."""
    with session(warehouse, remote, verbose=verbose) as spark:
        letter = _letters(spark, table).letter(id)
    if raw:
        sys.stdout.buffer.write(bytes(letter["raw"] or b""))
        return
    grid = Table(box=None, show_header=False, pad_edge=False)
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for name in ("id", "source", "position", "reason", "exception", "time", "query", "batch", "format"):
        if (value := letter[name]) is not None:
            grid.add_row(name, _time(value) if name == "time" else Text(printable(str(value))))
    grid.add_row("options", Text(_options(letter["options"])))
    grid.add_row("replayed", Text("not yet", "dim") if letter["replayed"] is None else _time(letter["replayed"]))
    output().print(grid)
    output().print()
    output().print(_bytes(letter["raw"], _SHOWN), soft_wrap=True)


@app.command(epilog=EXAMPLES)
def replay(  # noqa: PLR0917 - they are options of a command
    table: Letters,
    into: Annotated[str, typer.Option("--into", metavar="TABLE", help="Where the rows go: a table, or a folder.")],
    source: Source = None,
    id: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this letter; repeatable.")] = None,
    schema: Annotated[
        str | None, typer.Option(metavar="DDL", help="The columns to read; by default those that were read before.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the source; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Not more than this, the oldest first.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Read dead letters again as their source does, and append their rows to a table.

    What would be done is shown first. Each letter is replayed once: a replay that was cut off is finished by the next,
    and what it had written is not written again. Letters that still cannot be read stay.
    """
    from riacho.cli.project import parse_confs
    from riacho.dead_letters import new_claim

    with session(warehouse, remote, verbose=verbose) as spark:
        letters = _letters(spark, table)
        for cut_off in letters.unfinished():
            done = _finished(letters, cut_off)
            aside(notes(), f"finished a replay that was cut off: {counted(done, 'letter')} into {cut_off.into}")
        columns = None if schema is None else spark.createDataFrame([], schema).schema
        claim = new_claim(into, columns, parse_confs(option or []))
        waiting = letters.waiting(source, id or (), limit)
        if not waiting.num_rows:
            aside(notes(), f"nothing to do: no {'such ' if source or id else ''}letters are waiting")
            return
        again = letters.reread(waiting, claim)
        _plan(again, claim)
        if not again.good:
            letters.tell(again.bad)
            raise typer.Exit(FAILED)
        if not yes:
            if not sys.stdin.isatty():
                raise CommandError("there is something to do, and nobody to ask", "read the plan, and add --yes")
            typer.confirm(f"Replay {counted(len(again.good), 'letter')}?", abort=True, err=True)
        done = letters.replay(claim, again)
        letters.tell(again.bad)
    output().print(f"{counted(done, 'letter')} replayed into {into}")


def _letters(spark: SparkSession, table: str) -> DeadLetters:
    from riacho.dead_letters import DeadLetters

    letters = DeadLetters(spark, table)
    columns = spark.table(letters.table).columns
    if not {"id", "raw", "reason", "replay", "replayed"} <= set(columns):
        raise CommandError(
            f"{table} is no table of dead letters", "give the one that bad_data_table or bad_data_path names"
        )
    return letters


def _finished(letters: DeadLetters, cut_off: ReplayClaim) -> int:
    from pyspark.errors import PySparkException

    try:
        return letters.finish(cut_off)
    except PySparkException as error:
        why = str(error).partition("\n")[0]
        free = f"UPDATE {letters.table} SET replay = NULL WHERE replayed IS NULL"  # noqa: S608 - for people to read
        raise CommandError(
            f"a replay into {cut_off.into} was cut off and cannot be finished: {why}",
            f"mend that table; or, if none of the rows are there, let its letters wait again: riacho sql '{free}'",
        ) from None


def _plan(again: Reread, claim: ReplayClaim) -> None:
    grid = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
    grid.add_column("")
    grid.add_column("letters", justify="right")
    grid.add_column("what", overflow="fold")
    if again.good:
        grid.add_row(Text("+", "green"), f"{len(again.good):,}", f"{counted(again.rows, 'row')} into {claim.into}")
    reasons: dict[str, int] = {}
    for why in again.bad.values():
        reasons[why] = reasons.get(why, 0) + 1
    for why, count in sorted(reasons.items(), key=lambda each: -each[1])[:10]:
        grid.add_row(Text("✗", "yellow"), f"{count:,}", Text(printable(f"stay: {why}")))
    output().print(grid)


def _time(value: Any) -> str:
    return str(value.astimezone().strftime("%Y-%m-%d %H:%M:%S")) if value is not None else ""


def _options(text: str) -> str:
    """The options without what is long and says nothing to people."""
    told = {key: value for key, value in json.loads(text or "{}").items() if key != "schema_json"}
    return "  ".join(f"{key}={value}" for key, value in told.items())


def _bytes(raw: Any, most: int) -> Text:
    data = bytes(raw or b"")
    more = f" … {len(data):,} bytes" if len(data) > most else ""
    return Text.assemble(printable(data[:most].decode("utf-8", "backslashreplace")), (more, "dim"))
