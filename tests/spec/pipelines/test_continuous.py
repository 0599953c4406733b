"""Pipelines that keep running: rows go through all their tables as they arrive, until somebody stops them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark import pipelines as dp
from pyspark.errors import PySparkException
from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run
from pyspark.sql import DataFrame, SparkSession

from riacho.testing.servers import Server
from tests.spec.pipelines.support import FAST_RETRIES, Outcome, Project
from tests.spec.support import said, write_json

pytestmark = pytest.mark.riacho_only

LIMIT_S = 60.0
CONTINUOUS = {"pipelines.continuous": "true"}
NewSession = Callable[[], SparkSession]

MEDALLION = """
CREATE STREAMING TABLE silver AS SELECT id, id % 3 AS kind FROM STREAM bronze WHERE id >= 0;
CREATE STREAMING TABLE bronze AS SELECT * FROM STREAM outside;
CREATE MATERIALIZED VIEW gold AS SELECT kind, count(*) AS n FROM silver GROUP BY kind;
CREATE MATERIALIZED VIEW total AS SELECT sum(n) AS n FROM gold;
"""


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, and no longer than the limit."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"did not come: {what}"
        threading.Event().wait(0.02)


class LongProject(Project):
    """A project whose runs do not end by themselves."""

    def run_into(
        self,
        outcome: Outcome,
        definitions: Sequence[str | Callable[[], object]],
        conf: Mapping[str, str],
        full_refresh: Sequence[str] = (),
        refresh: Sequence[str] = (),
    ) -> None:
        """Define and run a pipeline; what the run says is in `outcome` while it goes on."""
        try:
            graph_id = create_dataflow_graph(self.spark, None, self.database, dict(conf))
            self._define(graph_id, definitions)
            for result in start_run(
                self.spark,
                graph_id,
                full_refresh=list(full_refresh),
                full_refresh_all=False,
                refresh=list(refresh),
                dry=False,
                storage=self.storage.as_uri(),
            ):
                if "pipeline_event_result" in result:
                    outcome.events.append(result["pipeline_event_result"].event.message)
        except PySparkException as error:
            outcome.error = error


def error_of(outcome: Outcome) -> str:
    """What a run ended with."""
    assert outcome.error is not None, outcome.events
    return said(outcome.error)


@dataclass
class Update:
    """A continuous update that runs in another thread, in a session of its own."""

    project: LongProject
    outcome: Outcome
    thread: threading.Thread

    def stop(self) -> None:
        self.project.spark.interruptAll()
        self.ended()

    def ended(self) -> None:
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive(), "the update did not end"


class Continuous:
    """Continuous updates of one project, and a session beside them that looks at its tables."""

    def __init__(self, beside: Project, new_session: NewSession) -> None:
        self.beside = beside
        self._new_session = new_session

    @contextmanager
    def running(
        self,
        *definitions: str | Callable[[SparkSession], object],
        conf: Mapping[str, str] | None = None,
        full_refresh: Sequence[str] = (),
        refresh: Sequence[str] = (),
    ) -> Iterator[Update]:
        spark = self._new_session()
        for key, value in FAST_RETRIES.items():
            spark.conf.set(key, value)
        project = LongProject(spark, self.beside.database, self.beside.storage)
        outcome = Outcome()
        given = [each if isinstance(each, str) else (lambda define=each: define(spark)) for each in definitions]

        def run() -> None:
            project.run_into(outcome, given, {**CONTINUOUS, **(conf or {})}, full_refresh, refresh)

        update = Update(project, outcome, threading.Thread(target=run, daemon=True))
        update.thread.start()
        try:
            yield update
        finally:
            if update.thread.is_alive():
                update.stop()

    def has(self, table: str, *rows: tuple[Any, ...]) -> None:
        """Wait until the table has just these rows, and see that no more come."""
        wanted = sorted(rows, key=repr)
        until(lambda: self._rows(table) == wanted, f"{wanted} in {table}: {self._rows(table)}")

    def insert(self, *ids: int) -> None:
        values = ", ".join(f"({number})" for number in ids)
        self.beside.spark.sql(f"INSERT INTO {self.beside.database}.outside VALUES {values}")

    def _rows(self, table: str) -> list[tuple[Any, ...]] | None:
        try:
            return self.beside.table(table)
        except PySparkException:
            return None  # it is not there yet


@pytest.fixture
def continuous(project: Project, new_session: NewSession) -> Continuous:
    project.spark.sql(f"CREATE TABLE {project.database}.outside (id BIGINT) USING delta")
    return Continuous(project, new_session)


def test_rows_go_through_all_tables_as_they_arrive(continuous: Continuous) -> None:
    with continuous.running(MEDALLION) as update:
        continuous.insert(1)
        continuous.has("total", (1,))
        continuous.insert(2, 4)
        continuous.has("total", (3,))
        continuous.has("gold", (1, 2), (2, 1))
        until(lambda: "is IDLE, waiting for new data." in update.outcome.of("silver"), "silver is idle")
        continuous.insert(7)
        continuous.has("gold", (1, 3), (2, 1))
        update.stop()
    assert update.outcome.of("silver")[:3] == ["is QUEUED.", "is STARTING.", "is RUNNING."]
    assert update.outcome.of("gold")[:4] == ["is QUEUED.", "is PLANNING.", "is STARTING.", "is RUNNING."]
    assert "OPERATION_CANCELED" in error_of(update.outcome)
    assert not any("COMPLETED" in event or "FAILED" in event for event in update.outcome.events)


def test_it_goes_on_where_it_was_stopped(continuous: Continuous) -> None:
    with continuous.running(MEDALLION):
        continuous.insert(1, 2)
        continuous.has("total", (2,))
    continuous.insert(3)
    with continuous.running(MEDALLION, conf={"riacho.delta.handover.maxBytes": "0"}):  # rows come from files
        continuous.has("total", (3,))
        continuous.insert(4)
        continuous.has("silver", (1, 1), (2, 2), (3, 0), (4, 1))
    continuous.insert(5)
    assert continuous.beside.run(MEDALLION).completed, "a triggered run goes on from there too"
    continuous.has("total", (5,))


def test_a_flow_that_fails_is_tried_again_while_others_go_on(continuous: Continuous) -> None:
    retries = {"spark.sql.pipelines.maxFlowRetryAttempts": "20"}
    with continuous.running(MEDALLION, conf=retries) as update:
        continuous.insert(1)
        continuous.has("total", (1,))
        silver = f"{continuous.beside.database}.silver"
        continuous.beside.spark.sql(f"ALTER TABLE {silver} ADD CONSTRAINT small CHECK (id < 100)")
        continuous.insert(100)
        until(lambda: "has FAILED." in update.outcome.of("silver"), "silver fails")
        continuous.has("bronze", (1,), (100,))
        continuous.insert(5)
        continuous.has("bronze", (1,), (5,), (100,))
        continuous.has("total", (1,))
        continuous.beside.spark.sql(f"ALTER TABLE {silver} DROP CONSTRAINT small")
        continuous.has("total", (3,))
        continuous.insert(6)
        continuous.has("total", (4,))
    assert not any("SKIPPED" in event for event in update.outcome.events)


def test_a_flow_that_fails_for_good_ends_the_update(continuous: Continuous) -> None:
    with continuous.running(MEDALLION, conf={"spark.sql.pipelines.maxFlowRetryAttempts": "1"}) as update:
        continuous.insert(1)
        continuous.has("total", (1,))
        silver = f"{continuous.beside.database}.silver"
        continuous.beside.spark.sql(f"ALTER TABLE {silver} ADD CONSTRAINT small CHECK (id < 100)")
        continuous.insert(100)
        update.ended()
    assert "has FAILED more than 1 times and will not be restarted." in update.outcome.of("silver")
    assert update.outcome.of("bronze")[-1] == "has STOPPED."
    assert "small" in error_of(update.outcome)
    continuous.beside.spark.sql(f"ALTER TABLE {continuous.beside.database}.silver DROP CONSTRAINT small")
    assert continuous.beside.run(MEDALLION).completed
    continuous.has("total", (2,))


def test_a_table_is_filled_by_one_update_at_a_time(continuous: Continuous) -> None:
    with continuous.running(MEDALLION) as update:
        continuous.insert(1)
        continuous.has("total", (1,))
        for again in (
            continuous.beside.run(MEDALLION),
            continuous.beside.run(MEDALLION, conf=CONTINUOUS),
            continuous.beside.run(MEDALLION, full_refresh=["silver"]),
            continuous.beside.run(MEDALLION, full_refresh_all=True),
        ):
            assert "is being run by another update" in error_of(again)
        assert continuous.beside.dry_run(MEDALLION).completed
        continuous.insert(2)
        continuous.has("total", (2,))
        assert update.thread.is_alive()
    assert continuous.beside.run(MEDALLION, full_refresh_all=True).completed
    continuous.has("total", (2,))


def test_the_end_of_its_session_ends_it(project: Project, continuous: Continuous, server: Server) -> None:
    own = Continuous(project, lambda: SparkSession.builder.remote(server.url).create())
    with own.running(MEDALLION) as update:
        continuous.insert(1)
        continuous.has("total", (1,))
        update.project.spark.stop()
        update.ended()
    assert continuous.beside.run(MEDALLION).completed


def test_a_full_refresh_comes_first(continuous: Continuous) -> None:
    continuous.insert(1, 2)
    assert continuous.beside.run(MEDALLION).completed
    continuous.beside.spark.sql(f"INSERT INTO {continuous.beside.database}.silver VALUES (50, 50)")
    with continuous.running(MEDALLION, full_refresh=["silver"], refresh=["bronze", "gold", "total"]):
        continuous.has("silver", (1, 1), (2, 2))
        continuous.insert(3)
        continuous.has("total", (3,))


def test_files_new_columns_and_damaged_files(continuous: Continuous, tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    write_json(landing / "0.json", [{"id": 1}])

    def define(spark: SparkSession) -> None:
        @dp.table
        def arrived() -> DataFrame:
            return (
                spark.readStream.format("cloudFiles")
                .option("cloudFiles.format", "json")
                .option("cloudFiles.schemaHints", "id BIGINT")
                .option("rescuedDataColumn", "_rescued")
                .load(str(landing))
                .drop("_rescued")
            )

        @dp.materialized_view
        def largest() -> DataFrame:
            return spark.read.table("arrived").selectExpr("count(*) AS n", "max(id) AS id")

    with continuous.running(define) as update:
        continuous.has("largest", (1, 1))
        write_json(landing / "1.json", [{"id": 2}])
        continuous.has("largest", (2, 2))
        write_json(landing / "2.json", [{"id": 3, "name": "three"}])
        continuous.has("largest", (3, 3))
        until(lambda: "has FAILED." in update.outcome.of("arrived"), "a new column stops the flow once")
        continuous.has("arrived", (1, None), (2, None), (3, "three"))
        (landing / "3.json").write_text('{"id": 4, "na')
        write_json(landing / "4.json", [{"id": 5, "name": "five"}])
        until(lambda: (5, "five") in continuous.beside.table("arrived"), "the file behind a damaged one")
        assert update.thread.is_alive()


def test_a_trigger_interval_is_the_least_time_between_batches(continuous: Continuous) -> None:
    slow = "SET pipelines.trigger.interval = 1 hour; CREATE STREAMING TABLE slow AS SELECT * FROM STREAM outside;"
    view = (
        "CREATE MATERIALIZED VIEW seldom TBLPROPERTIES ('pipelines.trigger.interval' = '1 hour') "
        "AS SELECT count(*) AS n FROM bronze;"
    )
    with continuous.running(MEDALLION, slow, view):
        continuous.insert(1)
        continuous.has("slow", (1,))
        continuous.has("total", (1,))
        until(lambda: continuous.beside.table("seldom"), "the first refresh")
        before = continuous.beside.table("seldom")
        continuous.insert(2)
        continuous.has("total", (2,))
        assert continuous.beside.table("slow") == [(1,)]
        assert continuous.beside.table("seldom") == before
    wrong = continuous.beside.run("SET pipelines.trigger.interval = often;" + MEDALLION, conf=CONTINUOUS)
    assert "often" in error_of(wrong)


def test_changes_are_applied_as_they_arrive(continuous: Continuous, tmp_path: Path) -> None:
    """AUTO CDC: a view over the target follows its updates and deletes."""
    events = tmp_path / "events"

    def put(number: int, *rows: tuple[int, str, int, str]) -> None:
        write_json(events / f"{number}.json", [dict(zip(("id", "v", "seq", "op"), row, strict=True)) for row in rows])

    def feed(spark: SparkSession) -> None:
        @dp.table
        def feed() -> DataFrame:
            return spark.readStream.schema("id BIGINT, v STRING, seq BIGINT, op STRING").json(str(events))

    put(0, (1, "a", 1, "U"), (2, "b", 1, "U"))
    text = """CREATE STREAMING TABLE t FLOW AUTO CDC FROM feed KEYS (id) APPLY AS DELETE WHEN op = 'D' SEQUENCE BY seq;
    CREATE MATERIALIZED VIEW letters AS SELECT count(*) AS n, max(v) AS last FROM t"""

    with continuous.running(feed, text):
        continuous.has("letters", (2, "b"))
        put(1, (2, "", 2, "D"), (1, "c", 3, "U"), (1, "late", 2, "U"), (3, "a", 1, "U"))
        continuous.has("letters", (2, "c"))
