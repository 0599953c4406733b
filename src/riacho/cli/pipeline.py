"""Run a pipeline through the functions of Spark's own client."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from riacho.cli.failures import CommandError, first_line
from riacho.cli.flow_view import FlowView
from riacho.cli.flows import FlowBoard

if TYPE_CHECKING:
    from pyspark.pipelines.cli import PipelineSpec
    from pyspark.sql import SparkSession

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


def update(
    spark: SparkSession,
    spec: PipelineSpec,
    spec_path: Path,
    selection: Selection,
    console: Console,
    *,
    quiet: bool = False,
    view: FlowView | None = None,
    confs: Mapping[str, str] | None = None,
) -> FlowBoard:
    """Define the pipeline anew on the server of `spark` and run it, showing its progress; the flows as they ended.

    `view`: what shows it, if not the usual one. `confs`: see `events`. Raises CommandError for a definition that cannot
    be loaded and for flows that failed, and PySpark's exception for whatever else ends the run.
    """
    from pyspark.errors import PySparkException

    view = view or FlowView(console, quiet=quiet)
    try:
        with view.live("loading definitions"):
            for message, time_s in events(spark, spec, spec_path, selection, console, confs):
                view.event(message, time_s)
    except KeyboardInterrupt:
        spark.interruptAll()
        raise
    except PySparkException as error:
        if not view.board.failed:
            raise
        failed = ", ".join(line.subject for line in view.board.failed)
        hint = "mend it and run again: what is done is not done twice"
        raise CommandError(f"{failed} failed: {first_line(str(error))}", hint) from error
    finally:
        view.end()
    return view.board


def events(
    spark: SparkSession,
    spec: PipelineSpec,
    spec_path: Path,
    selection: Selection,
    console: Console,
    confs: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, float]]:
    """Define the pipeline anew and run it; what the server tells of it, each with its time in seconds.

    `confs` go over those of the project, for this graph alone. Raises as `update`, which shows flows besides.
    """
    from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry
    from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run

    graph = create_dataflow_graph(spark, spec.catalog, spec.database, {**spec.configuration, **(confs or {})})
    define(spark, spec, spec_path, SparkConnectGraphElementRegistry(spark, graph), console, graph)
    results = start_run(
        spark,
        graph,
        full_refresh=selection.full_refresh,
        full_refresh_all=selection.full_refresh_all,
        refresh=selection.refresh,
        dry=selection.dry,
        storage=spec.storage,
    )
    with _metrics_ignored(spark):
        for result in results:
            if "pipeline_event_result" in result:
                event = result["pipeline_event_result"].event
                yield event.message, event.timestamp.ToDatetime().replace(tzinfo=UTC).timestamp()


@contextmanager
def _metrics_ignored(spark: SparkSession) -> Iterator[None]:
    """While the block runs, metrics that Spark sends beside the events of a run are passed over.

    Spark sends some when a flow reads a Python data source. PySpark 4.2's client ends the run with UNKNOWN_RESPONSE.
    """
    from pyspark.sql.connect.client.core import PlanObservedMetrics

    client: Any = spark.client
    method = "_execute_and_fetch_as_iterator"
    fetch = getattr(client, method)

    def without_metrics(*arguments: Any, **named: Any) -> Iterator[Any]:
        for response in fetch(*arguments, **named):
            if not isinstance(response, PlanObservedMetrics):
                yield response

    setattr(client, method, without_metrics)
    try:
        yield
    finally:
        delattr(client, method)


def define(
    spark: SparkSession, spec: PipelineSpec, spec_path: Path, registry: Any, console: Console, graph: str
) -> None:
    """Load the definitions into a registry. What they print is printed, what the client logs about them is not.

    `graph`: the graph on the server that their requests belong to. Raises CommandError, and PySpark's exceptions.
    """
    from pyspark.errors import PySparkException
    from pyspark.pipelines.cli import register_definitions

    said = StringIO()
    try:
        with redirect_stdout(said):
            register_definitions(spec_path, registry, spec, spark, graph)
    except PySparkException:
        raise
    except Exception as error:
        where = _place(error, spec_path.parent.resolve())
        raise CommandError(f"{where}{type(error).__name__}: {error}", "fix the definition and run again") from error
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
