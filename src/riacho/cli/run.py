"""`riacho run PROJECT`: run a folder of pipeline definitions once, on a server of its own or on one that is there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from riacho.cli import options
from riacho.cli.flows import FlowBoard, FlowStatus
from riacho.cli.pipeline import Selection, update
from riacho.cli.project import find_spec, load_spec, parse_confs, setup_statements
from riacho.cli.session import session
from riacho.cli.terminal import aside, counted, duration, output, warn

EVERYTHING = "all"

EXAMPLES = """[bold]Examples[/]
  riacho run systems/telecom                          [dim]all that is new[/]
  riacho run systems/telecom --dry-run                [dim]check it, run nothing[/]
  riacho run systems/telecom --refresh gold.clock     [dim]these tables only[/]
  riacho run systems/telecom --full-refresh all       [dim]from scratch[/]
  riacho run systems/telecom --conf telecom.now=wall  [dim]another setting[/]
  riacho run systems/telecom --remote sc://host:15002 [dim]on that server[/]
"""


def run(
    project: Annotated[
        Path, typer.Argument(help="Folder with a spark-pipeline.yml, or that file.", show_default="here")
    ] = Path(),
    full_refresh: Annotated[
        str | None,
        typer.Option(metavar="TABLES", help="Empty these tables and fill them from scratch: a,b,c or all."),
    ] = None,
    refresh: Annotated[
        str | None, typer.Option(metavar="TABLES", help="Bring only these tables up to date: a,b,c.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the definitions; run nothing.")] = False,
    conf: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Set this over the project's `configuration`; may be repeated."),
    ] = None,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Run a folder of pipelines: everything that is new since the last run, through to the last table.

    The folder is a Spark Declarative Pipelines project and stays one: Spark's own command runs it, too. Before the
    run the statements in its setup.sql are run, if it has one. Without --remote a server is started for the run, and
    the pipeline's checkpoints lie in the warehouse, whatever `storage` says.
    """
    selection = _selection(refresh, full_refresh, dry_run)
    confs = parse_confs(conf or ())
    spec_path = find_spec(project)
    spec = load_spec(spec_path, confs, None if remote else warehouse)
    console = output()
    where = f"{remote} · checkpoints in {spec.storage}" if remote else str(warehouse.absolute())
    console.print(Text.assemble((spec.name, "bold"), (f" · {where}", "dim")), soft_wrap=True)
    started = time.monotonic()
    with session(warehouse, remote, confs=spec.configuration, verbose=verbose) as spark:
        for statement in setup_statements(spec_path.parent) if not dry_run else ():
            spark.sql(statement)
        board = update(spark, spec, spec_path, selection, console)
    _warn_of_strangers(selection, board)
    print_result(console, board, time.monotonic() - started, dry=dry_run)
    if not remote and not dry_run:
        option = "" if warehouse == options.DEFAULT_WAREHOUSE else f" --warehouse {warehouse}"
        aside(console, f"  next: riacho tables{option}")


def print_result(console: Console, board: FlowBoard, seconds: float, *, dry: bool = False) -> None:
    """The last line of an update that did not fail."""
    done = board.count(FlowStatus.COMPLETED)
    told = "the pipeline is valid; nothing was run" if dry else f"{counted(done, 'flow')} completed"
    console.print(Text.assemble(("✓ ", "green"), told, (f" in {duration(seconds)}", "dim")))


def _selection(refresh: str | None, full_refresh: str | None, dry: bool) -> Selection:
    """What the options choose. Raises BadParameter where they contradict each other."""
    everything = full_refresh == EVERYTHING
    if everything and refresh is not None:
        raise typer.BadParameter("it adds nothing to --full-refresh all: give one of them", param_hint="--refresh")
    if dry and (refresh is not None or full_refresh is not None):
        raise typer.BadParameter("it refreshes nothing: leave out what to refresh", param_hint="--dry-run")
    full = () if everything else _names(full_refresh)
    return Selection(_names(refresh), full, everything, dry)


def _names(listed: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (listed or "").split(",") if name.strip())


def _warn_of_strangers(selection: Selection, board: FlowBoard) -> None:
    """Spark refreshes nothing for a name it does not know, and says nothing; a user wants to hear of the typo."""
    chosen = (*selection.refresh, *selection.full_refresh)
    if chosen and not selection.full_refresh_all and not board.count(FlowStatus.COMPLETED):
        warn(f"nothing was refreshed: no table here is called {', '.join(chosen)}")
