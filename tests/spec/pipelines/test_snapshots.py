"""Flows that follow snapshots: a table at each run, or a function that gives one snapshot after another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pyspark.errors import PySparkException, PySparkNotImplementedError, PySparkTypeError
from pyspark.sql import DataFrame, SparkSession

from riacho import pipelines as rp
from tests.spec.pipelines.support import Project
from tests.spec.pipelines.test_continuous import Continuous, NewSession

Snapshot = dict[int, str]
SCHEMA = "id INT, name STRING, city STRING"


class Snapshots:
    """A source: a list of snapshots whose versions are 10, 20, …; `asked` is what it was asked."""

    def __init__(self, spark: SparkSession, *snapshots: list[tuple[Any, ...]]) -> None:
        self.spark = spark
        self.snapshots = list(snapshots)
        self.asked: list[Any] = []

    def __call__(self, last: int | None) -> tuple[DataFrame, int] | None:
        self.asked.append(last)
        at = 0 if last is None else last // 10
        if at >= len(self.snapshots):
            return None
        return self.spark.createDataFrame(self.snapshots[at], SCHEMA), 10 * (at + 1)


def following(target: str, source: Any, keys: Sequence[str] = ("id",), **more: Any) -> Callable[[], None]:
    def define() -> None:
        rp.create_streaming_table(target)
        rp.create_auto_cdc_from_snapshot_flow(target, source, keys, **more)

    return define


def visible(project: Project, table: str, *columns: str) -> list[tuple[Any, ...]]:
    rows = project.spark.table(f"{project.database}.{table}").select("id", "name", *columns).collect()
    return sorted((tuple(row) for row in rows), key=repr)


@pytest.mark.riacho_only
def test_a_function_gives_snapshots_until_it_has_no_more(spark: SparkSession, project: Project) -> None:
    source = Snapshots(spark, [(1, "a", "x"), (2, "b", "x")], [(1, "a", "x"), (2, "c", "x"), (3, "d", "x")])
    define = following("t", source, stored_as_scd_type=2)
    first = project.run(define)
    assert first.completed, first.error
    assert first.of("t")[-1] == "has COMPLETED."
    assert source.asked == [None, 10, 20]
    interval = ("__START_AT", "__END_AT")
    two = [(1, "a", 10, None), (2, "b", 10, 20), (2, "c", 20, None), (3, "d", 20, None)]
    assert visible(project, "t", *interval) == two
    source.asked.clear()
    assert project.run(define).completed
    assert source.asked == [20]
    assert visible(project, "t", *interval) == two
    source.snapshots += [[], [(3, "d", "x")]]
    assert project.run(define).completed
    gone = [(1, "a", 10, 30), (2, "b", 10, 20), (2, "c", 20, 30), (3, "d", 20, 30), (3, "d", 40, None)]
    assert visible(project, "t", *interval) == gone


@pytest.mark.riacho_only
def test_type_1_keeps_the_last_snapshot(spark: SparkSession, project: Project) -> None:
    source = Snapshots(spark, [(1, "a", "x"), (2, "b", "x")])
    define = following("t", source)
    assert project.dry_run(define).completed
    assert project.run(define).completed
    source.snapshots.append([(1, "a", "x"), (3, "c", "x")])
    assert project.run(define).completed
    assert project.table("t") == [(1, "a", "x", (None, 10)), (3, "c", "x", (None, 20))]
    assert project.columns("t") == (
        "struct<id:int,name:string,city:string,"
        "__spark_autocdc_metadata:struct<deleteSequence:bigint,upsertSequence:bigint>>"
    )


@pytest.mark.riacho_only
def test_untracked_columns_change_in_place(spark: SparkSession, project: Project) -> None:
    source = Snapshots(spark, [(1, "a", "x")], [(1, "a", "y")], [(1, "b", "z")])
    define = following("t", source, stored_as_scd_type="2", track_history_except_column_list=["city"])
    assert project.run(define).completed
    assert visible(project, "t", "city", "__START_AT", "__END_AT") == [(1, "a", "y", 10, 30), (1, "b", "z", 30, None)]


@pytest.mark.riacho_only
def test_each_run_takes_a_snapshot_of_a_table(spark: SparkSession, project: Project) -> None:
    spark.sql(f"CREATE TABLE {project.database}.outside (id INT, name STRING)")
    spark.sql(f"INSERT INTO {project.database}.outside VALUES (1, 'a'), (2, 'b')")
    inside = "CREATE MATERIALIZED VIEW inside AS SELECT id, upper(name) AS name FROM outside"
    defined = inside, following("one", "outside", stored_as_scd_type=2), following("two", "inside")
    assert project.run(*defined).completed
    (started,) = {row[0] for row in spark.table(f"{project.database}.one").select("__START_AT").collect()}
    assert isinstance(started, dt.datetime)
    spark.sql(f"DELETE FROM {project.database}.outside WHERE id = 1")
    spark.sql(f"UPDATE {project.database}.outside SET name = 'c' WHERE id = 2")
    second = project.run(*defined)
    assert second.completed
    assert second.order("inside", "two")
    found = spark.table(f"{project.database}.one").selectExpr("id", "name", "__END_AT IS NULL").collect()
    assert sorted(map(tuple, found)) == [(1, "a", False), (2, "b", False), (2, "c", True)]
    assert visible(project, "two") == [(2, "C")]


@pytest.mark.riacho_only
def test_a_full_refresh_wants_the_snapshots_from_the_first_on(
    spark: SparkSession, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Snapshots(spark, [(1, "a", "x")], [(2, "b", "x")])
    define = following("t", source, stored_as_scd_type=2)
    assert project.run(define).completed
    refused = project.run(define, full_refresh=["t"])
    assert "asked for after version 20" in str(refused.error)
    assert len(visible(project, "t")) == 2
    for arguments in (["--full-refresh", f"a,{project.database}.t"], ["--full-refresh-all"], ["--full-refresh=t"]):
        monkeypatch.setattr("sys.argv", ["run", *arguments])
        source.asked.clear()
        assert project.run(define, full_refresh=["t"]).completed
        assert source.asked == [None, 10, 20]
        assert visible(project, "t", "__END_AT") == [(1, "a", 20), (2, "b", None)]


@pytest.mark.riacho_only
def test_what_a_source_must_not_do(spark: SparkSession, project: Project) -> None:
    def same(last: int | None) -> tuple[DataFrame, int]:
        return spark.range(1), 5

    with pytest.raises(PySparkException, match="returned version 5 after 5: versions must rise"):
        following_now(project, same)
    with pytest.raises(PySparkException, match="returned None at its first call"):
        following_now(project, lambda last: None)
    for wrong in (spark.range(1), (spark.range(1), None), (spark.range(1), 1, 2), "x"):
        with pytest.raises(PySparkTypeError, match="Return a DataFrame and its version"):
            following_now(project, lambda last, wrong=wrong: wrong)
    mixed: list[Any] = [dt.date(2026, 1, 1), "2026-01-02"]
    with pytest.raises(PySparkTypeError, match="which cannot be compared"):
        following_now(project, lambda last: (spark.range(1), mixed.pop(0)))
    twice = Snapshots(spark, [(1, "a", "x"), (1, "b", "x")])
    assert "AUTOCDC_SNAPSHOT_DUPLICATE_KEYS" in str(
        project.run(following("t", twice), conf={"spark.sql.pipelines.maxFlowRetryAttempts": "0"}).error
    )
    assert "AUTOCDC_KEY_NOT_IN_SELECTED_SCHEMA" in str(
        project.run(following("u", lambda last: (spark.range(0).toDF("other"), 1) if last is None else None)).error
    )


def following_now(project: Project, source: Any) -> None:
    error = project.run(following("wrong", source)).error
    assert error is not None
    raise error


@pytest.mark.riacho_only
def test_versions_may_be_times_with_a_zone(spark: SparkSession, project: Project) -> None:
    start = dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=3)))
    asked: list[Any] = []
    ready: list[int] = []

    def hourly(last: dt.datetime | None) -> tuple[DataFrame, dt.datetime] | None:
        asked.append(last)
        number = 0 if last is None else (last.astimezone(dt.UTC) - start) // dt.timedelta(hours=1) + 1
        return (spark.range(number, 3), start + dt.timedelta(hours=number)) if number < len(ready) else None

    for more in (1, 2):
        ready += [0] * more
        outcome = project.run(following("t", hourly, stored_as_scd_type=2))
        assert outcome.completed, outcome.error
    local = [None, *((start + dt.timedelta(hours=hour)).astimezone().replace(tzinfo=None) for hour in range(3))]
    assert asked == [*local[:2], *local[1:]]
    ends = {row.id: row["__END_AT"] for row in spark.table(f"{project.database}.t").collect()}
    assert ends == {0: local[2], 1: local[3], 2: None}


@pytest.mark.riacho_only
def test_rules_belong_to_what_snapshots_are_made_of(spark: SparkSession, project: Project) -> None:
    ruled = "CREATE STREAMING TABLE t (CONSTRAINT named EXPECT (name IS NOT NULL) ON VIOLATION DROP ROW)"

    def define() -> None:
        rp.create_auto_cdc_from_snapshot_flow("t", Snapshots(spark, [(1, "a", "x")]), ["id"])

    assert "cannot have expectations" in str(project.run(ruled, define).error)


@pytest.mark.riacho_only
def test_a_snapshot_is_not_a_stream(spark: SparkSession, project: Project) -> None:
    stream = spark.readStream.format("rate").load()
    error = project.run(following("t", lambda last: (stream, 1) if last is None else None, keys=["value"])).error
    assert "A snapshot is all rows that there are" in str(error)


@pytest.mark.riacho_only
def test_a_continuous_pipeline_takes_a_snapshot_when_the_table_changes(
    project: Project, new_session: NewSession
) -> None:
    """A function is asked once; versions of rows reach a view as they come."""
    project.spark.sql(f"CREATE TABLE {project.database}.outside (id BIGINT, v BIGINT) USING delta")
    continuous = Continuous(project, new_session)

    def once(spark: SparkSession) -> None:
        rp.create_streaming_table("o")
        rp.create_auto_cdc_from_snapshot_flow("o", lambda last: (spark.range(2), 1) if last is None else None, ["id"])

    def table(spark: SparkSession) -> None:
        following("t", "outside", stored_as_scd_type=2)()

    current = "CREATE MATERIALIZED VIEW current AS SELECT id, v FROM t WHERE __END_AT IS NULL"
    with continuous.running(once, table, current) as update:
        project.spark.sql(f"INSERT INTO {project.database}.outside VALUES (1, 1), (2, 2)")
        continuous.has("current", (1, 1), (2, 2))
        project.spark.sql(f"UPDATE {project.database}.outside SET v = 3 WHERE id = 2")
        continuous.has("current", (1, 1), (2, 3))
        project.spark.sql(f"DELETE FROM {project.database}.outside WHERE id = 1")
        continuous.has("current", (2, 3))
        assert update.outcome.of("o")[-1] == "has COMPLETED."
    assert len(project.table("t")) == 3


@pytest.mark.spark_only
def test_spark_refuses_it_by_name(spark: SparkSession, project: Project) -> None:
    with pytest.raises(PySparkNotImplementedError, match="only riacho can: create_auto_cdc_from_snapshot_flow"):
        following_now(project, Snapshots(spark, [(1, "a", "x")]))
