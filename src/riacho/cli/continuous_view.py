"""A continuous update on the terminal: each flow, what it does, how much has come through it and how late.

On a terminal, one table that is drawn anew; elsewhere a line for what happens, and now and then one for all flows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from riacho.cli.flow_view import FlowView
from riacho.cli.flows import FlowStatus, Line, short_name
from riacho.cli.terminal import counted, duration

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOOK_S = 1.0
"""Between two looks at the queries' progress."""
SUMMARY_S = 10.0
"""Between two lines about all flows where there is no terminal."""
_STYLES = {
    FlowStatus.RUNNING: ("●", "green"),
    FlowStatus.IDLE: ("○", "dim"),
    FlowStatus.FAILED: ("✗", "bold red"),
    FlowStatus.STOPPED: ("–", "yellow"),
}


@dataclass
class FlowCount:
    """What has come through a flow since this update began. `lag_s`: from when its last batch began until its end."""

    run: str = ""
    last_batch: int = -1
    batches: int = 0
    rows: int = 0
    lag_s: float | None = None

    def take(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Take in progress entries, oldest first, of which some may be known already."""
        for entry in entries:
            if entry["runId"] != self.run:  # it was started again: its batches go on where they were, or repeat one
                self.run = entry["runId"]
                self.last_batch = entry["batchId"] - 1
            if entry["batchId"] <= self.last_batch or "addBatch" not in entry["durationMs"]:
                continue
            self.last_batch = entry["batchId"]
            self.batches += 1
            self.rows += sum(source["numInputRows"] for source in entry["sources"])
            self.lag_s = entry["durationMs"]["triggerExecution"] / 1000


class ContinuousView(FlowView):
    """Shows one continuous update. `spark` is asked for the progress of its streaming queries."""

    def __init__(self, console: Console, spark: SparkSession, *, quiet: bool = False) -> None:
        super().__init__(console, quiet=quiet)
        self._spark = spark
        self._counts: dict[str, FlowCount] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._started = time.monotonic()
        self._told = time.monotonic()
        self._screen: Live | None = None

    @property
    def rows(self) -> int:
        """Rows that all flows have read since the update began."""
        with self._lock:
            return sum(count.rows for count in self._counts.values())

    @property
    def rests(self) -> bool:
        """Whether all flows have begun, and none has anything to do."""
        states = [state for state in self.board.states.values() if state is not FlowStatus.EXCLUDED]
        return bool(states) and all(state in {FlowStatus.IDLE, FlowStatus.COMPLETED} for state in states)

    @contextmanager
    def live(self, text: str) -> Iterator[None]:
        watcher = threading.Thread(target=self._watch, name="progress", daemon=True)
        watcher.start()
        try:
            if not self._console.is_terminal or self._quiet:
                yield
            else:
                opening = Text(f"  {text}", style="dim")
                with Live(opening, console=self._console, refresh_per_second=4, transient=False) as self._screen:
                    yield
        finally:
            self._over.set()
            watcher.join(LOOK_S + 1)
            if self._screen is not None and self.board.total:
                self._screen.update(self.drawn())
            self._screen = None

    def line(self, line: Line) -> None:
        # One that stops says nothing new: all do when the update ends.
        if line.mark != "skipped":
            super().line(line)

    def drawn(self) -> Group:
        """The table of flows as it stands."""
        table = Table(box=None, pad_edge=False, padding=(0, 2), show_edge=False, header_style="dim")
        table.add_column("  flow", no_wrap=True)
        table.add_column("state", no_wrap=True)
        for name in ("batches", "rows", "lag"):
            table.add_column(name, justify="right", no_wrap=True)
        with self._lock:
            for flow, state in self.board.states.items():
                if state is FlowStatus.EXCLUDED:
                    continue
                mark, style = _STYLES.get(state, ("·", "dim"))
                count = self._counts.get(flow)
                numbers = ("", "", "")
                if count is not None:
                    lag = "" if count.lag_s is None else duration(count.lag_s)
                    numbers = f"{count.batches:,}", f"{count.rows:,}", lag
                table.add_row(Text(f"  {flow}"), Text(f"{mark} {state.lower()}", style=style), *numbers)
        return Group(table, Text(f"  {self._summary()} · Ctrl-C stops it", style="dim"))

    def _summary(self) -> str:
        running = duration(time.monotonic() - self._started).split(".")[0]
        running = running if running.endswith("s") else f"{running} s"
        return f"running for {running} · {counted(self.rows, 'row')} read"

    def _watch(self) -> None:
        """Look at the queries now and then. That nothing answers is for whoever reads the events to say."""
        while not self._over.wait(LOOK_S):
            with suppress(Exception):
                self._look()
            if self._screen is not None and self.board.total:
                self._screen.update(self.drawn())
            elif self._screen is None and not self._quiet and time.monotonic() - self._told > SUMMARY_S:
                self._told = time.monotonic()
                self._console.print(Text(self._plain()), soft_wrap=True)

    def _look(self) -> None:
        for query in self._spark.streams.active:
            last = query.lastProgress
            if last is None:
                continue
            flow = short_name(query.name or query.id)
            with self._lock:
                count = self._counts.setdefault(flow, FlowCount())
            if (last["runId"], last["batchId"]) == (count.run, count.last_batch):
                continue
            entries = [dict(entry) for entry in query.recentProgress]
            with self._lock:
                count.take(entries)

    def _plain(self) -> str:
        """One line about all flows."""
        with self._lock:
            lags = [(count.lag_s, flow) for flow, count in self._counts.items() if count.lag_s is not None]
        idle = self.board.count(FlowStatus.IDLE)
        parts = [self._summary(), f"{idle} of {self.board.total} flows idle"]
        if lags:
            parts.append(f"longest lag {duration(max(lags)[0])} ({max(lags)[1]})")
        return "  · " + " · ".join(parts)
