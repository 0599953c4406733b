"""Run a pipeline through the functions of Spark's own client, and show its flows as they go."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.text import Text

from riacho.cli.failures import CommandError
from riacho.cli.flows import FlowBoard, Line, State
from riacho.cli.terminal import duration

if TYPE_CHECKING:
    from pyspark.pipelines.cli import PipelineSpec
    from pyspark.sql import SparkSession

_MARKS = {
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "retried": ("↻", "yellow"),
    "skipped": ("–", "yellow"),
    "note": ("·", "dim"),
}
_MIN_WIDTH = 28
# What the client logs to standard output while it loads definitions.
_CLIENT_LOG = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d: (?:Importing|Registering SQL file|Loading definitions|Found)\b"
)


@dataclass(frozen=True)
class Selection:
    """What an update refreshes: with nothing chosen, all datasets; `full` ones from scratch."""

    refresh: tuple[str, ...] = ()
    full_refresh: tuple[str, ...] = ()
    full_refresh_all: bool = False
    dry: bool = False


class PipelineView:
    """Shows one update: a line for each flow that is over, and below them, on a terminal, what is under way.

    A `quiet` view has lines only for what went wrong.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self.board = FlowBoard()
        self._console = console
        self._width = _MIN_WIDTH
        self._status: Status | None = None

    @contextmanager
    def live(self, text: str) -> Iterator[None]:
        """Keep a moving line at the bottom while the block runs, if there is a terminal to move on."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(Text(text, style="dim"), spinner_style="cyan") as self._status:
            yield
        self._status = None

    def event(self, message: str, at: float) -> None:
        """Take in an event of the server."""
        line = self.board.follow(message, at)
        if line is not None and not (self._quiet and line.mark == "done"):
            self.line(line)
        if self._status is not None:
            self._status.update(Text(self._under_way(), style="dim", overflow="ellipsis", no_wrap=True))

    def end(self) -> None:
        """No more events come: tell what has failed for good."""
        for line in self.board.failed:
            self.line(line)

    def line(self, line: Line) -> None:
        """Print `✓ gold.clock   0.05 s`; why something failed goes below."""
        self._width = max(self._width, self.board.name_width)
        mark, style = _MARKS[line.mark]
        if line.mark == "note":
            self._console.print(Padding(Text(f"{mark} {line.subject}", style=style), (0, 0, 0, 2), expand=False))
            return
        took = "" if line.seconds is None else duration(line.seconds)
        text = Text.assemble((f"  {mark} ", style), f"{line.subject:<{self._width}}  {took:>10}")
        below = line.mark in {"failed", "retried"}
        if line.detail and not below:
            text.append(f"  {line.detail}", style="dim")
        text.rstrip()
        self._console.print(text, soft_wrap=True)
        if below and line.detail:
            self._console.print(Padding(Text(line.detail, style=style), (0, 0, 0, 4), expand=False))

    def _under_way(self) -> str:
        done = f"{self.board.count(State.COMPLETED)} of {self.board.total} done"
        failed = [f"{line.subject} failed" for line in self.board.failed]
        return " · ".join([done, *failed, ", ".join(self.board.under_way) or "waiting"])


def update(
    spark: SparkSession,
    spec: PipelineSpec,
    spec_path: Path,
    selection: Selection,
    console: Console,
    *,
    quiet: bool = False,
) -> FlowBoard:
    """Define the pipeline anew on the server of `spark` and run it, showing its progress; the flows as they ended.

    Raises CommandError for a definition that cannot be loaded, and PySpark's exception for a run that failed.
    """
    from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run

    view = PipelineView(console, quiet=quiet)
    try:
        with view.live("loading definitions"):
            graph = create_dataflow_graph(spark, spec.catalog, spec.database, spec.configuration)
            _register(spark, spec, spec_path, graph, console)
            results = start_run(
                spark,
                graph,
                full_refresh=selection.full_refresh,
                full_refresh_all=selection.full_refresh_all,
                refresh=selection.refresh,
                dry=selection.dry,
                storage=spec.storage,
            )
            for result in results:
                if "pipeline_event_result" in result:
                    event = result["pipeline_event_result"].event
                    view.event(event.message, event.timestamp.ToDatetime().replace(tzinfo=UTC).timestamp())
    except KeyboardInterrupt:
        spark.interruptAll()
        raise
    finally:
        view.end()
    return view.board


def _register(spark: SparkSession, spec: PipelineSpec, spec_path: Path, graph: str, console: Console) -> None:
    """Load the definitions. What they print is printed, what the client logs about them is not."""
    from pyspark.errors import PySparkException
    from pyspark.pipelines.cli import register_definitions
    from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry

    said = StringIO()
    try:
        with redirect_stdout(said):
            register_definitions(spec_path, SparkConnectGraphElementRegistry(spark, graph), spec, spark, graph)
    except PySparkException:
        raise
    except Exception as error:
        where = _place(error, spec_path.parent.resolve())
        raise CommandError(f"{where}{type(error).__name__}: {error}", "mend the definition and run again") from error
    finally:
        for line in said.getvalue().splitlines():
            if not _CLIENT_LOG.match(line):
                console.print(Text(line), soft_wrap=True)


def _place(error: Exception, project: Path) -> str:
    """`transformations/gold.py, line 7: `, the last place in the project that an exception passed."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(project):
            return f"{Path(frame.filename).relative_to(project)}, line {frame.lineno}: "
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(project):
        return f"{Path(error.filename).relative_to(project)}, line {error.lineno}: "
    return ""
