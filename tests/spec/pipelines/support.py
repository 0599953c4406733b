"""A pipeline project in a test: definitions in SQL and Python, run the way `spark-pipelines` runs them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.pipelines.add_pipeline_analysis_context import add_pipeline_analysis_context
from pyspark.pipelines.graph_element_registry import graph_element_registration_context
from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry
from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run
from pyspark.sql import SparkSession

FAST_RETRIES = {"spark.sql.pipelines.execution.watchdog.minRetryTime": "1s"}


@dataclass
class Outcome:
    """What a run said: its events' texts, and the error it ended with, if any."""

    events: list[str] = field(default_factory=list)
    error: PySparkException | None = None

    @property
    def completed(self) -> bool:
        return self.events[-1:] == ["Run is COMPLETED."] and self.error is None

    def of(self, flow: str) -> list[str]:
        """What was said of a flow, whose last name part is given, without its name; first lines only."""
        pattern = re.compile(rf"Flow '?(?:[\w.]+\.)?{flow}'? (.*)")
        return [match[1] for event in self.events if (match := pattern.match(event))]

    def order(self, *flows: str) -> bool:
        """Whether these flows ran one after the other: each started when the one before had completed."""
        ends = [self._index(flow, "has COMPLETED.") for flow in flows]
        starts = [self._index(flow, "is STARTING.") for flow in flows]
        return all(end < start for end, start in zip(ends, starts[1:], strict=False))

    def _index(self, flow: str, text: str) -> int:
        return next(i for i, event in enumerate(self.events) if re.match(rf"Flow \S*\b{flow} {text}", event))


class Project:
    """One pipeline project: `storage` and `database` are its own. Each run is a new graph, as a run of the CLI is."""

    def __init__(self, spark: SparkSession, database: str, storage: Path) -> None:
        self.spark = spark
        self.database = database
        self.storage = storage

    def run(
        self,
        *definitions: str | Callable[[], object],
        conf: Mapping[str, str] | None = None,
        refresh: Sequence[str] = (),
        full_refresh: Sequence[str] = (),
        full_refresh_all: bool = False,
        dry: bool = False,
        storage: str | None = None,
    ) -> Outcome:
        """Define and run a pipeline. Strings are SQL files, functions are Python files."""
        outcome = Outcome()
        try:
            graph_id = create_dataflow_graph(self.spark, None, self.database, conf or {})
            self._define(graph_id, definitions)
            for result in start_run(
                self.spark,
                graph_id,
                full_refresh=full_refresh,
                full_refresh_all=full_refresh_all,
                refresh=refresh,
                dry=dry,
                storage=self.storage.as_uri() if storage is None else storage,
            ):
                if "pipeline_event_result" in result:
                    outcome.events.append(result["pipeline_event_result"].event.message)
        except PySparkException as error:
            outcome.error = error
        return outcome

    def dry_run(self, *definitions: str | Callable[[], object], **options: Any) -> Outcome:
        return self.run(*definitions, dry=True, **options)

    def table(self, name: str) -> list[tuple[Any, ...]]:
        """The rows of a table of the project, sorted."""
        frame = self.spark.table(f"{self.database}.{name}")
        return sorted((tuple(row) for row in frame.collect()), key=repr)

    def columns(self, name: str) -> str:
        return self.spark.table(f"{self.database}.{name}").schema.simpleString()

    def checkpoints(self, *parts: str) -> list[str]:
        """The generations of a flow's checkpoint."""
        folder = self.storage.joinpath("_checkpoints", *parts)
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    @contextmanager
    def file_being_imported(self, flow: str | None = None) -> Iterator[None]:
        """Requests inside carry what those carry that come from a definition file, or from a flow's function."""
        graph_id = create_dataflow_graph(self.spark, None, self.database, {})
        with add_pipeline_analysis_context(self.spark, graph_id, flow):
            yield

    def _define(self, graph_id: str, definitions: Sequence[str | Callable[[], object]]) -> None:
        registry = SparkConnectGraphElementRegistry(self.spark, graph_id)
        with graph_element_registration_context(registry):
            for number, definition in enumerate(definitions):
                if isinstance(definition, str):
                    registry.register_sql(definition, Path(f"definitions_{number}.sql"))
                else:
                    with add_pipeline_analysis_context(self.spark, graph_id, None):
                        definition()
