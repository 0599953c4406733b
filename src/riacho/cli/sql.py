"""`riacho sql`: run SQL and print what comes back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from riacho.cli import options
from riacho.cli.session import session
from riacho.cli.terminal import aside, counted, notes, output
from riacho.server.sql.tokens import split_statements

EXAMPLES = """[bold]Examples[/]
  riacho sql 'SELECT * FROM gold.devices_total'
  riacho sql 'SELECT * FROM gold.heavy_customers' --format csv > heavy.csv
  riacho sql --file setup.sql                     [dim]several statements[/]
  echo 'SHOW DATABASES' | riacho sql -            [dim]from a pipe[/]
  riacho sql 'SELECT 1' --remote sc://host:15002  [dim]on that server[/]
"""


def sql(
    statement: Annotated[
        str | None,
        typer.Argument(help="The statement to run, or several separated by ;; use - to read standard input."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Run the statements in this file.", exists=True, dir_okay=False)
    ] = None,
    format: options.Format = options.OutputFormat.TABLE,
    limit: Annotated[
        int,
        typer.Option(
            min=0, metavar="ROWS", help="Rows to show in a table; 0 shows all. The other formats always print all rows."
        ),
    ] = 100,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Run SQL on the tables of a warehouse. With several statements, the rows of the last one are printed.

    This works while a server uses the same warehouse. JSON output is an array with an object for each row; in CSV
    output, nulls are empty. In both, times are ISO 8601 in UTC.
    """
    from riacho.cli import rows

    statements = split_statements(_text(statement, file))
    if not statements:
        raise typer.BadParameter("it contains no statement", param_hint="STATEMENT")
    shown = limit if format is options.OutputFormat.TABLE else 0
    with session(warehouse, remote, verbose=verbose) as spark:
        *before, last = statements
        for each in before:
            spark.sql(each)
        frame = spark.sql(last)
        # One more than is shown tells whether that is all.
        found = (frame.limit(shown + 1) if shown else frame).toArrow()
    if not found.num_columns:
        aside(notes(), "done; it gives no rows")
        return
    rows.write(found.slice(0, shown or None), format, output())
    if format is options.OutputFormat.TABLE:
        more = bool(shown) and found.num_rows > shown
        told = f"the first {counted(shown, 'row')}; --limit 0 shows all" if more else counted(found.num_rows, "row")
        aside(notes(), told)


def _text(statement: str | None, file: Path | None) -> str:
    """The SQL to run, from where it was given. Raises BadParameter unless that is one place."""
    if (statement is None) == (file is None):
        raise typer.BadParameter("give a statement, or a file with --file", param_hint="STATEMENT")
    if file is not None:
        return file.read_text(encoding="utf-8")
    return sys.stdin.read() if statement == "-" else statement or ""
