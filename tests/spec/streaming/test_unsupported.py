"""What a stream cannot do is refused when it starts, or when it is asked for, in Spark's words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException, PySparkException
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from tests.spec.support import files, write_json

NEEDS_START = "Queries with streaming sources must be executed with writeStream.start()"


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> DataFrame:
    write_json(tmp_path / "landing" / "1.json", [{"id": 1}])
    return files(spark, tmp_path / "landing")


def start(frame: DataFrame, mode: str = "append") -> None:
    frame.writeStream.format("memory").queryName("never").outputMode(mode).start()


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(lambda frame: frame.collect(), id="collect"),
        pytest.param(lambda frame: frame.count(), id="count"),
        pytest.param(lambda frame: frame.show(), id="show"),
        pytest.param(lambda frame: frame.first(), id="first"),
        pytest.param(lambda frame: frame.toPandas(), id="toPandas"),
    ],
)
def test_a_stream_cannot_be_collected(stream: DataFrame, action: Callable[[DataFrame], object]) -> None:
    with pytest.raises(AnalysisException, match=NEEDS_START):
        action(stream)


def test_a_stream_cannot_be_written_as_a_batch(stream: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(AnalysisException, match="CALL_ON_STREAMING_DATASET_UNSUPPORTED.*`write`"):
        stream.write.parquet(str(tmp_path / "out"))


def test_a_batch_cannot_be_started(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException, match="WRITE_STREAM_NOT_ALLOWED"):
        start(spark.range(1).toDF("id"))


def test_an_output_mode_must_exist(stream: DataFrame) -> None:
    with pytest.raises(IllegalArgumentException, match="STREAMING_OUTPUT_MODE.INVALID.*sometimes.*'Append'"):
        start(stream, "sometimes")


def test_complete_needs_an_aggregate(stream: DataFrame) -> None:
    with pytest.raises(AnalysisException, match="Invalid streaming output mode: complete.*no streaming aggregations"):
        start(stream, "complete")


def test_append_of_an_aggregate_needs_a_watermark(stream: DataFrame) -> None:
    with pytest.raises(AnalysisException, match="output mode: append.*streaming aggregations without watermark"):
        start(stream.groupBy("id").count())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        pytest.param(
            lambda frame, batch: frame.sort("id"),
            "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated DataFrame/Dataset",
            id="sort",
        ),
        pytest.param(lambda frame, batch: frame.sample(0.5), "Sampling is not supported", id="sample"),
        pytest.param(lambda frame, batch: frame.offset(1), "Offset is not supported", id="offset"),
        pytest.param(
            lambda frame, batch: frame.union(batch),
            "Union between streaming and batch DataFrames/Datasets is not supported",
            id="union with a batch",
        ),
        pytest.param(
            lambda frame, batch: frame.intersect(batch),
            "Intersect|intersect.*not supported|INTERSECT",
            id="intersect",
        ),
        pytest.param(
            lambda frame, batch: batch.join(frame, "id", "left"),
            "join with a streaming DataFrame/Dataset on the right and a static DataFrame/Dataset on the left",
            id="left join with a stream on the right",
        ),
        pytest.param(
            lambda frame, batch: frame.join(batch, "id", "right"),
            "RightOuter join with a streaming DataFrame/Dataset on the left and a static DataFrame/DataSet",
            id="right join with a stream on the left",
        ),
        pytest.param(
            lambda frame, batch: frame.join(batch, "id", "full"),
            "FullOuter joins with streaming DataFrames/Datasets on the (left|right)",
            id="full join",
        ),
        pytest.param(
            lambda frame, batch: frame.withColumn("n", F.row_number().over(Window.orderBy("id"))),
            "NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING",
            id="window function",
        ),
        pytest.param(
            lambda frame, batch: frame.withColumn("n", F.monotonically_increasing_id()),
            "monotonically_increasing_id",
            id="monotonically increasing id",
        ),
    ],
)
def test_operators_that_need_the_whole_input(
    spark: SparkSession, stream: DataFrame, build: Callable[[DataFrame, DataFrame], DataFrame], message: str
) -> None:
    batch = spark.createDataFrame([(1,)], "id BIGINT")
    with pytest.raises(AnalysisException, match=message):
        start(build(stream, batch))


def test_distinct_aggregates(stream: DataFrame) -> None:
    with pytest.raises(AnalysisException, match="Distinct aggregations are not supported on streaming"):
        start(stream.groupBy("id").agg(F.count_distinct("id")), "complete")


def test_a_format_must_exist(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    writer = stream.writeStream.option("checkpointLocation", str(tmp_path / "c"))
    with pytest.raises(PySparkException, match="DATA_SOURCE_NOT_FOUND.*nosuch"):
        writer.format("nosuch").start()
    with pytest.raises(PySparkException, match="DATA_SOURCE_NOT_FOUND.*nosuch"):
        spark.readStream.format("nosuch").load().isStreaming  # noqa: B018


def test_a_sink_for_files_needs_a_checkpoint(stream: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(AnalysisException, match="checkpointLocation must be specified"):
        stream.writeStream.format("delta").start(str(tmp_path / "out"))


def test_a_column_must_exist(stream: DataFrame) -> None:
    with pytest.raises(AnalysisException, match="UNRESOLVED_COLUMN.*nowhere"):
        start(stream.select("nowhere"))


def test_the_checks_can_be_switched_off(spark: SparkSession, stream: DataFrame) -> None:
    spark.conf.set("spark.sql.streaming.unsupportedOperationCheck", "false")
    query = stream.sort("id").writeStream.format("memory").queryName("sorted").start()
    query.processAllAvailable()
    assert [row.id for row in spark.table("sorted").collect()] == [1]
