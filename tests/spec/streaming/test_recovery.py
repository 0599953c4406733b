"""A second start on the same checkpoint continues the first, whatever it was doing when it ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import batches, files, finish, ids, log_files, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for number in range(3):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}])
    return tmp_path / "landing"


class Job:
    """One job that is started again and again: JSON files to a Delta table, one file a batch."""

    def __init__(self, spark: SparkSession, landing: Path, folder: Path) -> None:
        self.spark, self.landing = spark, landing
        self.table, self.checkpoint = folder / "table", folder / "checkpoint"

    def run(self, stream: DataFrame | None = None) -> list[int]:
        """Run until all is read; the ids of the batches that this run made."""
        stream = files(self.spark, self.landing, maxFilesPerTrigger=1) if stream is None else stream
        writer = stream.writeStream.format("delta").option("checkpointLocation", str(self.checkpoint))
        query = finish(writer.trigger(availableNow=True).start(str(self.table)))
        return [report.batchId for report in query.recentProgress if report.numInputRows]

    def ids(self) -> list[int]:
        return ids(self.spark.read.format("delta").load(str(self.table)))

    def forget(self, log: str, batch: int) -> None:
        """Take a batch's entry out of a log, as if the query had died before it was written."""
        folder = self.checkpoint / log
        (folder / str(batch)).unlink()
        (folder / f".{batch}.crc").unlink(missing_ok=True)


@pytest.fixture
def job(spark: SparkSession, landing: Path, tmp_path: Path) -> Job:
    return Job(spark, landing, tmp_path / "job")


def test_a_second_run_makes_only_the_batches_that_are_new(job: Job) -> None:
    assert job.run() == [0, 1, 2]
    write_json(job.landing / "3.json", [{"id": 3}])
    assert job.run() == [3]
    assert job.ids() == [0, 1, 2, 3]


def test_a_batch_that_was_written_but_not_committed_is_run_again_and_written_once(job: Job) -> None:
    job.run()
    job.forget("commits", 2)

    job.run()
    assert job.ids() == [0, 1, 2]
    assert log_files(job.checkpoint / "commits") == ["0", "1", "2"]


def test_a_batch_that_was_only_planned_is_run_with_the_offsets_that_were_planned(job: Job, spark: SparkSession) -> None:
    job.run()
    write_json(job.landing / "3.json", [{"id": 3}])
    # A batch whose sink never saw it: the same plan over a new table.
    job.forget("commits", 2)
    planned = (job.checkpoint / "offsets" / "2").read_text()
    job.table = job.table.with_name("again")

    assert job.run() == [2, 3]
    assert (job.checkpoint / "offsets" / "2").read_text() == planned
    assert job.ids() == [2, 3]


def test_a_batch_that_runs_again_has_the_time_of_its_first_run(job: Job, spark: SparkSession, landing: Path) -> None:
    stream = files(spark, landing, maxFilesPerTrigger=1).withColumn("now", F.current_timestamp())
    job.run(stream)
    planned = json.loads((job.checkpoint / "offsets" / "2").read_text().split("\n")[1])["batchTimestampMs"]
    job.forget("commits", 2)
    job.table = job.table.with_name("again")
    job.run(stream)

    again = spark.read.format("delta").load(str(job.table)).selectExpr("id", "unix_millis(now) AS ms").collect()
    assert [tuple(row) for row in again] == [(2, planned)]


def test_the_projection_may_change_between_runs(job: Job, spark: SparkSession, landing: Path) -> None:
    job.run()
    write_json(landing / "3.json", [{"id": 3}, {"id": 4}])
    job.run(files(spark, landing).where("id <> 3"))
    assert job.ids() == [0, 1, 2, 4]


def test_the_limit_may_change_between_runs(job: Job, spark: SparkSession, landing: Path) -> None:
    job.run()
    for number in (3, 4):
        write_json(landing / f"{number}.json", [{"id": number}])
    assert job.run(files(spark, landing, maxFilesPerTrigger=2)) == [3]
    assert job.ids() == [0, 1, 2, 3, 4]


def test_the_number_of_sources_may_not_change(job: Job, spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    job.run()
    write_json(tmp_path / "other" / "0.json", [{"id": 7}])
    with pytest.raises(StreamingQueryException, match="There are \\[1\\] sources in the checkpoint offsets and now"):
        job.run(files(spark, landing).union(files(spark, tmp_path / "other")))


def test_offsets_without_metadata_are_refused(job: Job) -> None:
    job.run()
    (job.checkpoint / "metadata").unlink()
    (job.checkpoint / ".metadata.crc").unlink(missing_ok=True)
    with pytest.raises(Exception, match="STREAMING_CHECKPOINT_MISSING_METADATA_FILE"):
        job.run()


def test_a_log_of_an_unknown_version_is_refused(job: Job) -> None:
    job.run()
    write_json(job.landing / "3.json", [{"id": 3}])
    job.forget("commits", 2)
    commit = job.checkpoint / "offsets" / "2"
    commit.write_text(commit.read_text().replace("v1", "v99", 1))
    (commit.parent / ".2.crc").unlink(missing_ok=True)
    with pytest.raises(StreamingQueryException, match="v99"):
        job.run()


def test_a_file_that_was_read_is_not_read_again_even_if_it_grew(job: Job, landing: Path) -> None:
    job.run()
    with (landing / "0.json").open("a") as file:
        file.write('{"id":9}\n')
    assert job.run() == []
    assert job.ids() == [0, 1, 2]


def test_a_streaming_run_continues_what_an_available_now_run_began(job: Job, spark: SparkSession) -> None:
    job.run()
    write_json(job.landing / "3.json", [{"id": 3}])
    stream = files(spark, job.landing)
    writer = stream.writeStream.format("delta").option("checkpointLocation", str(job.checkpoint))
    query = writer.start(str(job.table))
    query.processAllAvailable()
    query.stop()

    assert batches(query) == [1]
    assert job.ids() == [0, 1, 2, 3]
