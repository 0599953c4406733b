"""`riacho events PROJECT`: what happened in the runs of a pipeline, from its event log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from riacho.cli import options
from riacho.cli.failures import CommandError
from riacho.cli.project import find_spec, load_spec
from riacho.cli.session import session
from riacho.cli.terminal import aside, notes, output, printable
from riacho.event_log import LEVELS, NUMBER, EventFilter, latest, read, table_of, wanted
from riacho.units import time_ms

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

EXAMPLES = """[bold]Examples[/]
  riacho events systems/telecom                              [dim]the last 50 events[/]
  riacho events systems/telecom --level WARN --since 2d      [dim]what went wrong[/]
  riacho events systems/telecom --flow valid_events --level METRICS
  riacho events systems/telecom --follow --json | jq .       [dim]as they come[/]
  riacho events --storage s3://lake/pipelines/telecom --remote sc://host:15002
"""
POLL_S = 1.0
_OVERLAP = timedelta(minutes=5)
"""How far behind the last event another run's may come in."""
_STYLES = {"ERROR": "bold red", "WARN": "yellow", "METRICS": "dim"}
_CATALOG = "spark_catalog."
_LONG, _SHORT = "%Y-%m-%d %H:%M:%S", "%m-%d %H:%M:%S"
_WIDE = 100
_NARROWEST = 20
"""Columns that a message has at least."""

Storage = Annotated[
    str | None,
    typer.Option(metavar="URI", help="The pipeline's storage, in place of a project; as its server reaches it."),
]
Project = Annotated[
    Path, typer.Argument(help="Folder with a spark-pipeline.yml, or the file itself.", show_default="here")
]


def events(  # noqa: PLR0917 - they are options of a command
    project: Project = Path(),
    storage: Storage = None,
    level: Annotated[
        str, typer.Option(metavar="LEVEL", help="Events of this level and above: METRICS, INFO, WARN, ERROR.")
    ] = "INFO",
    type: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only events of this type, such as flow_progress; repeatable."),
    ] = None,
    flow: Annotated[str | None, typer.Option(metavar="NAME", help="Only events of this flow.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Not older than this: 30min, 2h, 7d, or 2026-11-29T15:00.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="The last events, so many; with --follow, end after these.")
    ] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events as they come.")] = False,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --follow: end after this time, such as 10min.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON.")] = False,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Show what happened in the runs of a pipeline, the oldest first.

    The events are read from the table in the pipeline's storage, which a run writes each second. Events of level
    METRICS have the figures of each batch.
    """
    chosen = EventFilter(_level(level), tuple(type or ()), flow, None if since is None else _since(since))
    end = None if timeout is None else time.monotonic() + _ms(timeout, "--timeout") / 1000
    show = _json if as_json else _lines(output())
    with session(warehouse, remote, verbose=verbose) as spark:
        frame = open_log(spark, storage_of(project, storage, None if remote else warehouse))
        shown = latest(wanted(frame, chosen), limit)
        show(shown)
        if not follow and not shown:
            aside(notes(), "no such events" if chosen != EventFilter() else "no events yet")
        if follow:
            _follow(frame, chosen, shown, limit - len(shown), end, show)


def storage_of(project: Path, storage: str | None, warehouse: Any) -> str:
    """Where a pipeline keeps its state. Raises CommandError."""
    if storage is not None:
        return Path(storage).absolute().as_uri() if "://" not in storage else storage
    return str(load_spec(find_spec(project), {}, warehouse).storage)


def open_log(spark: SparkSession, storage: str) -> DataFrame:
    """The events of the pipeline with that storage. Raises CommandError if there are none."""
    from pyspark.errors import AnalysisException

    frame = read(spark, table_of(storage))
    try:
        frame.schema  # noqa: B018 - asks the server whether it is there
    except AnalysisException as error:
        if "PATH" not in (error.getCondition() or "") and "DELTA_MISSING" not in str(error):
            raise
        raise CommandError(f"there is no event log in {storage}", "a run makes it: `riacho run`") from None
    return frame


def _follow(
    frame: DataFrame,
    chosen: EventFilter,
    shown: Sequence[Row],
    room: int,
    end: float | None,
    show: Callable[[Sequence[Row]], None],
) -> None:
    """Show new events as they come, at most `room` of them, until the clock says `end`."""
    from pyspark.sql import functions as F

    seen = {row.id: row.timestamp for row in shown}
    if shown:  # those just before them are not new, although they were not shown
        near = wanted(frame, chosen).where(F.col("timestamp") >= F.lit(max(seen.values()) - 2 * _OVERLAP))
        newest = shown[-1].sequence.data_plane_id.seq_no
        seen.update((row.id, row.timestamp) for row in near.where(F.col(NUMBER) <= newest).collect())
    room = room or LARGEST
    while room > 0 and (end is None or time.monotonic() < end):
        time.sleep(POLL_S)
        fresh = wanted(frame, chosen)
        if seen:
            fresh = fresh.where(F.col("timestamp") >= F.lit(max(seen.values()) - _OVERLAP))
        new = [row for row in fresh.orderBy(NUMBER).collect() if row.id not in seen][:room]
        show(new)
        room -= len(new)
        seen.update((row.id, row.timestamp) for row in new)
        since = max(seen.values()) - 2 * _OVERLAP if seen else None
        seen = {key: at for key, at in seen.items() if since is None or at >= since}


LARGEST = 10**9


def _lines(console: Console) -> Callable[[Sequence[Row]], None]:
    def show(rows: Sequence[Row]) -> None:
        if not rows:
            return
        for row in rows:
            for stamp, level, text in _texts(row, wide=console.width >= _WIDE):
                head = Text.assemble((stamp, "dim"), " ", (f"{level:<7}", _STYLES.get(level, "")), " ")
                for line in text.wrap(console, max(console.width - len(head), _NARROWEST)):
                    line.rstrip()
                    console.print(Text.assemble(head, line), soft_wrap=True)
                    head = Text(" " * len(head))

    return show


def _texts(row: Row, *, wide: bool) -> Iterator[tuple[str, str, Text]]:
    """The lines of an event, each with time and level or blanks: what happened, then an error or a batch's figures."""
    message, _, more = row.message.partition("\nError: ")
    stamp = f"{row.timestamp.astimezone():{_LONG if wide else _SHORT}}"
    shown = printable(message.replace(_CATALOG, ""))
    yield stamp, row.level, Text(shown, style="" if row.level == "METRICS" else _STYLES.get(row.level, ""))
    if more:
        yield " " * len(stamp), "", Text(printable(more.partition("\n")[0]), style="red")
    ledger = json.loads(row.details).get("flow_progress", {}).get("row_ledger")
    if ledger is not None:
        yield " " * len(stamp), "", Text(figures(ledger), style="dim")


def figures(ledger: dict[str, Any]) -> str:
    """`160 in · 150 out · 10 dropped`: what is not 0 of a row ledger."""
    names = {"rows_in": "in", "out": "out"}
    rest = ("quarantined", "dropped", "late", "duplicate", "rescued")
    parts = [f"{ledger[key]:,} {name}" for key, name in names.items() if ledger[key] is not None]
    parts += [f"{ledger[key]:,} {key}" for key in rest if ledger[key]]
    parts += [f"{count:,} {name.replace('_', ' ')}" for name, count in ledger["figures"].items() if count]
    return " · ".join(parts)


def _json(rows: Sequence[Row]) -> None:
    for row in rows:
        values = row.asDict(recursive=True)
        values["timestamp"] = row.timestamp.astimezone(UTC).isoformat()
        values["details"] = json.loads(row.details)
        typer.echo(json.dumps(values, ensure_ascii=False))


def _level(text: str) -> str:
    if text.upper() not in LEVELS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(LEVELS)}", param_hint="--level")
    return text.upper()


def _since(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        return datetime.now(UTC) - timedelta(milliseconds=_ms(text, "--since"))


def _ms(text: str, option: str) -> int:
    found = time_ms(text, "s")
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time: write 30min, 2h or 7d", param_hint=option)
    return found
