"""`riacho doctor`: look at all that riacho needs, and say what to do about what is missing."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import FAILED
from riacho.cli.terminal import output

EXAMPLES = """[bold]Examples[/]
  riacho doctor
  riacho doctor --port 15010 --warehouse /data/lake   [dim]before riacho up there[/]

[bold]Good to know[/]
pyspark-client is Spark without the JVM part: scripts and notebooks work as
they are. If a one-liner (python -c) ends with "Could not find valid
SPARK_HOME", put it in a file, or set SPARK_HOME to any folder.
"""

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, metavar="PORT", help="The port that the server is to have.")
    ] = options.DEFAULT_PORT,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """Check Python, packages, memory, port and folder, start a server and use it once.

    Each line says ok, warn or fail, and the way out. Ends with 1 if something failed.
    """
    from riacho.cli.checks import CHECKS, Finding, Health, Place

    console = output()

    def tell(finding: Finding) -> None:
        words = Text.assemble((f"{finding.health:<5}", _STYLES[finding.health]), f"{finding.subject:<14} ")
        console.print(words.append(finding.detail), soft_wrap=True)
        if finding.way_out:
            _below(console, finding.way_out)

    findings = []
    for check in CHECKS:
        findings.append(check(Place(port, warehouse)))
        tell(findings[-1])
    if any(finding.health is Health.FAIL for finding in findings):
        raise typer.Exit(FAILED)


def _below(console: Console, way_out: str) -> None:
    console.print(Padding(Text(f"→ {way_out}", style="bold"), (0, 0, 0, 20), expand=False))
