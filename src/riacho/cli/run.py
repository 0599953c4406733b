"""`riacho run PROJECT`: run a folder of pipeline definitions, once or on and on, on its own server or on another."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from riacho.cli import options, profiles
from riacho.cli.continuous_view import ContinuousView
from riacho.cli.flows import FlowBoard, FlowStatus
from riacho.cli.pipeline import Selection, update
from riacho.cli.profiles import load_environment
from riacho.cli.project import find_spec, load_spec, parse_confs, setup_statements
from riacho.cli.session import session
from riacho.cli.terminal import aside, counted, duration, output, warn
from riacho.conf import CONTINUOUS

if TYPE_CHECKING:
    from pyspark.pipelines.cli import PipelineSpec
    from pyspark.sql import SparkSession

EVERYTHING = "all"

EXAMPLES = """[bold]Examples[/]
  riacho run systems/telecom                          [dim]everything new[/]
  riacho run systems/telecom --dry-run                [dim]check it without running[/]
  riacho run systems/telecom --continuous             [dim]go on until Ctrl-C[/]
  riacho run systems/telecom --refresh gold.clock     [dim]these tables only[/]
  riacho run systems/telecom --full-refresh all       [dim]from scratch[/]
  riacho run systems/telecom --conf telecom.now=wall  [dim]another setting[/]
  riacho run systems/telecom --remote sc://host:15002 [dim]on that server[/]
  riacho run systems/access-logs --profile services   [dim]on real services[/]
"""


def run(
    project: Annotated[
        Path, typer.Argument(help="Folder with a spark-pipeline.yml, or the file itself.", show_default="here")
    ] = Path(),
    full_refresh: Annotated[
        str | None,
        typer.Option(metavar="TABLES", help="Empty these tables and rebuild them from scratch: a,b,c or all."),
    ] = None,
    refresh: Annotated[str | None, typer.Option(metavar="TABLES", help="Update only these tables: a,b,c.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the definitions without running anything.")] = False,
    *,
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Keep running: process data as they arrive, until Ctrl-C.")
    ] = False,
    conf: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Override the project's `configuration`; can be repeated."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Settings of profiles/NAME.yml, such as services.")
    ] = None,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Run a pipeline project: process everything new since the last run, through to the last table.

    The folder is an ordinary Spark Declarative Pipelines project, which Spark's own command can run too. If it has a
    setup.sql, its statements run first. With --continuous (or `pipelines.continuous: "true"` in the project's
    `configuration`), it goes on until it is stopped. Without --remote, a server is started for the run, and the
    pipeline's checkpoints are kept in the warehouse, whatever `storage` says. Definitions see what the .env of the
    project and of the working folder say.
    """
    selection = _selection(refresh, full_refresh, dry_run)
    confs = {**parse_confs(conf or ()), **({CONTINUOUS.key: "true"} if continuous else {})}
    spec_path = find_spec(project)
    load_environment(spec_path.parent)
    if profile is not None:
        confs = {**profiles.profile(spec_path.parent, profile), **confs}
    spec = load_spec(spec_path, confs, None if remote else warehouse)
    console = output()
    where = f"{remote} · checkpoints in {spec.storage}" if remote else str(warehouse.absolute())
    console.print(Text.assemble((spec.name, "bold"), (f" · {where}", "dim")), soft_wrap=True)
    started = time.monotonic()
    with session(warehouse, remote, confs=spec.configuration, verbose=verbose) as spark:
        for statement in setup_statements(spec_path.parent) if not dry_run else ():
            spark.sql(statement)
        if CONTINUOUS.of(spec.configuration) and not dry_run:
            _run_on(spark, spec, spec_path, selection, console)
            return
        board = update(spark, spec, spec_path, selection, console)
    _warn_of_strangers(selection, board)
    print_result(console, board, time.monotonic() - started, dry=dry_run)
    if not remote and not dry_run:
        option = "" if warehouse == options.DEFAULT_WAREHOUSE else f" --warehouse {warehouse}"
        aside(console, f"  next: riacho tables{option}")


def _run_on(spark: SparkSession, spec: PipelineSpec, spec_path: Path, selection: Selection, console: Console) -> None:
    """Run a continuous update until somebody stops it, which is how it ends well."""
    view = ContinuousView(console, spark)
    started = time.monotonic()
    try:
        with _stopped_by_signal():
            update(spark, spec, spec_path, selection, console, view=view)
    except KeyboardInterrupt:
        took = duration(time.monotonic() - started)
        console.print(
            Text.assemble(("✓ ", "green"), f"stopped: {counted(view.rows, 'row')} read", (f" in {took}", "dim"))
        )


@contextmanager
def _stopped_by_signal() -> Iterator[None]:
    """What a service manager sends is Ctrl-C too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def print_result(console: Console, board: FlowBoard, seconds: float, *, dry: bool = False) -> None:
    """The last line of an update that did not fail."""
    done = board.count(FlowStatus.COMPLETED)
    told = "the pipeline is valid; nothing was run" if dry else f"{counted(done, 'flow')} completed"
    console.print(Text.assemble(("✓ ", "green"), told, (f" in {duration(seconds)}", "dim")))


def _selection(refresh: str | None, full_refresh: str | None, dry: bool) -> Selection:
    """What the options choose. Raises BadParameter where they contradict each other."""
    everything = full_refresh == EVERYTHING
    if everything and refresh is not None:
        raise typer.BadParameter(
            "cannot be combined with --full-refresh all: give only one of them", param_hint="--refresh"
        )
    if dry and (refresh is not None or full_refresh is not None):
        raise typer.BadParameter("cannot be combined with --refresh or --full-refresh", param_hint="--dry-run")
    full = () if everything else _names(full_refresh)
    return Selection(_names(refresh), full, everything, dry)


def _names(listed: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (listed or "").split(",") if name.strip())


def _warn_of_strangers(selection: Selection, board: FlowBoard) -> None:
    """Spark refreshes nothing for a name it does not know, and says nothing; a user wants to hear of the typo."""
    chosen = (*selection.refresh, *selection.full_refresh)
    if chosen and not selection.full_refresh_all and not board.count(FlowStatus.COMPLETED):
        warn(f"nothing was refreshed: no table here is called {', '.join(chosen)}")
