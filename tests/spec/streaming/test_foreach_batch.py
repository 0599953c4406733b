"""foreachBatch: a function of the user's is given each batch as a DataFrame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.errors.exceptions.connect import StreamingPythonRunnerInitializationException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from tests.spec.conftest import NewSession
from tests.spec.support import files, finish, ids, rows, write_json


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for number in range(2):
        write_json(tmp_path / "landing" / f"{number}.json", [{"id": number}, {"id": number + 10}])
    return tmp_path / "landing"


def test_each_batch_comes_with_its_number(spark: SparkSession, landing: Path, database: str) -> None:
    def keep(frame: DataFrame, batch_id: int) -> None:
        frame.selectExpr("id", f"CAST({batch_id} AS INT) AS batch").write.mode("append").saveAsTable(f"{database}.seen")

    stream = files(spark, landing, maxFilesPerTrigger=1)
    finish(stream.writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert rows(spark.table(f"{database}.seen")) == [(0, 0), (1, 1), (10, 0), (11, 1)]


def test_a_batch_can_be_used_twice(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")

    def keep(frame: DataFrame, batch_id: int) -> None:
        frame.where("id < 10").write.mode("append").parquet(one)
        frame.where("id >= 10").write.mode("append").parquet(two)

    finish(files(spark, landing).writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert ids(spark.read.parquet(one)) == [0, 1]
    assert ids(spark.read.parquet(two)) == [10, 11]


def test_the_batch_is_no_stream_and_can_be_collected(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen.txt"

    def keep(frame: DataFrame, batch_id: int) -> None:
        with seen.open("a") as file:
            file.write(f"{frame.isStreaming} {frame.count()} {sorted(row.id for row in frame.collect())}\n")

    finish(files(spark, landing).writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert seen.read_text() == "False 4 [0, 1, 10, 11]\n"


def test_sql_in_the_function_sees_the_batch_as_a_view(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def keep(frame: DataFrame, batch_id: int) -> None:
        frame.createOrReplaceTempView("batch")
        frame.sparkSession.sql("SELECT sum(id) AS total FROM batch").write.mode("append").parquet(out)

    stream = files(spark, landing, maxFilesPerTrigger=1)
    finish(stream.writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert rows(spark.read.parquet(out)) == [(10,), (12,)]


def test_the_function_sees_the_views_of_the_session_that_started_it(
    spark: SparkSession, landing: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    spark.createDataFrame([(0, "zero"), (1, "one")], "id BIGINT, name STRING").createOrReplaceTempView("names")

    def keep(frame: DataFrame, batch_id: int) -> None:
        frame.join(frame.sparkSession.table("names"), "id").write.mode("append").parquet(out)

    finish(files(spark, landing).writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert rows(spark.read.parquet(out)) == [(0, "zero"), (1, "one")]


def test_the_function_carries_what_it_refers_to(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    limits = {"least": 10}
    out = str(tmp_path / "out")

    def keep(frame: DataFrame, batch_id: int) -> None:
        frame.where(frame.id >= limits["least"]).write.mode("append").parquet(out)

    finish(files(spark, landing).writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert ids(spark.read.parquet(out)) == [10, 11]


def test_an_exception_in_the_function_ends_the_query_and_names_itself(spark: SparkSession, landing: Path) -> None:
    def refuse(frame: DataFrame, batch_id: int) -> None:
        raise ValueError(f"batch {batch_id} is not welcome")

    query = files(spark, landing).writeStream.foreachBatch(refuse).trigger(availableNow=True).start()
    with pytest.raises(StreamingQueryException, match="ValueError: batch 0 is not welcome"):
        finish(query)
    assert not query.isActive
    assert "batch 0 is not welcome" in str(query.exception())


def test_a_batch_whose_function_failed_is_given_again(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    out, checkpoint = tmp_path / "out.txt", str(tmp_path / "c")

    def fail(frame: DataFrame, batch_id: int) -> None:
        raise ValueError("not today")

    def keep(frame: DataFrame, batch_id: int) -> None:
        with out.open("a") as file:
            file.write(f"{batch_id}: {sorted(row.id for row in frame.collect())}\n")

    def writer(function: Callable[[DataFrame, int], None]) -> DataStreamWriter:
        stream = files(spark, landing, maxFilesPerTrigger=1).writeStream.foreachBatch(function)
        return stream.option("checkpointLocation", checkpoint).trigger(availableNow=True)

    with pytest.raises(StreamingQueryException, match="ValueError: not today"):
        finish(writer(fail).start())
    finish(writer(keep).start())
    assert out.read_text() == "0: [0, 10]\n1: [1, 11]\n"


def test_it_cannot_be_partitioned(spark: SparkSession, landing: Path) -> None:
    with pytest.raises(PySparkException, match="does not support partitioning"):
        files(spark, landing).writeStream.foreachBatch(print).partitionBy("id").start()


def test_views_made_of_a_batch_have_its_rows_afterwards(
    spark: SparkSession, landing: Path, new_session: NewSession
) -> None:
    shared = f"shared_{uuid4().hex[:8]}"

    def keep(frame: DataFrame, batch_id: int) -> None:
        frame.createOrReplaceTempView("latest")
        frame.createOrReplaceGlobalTempView(shared)
        frame.sparkSession.table("latest").where("id >= 10").createOrReplaceTempView("large")
        frame.sparkSession.sql("CREATE OR REPLACE TEMP VIEW doubled AS SELECT id * 2 AS id FROM latest")
        if batch_id == 0:
            frame.createOrReplaceTempView("first")
            frame.sparkSession.table("latest").createOrReplaceTempView("first_too")
            frame.select("id", frame.id.alias("id")).createOrReplaceTempView("twice")

    stream = files(spark, landing, maxFilesPerTrigger=1)
    query = stream.writeStream.foreachBatch(keep).trigger(availableNow=True).start()
    finish(query)
    query.stop()
    assert ids(spark.table("latest")) == [1, 11]
    assert ids(spark.table("large")) == [11]
    assert ids(spark.table("doubled")) == [2, 22]
    assert ids(spark.table("first")) == [0, 10]
    assert ids(spark.table("first_too")) == [0, 10]
    assert rows(spark.table("twice")) == [(0, 0), (10, 10)]
    assert ids(new_session().table(f"global_temp.{shared}")) == [1, 11]
    spark.sql("CREATE OR REPLACE TEMP VIEW first AS SELECT 5 AS id")
    spark.catalog.dropTempView("latest")
    assert ids(spark.table("first")) == [5]
    assert ids(spark.table("first_too")) == [0, 10]
    assert ids(spark.table("large")) == [11]
    assert spark.catalog.dropGlobalTempView(shared)


def test_a_batch_that_is_kept_is_known_no_more(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen.txt"

    def keep(frame: DataFrame, batch_id: int) -> None:
        import builtins

        frames = builtins.__dict__.setdefault("kept_frames", [])
        frames.append(frame)
        if batch_id == 1:
            try:
                seen.write_text(str(frames[0].collect()))
            except PySparkException as error:
                seen.write_text(str(error))

    stream = files(spark, landing, maxFilesPerTrigger=1)
    finish(stream.writeStream.foreachBatch(keep).trigger(availableNow=True).start())
    assert "No DataFrame with id" in seen.read_text()


class _Broken:
    """What cannot be unpickled."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[object, ...]:
        return eval, (self.text,)


def test_a_function_that_cannot_be_loaded_refuses_the_start(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    for text, reason in (
        ("1/0", "ZeroDivisionError"),
        ("__import__('no_such_module')", "No module named 'no_such_module'"),
    ):
        broken = _Broken(text)
        writer = files(spark, landing).writeStream.foreachBatch(lambda frame, batch_id, b=broken: print(b))  # type: ignore[misc]
        with pytest.raises(StreamingPythonRunnerInitializationException, match=reason) as caught:
            writer.queryName("broken").start()
        assert caught.value.getCondition() == "STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE"
        assert caught.value.getSqlState() == "XXKST"
    assert spark.streams.active == []
    finish(files(spark, landing).writeStream.queryName("broken").foreachBatch(print).trigger(availableNow=True).start())


def test_a_function_that_cannot_be_called_ends_the_query(spark: SparkSession, landing: Path) -> None:
    def imports(frame: DataFrame, batch_id: int) -> None:
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401

    for function, reason in (
        (lambda frame: None, "1 positional argument but 2 were given"),
        (lambda frame, batch_id, more: None, "missing 1 required positional argument"),
        (imports, "No module named 'no_such_module'"),
    ):
        query = files(spark, landing).writeStream.foreachBatch(function).trigger(availableNow=True).start()  # type: ignore[arg-type]
        with pytest.raises(StreamingQueryException, match=reason):
            finish(query)
