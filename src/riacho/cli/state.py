"""`riacho state`: what a streaming query keeps, read from its checkpoint; no server is needed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from riacho.cli import options
from riacho.cli.failures import CommandError
from riacho.cli.terminal import aside, notes, output, size

if TYPE_CHECKING:
    import pyarrow as pa

    from riacho.server.state.inspection import StoreFacts

EXAMPLES = """[bold]Examples[/]
  riacho state show CHECKPOINT                       [dim]operators, versions, rows, size[/]
  riacho state show CHECKPOINT --rows 20             [dim]and some of the rows[/]
  riacho state show CHECKPOINT --rows 1000000 --format csv  [dim]for programs[/]
"""

app = typer.Typer(name="state", help="Inspect the state of a streaming query.", no_args_is_help=True)


@app.command(epilog=EXAMPLES)
def show(
    checkpoint: Annotated[str, typer.Argument(help="The query's checkpoint folder, or its place in a bucket.")],
    rows: Annotated[int, typer.Option(metavar="N", min=0, help="Show this many rows of each store.")] = 0,
    format: options.Format = options.OutputFormat.TABLE,
    verbose: options.Verbose = False,  # noqa: ARG001 (its callback does the work)
) -> None:
    """List the newest state of each stateful operator of a query. This only reads."""
    import pyarrow as pa

    from riacho.cli import rows as printed
    from riacho.server.state.inspection import stores
    from riacho.storage import place_of

    place = place_of(checkpoint)
    found = stores(place)
    if not found:
        raise CommandError(f"there is no state in {place}", "give the checkpointLocation of a stateful query")
    if rows:
        for store in found:
            aside(notes(), f"operator {store.operator}, {store.store}, version {store.version}")
            printed.write(_first(store, rows), format, output())
    elif format is options.OutputFormat.TABLE:
        output().print(_grid(found))
    else:
        facts = [{**asdict(store), "folder": str(store.folder)} for store in found]
        printed.write(pa.Table.from_pylist(facts), format, output())


def _first(store: StoreFacts, count: int) -> pa.Table:
    import pyarrow as pa

    from riacho.server.state.inspection import live_rows

    parts, left = [], count
    for part in live_rows(store):
        parts.append(part.slice(0, left))
        left -= parts[-1].num_rows
        if not left:
            break
    return pa.concat_tables(parts) if parts else pa.table({})


def _grid(found: list[StoreFacts]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan")
    table.add_column("operator", justify="right")
    table.add_column("store")
    for name in ("version", "rows", "files", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for store in found:
        table.add_row(
            str(store.operator), store.store, str(store.version), f"{store.rows:,}", str(store.files), size(store.bytes)
        )
    return table
