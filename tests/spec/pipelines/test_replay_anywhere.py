"""Replays by DataFrame operations alone: on any Spark with Delta tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.pipelines.add_pipeline_analysis_context import add_pipeline_analysis_context
from pyspark.pipelines.graph_element_registry import graph_element_registration_context
from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph
from pyspark.sql import DataFrame, SparkSession

from riacho import pipelines as dp
from riacho import replays
from riacho.errors import SparkError
from riacho.replays import Definitions, ReplayedTable
from tests.spec.pipelines.support import Project
from tests.spec.support import files, write_json

# A replay is a dozen jobs, and a busy Spark takes its time for each.
pytestmark = pytest.mark.timeout(300)

ROWS: list[dict[str, Any]] = [
    {"id": 1, "price": 5.0, "name": "a"},
    {"id": 2, "price": -1.0, "name": "b"},
    {"id": 3, "name": "c"},
    {"id": 4, "price": -7.5, "name": "d"},
    {"id": 5, "price": 3.0},
]
NAMED = {"named": "name IS NOT NULL"}


class Shop:
    """The table `kept` with rules, and `after`, which reads it as a stream."""

    def __init__(self, project: Project, landing: Path) -> None:
        self._project = project
        self._landing = landing
        self._table = f"{project.database}.kept"

    def definitions(self, quarantine: dict[str, str], drop: dict[str, str], fail: dict[str, str]) -> Callable[[], None]:
        spark = self._project.spark

        def define() -> None:
            @dp.table(name=self._table)
            @dp.expect_all_or_quarantine(quarantine)
            @dp.expect_all_or_drop(drop)
            @dp.expect_all_or_fail(fail)
            def kept() -> DataFrame:
                return files(spark, self._landing, "id BIGINT, price DOUBLE, name STRING")

            @dp.table(name=f"{self._project.database}.after")
            def after() -> DataFrame:
                return spark.readStream.table(self._table).select("id")

        return define

    def run(self, quarantine: dict[str, str]) -> None:
        outcome = self._project.run(self.definitions(quarantine, {}, {}))
        assert outcome.completed, (outcome.events, outcome.error)

    def replay(
        self,
        quarantine: dict[str, str],
        drop: dict[str, str] | None = None,
        fail: dict[str, str] | None = None,
        **how: Any,
    ) -> ReplayedTable:
        """As `riacho quarantine replay` does it on a Spark cluster."""
        spark, database = self._project.spark, self._project.database
        graph = create_dataflow_graph(spark, None, database, {})
        found = Definitions(spark, graph)
        with graph_element_registration_context(found), add_pipeline_analysis_context(spark, graph, None):  # type: ignore[arg-type]
            self.definitions(quarantine, drop or {}, fail or {})()
        (done,) = replays.replay(spark, found, database, **how)
        return done

    def ids(self, table: str) -> list[int]:
        return sorted(row[0] for row in self._project.table(table))


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Shop:
    project.spark.conf.set("spark.sql.sources.default", "delta")
    write_json(tmp_path / "landing" / "0.json", ROWS)
    return Shop(project, tmp_path / "landing")


def test_a_rule_is_edited_and_rows_are_corrected(spark: SparkSession, database: str, shop: Shop) -> None:
    positive = {"positive": "price > 0"}
    shop.run({**positive, **NAMED})
    assert (shop.ids("kept"), shop.ids("kept_quarantine")) == ([1], [2, 3, 4, 5])

    edited = {"positive": "price > -5", **NAMED}
    dry = shop.replay(edited, dry=True)
    assert (dry.judged, dry.replayed, dry.stayed, dry.remark) == (4, 1, 3, "named: 1, positive: 2")
    assert shop.ids("kept_quarantine") == [2, 3, 4, 5]
    assert shop.replay(edited).replayed == 1
    assert (shop.ids("kept"), shop.ids("kept_quarantine")) == ([1, 2], [3, 4, 5])
    notes = spark.table(f"{database}.kept_quarantine").where("id = 4").select("_quarantine.reason").collect()
    assert [row.reason for row in notes] == ["price > -5"]

    spark.sql(f"UPDATE {database}.kept_quarantine SET name = 'e' WHERE id = 5").collect()
    spark.sql(f"UPDATE {database}.kept_quarantine SET price = 1.0 WHERE id = 3").collect()
    assert shop.replay(edited, rules=["NAMED"]).judged == 1
    with pytest.raises(SparkError, match="break rules"):
        shop.replay({}, fail={"positive": "price > 0"})
    done = shop.replay({"unused": "true"}, drop={"positive": "price > -5"})
    assert (done.judged, done.replayed, done.dropped) == (2, 1, 1)
    assert (shop.ids("kept"), shop.ids("kept_quarantine")) == ([1, 2, 3, 5], [])
    shop.run(edited)
    assert shop.ids("after") == [1, 2, 3, 5]


@pytest.mark.parametrize("step", ["_append", "_persistently"])
def test_a_replay_that_was_cut_off(shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    shop.run({"positive": "price > 0"})
    kind: Any = replays._SparkReplay
    whole = getattr(kind, step)
    calls = 0

    def cut(*given: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        whole(*given)

    monkeypatch.setattr(kind, step, cut if step == "_append" else staticmethod(cut))
    with pytest.raises(KeyboardInterrupt):
        shop.replay({"positive": "price > -5"})
    monkeypatch.undo()
    assert len(shop.ids("kept_quarantine")) == 3
    done = shop.replay({"positive": "price > -5"})
    assert (done.finished, done.judged, done.replayed) == (1, 2, 0)
    assert (shop.ids("kept"), shop.ids("kept_quarantine")) == ([1, 2, 5], [3, 4])
