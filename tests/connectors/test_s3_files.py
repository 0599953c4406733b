"""Files in a bucket: batch reads and writes, streams from and to them, checkpoints and state."""

from __future__ import annotations

import gzip
import json
import os
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException, PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from typer.testing import CliRunner

from riacho.cli.app import app
from riacho.testing.gate import Gate, answer, slow
from riacho.testing.s3 import ACCESS_KEY, SECRET_KEY, Bucket, environment, spark_settings
from riacho.testing.servers import Server
from tests.spec.support import finish, until

pytestmark = pytest.mark.riacho_only

ROWS = 10


@pytest.fixture
def spark(spark: SparkSession, s3_gate: Gate) -> SparkSession:
    """A session that reaches the store through a gate, which counts its requests."""
    for key, value in spark_settings(s3_gate.url).items():
        spark.conf.set(key, value)
    return spark


def put(bucket: Bucket, key: str, *ids: int) -> None:
    bucket.put(key, "".join(json.dumps({"id": number, "v": f"v{number}"}) + "\n" for number in ids))


def ids(frame: DataFrame) -> list[int]:
    return sorted(row["id"] for row in frame.select("id").collect())


def stream(spark: SparkSession, path: str, **options: Any) -> DataFrame:
    return spark.readStream.schema("id LONG, v STRING").options(**options).json(path)


def run(frame: DataFrame, bucket: Bucket, format: str = "parquet", to: str = "out", **options: str) -> StreamingQuery:
    writer = frame.writeStream.format(format).option("checkpointLocation", f"{bucket.url}/checkpoint/{to}")
    return finish(writer.options(**options).trigger(availableNow=True).start(f"{bucket.url}/{to}"))


@pytest.mark.parametrize("format", ["parquet", "json", "csv", "orc", "avro"])
def test_what_is_written_is_read(spark: SparkSession, bucket: Bucket, format: str) -> None:
    folder, schema = f"{bucket.url}/a b/t", "id LONG, v STRING"
    rows = spark.range(ROWS).selectExpr("id", "concat('v', id) v")
    read = spark.read.format(format).schema(schema)
    rows.write.format(format).save(folder)
    assert ids(read.load(folder)) == list(range(ROWS))
    rows.write.format(format).mode("append").save(folder)
    rows.write.format(format).mode("ignore").save(folder)
    assert read.load(folder).count() == 2 * ROWS
    with pytest.raises(AnalysisException, match=f"PATH_ALREADY_EXISTS.*{folder}"):
        rows.write.format(format).save(folder)
    rows.limit(3).coalesce(1).write.format(format).mode("overwrite").save(folder)
    assert read.load(folder).count() == 3
    keys = bucket.keys("a b/t")
    assert len(keys) == 2
    assert keys[0] == "a b/t/_SUCCESS"
    if format != "csv":
        assert ids(spark.read.format(format).load(folder)) == ids(read.load(folder))
    assert spark.sql(f"SELECT * FROM {format}.`{folder}`").count() == 3


def test_partitions_and_globs(spark: SparkSession, bucket: Bucket) -> None:
    folder = f"{bucket.url}/t"
    rows = spark.range(9).selectExpr("id", "id % 3 k", "if(id < 3, NULL, 'a/b') p")
    rows.write.partitionBy("k", "p").parquet(folder)
    read = spark.read.parquet(folder)
    assert read.schema.simpleString() == "struct<id:bigint,k:int,p:string>"
    assert sorted(read.where("k = 1").collect()) == [(1, 1, None), (4, 1, "a/b"), (7, 1, "a/b")]
    assert ids(spark.read.option("basePath", folder).parquet(f"{folder}/k=[12]").where("p IS NULL")) == [1, 2]
    assert "k" not in spark.read.option("recursiveFileLookup", "true").parquet(folder).columns
    assert ids(spark.read.parquet(f"{folder}/k={{0,1}}/*")) == [0, 1, 3, 4, 6, 7]
    spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
    spark.range(1).selectExpr("id + 100 id", "1 k", "'a/b' p").write.partitionBy("k", "p").mode("overwrite").parquet(
        folder
    )
    assert ids(spark.read.parquet(folder)) == [0, 1, 2, 3, 5, 6, 8, 100]


def test_other_files(spark: SparkSession, bucket: Bucket) -> None:
    put(bucket, "in/1.json", 1, 2)
    put(bucket, "in/_hidden.json", 3)
    put(bucket, "in/.hidden.json", 3)
    put(bucket, "in/below/2.json", 3)
    put(bucket, "in2/1.json", 4)
    bucket.put("in/empty.json", "")
    bucket.put("in3/1.json.gz", gzip.compress(bucket.get("in2/1.json")))
    bucket.put("in/x.xml", "<rows><row><id>5</id></row></rows>")

    def read(*paths: str, **options: str) -> list[int]:
        reader = spark.read.schema("id LONG").options(**{"pathGlobFilter": "*.json", **options})
        return ids(reader.json([f"{bucket.url}/{path}" for path in paths]))

    assert read("in") == [1, 2]
    assert read("in", recursiveFileLookup="true") == [1, 2, 3]
    assert read("in/1.json", "in2") == [1, 2, 4]
    assert read("in3", pathGlobFilter="*.gz") == [4]
    assert read("in", modifiedBefore="2020-01-01T00:00:00") == []
    assert read("in", modifiedAfter="2020-01-01T00:00:00") == [1, 2]
    assert ids(spark.read.option("rowTag", "row").xml(f"{bucket.url}/in/x.xml")) == [5]
    assert spark.read.text(f"{bucket.url}/in/1.json").count() == 2
    found = spark.read.format("binaryFile").load(f"{bucket.url}/in2").first()
    assert found is not None
    assert (found["path"], found["length"]) == (f"{bucket.url}/in2/1.json", len(bucket.get("in2/1.json")))
    assert bytes(found["content"]) == bucket.get("in2/1.json")
    with pytest.raises(AnalysisException, match=f"PATH_NOT_FOUND.*{bucket.url}/none"):
        spark.read.json(f"{bucket.url}/none").count()
    with pytest.raises(PySparkException, match="The bucket 'there-is-none' does not exist"):
        spark.read.json("s3a://there-is-none/x").count()


def test_an_empty_folder_is_a_folder(spark: SparkSession, bucket: Bucket) -> None:
    """As the console of a store, or Hadoop, makes one; what is not there is told apart from it."""
    for mark in ("empty/", "new/", "new/g=1/"):
        bucket.put_any(mark)
    assert spark.read.schema("id LONG").json(f"{bucket.url}/empty").count() == 0
    assert spark.read.schema("id LONG").json(f"{bucket.url}/").count() == 0
    for name in ("empty", "new"):
        with pytest.raises(AnalysisException, match="UNABLE_TO_INFER_SCHEMA"):
            spark.read.json(f"{bucket.url}/{name}").count()
        with pytest.raises(AnalysisException, match="PATH_ALREADY_EXISTS"):
            spark.range(1).write.json(f"{bucket.url}/{name}")
    run(stream(spark, f"{bucket.url}/empty"), bucket)
    put(bucket, "empty/1.json", 1)
    run(stream(spark, f"{bucket.url}/empty"), bucket)
    assert ids(spark.read.parquet(f"{bucket.url}/out")) == [1]
    spark.range(2).withColumn("g", F.lit(1)).write.partitionBy("g").mode("append").json(f"{bucket.url}/new")
    assert ids(spark.read.json(f"{bucket.url}/new")) == [0, 1]
    bucket.put_any("odd/a//1.json")
    with pytest.raises(PySparkException, match="name of an object cannot be used.*empty path segment"):
        spark.read.json(f"{bucket.url}/odd").count()


def test_a_place_has_one_content_by_all_its_names(spark: SparkSession, bucket: Bucket) -> None:
    """A stream takes no file again because its folder is named by another scheme, or with a slash at the end."""
    for number, name in enumerate(("a b", "a+b", "a%20b", "a%", "x#y", "x?y", "ä", "[x]", "a:b", "'", "end ")):
        put(bucket, f"in/{name}.json", number)
    for scheme in ("s3a", "s3", "S3N"):
        there = f"{scheme}://{bucket.name}"
        assert ids(spark.read.json(f"{there}/in/")) == list(range(11))
        for overwrites in ("false", "true"):
            reader = spark.readStream.format("cloudFiles").option("cloudFiles.format", "json").schema("id LONG")
            frame = reader.option("cloudFiles.allowOverwrites", overwrites)
            run(frame.load(f"{there}/in{'/' * (scheme == 's3')}"), bucket, to=f"out{overwrites}")
    for overwrites in ("false", "true"):
        assert ids(spark.read.parquet(f"s3n://{bucket.name}//out{overwrites}/")) == list(range(11))


def test_parquet_is_read_in_ranges(spark: SparkSession, bucket: Bucket, s3_gate: Gate) -> None:
    """Of a large file only the footer and the columns that are asked for are fetched."""
    numbers = pa.array(range(200_000))
    noise = pa.array([os.urandom(60) for _ in range(200_000)])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": numbers, "noise": noise}), sink, row_group_size=100_000)
    content = sink.getvalue().to_pybytes()
    bucket.put("big/1.parquet", content)
    frame = spark.read.parquet(f"{bucket.url}/big").agg(F.sum("id").alias("s"))
    assert [row["s"] for row in frame.collect()] == [sum(range(200_000))]
    assert s3_gate.answered_bytes < len(content) / 2
    assert len(s3_gate.requests) < 30
    spark.range(4).selectExpr("id", "id k").write.partitionBy("k").parquet(f"{bucket.url}/parts")
    assert ids(spark.read.parquet(f"{bucket.url}/parts").where("k = 1")) == [1]
    assert s3_gate.count("GET", "/parts/k=1/") == 1
    assert s3_gate.count("GET", "/parts/k=3/") == 0


@pytest.mark.parametrize("format", ["parquet", "text"])
def test_a_file_that_is_overwritten_while_it_is_read(
    spark: SparkSession, bucket: Bucket, s3_gate: Gate, format: str
) -> None:
    """No half of the one and half of the other."""

    def content(value: str) -> bytes:
        lines = pa.table({"value": [value + os.urandom(60).hex() for _ in range(50_000)]})
        if format == "text":
            return "\n".join(lines["value"].to_pylist()).encode()
        sink = pa.BufferOutputStream()
        pq.write_table(lines, sink)
        return bytes(sink.getvalue().to_pybytes())

    first, second = content("a"), content("b")
    bucket.put(f"in/1.{format}", first)
    frame = spark.read.format(format).load(f"{bucket.url}/in").selectExpr("left(value, 1) v").distinct()
    assert [row["v"] for row in frame.collect()] == ["a"]
    s3_gate.on("GET", f"/in/1.{format}", slow(0), times=3 if format == "parquet" else 1)
    s3_gate.on("GET", f"/in/1.{format}", slow(0), then=lambda: bucket.put(f"in/1.{format}", second))
    with pytest.raises(PySparkException, match="was overwritten while it was read"):
        frame.collect()
    assert [row["v"] for row in frame.collect()] == ["b"]


def test_a_stream_of_files_into_files(spark: SparkSession, bucket: Bucket, s3_gate: Gate) -> None:
    for number in range(5):
        put(bucket, f"in/d={number % 2}/f {number}.json", number)
    frame = spark.readStream.schema("id LONG, d INT").option("maxFilesPerTrigger", 2).json(f"{bucket.url}/in")
    frame = frame.select("*", F.input_file_name().alias("name"), "_metadata.file_path", "_metadata.file_size")
    query = run(frame, bucket, partitionby="d")
    assert [one["numInputRows"] for one in query.recentProgress] == [2, 2, 1]
    assert query.recentProgress[0]["sources"][0]["description"] == f"FileStreamSource[{bucket.url}/in]"
    assert query.recentProgress[0]["sink"]["description"] == f"FileSink[{bucket.url}/out]"
    written = spark.read.parquet(f"{bucket.url}/out")
    assert ids(written) == list(range(5))
    for row in written.collect():
        key = f"in/d={row['id'] % 2}/f {row['id']}.json"
        assert row["name"] == row["file_path"] == f"{bucket.url}/{key}".replace(" ", "%20")
        assert (row["d"], row["file_size"]) == (row["id"] % 2, len(bucket.get(key)))
    put(bucket, "in/d=1/late.json", 5)
    bucket.put("out/part-of-a-failed-batch.parquet", b"no parquet")
    run(frame, bucket)
    assert ids(spark.read.parquet(f"{bucket.url}/out")) == list(range(6))
    again = spark.readStream.schema("id LONG").parquet(f"{bucket.url}/out")
    run(again, bucket, to="copy")
    assert ids(spark.read.parquet(f"{bucket.url}/copy")) == list(range(6))
    assert s3_gate.count("HEAD", "/in/") == 0


def test_no_request_is_made_for_a_single_file(spark: SparkSession, bucket: Bucket, s3_gate: Gate) -> None:
    for number in range(1200):
        put(bucket, f"in/{number:05d}.json", number)
    frame = stream(spark, f"{bucket.url}/in", latestFirst="true", maxFilesPerTrigger=1)
    query = frame.writeStream.format("noop").option("checkpointLocation", f"{bucket.url}/c").trigger(once=True)
    before = len(s3_gate.requests)
    finish(query.start())
    asked = [(method, path) for method, path in s3_gate.requests[before:] if "prefix=in" in path or "/in" in path]
    assert len(asked) <= 1200 + 10
    assert spark.read.schema("id LONG").json(f"{bucket.url}/in").count() == 1200
    assert s3_gate.count("HEAD", "/in/") == 0


@pytest.mark.parametrize("mode", ["delete", "archive"])
def test_files_are_cleaned_up(spark: SparkSession, bucket: Bucket, mode: str) -> None:
    put(bucket, "in/1.json", 1)
    options = {"cleanSource": mode, "sourceArchiveDir": f"{bucket.url}/archive", "maxFilesPerTrigger": "1"}
    frame = stream(spark, f"{bucket.url}/in", **options)
    run(frame, bucket)
    put(bucket, "in/2.json", 2)
    put(bucket, "in/3.json", 3)
    run(frame, bucket)
    assert ids(spark.read.parquet(f"{bucket.url}/out")) == [1, 2, 3]
    assert bucket.keys("in") == ["in/3.json"]
    assert bucket.keys("archive") == (["archive/in/1.json", "archive/in/2.json"] if mode == "archive" else [])
    elsewhere = stream(spark, f"{bucket.url}/in", cleanSource="archive", sourceArchiveDir="/tmp/elsewhere")
    with pytest.raises(StreamingQueryException, match="Base archive path is located on a different file system"):
        run(elsewhere, bucket, to="other")


def test_cloud_files(spark: SparkSession, bucket: Bucket) -> None:
    put(bucket, "in/2026/1.json", 1)
    options = {"cloudFiles.format": "json", "cloudFiles.schemaLocation": f"{bucket.url}/schema"}

    def load() -> StreamingQuery:
        return run(spark.readStream.format("cloudFiles").options(**options).load(f"{bucket.url}/in"), bucket)

    load()
    bucket.put("in/2026/2.json", '{"id": 2, "v": "b", "w": "new"}\n')
    with pytest.raises(StreamingQueryException, match="UNKNOWN_FIELD_EXCEPTION.*restart the stream"):
        load()
    load()
    rows = spark.read.option("mergeSchema", "true").parquet(f"{bucket.url}/out")
    assert sorted((row["id"], row["w"]) for row in rows.select("id", "w").collect()) == [("1", None), ("2", "new")]
    assert bucket.keys("schema") == ["schema/_schemas/0", "schema/_schemas/1"]


def test_an_incremental_listing_is_short(spark: SparkSession, bucket: Bucket, s3_gate: Gate) -> None:
    options = {"cloudFiles.format": "json", "cloudFiles.useIncrementalListing": "true"}
    frame = spark.readStream.format("cloudFiles").schema("id LONG").options(**options).load(f"{bucket.url}/in")
    put(bucket, "in/5.json", 5)
    writer = frame.writeStream.format("parquet").option("checkpointLocation", f"{bucket.url}/checkpoint")
    query = writer.start(f"{bucket.url}/out")
    query.processAllAvailable()
    put(bucket, "in/6.json", 6)
    query.processAllAvailable()
    assert s3_gate.count("GET", "start-after=in/5.json") > 0
    put(bucket, "in/1.json", 1)  # behind the others' back: found by the next whole listing
    until(query, lambda: ids(spark.read.parquet(f"{bucket.url}/out")) == [1, 5, 6])
    query.stop()


def test_tables_of_files(spark: SparkSession, bucket: Bucket, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.t (id LONG, k INT) USING parquet PARTITIONED BY (k) LOCATION '{bucket.url}/t'")
    spark.sql(f"INSERT INTO {database}.t VALUES (1, 1), (2, 2)")
    spark.sql(f"INSERT OVERWRITE DIRECTORY '{bucket.url}/d' USING json SELECT * FROM {database}.t WHERE k = 2")
    assert ids(spark.table(f"{database}.t")) == [1, 2]
    assert ids(spark.read.json(f"{bucket.url}/d")) == [2]
    assert [key for key in bucket.keys("t") if key.startswith("t/k=1/")]


def test_state_is_kept_in_the_bucket(spark: SparkSession, bucket: Bucket) -> None:
    for number in range(4):
        put(bucket, f"in/{number}.json", number, number + 1)
    spark.conf.set("spark.sql.streaming.minBatchesToRetain", "2")

    def counted() -> list[tuple[int, int]]:
        counts = stream(spark, f"{bucket.url}/in", maxFilesPerTrigger=1).groupBy("id").count()
        writer = counts.writeStream.format("delta").outputMode("complete")
        writer = writer.option("checkpointLocation", f"{bucket.url}/checkpoint").trigger(availableNow=True)
        finish(writer.start(f"{bucket.url}/counts"))
        rows = spark.read.format("delta").load(f"{bucket.url}/counts").collect()
        return sorted((row["id"], row["count"]) for row in rows)

    assert counted() == [(0, 1), (1, 2), (2, 2), (3, 2), (4, 1)]
    put(bucket, "in/5.json", 0, 9)
    assert counted() == [(0, 2), (1, 2), (2, 2), (3, 2), (4, 1), (9, 1)]
    shown = CliRunner().invoke(
        app, ["state", "show", f"{bucket.url}/checkpoint", "--rows", "100"], env=environment(bucket.endpoint)
    )
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("\n") > 6
    manifests = [key for key in bucket.keys("checkpoint/state/0/default") if key.endswith(".json")]
    assert len(manifests) <= 4
    (broken,) = [key for key in bucket.keys("checkpoint/state/0/default") if "/5." in key and key.endswith(".arrow")]
    bucket.delete(broken)
    put(bucket, "in/6.json", 9)
    with pytest.raises(StreamingQueryException, match=f"CANNOT_LOAD_STATE_STORE.*{bucket.url}/checkpoint/state/0"):
        counted()


def test_the_sessions_checkpoint_folder_may_be_a_bucket(spark: SparkSession, bucket: Bucket) -> None:
    put(bucket, "in/1.json", 1)
    spark.conf.set("spark.sql.streaming.checkpointLocation", f"{bucket.url}/all")
    writer = stream(spark, f"{bucket.url}/in").writeStream.format("noop").queryName("mine").trigger(availableNow=True)
    finish(writer.start())
    assert "all/mine/commits/0" in bucket.keys("all")


def test_keys_are_shown_nowhere(
    spark: SparkSession, bucket: Bucket, s3_gate: Gate, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    put(bucket, "in/1.json", 1)
    frame = stream(spark, f"{bucket.url}/in")
    query = run(frame, bucket)
    texts = [json.dumps(query.lastProgress, default=str)]
    spark.read.json(f"{bucket.url}/in").explain("extended")
    frame.explain(True)
    texts += [str(frame.schema), capfd.readouterr().out, server.log.read_text()]
    for code, status in (("AccessDenied", 403), ("InvalidAccessKeyId", 403)):
        s3_gate.on("*", "/in", answer(status, code, f"{ACCESS_KEY} may not"), times=50)
        with pytest.raises(PySparkException, match="The object store denies access") as denied:
            spark.read.json(f"{bucket.url}/in").count()
        texts.append(str(denied.value))
        with pytest.raises(PySparkException, match="The object store denies access") as died:
            run(frame, bucket)
        texts.append(str(died.value))
        s3_gate.clear()
    texts += [bucket.text(key) for key in bucket.keys("checkpoint") + bucket.keys("out/_spark_metadata")]
    assert not [text for text in texts if ACCESS_KEY in text or SECRET_KEY in text]
