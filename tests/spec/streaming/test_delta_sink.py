"""A Delta table as a sink: each batch is one version, written once however often it is tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.support import files, finish, ids, last_progress, log_files, rows, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for number in range(2):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number, "name": f"n{number}"}])
    return tmp_path / "landing"


SCHEMA = "id BIGINT, name STRING"


def write(stream: DataFrame, table: Path, mode: str = "append", **options: Any) -> StreamingQuery:
    """Run a stream into the table at a path, with its checkpoint beside it unless the options say where."""
    writer = stream.writeStream.format("delta").outputMode(mode)
    writer = writer.options(**{"checkpointLocation": f"{table}.checkpoint", **options})
    return finish(writer.trigger(availableNow=True).start(str(table)))


def write_table(stream: DataFrame, table: str, checkpoint: Path) -> StreamingQuery:
    """Run a stream into a table of the catalog."""
    writer = stream.writeStream.format("delta").option("checkpointLocation", str(checkpoint))
    return finish(writer.trigger(availableNow=True).toTable(table))


def actions(table: Path, version: int) -> list[dict[str, Any]]:
    """What one version of the table's log says."""
    log = table / "_delta_log" / f"{version:020}.json"
    return [json.loads(line) for line in log.read_text().splitlines()]


def versions(table: Path) -> int:
    return len(list((table / "_delta_log").glob("*.json")))


def test_rows_arrive_with_the_schema_of_the_query(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    write(files(spark, landing, SCHEMA), tmp_path / "t")
    table = spark.read.format("delta").load(str(tmp_path / "t"))
    assert rows(table) == [(0, "n0"), (1, "n1")]
    assert table.schema.simpleString() == "struct<id:bigint,name:string>"


def test_each_batch_is_a_version_that_names_query_and_batch(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query = write(files(spark, landing, SCHEMA, maxFilesPerTrigger=1), tmp_path / "t")
    assert versions(tmp_path / "t") == 2
    for version in range(2):
        (txn,) = [action["txn"] for action in actions(tmp_path / "t", version) if "txn" in action]
        assert (txn["appId"], txn["version"]) == (query.id, version)


def test_a_batch_of_many_megabytes_is_one_version(spark: SparkSession, tmp_path: Path) -> None:
    text = "x" * 1000
    for number in range(4):
        numbered = ({"id": number * 15_000 + row, "name": text} for row in range(15_000))
        write_json(tmp_path / "landing" / f"{number}.json", numbered)
    stream = files(spark, tmp_path / "landing", SCHEMA).selectExpr("id", "length(name) AS l", "input_file_name() AS f")
    query = write(stream, tmp_path / "t")
    table = spark.read.format("delta").load(str(tmp_path / "t"))
    assert rows(table.selectExpr("count(*)", "count(DISTINCT id)", "sum(l)", "count(DISTINCT f)")) == [
        (60_000, 60_000, 60_000_000, 4)
    ]
    assert versions(tmp_path / "t") == 1
    assert last_progress(query).numInputRows == 60_000


def test_the_commit_says_it_was_a_streaming_update(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query = write(files(spark, landing, SCHEMA), tmp_path / "t")
    (info,) = [action["commitInfo"] for action in actions(tmp_path / "t", 0) if "commitInfo" in action]
    assert info["operation"] == "STREAMING UPDATE"
    assert info["operationParameters"] == {"outputMode": "Append", "queryId": query.id, "epochId": "0"}


def test_a_batch_that_is_tried_again_is_not_written_again(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    stream = files(spark, landing, SCHEMA, maxFilesPerTrigger=1)
    write(stream, tmp_path / "t")
    commits = tmp_path / "t.checkpoint" / "commits"
    (commits / "1").unlink()
    (commits / ".1.crc").unlink(missing_ok=True)
    write(stream, tmp_path / "t")
    assert log_files(commits) == ["0", "1"]
    assert versions(tmp_path / "t") == 2
    assert ids(spark.read.format("delta").load(str(tmp_path / "t"))) == [0, 1]


def test_another_checkpoint_is_another_writer(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    write(files(spark, landing, SCHEMA), tmp_path / "t")
    write(files(spark, landing, SCHEMA), tmp_path / "t", checkpointLocation=str(tmp_path / "other"))
    assert ids(spark.read.format("delta").load(str(tmp_path / "t"))) == [0, 0, 1, 1]
    writers = {
        action["txn"]["appId"] for version in range(2) for action in actions(tmp_path / "t", version) if "txn" in action
    }
    assert len(writers) == 2


def test_to_table_makes_a_table_of_the_catalog(
    spark: SparkSession, landing: Path, tmp_path: Path, database: str
) -> None:
    write_table(files(spark, landing, SCHEMA), f"{database}.people", tmp_path / "c")

    assert rows(spark.table(f"{database}.people")) == [(0, "n0"), (1, "n1")]
    assert [t.name for t in spark.catalog.listTables(database)] == ["people"]


def test_to_table_appends_to_a_table_that_is_there(
    spark: SparkSession, landing: Path, tmp_path: Path, database: str
) -> None:
    spark.sql(f"CREATE TABLE {database}.people (id BIGINT, name STRING) USING delta")
    spark.sql(f"INSERT INTO {database}.people VALUES (7, 'Ana')")
    writer = files(spark, landing, SCHEMA).writeStream.format("delta")
    finish(
        writer.option("checkpointLocation", str(tmp_path / "c"))
        .trigger(availableNow=True)
        .toTable(f"{database}.people")
    )
    assert ids(spark.table(f"{database}.people")) == [0, 1, 7]


def test_columns_are_matched_by_name(spark: SparkSession, landing: Path, tmp_path: Path, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.people (name STRING, id BIGINT) USING delta")
    writer = files(spark, landing, SCHEMA).writeStream.format("delta")
    finish(
        writer.option("checkpointLocation", str(tmp_path / "c"))
        .trigger(availableNow=True)
        .toTable(f"{database}.people")
    )
    assert rows(spark.table(f"{database}.people")) == [("n0", 0), ("n1", 1)]


def test_a_table_can_be_partitioned(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    stream = files(spark, landing, SCHEMA).writeStream.format("delta").partitionBy("name")
    finish(
        stream.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start(str(tmp_path / "t"))
    )

    added = [action["add"] for action in actions(tmp_path / "t", 0) if "add" in action]
    assert sorted(add["partitionValues"]["name"] for add in added) == ["n0", "n1"]
    assert rows(spark.read.format("delta").load(str(tmp_path / "t"))) == [(0, "n0"), (1, "n1")]


def test_a_new_column_stops_the_query(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    write(files(spark, landing, "id BIGINT"), tmp_path / "t")
    write_json(landing / "2.json", [{"id": 2, "name": "n2"}])
    with pytest.raises((StreamingQueryException, AnalysisException), match="(?i)schema mismatch"):
        write(files(spark, landing, SCHEMA), tmp_path / "t")


def test_a_new_column_is_added_if_asked_for(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    write(files(spark, landing, "id BIGINT"), tmp_path / "t")
    write_json(landing / "2.json", [{"id": 2, "name": "n2"}])
    write(files(spark, landing, SCHEMA), tmp_path / "t", mergeSchema=True)
    assert rows(spark.read.format("delta").load(str(tmp_path / "t"))) == [(0, None), (1, None), (2, "n2")]


def test_a_missing_column_is_null(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    write(files(spark, landing, SCHEMA), tmp_path / "t")
    write_json(landing / "2.json", [{"id": 2, "name": "n2"}])
    write(files(spark, landing, "id BIGINT"), tmp_path / "t")
    assert rows(spark.read.format("delta").load(str(tmp_path / "t"))) == [(0, "n0"), (1, "n1"), (2, None)]


def test_another_type_stops_the_query(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    write(files(spark, landing, SCHEMA), tmp_path / "t")
    write_json(landing / "2.json", [{"id": 2, "name": "n2"}])
    stream = files(spark, landing, SCHEMA).selectExpr("array(id) AS id", "name")
    with pytest.raises((StreamingQueryException, AnalysisException), match="DELTA_FAILED_TO_MERGE_FIELDS"):
        write(stream, tmp_path / "t")


def test_complete_mode_needs_an_aggregate(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    with pytest.raises(AnalysisException, match="Invalid streaming output mode: complete"):
        write(files(spark, landing, SCHEMA), tmp_path / "t", mode="complete")


def test_update_mode_is_refused(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    with pytest.raises(AnalysisException, match="does not support Update output mode"):
        write(files(spark, landing, SCHEMA), tmp_path / "t", mode="update")


def test_a_checkpoint_is_required(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    with pytest.raises(AnalysisException, match="checkpointLocation must be specified"):
        files(spark, landing, SCHEMA).writeStream.format("delta").start(str(tmp_path / "t"))


def test_a_place_is_required(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    writer = files(spark, landing, SCHEMA).writeStream.format("delta")
    with pytest.raises(PySparkException, match="path"):
        writer.option("checkpointLocation", str(tmp_path / "c")).start()


def test_the_report_names_the_sink(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query = write(files(spark, landing, SCHEMA), tmp_path / "t")
    assert last_progress(query).sink.description == f"DeltaSink[{tmp_path / 't'}]"


def test_a_not_null_column_refuses_nulls(spark: SparkSession, landing: Path, tmp_path: Path, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.people (id BIGINT, name STRING NOT NULL) USING delta")
    write_json(landing / "2.json", [{"id": 2}])
    writer = files(spark, landing, SCHEMA).writeStream.format("delta")
    query = (
        writer.option("checkpointLocation", str(tmp_path / "c"))
        .trigger(availableNow=True)
        .toTable(f"{database}.people")
    )
    with pytest.raises(StreamingQueryException, match="DELTA_NOT_NULL_CONSTRAINT_VIOLATED"):
        finish(query)
    assert rows(spark.table(f"{database}.people")) == []


def test_writes_of_two_queries_to_one_table_all_arrive(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    stream = files(spark, landing, SCHEMA, maxFilesPerTrigger=1)
    queries = [
        stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / name)).trigger(availableNow=True)
        for name in ("a", "b")
    ]
    spark.range(0).selectExpr("id", "'' AS name").write.format("delta").save(str(tmp_path / "t"))
    started = [writer.start(str(tmp_path / "t")) for writer in queries]
    for query in started:
        finish(query)
    assert ids(spark.read.format("delta").load(str(tmp_path / "t"))) == [0, 0, 1, 1]


def test_the_same_batch_of_foreach_batch_is_written_once(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    """`txnAppId` and `txnVersion` give a batch write what a Delta sink has by itself."""
    table = str(tmp_path / "t")

    def keep(frame: DataFrame, batch_id: int) -> None:
        for _ in range(2):
            writer = frame.write.format("delta").mode("append")
            writer.option("txnAppId", "job").option("txnVersion", batch_id).save(table)

    stream = files(spark, landing, SCHEMA, maxFilesPerTrigger=1)
    finish(stream.writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert ids(spark.read.format("delta").load(table)) == [0, 1]
