"""`riacho doctor`: look at all that riacho needs, and say what to do about what is missing; or look at one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import FAILED
from riacho.cli.terminal import output
from riacho.storage import Place

if TYPE_CHECKING:
    from riacho.cli.checks import Finding

EXAMPLES = """[bold]Examples[/]
  riacho doctor
  riacho doctor --port 15010 --warehouse /data/lake   [dim]before riacho up there[/]
  riacho doctor bronze.events             [dim]check this table's log[/]
  riacho doctor /data/lake/events --repair

[bold]Good to know[/]
pyspark-client is Spark's Python client without the JVM: scripts and notebooks
work unchanged. If a one-liner (python -c) fails with "Could not find valid
SPARK_HOME", put it in a file, or set SPARK_HOME to any folder.
"""

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    table: Annotated[
        str | None, typer.Argument(help="Check this Delta table instead: a name in the warehouse, or a path.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair the faults found in the table.")] = False,
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, metavar="PORT", help="The port that the server will use.")
    ] = options.DEFAULT_PORT,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Check Python, packages, memory, port and folder, then start a server and use it once.

    With TABLE, look for files in its log that do not exist, are listed twice, or were removed under another name, so
    that readers disagree about its rows. Each line says ok, warn or fail, and what to do. The exit code is 1 if a check
    failed.
    """
    if table is not None:
        _look_at(table, warehouse, repair=repair)
        return
    if repair:
        raise typer.BadParameter("--repair needs a TABLE")
    from riacho.cli.checks import CHECKS, Health, Place

    findings = []
    for check in CHECKS:
        findings.append(check(Place(port, warehouse)))
        _tell(findings[-1])
    if any(finding.health is Health.FAIL for finding in findings):
        raise typer.Exit(FAILED)


def _look_at(table: str, warehouse: Place, *, repair: bool) -> None:
    from riacho.cli.checks import Health
    from riacho.cli.table_checks import check_table

    findings = check_table(table, warehouse, repair=repair)
    for finding in findings:
        _tell(finding)
    if any(finding.health is Health.FAIL for finding in findings):
        raise typer.Exit(FAILED)


def _tell(finding: Finding) -> None:
    console = output()
    words = Text.assemble((f"{finding.health:<5}", _STYLES[finding.health]), f"{finding.subject:<14} ")
    console.print(words.append(finding.detail), soft_wrap=True)
    if finding.way_out:
        _below(console, finding.way_out)


def _below(console: Console, way_out: str) -> None:
    console.print(Padding(Text(f"→ {way_out}", style="bold"), (0, 0, 0, 20), expand=False))
