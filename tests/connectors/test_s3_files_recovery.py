"""Source, sink and checkpoint in a bucket, and what goes wrong: kills at each step, a store that stops, two queries."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from riacho.server.streaming.batch import BatchStep
from riacho.testing.gate import CUT, LOSE_ANSWER, Gate, answer
from riacho.testing.s3 import Bucket, environment, spark_settings

pytestmark = pytest.mark.riacho_only

ROOT = Path(__file__).resolve().parents[2]
VICTIM = Path(__file__).with_name("s3_files_victim.py")
FILES, ROWS = 3, 10
LIMIT_S = 90
EVERY_ID = list(range(FILES * ROWS))


@pytest.fixture
def landing(bucket: Bucket) -> Bucket:
    """A bucket with a few files."""
    for file in range(FILES):
        put_file(bucket, file)
    return bucket


def put_file(bucket: Bucket, file: int) -> None:
    rows = range(file * ROWS, (file + 1) * ROWS)
    bucket.put(f"in/{file}.json", "".join(json.dumps({"id": row, "v": f"v{row % 7}"}) + "\n" for row in rows))


def run(folder: Path, bucket: Bucket, sink: str, *orders: str) -> int:
    command = [sys.executable, str(VICTIM), str(folder), bucket.url, sink, *orders]
    path = f"{ROOT}{os.pathsep}{ROOT / 'src'}"
    given = {**os.environ, **environment(bucket.endpoint), "PYTHONPATH": path}
    return subprocess.run(command, timeout=LIMIT_S, check=False, env=given).returncode


def in_files(bucket: Bucket) -> list[int]:
    """The rows of the files that the sink's log names."""
    names: dict[str, None] = {}
    for key in bucket.keys("out/_spark_metadata"):
        for line in bucket.text(key).split("\n")[1:]:
            names[json.loads(line)["path"].removeprefix(f"{bucket.url}/")] = None
    tables = [pq.read_table(pa.BufferReader(bucket.get(name)), columns=["id"]) for name in names]
    return sorted(pa.concat_tables(tables)["id"].to_pylist()) if tables else []


def in_table(bucket: Bucket) -> pa.Table:
    url = f"s3://{bucket.name}/out"
    return DeltaTable(url, storage_options=environment(bucket.endpoint)).to_pyarrow_table()


@pytest.mark.parametrize("step", [step.value for step in BatchStep])
def test_a_killed_server_loses_and_doubles_nothing_in_files(tmp_path: Path, landing: Bucket, step: str) -> None:
    assert run(tmp_path, landing, "parquet", "server", step, "1") == -signal.SIGKILL
    assert run(tmp_path, landing, "parquet") == 0
    assert in_files(landing) == EVERY_ID


@pytest.mark.parametrize("step", [BatchStep.LOGGED.value, BatchStep.RAN.value, BatchStep.WRITTEN.value])
def test_a_killed_server_loses_and_doubles_nothing_in_state(tmp_path: Path, landing: Bucket, step: str) -> None:
    assert run(tmp_path, landing, "counts", "server", step, "1") == -signal.SIGKILL
    assert run(tmp_path, landing, "counts") == 0
    found = in_table(landing)
    expected = Counter(f"v{row % 7}" for row in EVERY_ID)
    assert dict(zip(found["v"].to_pylist(), found["n"].to_pylist(), strict=True)) == expected


def test_a_killed_server_loses_and_doubles_nothing_in_delta(tmp_path: Path, landing: Bucket) -> None:
    assert run(tmp_path, landing, "delta", "server", BatchStep.WRITTEN.value, "1") == -signal.SIGKILL
    assert run(tmp_path, landing, "delta") == 0
    assert sorted(in_table(landing)["id"].to_pylist()) == EVERY_ID


def test_a_killed_engine_costs_a_repeated_batch_at_most(tmp_path: Path, landing: Bucket) -> None:
    assert run(tmp_path, landing, "parquet", "engine", BatchStep.RAN.value, "1") == 0
    assert in_files(landing) == EVERY_ID


@pytest.fixture
def gated(spark: SparkSession, s3_gate: Gate) -> SparkSession:
    """A session that reaches the store through a gate."""
    for key, value in spark_settings(s3_gate.url).items():
        spark.conf.set(key, value)
    return spark


def start(spark: SparkSession, bucket: Bucket, *, endless: bool = False) -> StreamingQuery:
    source = spark.readStream.schema("id LONG, v STRING").option("maxFilesPerTrigger", 1).json(f"{bucket.url}/in")
    writer = source.writeStream.format("parquet").option("checkpointLocation", f"{bucket.url}/checkpoint")
    trigger = {"processingTime": "0 seconds"} if endless else {"availableNow": True}
    return writer.trigger(**trigger).start(f"{bucket.url}/out")


def finish(query: StreamingQuery) -> None:
    assert query.awaitTermination(LIMIT_S)


PLACES = [
    "/in",
    "/checkpoint/offsets/",
    "/checkpoint/commits/",
    "/checkpoint/sources/",
    "/out/part-",
    "/_spark_metadata/",
]


@pytest.mark.parametrize("place", PLACES)
def test_what_passes_is_gone_by_repeating(gated: SparkSession, s3_gate: Gate, landing: Bucket, place: str) -> None:
    """Each of these at each place: the store is busy, the connection is cut before, and behind, what was asked."""
    method = "GET" if place == "/in" else "PUT"
    came = [s3_gate.on(method, place, fault) for fault in (answer(503, "SlowDown"), CUT, LOSE_ANSWER)]
    finish(start(gated, landing))
    assert all(each.is_set() for each in came)
    assert in_files(landing) == EVERY_ID


def test_a_store_that_stops_in_a_batch_and_comes_back(gated: SparkSession, s3_gate: Gate, landing: Bucket) -> None:
    def back_soon() -> None:
        s3_gate.refuse()
        threading.Timer(1.0, s3_gate.let_in).start()

    s3_gate.on("PUT", "/out/part-", CUT, then=back_soon)
    finish(start(gated, landing))
    assert in_files(landing) == EVERY_ID


@pytest.mark.parametrize(
    "place", ["/checkpoint/offsets/1", "/out/part-", "/_spark_metadata/1", "/checkpoint/commits/1"]
)
def test_a_store_that_stays_away(gated: SparkSession, s3_gate: Gate, landing: Bucket, place: str) -> None:
    """The query dies, with what was asked, and goes on when it is started again."""
    gated.conf.set("spark.hadoop.fs.s3a.attempts.maximum", "1")
    gone = s3_gate.on("PUT", place, CUT, then=s3_gate.refuse)
    with pytest.raises(StreamingQueryException, match="object store cannot be reached: write s3a://"):
        start(gated, landing).awaitTermination(LIMIT_S)
    assert gone.is_set()
    s3_gate.let_in()
    finish(start(gated, landing))
    assert in_files(landing) == EVERY_ID


def test_a_second_query_on_the_checkpoint_ends_with_sparks_error(
    gated: SparkSession, s3_gate: Gate, landing: Bucket, tmp_path: Path
) -> None:
    """Another server has run the batch that this one is about to log."""

    def run_the_other() -> None:
        assert run(tmp_path, landing, "parquet") == 0

    s3_gate.on("PUT", "/checkpoint/offsets/1", answer(503, "SlowDown"), then=run_the_other)
    with pytest.raises(StreamingQueryException, match="Multiple streaming jobs detected for 1"):
        start(gated, landing).awaitTermination(LIMIT_S)
    assert in_files(landing) == EVERY_ID


def test_a_second_query_leaves_the_state_of_the_first_alone(
    gated: SparkSession, s3_gate: Gate, landing: Bucket, tmp_path: Path
) -> None:
    """It comes between the files of a version and their manifest."""

    def run_the_other() -> None:
        assert run(tmp_path, landing, "counts") == 0

    def count() -> None:
        source = gated.readStream.schema("id LONG, v STRING").option("maxFilesPerTrigger", 1).json(f"{landing.url}/in")
        writer = source.groupBy("v").agg(F.count("id").alias("n")).writeStream.format("delta").outputMode("complete")
        writer = writer.option("checkpointLocation", f"{landing.url}/checkpoint").trigger(availableNow=True)
        finish(writer.start(f"{landing.url}/out"))

    s3_gate.on("PUT", "/default/2.json", answer(503, "SlowDown"), then=run_the_other)
    with pytest.raises(StreamingQueryException, match="Multiple streaming jobs detected for 1"):
        count()
    put_file(landing, FILES)
    count()
    found = in_table(landing)
    expected = Counter(f"v{row % 7}" for row in range((FILES + 1) * ROWS))
    assert dict(zip(found["v"].to_pylist(), found["n"].to_pylist(), strict=True)) == expected
