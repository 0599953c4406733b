"""`riacho tables`: what a warehouse holds, read from the tables' own logs, which needs no server; or what one tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import CommandError
from riacho.cli.session import session
from riacho.cli.terminal import ago, aside, notes, output, size
from riacho.storage import Place

if TYPE_CHECKING:
    from riacho.server.catalog.base import TableName
    from riacho.server.catalog.warehouse import WarehouseCatalog

EXAMPLES = """[bold]Examples[/]
  riacho tables
  riacho tables gold --warehouse /data/lake     [dim]those of one database[/]
  riacho tables --format json                   [dim]for programs[/]
  riacho tables --remote sc://host:15002        [dim]those of a server[/]
"""


WIDE = 100
"""Columns of a terminal that has room for comments."""


@dataclass(frozen=True)
class TableFacts:
    """A table as its log describes it. None: the log does not say, or it is a view or a table of another format."""

    name: str
    kind: str
    rows: int | None = None
    bytes: int | None = None
    version: int | None = None
    changed: datetime | None = None
    comment: str | None = None
    location: str | None = None


def tables(
    database: Annotated[str | None, typer.Argument(help="Only the tables of this database.")] = None,
    format: options.Format = options.OutputFormat.TABLE,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """List the tables of a warehouse: rows, size, version, last change, comment.

    The facts come from the tables' logs, whether or not a server is running. With --remote, a server counts the rows.
    """
    import pyarrow as pa

    from riacho.cli import rows

    where = remote or str(warehouse.absolute())
    if remote is None:
        found = look(warehouse, database)
    else:
        from riacho.cli.remote_tables import look_at

        with session(warehouse, remote, verbose=verbose) as spark:
            found = look_at(spark, database)
    if format is not options.OutputFormat.TABLE:
        rows.write(pa.Table.from_pylist([asdict(each) for each in found], schema=_arrow()), format, output())
        return
    if not found:
        aside(notes(), f"no tables in {where} yet")
        return
    console = output()
    comments = console.width >= WIDE
    console.print(grid(found, time.time(), comments=comments))
    aside(notes(), where if comments else f"{where} · a wider terminal also shows comments")


def look(warehouse: Place, database: str | None = None) -> list[TableFacts]:
    """The tables and views of a warehouse, by name. Raises CommandError, and SCHEMA_NOT_FOUND for the database."""
    from riacho.server.catalog.warehouse import WarehouseCatalog

    if not warehouse.is_dir():
        raise CommandError(
            f"there is no warehouse at {warehouse.absolute()}",
            "`riacho up` and `riacho run` create one; choose another with --warehouse",
        )
    catalog = WarehouseCatalog(warehouse)
    wanted = catalog.databases() if database is None else [database.lower()]
    return [facts for each in wanted for facts in _look(catalog, each)]


def grid(found: list[TableFacts], now: float, *, versions: bool = True, comments: bool = True) -> Table:
    """The tables for people, a line each: comments are cut off where the terminal ends.

    `now`: seconds since the epoch. `versions`: with version and last change.
    """
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan", expand=comments)
    table.add_column("table", no_wrap=True)
    for name in ("rows", "size", *(["version"] if versions else [])):
        table.add_column(name, justify="right", no_wrap=True)
    if versions:
        table.add_column("changed", no_wrap=True)
    if comments:
        table.add_column("comment", style="dim", no_wrap=True, overflow="ellipsis", ratio=1)
    for each in found:
        version = "" if each.version is None else str(each.version)
        changed = "" if each.changed is None else ago(now - each.changed.timestamp())
        table.add_row(
            Text(each.name),
            each.kind if each.rows is None else f"{each.rows:,}",
            "" if each.bytes is None else size(each.bytes),
            *((version, changed) if versions else ()),
            *((Text(each.comment or ""),) if comments else ()),
        )
    return table


def _look(catalog: WarehouseCatalog, database: str) -> Iterator[TableFacts]:
    for name in catalog.tables(database):
        label = f"{name.database}.{name.table}"
        if view := catalog.view(name):
            yield TableFacts(label, "view", comment=view.comment)
        else:
            yield _facts(catalog, name, label)


def _facts(catalog: WarehouseCatalog, name: TableName, label: str) -> TableFacts:
    from riacho.server.delta.log import DeltaLog
    from riacho.server.delta.state import load_state

    table = catalog.table(name)
    if table is None or table.format != "delta":
        return TableFacts(label, table.format if table else "gone", location=str(table.location) if table else None)
    log = DeltaLog(table.location)
    state = load_state(log, with_files=True)
    files = list((state.files or {}).values())
    rows = [file.num_records for file in files]
    masked = sum((file.deletion_vector or {}).get("cardinality", 0) for file in files)
    written_ms = log.read(state.version).timestamp_ms if log.has(state.version) else None
    return TableFacts(
        label,
        "delta",
        None if None in rows else sum(count or 0 for count in rows) - masked,
        sum(file.size for file in files),
        state.version,
        None if written_ms is None else datetime.fromtimestamp(written_ms / 1000, UTC),
        table.comment,
        str(table.location),
    )


def _arrow() -> object:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema(
        [
            *(("name", text), ("kind", text), ("rows", number), ("bytes", number), ("version", number)),
            *(("changed", pa.timestamp("ms", "UTC")), ("comment", text), ("location", text)),
        ]
    )
