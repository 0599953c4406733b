"""The event log of a pipeline whose storage is a bucket: events of batches survive a kill there too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark import pipelines as dp
from pyspark.sql import DataFrame, SparkSession

from riacho import storage
from riacho.ids import new_uuid
from riacho.server.graph.event_log.log import EventLog
from riacho.server.graph.event_log.rows import Origin, stable_id
from riacho.server.graph.events import EventType, PipelineEvent
from riacho.storage import StorageSettings, place_of
from riacho.testing.clock import ManualClock
from riacho.testing.s3 import Bucket, S3Server, spark_settings
from tests.spec.pipelines.support import Project

pytestmark = pytest.mark.riacho_only  # Spark needs hadoop-aws and its SDK


def test_a_pipeline_in_a_bucket(
    spark: SparkSession, s3: S3Server, bucket: Bucket, database: str, tmp_path: Path
) -> None:
    for key, value in spark_settings(s3.url).items():
        spark.conf.set(key, value)
    source = f"{bucket.url}/source"
    spark.range(5).write.format("delta").save(source)

    def events() -> None:
        @dp.table
        def events() -> DataFrame:
            return spark.readStream.format("delta").load(source)

    state = f"{bucket.url}/state"
    for _ in range(2):
        assert Project(spark, database, tmp_path).run(events, storage=state).completed
    rows = spark.sql(f"SELECT * FROM delta.`{state}/system/events`").collect()
    assert [row.message for row in rows].count("Run is COMPLETED.") == 2
    (batch,) = (row for row in rows if row.origin.flow_id)
    assert json.loads(batch.details)["flow_progress"]["row_ledger"]["balance"] == "BALANCED"
    assert bucket.keys("state/system/journal") == []


def test_a_killed_run_in_a_bucket(s3: S3Server, bucket: Bucket) -> None:
    clock = ManualClock(1_000)

    def of_batch(batch: int) -> PipelineEvent:
        id_ = stable_id("q", batch)
        return PipelineEvent(EventType.FLOW_PROGRESS, str(batch), 1_000, once=("q", batch), id=id_)

    def opened() -> EventLog:
        log = EventLog(root, Origin("p", "p", new_uuid(), None, clock), clock, flush_s=3600)
        log.open()
        return log

    with storage.using(StorageSettings.of(spark_settings(s3.url))):
        options = place_of(bucket.url).options()  # type: ignore[union-attr]
        root = place_of(f"{bucket.url}/state")
        killed = opened()
        killed.record(of_batch(0))
        killed.record(PipelineEvent(EventType.UPDATE_PROGRESS, "only in memory", 1_000))
        killed.record(of_batch(1))
        assert len(bucket.keys("state/system/journal")) == 2

        beside = opened()  # takes over what it finds, whoever's it is
        beside.record(of_batch(1))  # the batch runs again
        beside.record(of_batch(2))
        beside.close()
        killed.close()  # in the end it lives
        assert bucket.keys("state/system/journal") == []
        told = DeltaTable(f"{bucket.url}/state/system/events".replace("s3a", "s3"), storage_options=options)
        assert sorted(told.to_pyarrow_table()["message"].to_pylist()) == ["0", "1", "2", "only in memory"]
