"""What a run decides to do, stage by stage. Nothing is done here."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from riacho.errors import AnalysisError
from riacho.server.graph.explain import explain
from riacho.server.graph.selection import TableSelection
from riacho.server.graph.stages import (
    CreateEmptyTable,
    EmptyTable,
    EvolveTable,
    PublishView,
    RecomputeFlow,
    RunFlows,
    Stage,
    StartCheckpoint,
    StreamFlow,
    decide,
)
from riacho.server.graph.storage import Storage
from riacho.storage import on_disk
from tests.engine.server.graph.support import Pipelines
from tests.unit.server.graph.support import FakeCatalog, full, table

ID = pa.schema([("id", pa.int64())])
COUNT = pa.schema([("n", pa.int64())])
PIPELINE = """
CREATE STREAMING TABLE events COMMENT 'all' AS SELECT id FROM STREAM outside.source;
CREATE TEMPORARY VIEW some AS SELECT id FROM events WHERE id > 1;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM some;
"""
ALL = TableSelection()
EVERYTHING_AGAIN = TableSelection(refresh=frozenset(), full_refresh=None)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def planned(
    pipelines: Pipelines, storage: Storage, catalog: FakeCatalog, selection: TableSelection = ALL, text: str = PIPELINE
) -> list[Stage]:
    return decide(pipelines.resolve(text), selection, catalog, storage, "delta")  # type: ignore[arg-type]


def ran_before(storage: Storage, name: str = "events") -> Path:
    directory = on_disk(storage.root, "it") / "_checkpoints" / "spark_catalog" / "default" / name / name
    (directory / "0").mkdir(parents=True)
    return directory


def test_the_first_run(pipelines: Pipelines, storage: Storage) -> None:
    create_events, create_counted, flows = planned(pipelines, storage, FakeCatalog())
    assert create_events == CreateEmptyTable(full("events").table_name, ID, "delta", (), "all", {})
    assert create_counted == CreateEmptyTable(full("counted").table_name, COUNT, "delta", (), None, {})
    assert isinstance(flows, RunFlows)
    stream, recompute = flows.runs.values()
    assert isinstance(stream, StreamFlow)
    assert stream.checkpoint.path == storage.root / "_checkpoints/spark_catalog/default/events/events/0"
    assert isinstance(recompute, RecomputeFlow)
    assert recompute.schema == COUNT
    assert flows.needs.needs(full("counted")) == (full("events"),)


def test_a_run_without_changes_only_runs_flows(pipelines: Pipelines, storage: Storage) -> None:
    ran_before(storage)
    catalog = FakeCatalog(table("events", ID, comment="all"), table("counted", COUNT))
    (flows,) = planned(pipelines, storage, catalog)
    assert isinstance(flows, RunFlows)
    assert not any(storage.root.glob("**/1"))


def test_a_streaming_table_grows_and_a_materialized_view_waits_for_its_rows(
    pipelines: Pipelines, storage: Storage
) -> None:
    catalog = FakeCatalog(table("events", pa.schema([("old", pa.string())]), comment="all"), table("counted", ID))
    evolve, flows = planned(pipelines, storage, catalog)
    assert isinstance(evolve, EvolveTable)
    assert evolve.schema.names == ["old", "id"]
    assert isinstance(flows, RunFlows)


def test_properties_and_comments_are_set_and_unknown_ones_of_pipelines_dropped(
    pipelines: Pipelines, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    text = """CREATE MATERIALIZED VIEW m COMMENT 'new' TBLPROPERTIES
        ('pipelines.foo'='1', 'Pipelines.Reset.Allowed'='false', 'a'='b') AS SELECT CAST(1 AS BIGINT) AS id"""
    catalog = FakeCatalog(table("m", ID, properties={"kept": "1"}))
    evolve, _ = planned(pipelines, storage, catalog, text=text)
    expected = {"pipelines.reset.allowed": "false", "a": "b"}
    assert evolve == EvolveTable(full("m").table_name, ID, "new", expected)
    assert "pipelines.foo is ignored" in caplog.text


def test_a_full_refresh_starts_the_next_checkpoint_and_empties_streaming_tables(
    pipelines: Pipelines, storage: Storage
) -> None:
    directory = ran_before(storage)
    catalog = FakeCatalog(table("events", pa.schema([("old", pa.string())])), table("counted", COUNT))
    start, empty, evolve, flows = planned(pipelines, storage, catalog, EVERYTHING_AGAIN)
    assert isinstance(start, StartCheckpoint)
    assert start.checkpoint.path == directory / "1"
    assert empty == EmptyTable(full("events").table_name)
    assert isinstance(evolve, EvolveTable)
    assert evolve.schema.names == ["id"]
    assert isinstance(flows, RunFlows)
    stream = flows.runs[full("events")]
    assert isinstance(stream, StreamFlow)
    assert stream.checkpoint.path == directory / "1"
    assert not (directory / "1").exists(), "deciding makes nothing"


def test_what_is_not_selected_is_left_alone(pipelines: Pipelines, storage: Storage) -> None:
    ran_before(storage)
    chosen = TableSelection(refresh=frozenset({full("counted")}), full_refresh=frozenset())
    create, flows = planned(pipelines, storage, FakeCatalog(table("events", ID)), chosen)
    assert isinstance(create, CreateEmptyTable)
    assert isinstance(flows, RunFlows)
    assert list(flows.runs) == [full("counted")]
    assert flows.excluded == (full("events"),)


def test_protected_tables_are_not_reset(pipelines: Pipelines, storage: Storage) -> None:
    text = (
        "CREATE STREAMING TABLE events TBLPROPERTIES ('pipelines.reset.allowed'='false') AS SELECT id FROM STREAM o.s"
    )
    ran_before(storage)
    catalog = FakeCatalog(table("events", ID, properties={"pipelines.reset.allowed": "false"}))
    (flows,) = planned(pipelines, storage, catalog, EVERYTHING_AGAIN, text)
    assert isinstance(flows, RunFlows)
    with pytest.raises(AnalysisError, match="TABLE_NOT_RESETTABLE"):
        planned(pipelines, storage, catalog, TableSelection(frozenset(), frozenset({full("events")})), text)


@pytest.mark.parametrize(
    ("clauses", "condition"),
    [("PARTITIONED BY (id)", "CANNOT_UPDATE_PARTITION_COLUMNS")],
)
def test_partitioning_stays(pipelines: Pipelines, storage: Storage, clauses: str, condition: str) -> None:
    text = f"CREATE MATERIALIZED VIEW m {clauses} AS SELECT CAST(1 AS BIGINT) AS id, 2 AS b"
    with pytest.raises(AnalysisError) as caught:
        planned(pipelines, storage, FakeCatalog(table("m", ID, partition_by=("b",))), text=text)
    assert caught.value.condition == condition
    assert "partitioning identity(id) conflicts with existing table partitioning identity(b)" in str(caught.value)


def test_views_are_published_in_order_whatever_is_selected(pipelines: Pipelines, storage: Storage) -> None:
    text = """CREATE VIEW second AS SELECT * FROM first; CREATE VIEW first AS SELECT n FROM counted;""" + PIPELINE
    first, second, flows = planned(
        pipelines, storage, FakeCatalog(), TableSelection(frozenset({full("nope")}), frozenset()), text
    )
    assert isinstance(first, PublishView)
    assert isinstance(second, PublishView)
    assert first.view.text == "SELECT n FROM `spark_catalog`.`default`.`counted`"
    assert second.identifier == full("second")
    assert isinstance(flows, RunFlows)
    assert set(flows.excluded) == {full("events"), full("counted")}


def test_each_flow_has_a_checkpoint_of_its_own(pipelines: Pipelines, storage: Storage) -> None:
    text = """CREATE STREAMING TABLE t; CREATE FLOW f AS INSERT INTO t BY NAME SELECT id FROM STREAM o.s;
        CREATE FLOW g AS INSERT INTO t BY NAME SELECT id FROM STREAM o.u"""
    *_, flows = planned(pipelines, storage, FakeCatalog(), text=text)
    assert isinstance(flows, RunFlows)
    paths = [run.checkpoint.path for run in flows.runs.values() if isinstance(run, StreamFlow)]
    base = storage.root / "_checkpoints/spark_catalog/default/t"
    assert paths == [base / "f" / "0", base / "g" / "0"]


def test_a_plan_can_be_read(pipelines: Pipelines, storage: Storage) -> None:
    checkpoint = ran_before(storage) / "1"
    text = PIPELINE + "CREATE VIEW v AS SELECT * FROM counted;"
    catalog = FakeCatalog(table("events", pa.schema([("old", pa.string())])))
    chosen = TableSelection(refresh=frozenset({full("counted")}), full_refresh=frozenset({full("events")}))
    assert explain(planned(pipelines, storage, catalog, chosen, text)).splitlines() == [
        "start checkpoint 1 of flow spark_catalog.default.events",
        "empty table spark_catalog.default.events",
        "alter table spark_catalog.default.events to (id BIGINT)",
        "create table spark_catalog.default.counted (n BIGINT) using delta",
        "publish view spark_catalog.default.v as SELECT * FROM `spark_catalog`.`default`.`counted`",
        "run flows",
        f"    spark_catalog.default.events: stream into spark_catalog.default.events, checkpoint {checkpoint}",
        "    spark_catalog.default.counted: refresh spark_catalog.default.counted",
    ]
