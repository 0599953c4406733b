"""`riacho quarantine`: rows that broke a rule of their table, and putting them through the rules of now."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import CommandError, first_line
from riacho.cli.project import find_spec, load_spec, parse_confs
from riacho.cli.session import session
from riacho.cli.terminal import ago, aside, counted, notes, output, printable
from riacho.conf import REPLAY, REPLAY_RULES
from riacho.errors import SparkError
from riacho.replays import ReplayedTable

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.pipelines.cli import PipelineSpec
    from pyspark.sql import SparkSession

EXAMPLES = """[bold]Examples[/]
  riacho quarantine list systems/telecom              [dim]how many, since when[/]
  riacho quarantine show systems/telecom -t silver.valid_events -r valid_ip
  riacho quarantine replay systems/telecom --dry-run  [dim]what would pass now[/]
  riacho quarantine replay systems/telecom            [dim]put it into its tables[/]
"""
_EVERYTHING = "*"
_SHOWN = 80

app = typer.Typer(
    name="quarantine",
    help="Look at rows that broke a rule of their table, and put them through the rules again.",
    epilog=EXAMPLES,
    no_args_is_help=True,
)

Project = Annotated[
    Path, typer.Argument(help="Folder with a spark-pipeline.yml, or the file itself.", show_default="here")
]
Tables = Annotated[
    list[str] | None, typer.Option("--table", "-t", metavar="TABLE", help="Only this table; repeatable.")
]
Rules = Annotated[
    list[str] | None,
    typer.Option("--rule", "-r", metavar="RULE", help="Only rows that broke this rule; repeatable."),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print them as JSON.")]


@app.command("list", epilog=EXAMPLES)
def list_(
    project: Project = Path(),
    as_json: AsJson = False,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """List the tables that have quarantined rows: how many, by rule, and since when. This only reads.

    All tables of the warehouse are looked at, those of other projects too.
    """
    import pyarrow as pa

    from riacho import quarantine
    from riacho.cli import rows

    spec = load_spec(find_spec(project), {}, None if remote else warehouse)
    with session(warehouse, remote, confs=spec.configuration, verbose=verbose) as spark:
        found = [quarantine.facts(spark, table) for table in quarantine.find(spark)]
    if as_json:
        lines = [
            {"table": each.table, "rule": rule.rule, "rows": rule.rows, "first": rule.first, "last": rule.last}
            for each in found
            for rule in each.rules
        ]
        rows.write(pa.Table.from_pylist(lines, _lines()), options.OutputFormat.JSON, output())
        return
    full = [each for each in found if each.rows]
    if not full:
        aside(notes(), "no quarantined rows")
        return
    grid = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
    for name in ("table", "rows", "rule", "broken", "since", "last"):
        grid.add_column(name, justify="right" if name in {"rows", "broken"} else "left", overflow="fold")
    for each in full:
        for place, rule in enumerate(each.rules):
            head = (Text(each.table), Text(f"{each.rows:,}", "yellow")) if not place else (Text(), Text())
            grid.add_row(
                *head, Text(printable(rule.rule)), f"{rule.rows:,}", _time(rule.first), Text(_since(rule.last), "dim")
            )
        if each.replaying:
            told = f"{counted(each.replaying, 'row')} of a replay that has not ended; the next one finishes it"
            grid.add_row("", "", Text(told, "yellow"), "", "", "")
    output().print(grid)
    aside(notes(), "`riacho quarantine show` shows the rows, `replay` puts them through the rules as they are now")


@app.command(epilog=EXAMPLES)
def show(
    project: Project = Path(),
    table: Tables = None,
    rule: Rules = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Show this many rows of a table, the latest.")] = 20,
    as_json: AsJson = False,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Show quarantined rows with all they had: which rules they break, where they came from, and when.

    This only reads.
    """
    from riacho import quarantine
    from riacho.cli import rows

    spec = load_spec(find_spec(project), {}, None if remote else warehouse)
    with session(warehouse, remote, confs=spec.configuration, verbose=verbose) as spark:
        tables = _qualified(table, spec) or quarantine.find(spark)
        found = [(name, quarantine.rows(spark, name, rule or (), limit)) for name in tables]
    if as_json:
        if len(found) != 1:
            raise CommandError(
                f"{counted(len(found), 'table')} of different columns cannot be printed as one", "choose one: --table"
            )
        rows.write(found[0][1], options.OutputFormat.JSON, output())
        return
    shown = 0
    for name, part in found:
        for row in part.to_pylist(maps_as_pydicts="lossy"):
            _print_row(output(), name, *quarantine.note_of(row))
        shown += part.num_rows
    if not shown:
        aside(notes(), "no such rows in quarantine")


@app.command(epilog=EXAMPLES)
def replay(
    project: Project = Path(),
    table: Tables = None,
    rule: Rules = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge the rows, and change nothing.")] = False,
    conf: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Override the project's `configuration`; can be repeated."),
    ] = None,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Put quarantined rows through the project's rules as they are now; those that pass go into their table.

    Each row goes in once, also if the replay is cut off: the next one finishes it. Rows that still break a rule stay,
    with a fresh reason; rows that a rule drops now are dropped. To correct rows first, UPDATE them in TABLE_quarantine.

    On a Spark cluster, the rules are those given in Python with `riacho.pipelines`.
    """
    spec_path = find_spec(project)
    spec = load_spec(spec_path, parse_confs(conf or ()), None if remote else warehouse)
    confs = {REPLAY.key: _listed(table or [_EVERYTHING])}
    if rule:
        confs[REPLAY_RULES.key] = _listed(rule)
    with session(warehouse, remote, confs=spec.configuration, verbose=verbose) as spark:
        if remote is None or _knows_replays(spark, spec, spec_path, confs):
            done, failed = _replayed(spark, spec, spec_path, confs, dry=dry_run)
        else:
            done, failed = _replayed_from_here(spark, spec, spec_path, table or (), rule or (), dry=dry_run)
    if done or failed is None:
        _print_counts(done, rule or (), dry=dry_run)
    if failed is not None:
        raise CommandError(failed, "nothing of it was changed; mend it and replay again")


def _replayed(
    spark: SparkSession, spec: PipelineSpec, spec_path: Path, confs: dict[str, str], *, dry: bool
) -> tuple[list[ReplayedTable], str | None]:
    """Replay on a riacho: what came of each table, and what went wrong first."""
    from pyspark.errors import PySparkException

    from riacho.cli.pipeline import Selection, events

    done: list[ReplayedTable] = []
    told: list[str] = []
    try:
        for message, _ in events(spark, spec, spec_path, Selection(dry=dry), output(), confs):
            told.append(message)
            head, completed, text = message.partition(" has COMPLETED: ")
            if head.startswith("Replay of ") and completed:
                done.append(ReplayedTable.read(head.removeprefix("Replay of "), text))
    except PySparkException as error:
        if not any(message.startswith("Replay of ") for message in told):
            raise
        return done, first_line(str(error))
    return done, None


def _replayed_from_here(
    spark: SparkSession, spec: PipelineSpec, spec_path: Path, tables: Sequence[str], rules: Sequence[str], *, dry: bool
) -> tuple[list[ReplayedTable], str | None]:
    """Replay on a Spark that knows no replays: what came of each table, and what went wrong."""
    from pyspark.errors import PySparkException
    from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph

    from riacho.cli.pipeline import define
    from riacho.replays import Definitions
    from riacho.replays import replay as replay_from_here

    graph = create_dataflow_graph(spark, spec.catalog, spec.database, spec.configuration)
    found = Definitions(spark, graph)
    define(spark, spec, spec_path, found, output(), graph)
    done: list[ReplayedTable] = []
    try:
        done.extend(replay_from_here(spark, found, spec.database, tables, rules, dry=dry))
    except (SparkError, PySparkException) as error:
        return done, first_line(str(error))
    return done, None


def _knows_replays(spark: SparkSession, spec: PipelineSpec, spec_path: Path, confs: dict[str, str]) -> bool:
    """Whether the server is a riacho. A run that knows no replays would run the flows, so a dry one is asked for."""
    from riacho.cli.pipeline import Selection, events

    told = [message for message, _ in events(spark, spec, spec_path, Selection(dry=True), output(), confs)]
    return any(message.startswith("Replay ") for message in told)


def _listed(names: Sequence[str]) -> str:
    """Names as a conf has them: separated by commas, in quotes where they have some."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


def _print_counts(done: list[ReplayedTable], rules: Sequence[str], *, dry: bool) -> None:
    rows = [each for each in done if each.judged or each.finished or each.remark]
    if not rows:
        broken = f" that broke {' or '.join(map(printable, rules))}" if rules else ""
        aside(notes(), f"nothing to replay: no quarantined rows{broken}")
        return
    grid = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False)
    grid.add_column("table", overflow="fold")
    for name in ("quarantined", "would pass" if dry else "replayed", "dropped", "stay"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("", overflow="fold")
    for each in rows:
        grid.add_row(
            Text(each.table.removeprefix("spark_catalog.")),
            f"{each.judged:,}",
            Text(f"{each.replayed:,}", "green" if each.replayed else "dim"),
            f"{each.dropped:,}",
            Text(f"{each.stayed:,}", "yellow" if each.stayed else "dim"),
            Text(_remark(each), "dim"),
        )
    output().print(grid)


def _remark(counts: ReplayedTable) -> str:
    rest = f"{counted(counts.finished, 'row')} of a replay that was cut off" if counts.finished else ""
    return ", ".join(printable(part) for part in (counts.remark, rest) if part)


def _print_row(console: Console, table: str, row: dict[str, Any], note: dict[str, Any]) -> None:
    rules = ", ".join(note.get("rules") or ())
    console.print(
        Text.assemble((f"{table} ", "cyan"), (printable(rules), "yellow"), f"  {printable(note.get('reason') or '')}"),
        soft_wrap=True,
    )
    where = [f"batch {note.get('batch_id')} of {note.get('flow')}", _time(note.get("quarantined_at"))]
    where.append(_cell(note["source"]) if note.get("source") else "")
    aside(console, "  " + " · ".join(part for part in where if part))
    cells = [f"{printable(name)}={_cell(value)}" for name, value in row.items()]
    console.print(Text("  " + "  ".join(cells)), soft_wrap=True)


def _cell(value: Any) -> str:
    text = "NULL" if value is None else printable(str(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _qualified(tables: list[str] | None, spec: PipelineSpec) -> list[str]:
    """Names as the user gave them, with the project's database where they have none."""
    return [name if "." in name or not spec.database else f"{spec.database}.{name}" for name in tables or ()]


def _time(value: datetime | None) -> str:
    return "" if value is None else value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _since(value: datetime | None) -> str:
    return "" if value is None else ago((datetime.now().astimezone() - value.astimezone()).total_seconds())


def _lines() -> pa.Schema:
    """The columns of `list` for programs."""
    import pyarrow as pa

    at = pa.timestamp("us", "UTC")
    return pa.schema([("table", pa.string()), ("rule", pa.string()), ("rows", pa.int64()), ("first", at), ("last", at)])
