"""Confs: what they take, what they are when nobody has set them, and that they are obeyed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import batches, files, finish, ids, rows, until, write_json

STREAMING = "spark.sql.streaming."


def test_a_value_of_another_type_is_refused_when_it_is_set(spark: SparkSession) -> None:
    wrong = {
        f"{STREAMING}numRecentProgressUpdates": ("many", "TYPE_MISMATCH", "a/an 'int' value"),
        f"{STREAMING}minBatchesToRetain": ("9999999999", "TYPE_MISMATCH", "a/an 'int' value"),
        f"{STREAMING}pollingDelay": ("5 s", "TYPE_MISMATCH", "a/an 'time in MILLISECONDS' value"),
        f"{STREAMING}schemaInference": ("yes", "TYPE_MISMATCH", "a/an 'boolean' value"),
        f"{STREAMING}multipleWatermarkPolicy": ("mean", "REQUIREMENT", "Valid values are 'min' and 'max'"),
        "spark.sql.shuffle.partitions": ("0", "REQUIREMENT", "must be positive"),
        "spark.sql.storeAssignmentPolicy": ("any", "OUT_OF_RANGE_OF_OPTIONS", "one of 'ANSI, LEGACY, STRICT'"),
        "spark.sql.pipelines.execution.watchdog.minRetryTime": ("999ms", "REQUIREMENT", "at least 1 second"),
    }
    for key, (value, condition, text) in wrong.items():
        before = spark.conf.get(key)
        with pytest.raises(IllegalArgumentException, match=text) as caught:
            spark.conf.set(key, value)
        assert caught.value.getCondition() == f"INVALID_CONF_VALUE.{condition}"
        assert caught.value.getSqlState() == "22022"
        assert spark.conf.get(key) == before
    with pytest.raises(IllegalArgumentException, match="INVALID_CONF_VALUE"):
        spark.conf.get(f"{STREAMING}pollingDelay", "soon")


def test_what_is_not_set_has_sparks_default(spark: SparkSession) -> None:
    for key, default in {
        f"{STREAMING}numRecentProgressUpdates": "100",
        f"{STREAMING}noDataProgressEventInterval": "10000ms",
        f"{STREAMING}pollingDelay": "10ms",
        "spark.sql.pipelines.execution.watchdog.minRetryTime": "5000ms",
    }.items():
        assert spark.conf.get(key) == default
        assert spark.conf.isModifiable(key)
        spark.conf.set(key, "2345")
        assert spark.conf.get(key) == "2345"
        spark.conf.unset(key)
        assert spark.conf.get(key) == default
    assert spark.conf.get(f"{STREAMING}checkpointLocation") is None
    with pytest.raises(PySparkException) as caught:
        spark.conf.get("no.such.conf")
    assert caught.value.getCondition() == "SQL_CONF_NOT_FOUND"


def test_set_and_reset_in_sql(spark: SparkSession) -> None:
    key = f"{STREAMING}pollingDelay"
    assert rows(spark.sql(f"SET {key}")) == [(key, "10ms")]
    assert spark.sql(f"SET {key}=20").columns == ["key", "value"]
    assert rows(spark.sql(f"SET {key} = 30 ;")) == [(key, "30")]
    assert spark.conf.get(key) == "30"
    with pytest.raises(IllegalArgumentException, match="The value 'soon' in the config"):
        spark.sql(f"SET {key}=soon")
    spark.sql("SET spark.databricks.delta.retentionDurationCheck.enabled = false")
    assert spark.conf.get("spark.databricks.delta.retentionDurationCheck.enabled") == "false"
    assert rows(spark.sql(f"RESET {key}")) == []
    assert spark.conf.get(key) == "10ms"
    spark.sql("SET TIME ZONE 'America/Sao_Paulo'")
    assert spark.conf.get("spark.sql.session.timeZone") == "America/Sao_Paulo"
    spark.sql(f"SET {key}=20")
    spark.sql("RESET")
    assert spark.conf.get(key) == "10ms"
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"


def test_set_shows_no_secrets(spark: SparkSession) -> None:
    for key, value in (
        ("fs.s3a.secret.key", "abc"),
        ("my.AccessKey", "abc"),
        ("my.a", "with a Token"),
        ("my.b", "curl"),
    ):
        assert rows(spark.sql(f"SET {key} = {value}")) == [(key, value)]
        assert rows(spark.sql(f"SET {key}")) == [(key, "*********(redacted)")]
    assert rows(spark.sql("SET my.access_key = 1")) == rows(spark.sql("SET my.access_key")) == [("my.access_key", "1")]
    assert rows(spark.sql("SET not.set.password")) == [("not.set.password", "*********(redacted)")]
    listed = dict(rows(spark.sql("SET")))
    assert (listed["my.a"], listed["my.access_key"]) == ("*********(redacted)", "1")


def test_recent_progress_is_as_short_as_asked(spark: SparkSession, tmp_path: Path) -> None:
    for number in range(4):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}])
    spark.conf.set(f"{STREAMING}numRecentProgressUpdates", "3")
    stream = files(spark, tmp_path / "landing", maxFilesPerTrigger=1)
    query = finish(stream.writeStream.format("noop").trigger(availableNow=True).start())
    assert batches(query) == [1, 1]
    assert [report.batchId for report in query.recentProgress] == [2, 3]


def test_idle_progress_comes_as_often_as_asked(spark: SparkSession, tmp_path: Path) -> None:
    landing = write_json(tmp_path / "landing" / "1.json", [{"id": 1}]).parent
    spark.conf.set(f"{STREAMING}noDataProgressEventInterval", "50ms")
    spark.conf.set(f"{STREAMING}pollingDelay", "20ms")
    query = files(spark, landing).writeStream.format("noop").start()
    until(query, lambda: len(query.recentProgress) > 2)
    assert batches(query) == [1]
    query.stop()


def test_a_checkpoint_keeps_no_conf_that_may_change(spark: SparkSession, tmp_path: Path) -> None:
    def run() -> list[int]:
        stream = files(spark, tmp_path / "landing", maxFilesPerTrigger=1)
        writer = stream.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c"))
        return [report.batchId for report in finish(writer.trigger(availableNow=True).start()).recentProgress]

    for number in range(3):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}])
    spark.conf.set(f"{STREAMING}numRecentProgressUpdates", "2")
    assert run() == [2]
    for number in range(3, 6):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}])
    spark.conf.unset(f"{STREAMING}numRecentProgressUpdates")
    assert run() == [3, 4, 5]


def test_the_default_format_is_that_of_all_that_names_none(spark: SparkSession, tmp_path: Path, database: str) -> None:
    spark.conf.set("spark.sql.sources.default", "json")
    path = str(tmp_path / "files")
    spark.range(2).write.save(path)
    assert ids(spark.read.json(path)) == ids(spark.read.load(path)) == [0, 1]
    assert ids(spark.read.schema("id BIGINT").load(path).where("id > 0")) == [1]
    stream = spark.readStream.schema("id BIGINT").load(path)
    finish(stream.writeStream.format("memory").queryName("read").trigger(availableNow=True).start())
    assert ids(spark.table("read")) == [0, 1]
    spark.range(2).write.saveAsTable(f"{database}.saved")
    spark.sql(f"CREATE TABLE {database}.made (id INT)")
    spark.sql(f"CREATE TABLE {database}.filled AS SELECT 1 AS id")
    for table in ("saved", "made", "filled"):
        told = {row[0]: row[1] for row in spark.sql(f"DESCRIBE EXTENDED {database}.{table}").collect()}
        assert told["Provider"] == "json"
    spark.conf.set("spark.sql.sources.default", "delta")
    spark.range(3).write.mode("overwrite").save(str(tmp_path / "table"))
    assert ids(spark.read.format("delta").load(str(tmp_path / "table"))) == [0, 1, 2]
    query = spark.readStream.load(str(tmp_path / "table")).writeStream.option("checkpointLocation", str(tmp_path / "c"))
    finish(query.trigger(availableNow=True).start(str(tmp_path / "copy")))
    assert ids(spark.read.load(str(tmp_path / "copy"))) == [0, 1, 2]


def test_a_default_format_that_there_is_not(spark: SparkSession, tmp_path: Path) -> None:
    spark.conf.set("spark.sql.sources.default", "paper")
    landing = write_json(tmp_path / "landing" / "1.json", [{"id": 1}]).parent
    stream = files(spark, landing).writeStream.option("checkpointLocation", str(tmp_path / "c"))
    tries: list[Callable[[], object]] = [
        lambda: spark.read.schema("id INT").load(str(landing)).collect(),
        lambda: spark.sql("CREATE TABLE nowhere_to_be (id INT)"),
        lambda: stream.start(str(tmp_path / "out")),
    ]
    for attempt in tries:
        with pytest.raises(PySparkException, match="Failed to find the data source: paper"):
            attempt()


def test_case_matters_if_asked(spark: SparkSession) -> None:
    def upper() -> DataFrame:
        return spark.range(1).select("ID")

    assert rows(upper()) == [(0,)]
    spark.conf.set("spark.sql.caseSensitive", "true")
    with pytest.raises(AnalysisException, match="UNRESOLVED_COLUMN"):
        upper().collect()
