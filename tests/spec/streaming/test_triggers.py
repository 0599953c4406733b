"""When batches are made, and how many."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import PySparkException, PySparkValueError
from pyspark.sql import SparkSession

from tests.spec.support import batches, files, finish, ids, log_files, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for number in range(3):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}])
    return tmp_path / "landing"


def test_available_now_reads_what_is_there_in_batches_of_the_usual_size_and_ends(
    spark: SparkSession, landing: Path
) -> None:
    stream = files(spark, landing, maxFilesPerTrigger=1)
    query = finish(stream.writeStream.format("memory").queryName("seen").trigger(availableNow=True).start())

    assert batches(query) == [1, 1, 1]
    assert ids(spark.table("seen")) == [0, 1, 2]


def test_available_now_on_an_empty_folder_ends_without_a_batch(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    writer = files(spark, tmp_path / "landing").writeStream.format("noop")
    finish(writer.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start())

    assert log_files(tmp_path / "c" / "commits") == []


def test_available_now_continues_where_it_ended(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    def run() -> list[int]:
        writer = files(spark, landing).writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c"))
        return batches(finish(writer.trigger(availableNow=True).start()))

    assert run() == [3]
    assert run() == []
    write_json(landing / "3.json", [{"id": 3}, {"id": 4}])
    assert run() == [2]


@pytest.mark.filterwarnings("ignore:.*[Tt]rigger.*:FutureWarning")
def test_once_reads_all_there_is_in_one_batch_whatever_the_limit(spark: SparkSession, landing: Path) -> None:
    stream = files(spark, landing, maxFilesPerTrigger=1)
    query = finish(stream.writeStream.format("memory").queryName("seen").trigger(once=True).start())

    assert batches(query) == [3]


def test_without_a_trigger_the_next_batch_follows_the_last(spark: SparkSession, landing: Path) -> None:
    query = files(spark, landing, maxFilesPerTrigger=2).writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()

    assert batches(query) == [2, 1]


def test_with_a_processing_time_the_first_batch_comes_at_once_and_others_on_the_tick(
    spark: SparkSession, landing: Path
) -> None:
    stream = files(spark, landing, maxFilesPerTrigger=2)
    query = stream.writeStream.format("memory").queryName("seen").trigger(processingTime="2 seconds").start()
    query.processAllAvailable()

    assert batches(query) == [2, 1]
    first, second = (report.timestamp for report in query.recentProgress if report.numInputRows)
    assert second[-5:] < "0.500Z", f"the second batch starts on a whole tick, not at {second} (the first: {first})"
    assert int(second[17:19]) % 2 == 0


@pytest.mark.parametrize(
    ("interval", "refusal"),
    [
        ("soon", "'soon'"),
        ("-1 second", "the interval of trigger should not be negative"),
        ("1 month", "Doesn't support month or year interval: 1 month"),
    ],
)
def test_an_interval_must_be_a_positive_time_of_fixed_length(
    spark: SparkSession, landing: Path, interval: str, refusal: str
) -> None:
    writer = files(spark, landing).writeStream.format("memory").queryName("seen")
    with pytest.raises(PySparkException, match=refusal):
        writer.trigger(processingTime=interval).start()


def test_a_writer_has_one_trigger(spark: SparkSession, landing: Path) -> None:
    with pytest.raises(PySparkValueError):
        files(spark, landing).writeStream.trigger(processingTime="1 second", availableNow=True)  # type: ignore[call-overload]
