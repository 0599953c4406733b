"""`STREAM t CHANGES` and `STREAM function(…)` in SQL; `read_files` and `read_kafka`, which are Lakeflow's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from tests.spec.pipelines.support import Project
from tests.spec.support import write_json

CHANGES = "UNSUPPORTED_FEATURE.CHANGE_DATA_CAPTURE"


@pytest.fixture
def history(spark: SparkSession, database: str) -> str:
    """A table of four versions with a change feed."""
    name = f"{database}.history"
    spark.sql(
        f"CREATE TABLE {name} (id BIGINT, name STRING) USING delta TBLPROPERTIES (delta.enableChangeDataFeed = true)"
    )
    spark.sql(f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b')")
    spark.sql(f"UPDATE {name} SET name = 'c' WHERE id = 1")
    spark.sql(f"DELETE FROM {name} WHERE id = 2")
    return name


INSERTS = [(1, "insert", 1), (2, "insert", 1)]
UPDATES = [(1, "update_postimage", 2), (1, "update_preimage", 2)]
DELETES = [(2, "delete", 3)]


@pytest.mark.parametrize(
    "text",
    [
        "{} CHANGES FROM VERSION 1",
        "{} CHANGES FROM VERSION 1 EXCLUSIVE TO VERSION 2 INCLUSIVE WITH (computeUpdates = true) AS c",
        "{} CHANGES FROM TIMESTAMP '2020-01-01' TO TIMESTAMP '2021-01-01'",
        "STREAM {} CHANGES",
        "STREAM {} CHANGES FROM VERSION 1 IDENTIFIED BY a_name WATERMARK ts DELAY OF INTERVAL 1 DAY",
        "STREAM {} CHANGES WITH ('a' = 'b') w",
    ],
)
@pytest.mark.spark_only
def test_spark_knows_the_words_and_delta_nothing_of_them(spark: SparkSession, history: str, text: str) -> None:
    with pytest.raises(AnalysisException) as caught:
        spark.sql(f"SELECT * FROM {text.format(history)}").schema  # noqa: B018
    assert caught.value.getCondition() == CHANGES


@pytest.mark.parametrize(
    "text",
    [
        "STREAM {} CHANGES FROM VERSION 1 TO VERSION 2",
        "STREAM({}) CHANGES FROM VERSION 1",
        "{} CHANGES FROM VERSION id",
        "{} CHANGES FROM VERSION 1 TO TIMESTAMP '2020-01-01'",
        "STREAM {} WITH (a = 'b') CHANGES FROM VERSION 1",
    ],
)
def test_what_is_no_clause(spark: SparkSession, history: str, text: str) -> None:
    with pytest.raises(PySparkException):
        spark.sql(f"SELECT * FROM {text.format(history)}").collect()


def test_the_word_as_an_alias(spark: SparkSession, history: str) -> None:
    for text in (f"{history} changes", f"{history} AS changes"):
        assert spark.sql(f"SELECT changes.id FROM {text}").collect() == [(1,)]


@pytest.mark.riacho_only
def test_changes_in_a_batch(spark: SparkSession, history: str) -> None:
    def rows(clause: str) -> list[tuple[object, ...]]:
        text = f"SELECT c.id, c._change_type, _commit_version FROM {history} CHANGES {clause} AS c"
        return sorted(tuple(row) for row in spark.sql(text).collect())

    assert rows("FROM VERSION 1") == sorted(INSERTS + UPDATES + DELETES)
    assert rows("FROM VERSION '1' EXCLUSIVE TO VERSION 3 EXCLUSIVE") == UPDATES
    assert rows("FROM SYSTEM_VERSION 1 INCLUSIVE TO VERSION 1 WITH (computeUpdates = true)") == INSERTS
    assert rows("FROM TIMESTAMP '2020-01-01'") == sorted(INSERTS + UPDATES + DELETES)
    frame = spark.read.option("startingVersion", "3").changes(history)
    assert [(row.id, row._change_type) for row in frame.collect()] == [(2, "delete")]
    for refused in ("FROM VERSION 1 WITH (deduplicationMode = 'netChanges')", "FROM TIMESTAMP '2020-01-01' EXCLUSIVE"):
        with pytest.raises(PySparkException, match="not supported"):
            rows(refused)


@pytest.mark.riacho_only
def test_changes_as_a_stream(spark: SparkSession, project: Project, history: str) -> None:
    columns = "id, _change_type AS change, _commit_version AS version"
    definitions = f"""
        CREATE STREAMING TABLE everything AS SELECT {columns} FROM STREAM history CHANGES FROM VERSION 1;
        CREATE STREAMING TABLE later AS SELECT {columns} FROM STREAM history CHANGES FROM VERSION 1 EXCLUSIVE h;
        CREATE STREAMING TABLE now AS SELECT {columns} FROM STREAM history CHANGES WITH (maxFilesPerTrigger = 1)"""
    for _ in range(2):
        assert project.run(definitions).completed
    assert project.table("everything") == sorted(INSERTS + UPDATES + DELETES)
    assert project.table("later") == sorted(UPDATES + DELETES)
    assert project.table("now") == [(1, "insert", 3)]
    spark.sql(f"INSERT INTO {history} VALUES (3, 'd')")
    assert project.run(definitions).completed
    assert project.table("now") == [(1, "insert", 3), (3, "insert", 4)]
    assert spark.readStream.option("startingVersion", "1").changes(history).isStreaming


@pytest.mark.riacho_only
def test_changes_of_a_dataset_of_the_pipeline(project: Project, events: Callable[[], None]) -> None:
    outcome = project.run(
        events,
        """CREATE STREAMING TABLE kept TBLPROPERTIES (delta.enableChangeDataFeed = true) AS SELECT * FROM STREAM events;
        CREATE STREAMING TABLE seen AS SELECT id, _change_type AS change FROM STREAM kept CHANGES;
        CREATE MATERIALIZED VIEW told AS SELECT count(*) AS n FROM kept CHANGES FROM VERSION 0""",
    )
    assert outcome.order("events", "kept", "seen")
    assert project.table("seen") == [(1, "insert"), (2, "insert")]
    assert project.table("told") == [(2,)]


@pytest.mark.parametrize(
    "text", ["STREAM range(5)", "STREAM(range(0, 5)) AS r", "STREAM explode(array(1, 2)) AS t(id)"]
)
def test_functions_are_batches_all_the_same(spark: SparkSession, project: Project, text: str) -> None:
    assert not spark.sql(f"SELECT id FROM {text}").isStreaming
    outcome = project.dry_run(f"CREATE STREAMING TABLE t AS SELECT id FROM {text}")
    assert "INVALID_FLOW_QUERY_TYPE.BATCH_RELATION_FOR_STREAMING_TABLE" in str(outcome.error)


@pytest.mark.spark_only
@pytest.mark.parametrize("name", ["read_files", "read_kafka"])
def test_spark_has_no_such_functions(spark: SparkSession, name: str) -> None:
    with pytest.raises(AnalysisException) as caught:
        spark.sql(f"SELECT * FROM STREAM {name}('/x')").schema  # noqa: B018
    assert caught.value.getCondition() == "UNRESOLVABLE_TABLE_VALUED_FUNCTION"


@pytest.mark.riacho_only
def test_read_files_as_a_stream(project: Project, landing: Path) -> None:
    json = f"read_files('{landing}', format => 'json'"
    definitions = f"""
        CREATE OR REFRESH STREAMING TABLE inferred AS SELECT * FROM STREAM {json});
        CREATE OR REFRESH STREAMING TABLE hinted AS SELECT f.id FROM STREAM {json}, schemaHints => 'id STRING') AS f;
        CREATE OR REFRESH STREAMING TABLE given AS
            SELECT id, read_files.name FROM STREAM(read_files(path => '{landing}', FORMAT => 'json',
            schema => 'id INT, name STRING', maxFilesPerTrigger => 1, recursiveFileLookup => true));
        CREATE OR REFRESH STREAMING TABLE counted AS SELECT count(*) AS n FROM STREAM {json},
            schema => 'id INT, ts TIMESTAMP') WATERMARK ts DELAY OF INTERVAL 1 MINUTE GROUP BY ts"""
    for _ in range(2):
        assert project.run(definitions).completed
    assert project.columns("inferred") == "struct<id:bigint,name:string,_rescued_data:string>"
    assert project.table("inferred") == [(1, "one", None), (2, "two", None)]
    assert project.table("hinted") == [("1",), ("2",)]
    assert project.table("given") == [(1, "one"), (2, "two")]
    write_json(landing / "1.json", [{"id": 3, "name": "three"}])
    assert project.run(definitions).completed
    assert project.table("hinted") == [("1",), ("2",), ("3",)]


@pytest.mark.riacho_only
def test_read_files_in_a_batch(spark: SparkSession, landing: Path) -> None:
    call = f"read_files('{landing}', format => 'json', schema => 'id INT')"
    assert sorted(spark.sql(f"SELECT id FROM {call}").collect()) == [(1,), (2,)]
    assert spark.sql(f"WITH x AS (SELECT * FROM {call} r) SELECT sum(id) FROM x WHERE id > 1").collect() == [(2,)]
    for refused, why in (
        ("'/x', format => 'json'", "in a batch needs a schema"),
        ("'/x'", "needs a format"),
        ("format => 'json'", "needs a path"),
        ("'/x', 'json'", "takes this argument by its name"),
        ("'/x', format => 'json', schema => 'a INT', maxFilesPerTrigger => 1", "takes no maxFilesPerTrigger"),
    ):
        with pytest.raises(PySparkException, match=why):
            spark.sql(f"SELECT * FROM read_files({refused})").collect()


@pytest.mark.riacho_only
def test_what_is_wrong_is_said_of_the_flow(project: Project) -> None:
    outcome = project.dry_run("CREATE STREAMING TABLE t AS SELECT * FROM STREAM read_files('/x')")
    assert any("Failed to resolve flow" in event and "needs a format" in event for event in outcome.events)
    twice = project.dry_run(
        "CREATE STREAMING TABLE t AS SELECT * FROM STREAM read_files('/x', format => 'json', FORMAT => 'csv')"
    )
    assert any("DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT" in event for event in twice.events) or "Please assign a" in str(
        twice.error
    )


@pytest.mark.riacho_only
def test_read_kafka_is_kafka(spark: SparkSession) -> None:
    frame = spark.sql(
        "SELECT k.value FROM STREAM read_kafka(bootstrapServers => 'localhost:1', subscribe => 'a', "
        "`kafka.group.id` => 'g', startingOffsets => 'earliest') AS k"
    )
    assert frame.isStreaming
    assert frame.schema.simpleString() == "struct<value:binary>"
