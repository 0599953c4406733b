"""The checkpoint as it lies on disk: other programs read it, so its text is part of the promise."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.spec.support import files, finish, log_files, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for number in range(2):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}])
    return tmp_path / "landing"


@pytest.fixture
def checkpoint(spark: SparkSession, landing: Path, tmp_path: Path) -> Path:
    """The checkpoint of a query that read two files in two batches."""
    run(spark, landing, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def run(spark: SparkSession, landing: Path, checkpoint: Path) -> str:
    writer = files(spark, landing, maxFilesPerTrigger=1).writeStream.format("noop")
    writer = writer.option("checkpointLocation", str(checkpoint)).trigger(availableNow=True)
    return finish(writer.start()).id


def test_metadata_is_one_line_with_the_query_id(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    query_id = run(spark, landing, tmp_path / "c")
    text = (tmp_path / "c" / "metadata").read_text()

    assert text == f'{{"id":"{query_id}"}}'
    assert str(uuid.UUID(query_id)) == query_id


def test_each_batch_has_its_file_in_both_logs(checkpoint: Path) -> None:
    assert log_files(checkpoint / "offsets") == ["0", "1"]
    assert log_files(checkpoint / "commits") == ["0", "1"]


def test_an_offset_file_is_a_version_the_batch_and_a_line_for_each_source(checkpoint: Path) -> None:
    version, batch, *sources = (checkpoint / "offsets" / "1").read_text().split("\n")

    assert version == "v1"
    assert json.loads(batch).keys() == {"batchWatermarkMs", "batchTimestampMs", "conf"}
    assert json.loads(batch)["batchWatermarkMs"] == 0
    assert json.loads(batch)["batchTimestampMs"] > 1_700_000_000_000
    assert sources == ['{"logOffset":1}']


def test_the_offset_file_pins_the_settings_that_a_restart_must_keep(checkpoint: Path) -> None:
    conf = json.loads((checkpoint / "offsets" / "0").read_text().split("\n")[1])["conf"]

    assert conf.keys() >= {
        "spark.sql.shuffle.partitions",
        "spark.sql.streaming.multipleWatermarkPolicy",
        "spark.sql.streaming.stateStore.providerClass",
        "spark.sql.streaming.aggregation.stateFormatVersion",
    }
    assert conf["spark.sql.streaming.multipleWatermarkPolicy"] == "min"


def test_a_commit_file_is_a_version_and_the_next_watermark(checkpoint: Path) -> None:
    assert (checkpoint / "commits" / "1").read_text() == 'v1\n{"nextBatchWatermarkMs":0}'


def test_the_file_source_logs_what_it_took_for_each_batch(checkpoint: Path, landing: Path) -> None:
    log = checkpoint / "sources" / "0"
    assert log_files(log) == ["0", "1"]

    version, entry = (log / "0").read_text().split("\n")
    assert version == "v1"
    written = landing / "0.json"
    assert json.loads(entry) == {
        "path": f"file://{written}",
        "timestamp": written.stat().st_mtime_ns // 1_000_000,
        "batchId": 0,
    }


def test_a_query_over_two_sources_has_a_line_and_a_log_for_each(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    write_json(tmp_path / "other" / "0.json", [{"id": 7}])
    both = files(spark, landing).union(files(spark, tmp_path / "other"))
    writer = both.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c"))
    finish(writer.trigger(availableNow=True).start())

    assert (tmp_path / "c" / "offsets" / "0").read_text().split("\n")[2:] == ['{"logOffset":0}', '{"logOffset":0}']
    assert sorted(p.name for p in (tmp_path / "c" / "sources").iterdir()) == ["0", "1"]


def test_a_source_with_no_data_yet_has_a_dash(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    both = files(spark, landing).union(files(spark, tmp_path / "empty"))
    writer = both.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c"))
    finish(writer.trigger(availableNow=True).start())

    assert (tmp_path / "c" / "offsets" / "0").read_text().split("\n")[2:] == ['{"logOffset":0}', "-"]


def test_a_stream_mentioned_twice_is_one_source_with_two_lines(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    stream = files(spark, landing)
    writer = stream.union(stream).writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c"))
    finish(writer.trigger(availableNow=True).start())

    assert (tmp_path / "c" / "offsets" / "0").read_text().split("\n")[2:] == ['{"logOffset":0}', '{"logOffset":0}']
    assert [p.name for p in (tmp_path / "c" / "sources").iterdir()] == ["0"]


def test_every_tenth_entry_of_the_source_log_is_a_compact_one(spark: SparkSession, tmp_path: Path) -> None:
    for number in range(11):
        write_json(tmp_path / "landing" / f"{number:02}.json", [{"id": number}])
    run(spark, tmp_path / "landing", tmp_path / "c")

    names = log_files(tmp_path / "c" / "sources" / "0")
    assert [n for n in names if n in ("9", "9.compact", "10")] == ["9.compact", "10"]
    lines = (tmp_path / "c" / "sources" / "0" / "9.compact").read_text().split("\n")
    assert [json.loads(line)["batchId"] for line in lines[1:]] == list(range(10))


def test_the_checkpoint_may_be_set_for_the_session(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    spark.conf.set("spark.sql.streaming.checkpointLocation", str(tmp_path / "all"))
    writer = files(spark, landing).writeStream.format("memory").queryName("numbers")
    finish(writer.trigger(availableNow=True).start())

    assert (tmp_path / "all" / "numbers" / "metadata").exists()
