"""`riacho status PROJECT`: how the last update of a pipeline stands, and whether something is wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from riacho.cli import options
from riacho.cli.events import Project, Storage, open_log, storage_of
from riacho.cli.failures import FAILED, first_line
from riacho.cli.session import session
from riacho.cli.terminal import ago, aside, counted, duration, notes, output, printable, size
from riacho.event_log import FlowFacts, RuleFacts, UpdateFacts, last_update, table_of

EXAMPLES = """[bold]Examples[/]
  riacho status systems/telecom                       [dim]is all well?[/]
  riacho status systems/telecom --json                [dim]for programs[/]
  riacho status systems/telecom --remote sc://host:15002
  riacho status systems/telecom || notify             [dim]if something is wrong[/]
"""
_CATALOG = "spark_catalog."
_WIDE, _VERY_WIDE = 100, 140
_MARKS = {
    "COMPLETED": ("✓", "green"),
    "RUNNING": ("●", "cyan"),
    "STARTING": ("●", "cyan"),
    "PLANNING": ("●", "cyan"),
    "INITIALIZING": ("●", "cyan"),
    "QUEUED": ("○", "dim"),
    "IDLE": ("○", "dim"),
    "EXCLUDED": ("–", "dim"),
    "FAILED": ("✗", "bold red"),
    "CANCELED": ("–", "yellow"),
    "SKIPPED": ("–", "yellow"),
    "STOPPED": ("–", "yellow"),
}
_BALANCES = {"BALANCED": ("✓", "green"), "SINK_BALANCED": ("✓ sink", "green"), "UNCHECKED": ("·", "dim")}
_NOT_OUT = ("filtered", "dropped", "late", "duplicate", "rescued")
"""What became of rows that are in no table; their sum, where a terminal has no room for each."""
_HUNDRED = 100.0
_LONGEST_NAME = 40


def status(
    project: Project = Path(),
    storage: Storage = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
    warehouse: options.Warehouse = options.DEFAULT_WAREHOUSE,
    remote: options.Remote = None,
    verbose: options.Verbose = False,
) -> None:
    """Show how a pipeline's last update stands: its flows, where their rows went, and how many kept the rules.

    The exit code is 1 if something is wrong: the update or a flow has failed, or rows of a batch do not add up. To be
    stopped is nothing wrong.
    """
    with session(warehouse, remote, verbose=verbose) as spark:
        where = storage_of(project, storage, None if remote else warehouse)
        open_log(spark, where)
        update = last_update(spark, table_of(where))
    if as_json:
        typer.echo(json.dumps(None if update is None else _plain(update), ensure_ascii=False, indent=2, default=str))
    elif update is None:
        aside(notes(), "the pipeline has not run yet")
    else:
        show(update, output(), time.time())
    if update is not None and not update.is_well:
        raise typer.Exit(FAILED)


def show(update: UpdateFacts, console: Console, now: float) -> None:
    """Print what there is to tell of an update. `now`: seconds since the epoch."""
    console.print(_head(update, now), soft_wrap=True)
    if update.error and not any(flow.error for flow in update.flows):
        console.print(Padding(Text(printable(first_line(update.error)), "red"), (0, 0, 0, 2)))
    if update.flows:
        console.print(_flows(update.flows, now, console.width))
    if update.rules:
        console.print(_rules(update.rules))
    console.print(Group(*_problems(update)))


def _head(update: UpdateFacts, now: float) -> Text:
    mark, style = _mark(update.state)
    started, heard = (moment.astimezone() for moment in (update.started, update.last_heard))
    seconds = (heard - started).total_seconds()
    took = f" in {duration(seconds)}" if update.is_over else f", last heard {ago(now - heard.timestamp())}"
    return Text.assemble(
        (f"{mark} ", style),
        (update.pipeline, "bold"),
        (f"  {update.state.lower()}{took}", style if style != "green" else ""),
        (f"  · started {started:%Y-%m-%d %H:%M:%S} · update {update.update_id[:8]}", "dim"),
    )


def _flows(flows: tuple[FlowFacts, ...], now: float, width: int) -> Table:
    wide = width >= _WIDE
    quarantined = any(flow.rows.get("quarantined") for flow in flows)
    backlog = wide and any(flow.backlog_bytes for flow in flows)
    lost = [name for name in _NOT_OUT if any(flow.rows.get(name) for flow in flows)]
    apart = wide and len(lost) <= (len(_NOT_OUT) if width >= _VERY_WIDE else 2)
    names = [_named(flow) for flow in flows]
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("flow", overflow="fold", min_width=min(max(map(len, names)), _LONGEST_NAME))
    for name in (*(["batch"] if wide else []), "in", "out"):
        table.add_column(name, justify="right", no_wrap=True)
    if quarantined:
        table.add_column("quarantined" if wide else "quar.", justify="right", no_wrap=True)
    for name in lost if apart else ["not out"] if lost else []:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("ledger", no_wrap=True)
    if backlog:
        table.add_column("backlog", justify="right", no_wrap=True)
    table.add_column("last", no_wrap=True, style="dim")
    for named, flow in zip(names, flows, strict=True):
        counts = [flow.rows.get(each) or 0 for each in lost]
        cells: list[RenderableType] = [named]
        if wide:
            cells.append("" if flow.last_batch is None else str(flow.last_batch))
        cells += [_number(flow.rows.get("rows_in")), _number(flow.rows.get("out"))]
        if quarantined:
            cells.append(_number(flow.rows.get("quarantined"), "yellow", zero=""))
        cells += [_number(count, zero="") for count in (counts if apart else [sum(counts)] if lost else [])]
        cells.append(_ledger(flow))
        if backlog:
            cells.append("" if flow.backlog_bytes is None else size(flow.backlog_bytes))
        last = "" if flow.last_time is None else ago(now - flow.last_time.astimezone().timestamp())
        cells.append(last if wide else last.removesuffix(" ago"))
        table.add_row(*cells)
    return table


def _named(flow: FlowFacts) -> Text:
    """The flow's mark and name, and its state if that is not what one hopes for."""
    mark, style = _mark(flow.state)
    name = Text.assemble((f"{mark} ", style), printable(flow.name.removeprefix(_CATALOG)))
    return name if flow.state == "COMPLETED" else name.append(f" {flow.state.lower()}", style)


def _ledger(flow: FlowFacts) -> Text:
    if flow.unbalanced:
        return Text(f"✗ {flow.unbalanced:,}", "bold red")
    for balance in ("UNCHECKED", "SINK_BALANCED", "BALANCED"):
        if balance in flow.checked:
            return Text(*_BALANCES[balance])
    return Text()


def _rules(rules: tuple[RuleFacts, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="cyan", pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("dataset", overflow="fold")
    table.add_column("expectation", overflow="fold")
    for name in ("passed", "failed", "rate"):
        table.add_column(name, justify="right", no_wrap=True)
    before = ""
    for rule in rules:
        name = rule.dataset.removeprefix(_CATALOG)
        failed = Text(f"{rule.failed:,}", "yellow" if rule.failed else "dim")
        table.add_row(
            Text(printable(name if name != before else "")), Text(printable(rule.name)), f"{rule.passed:,}", failed,
            _rate(rule),
        )  # fmt: skip
        before = name
    return table


def _rate(rule: RuleFacts) -> Text:
    if rule.rate is None:
        return Text("–", "dim")
    shown = f"{_HUNDRED * rule.rate:.2f}"
    # Never rounded up to what it is not.
    if rule.failed and shown == "100.00":
        shown = "99.99"
    return Text(f"{shown} %", "" if rule.failed else "green")


def _problems(update: UpdateFacts) -> Iterator[Text]:
    """What is wrong, and in the end what to look at."""
    for flow in update.flows:
        name = printable(flow.name.removeprefix(_CATALOG))
        if flow.unbalanced:
            ledger = flow.last.get("row_ledger") or {}
            why = f": {ledger['why']}" if ledger.get("balance") == "MISMATCH" else ""
            yield Text(f"✗ {name}: the rows of {_batches(flow.unbalanced)} do not add up{why}", "bold red")
        if flow.error and flow.state == "FAILED":
            yield Text.assemble((f"✗ {name}: ", "bold red"), (printable(first_line(flow.error)), "red"))
    quarantined = sum(flow.rows.get("quarantined") or 0 for flow in update.flows)
    if quarantined:
        yield Text(f"{counted(quarantined, 'row')} quarantined: `riacho quarantine show` shows them", "yellow")
    if not update.is_well:
        yield Text("`riacho events --level WARN` tells more", "dim")


def _batches(number: int) -> str:
    return "1 batch" if number == 1 else f"{number:,} batches"


def _number(count: int | None, style: str = "", zero: str = "0") -> Text:
    if count is None:
        return Text("")
    return Text(_count(count) if count else zero, style)


def _count(number: int) -> str:
    """`999,999`, `12.3M`, `4.56G`: few digits, so that a line has room for all; `--json` has all of them."""
    for unit, each in ((" G", 10**9), (" M", 10**6)):
        if number >= each:
            return f"{number / each:.3g}{unit}"
    return f"{number:,}"


def _mark(state: str) -> tuple[str, str]:
    return _MARKS.get(state, ("·", ""))


def _plain(update: UpdateFacts) -> dict[str, Any]:
    facts = asdict(update)
    facts["is_well"] = update.is_well
    for rule, plain in zip(update.rules, facts["rules"], strict=True):
        plain["rate"] = rule.rate
    return {key: _utc(value) for key, value in facts.items()}


def _utc(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case dict():
            return {key: _utc(each) for key, each in value.items()}
        case list() | tuple():
            return [_utc(each) for each in value]
        case _:
            return value
