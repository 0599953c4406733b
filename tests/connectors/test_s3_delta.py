"""Delta tables in a bucket: all statements, streams, several writers, and what happens when the store fails.

Only on riacho: Spark needs hadoop-aws for it. delta-rs reads and writes the same tables.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from pyspark import pipelines as dp
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from riacho.testing.gate import CUT, LOSE_ANSWER, Gate, answer
from riacho.testing.s3 import ACCESS_KEY, REGION, SECRET_KEY, Bucket, S3Server, spark_settings
from riacho.testing.servers import Server, riacho_server
from tests.spec.pipelines.support import Project
from tests.spec.support import finish, ids

pytestmark = pytest.mark.riacho_only  # Spark needs hadoop-aws and its SDK


def connect(spark: SparkSession, endpoint: str) -> SparkSession:
    for key, value in spark_settings(endpoint).items():
        spark.conf.set(key, value)
    return spark


@pytest.fixture
def lake(spark: SparkSession, s3_gate: Gate) -> SparkSession:
    """A session that reaches the store through the test's gate."""
    return connect(spark, s3_gate.url)


def storage_options(endpoint: str) -> dict[str, str]:
    """What delta-rs is told."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }


def theirs(place: str, s3: S3Server) -> DeltaTable:
    return DeltaTable(place, storage_options=storage_options(s3.url))


def their_ids(place: str, s3: S3Server) -> list[int]:
    return sorted(theirs(place, s3).to_pyarrow_table(columns=["id"])["id"].to_pylist())


def test_every_statement_on_a_table_in_a_bucket(
    lake: SparkSession, bucket: Bucket, s3: S3Server, database: str
) -> None:
    place = f"{bucket.url}/lake/events"
    frame = lake.range(6).withColumn("g", F.concat(F.lit("two words "), F.col("id") % 2))
    frame.write.format("delta").partitionBy("g").save(place)
    assert ids(lake.read.format("delta").load(place)) == [0, 1, 2, 3, 4, 5]
    lake.sql(f"CREATE TABLE {database}.t USING delta LOCATION '{place}'")
    lake.sql(f"ALTER TABLE {database}.t SET TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    lake.sql(f"INSERT INTO {database}.t VALUES (6, 'ç/x'), (7, NULL)")
    assert lake.sql(f"DELETE FROM {database}.t WHERE id < 2").collect()[0][0] == 2
    assert lake.sql(f"UPDATE {database}.t SET g = 'new' WHERE id = 3").collect()[0][0] == 1
    merged = f"MERGE INTO {database}.t t USING (VALUES (4, 'm'), (9, 'm') AS s(id, g)) s ON t.id = s.id"
    lake.sql(f"{merged} WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *")
    expected = [(2, "two words 0"), (3, "new"), (4, "m"), (5, "two words 1"), (6, "ç/x"), (7, None), (9, "m")]
    by_name = lake.sql(f"SELECT T.id, g FROM {database}.T WHERE t.id >= 0 ORDER BY id").collect()
    assert [tuple(row) for row in by_name] == expected
    found = theirs(place, s3).to_pyarrow_table().sort_by("id")
    assert list(zip(found["id"].to_pylist(), found["g"].to_pylist(), strict=True)) == expected
    assert lake.sql(f"SELECT count(*) FROM delta.`{place}` VERSION AS OF 0").collect()[0][0] == 6
    assert lake.read.option("versionAsOf", 2).table(f"{database}.t").count() == 8
    changes = lake.read.option("readChangeFeed", True).option("startingVersion", 3).table(f"{database}.t")
    kinds = changes.groupBy("_change_type").count().orderBy("_change_type").collect()
    assert [tuple(row) for row in kinds] == [
        ("delete", 2), ("insert", 1), ("update_postimage", 2), ("update_preimage", 2),
    ]  # fmt: skip
    lake.sql(f"INSERT INTO {database}.t VALUES (10, 'm')")
    assert lake.sql(f"OPTIMIZE {database}.t").collect()[0].metrics.numFilesRemoved == 2
    lake.sql(f"RESTORE TABLE {database}.t TO VERSION AS OF 2")
    assert lake.table(f"{database}.t").count() == 8
    lake.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    gone = lake.sql(f"VACUUM {database}.t RETAIN 0 HOURS DRY RUN").collect()
    assert gone
    assert all(row[0].startswith(place) for row in gone)
    before = len(bucket.keys("lake/events"))
    lake.sql(f"VACUUM {database}.t RETAIN 0 HOURS")
    assert len(bucket.keys("lake/events")) < before
    assert lake.table(f"{database}.t").count() == 8
    write_deltalake(
        place, pa.table({"id": [50], "g": ["theirs"]}), mode="append", storage_options=storage_options(s3.url)
    )
    theirs(place, s3).create_checkpoint()
    assert 50 in ids(lake.sql(f"SELECT a.id FROM {database}.t a JOIN delta.`{place}` b ON a.id = b.id"))
    assert lake.sql(f"DESCRIBE DETAIL {database}.t").collect()[0].location == place
    assert lake.sql(f"DESCRIBE DETAIL '{place}/'").collect()[0].location == place
    assert lake.sql(f"OPTIMIZE '{place}'").collect()[0].path == place
    assert lake.sql(f"VACUUM '{place}' DRY RUN").collect() == []
    lake.sql(f"DROP TABLE {database}.t")
    assert lake.read.format("delta").load(place).count() == 9
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", True).save(place)
    assert their_ids(place, s3) == [0, 1, 2, 3, 4, 5]


def test_views_joins_and_subqueries_read_it(lake: SparkSession, bucket: Bucket, database: str) -> None:
    place = f"{bucket.url}/t"
    lake.sql(f"CREATE TABLE {database}.t (id BIGINT, at TIMESTAMP) LOCATION '{place}'")
    assert lake.table(f"{database}.t").schema.simpleString() == "struct<id:bigint,at:timestamp>"
    lake.sql(f"INSERT INTO {database}.t SELECT id, TIMESTAMP'2024-01-31 12:00:00' FROM range(4)")
    lake.sql(f"USE {database}")
    lake.sql("CREATE VIEW v AS SELECT id FROM t WHERE id > 0")
    lake.sql("CREATE TEMPORARY VIEW tv AS SELECT id * 2 AS id FROM t")
    lake.table("t").where("id = 3").createOrReplaceTempView("frame")
    assert ids(lake.table("v")) == [1, 2, 3]
    lake.sql("INSERT INTO t VALUES (4, NULL)")
    assert ids(lake.sql("SELECT * FROM v")) == [1, 2, 3, 4]
    assert ids(lake.sql("SELECT * FROM tv")) == [0, 2, 4, 6, 8]
    assert ids(lake.table("frame")) == [3]
    nested = "WITH w AS (SELECT id FROM t WHERE id IN (SELECT id FROM v)) SELECT w.id FROM w JOIN t ON w.id = t.id"
    assert ids(lake.sql(nested)) == [1, 2, 3, 4]
    by_name = lake.sql(
        f"SELECT {database}.t.id, v.* FROM {database}.T LEFT JOIN v ON t.id = v.id ORDER BY t.id LIMIT 1"
    )
    assert [tuple(row) for row in by_name.collect()] == [(0, None)]
    assert ids(lake.table(f"{database}.t").where("t.id > 3").select(f"{database}.t.id")) == [4]
    lake.sql("CREATE TABLE here AS SELECT * FROM t")
    lake.sql("DELETE FROM here WHERE id IN (SELECT id FROM t WHERE id < 2)")
    lake.sql("UPDATE here SET id = 30 WHERE EXISTS (SELECT 1 FROM t WHERE t.id = here.id AND t.id = 3)")
    lake.sql("MERGE INTO here USING t ON here.id = t.id WHEN NOT MATCHED AND t.id = 1 THEN INSERT *")
    assert ids(lake.table("here")) == [1, 2, 4, 30]
    lake.conf.set("spark.sql.session.timeZone", "America/Sao_Paulo")
    hours = {row[0] for row in lake.sql("SELECT hour(at) FROM t WHERE at IS NOT NULL").collect()}
    assert hours == {9}
    lake.sql("CREATE TABLE copied AS SELECT * FROM t")
    assert lake.table("copied").count() == 5
    lake.sql("TRUNCATE TABLE t")
    assert lake.table("t").count() == 0


def test_a_read_asks_for_no_file_that_it_does_not_want(lake: SparkSession, bucket: Bucket, s3_gate: Gate) -> None:
    place = f"{bucket.url}/t"
    for first in range(0, 40, 10):
        lake.range(first, first + 10).withColumn("g", F.lit(first % 20)).write.format("delta").partitionBy("g").mode(
            "append"
        ).save(place)

    def asked(frame: DataFrame, found: list[int]) -> int:
        before = s3_gate.count("GET", ".parquet")
        assert ids(frame) == found
        return s3_gate.count("GET", ".parquet") - before

    table = lake.read.format("delta").load(place)
    assert asked(table.where("id = 15"), [15]) == 1
    assert asked(table.where("g = 0 AND id > 18"), list(range(20, 30))) == 1
    assert asked(lake.sql(f"SELECT t.id FROM delta.`{place}` t WHERE t.id < 0"), []) == 0
    assert asked(table, list(range(40))) == 4
    before = s3_gate.count("GET", ".parquet")
    assert table.count() == lake.sql(f"SELECT count(*) FROM delta.`{place}`").collect()[0][0] == 40
    assert s3_gate.count("GET", ".parquet") == before


def test_streams_from_and_to_a_bucket(
    lake: SparkSession, bucket: Bucket, s3: S3Server, s3_gate: Gate, tmp_path: Path
) -> None:
    source, sink = f"{bucket.url}/source", f"{bucket.url}/sink"

    def run() -> Any:
        frame = lake.readStream.format("delta").option("maxFilesPerTrigger", 1).load(source)
        writer = frame.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
        return finish(writer.trigger(availableNow=True).start(sink))

    for first in (0, 10):
        lake.range(first, first + 5).write.format("delta").mode("append").save(source)
    run()
    assert their_ids(sink, s3) == [*range(5), *range(10, 15)]
    for first in (20, 30):
        lake.range(first, first + 5).write.format("delta").mode("append").save(source)
    # A file is refused, a commit's answer is lost, another commit does not arrive: each row is there once.
    s3_gate.on("PUT", "/sink/part-", answer(503, "SlowDown"), times=2)
    s3_gate.on("PUT", "/sink/_delta_log/00000000000000000002.json", LOSE_ANSWER)
    s3_gate.on("PUT", "/sink/_delta_log/00000000000000000003.json", CUT, times=2)
    query = run()
    assert their_ids(sink, s3) == [*range(5), *range(10, 15), *range(20, 25), *range(30, 35)]
    assert theirs(sink, s3).version() == 3
    assert bucket.url in query.lastProgress.sink.description
    changes = lake.readStream.format("delta").option("readChangeFeed", True)
    lake.sql(f"ALTER TABLE delta.`{sink}` SET TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    lake.sql(f"DELETE FROM delta.`{sink}` WHERE id >= 30")
    reading = changes.option("startingVersion", 5).load(sink).writeStream.format("memory").queryName("changes")
    finish(reading.trigger(availableNow=True).start())
    assert ids(lake.table("changes").where("_change_type = 'delete'")) == [30, 31, 32, 33, 34]


def test_the_store_goes_away_in_a_batch_and_comes_back(
    lake: SparkSession, bucket: Bucket, s3: S3Server, s3_gate: Gate, tmp_path: Path
) -> None:
    source, sink = f"{bucket.url}/source", f"{bucket.url}/sink"
    lake.range(20).write.format("delta").save(source)
    lake.range(0).write.format("delta").save(sink)

    def away() -> None:
        s3_gate.refuse()
        threading.Timer(2.0, s3_gate.let_in).start()

    s3_gate.on("PUT", "/sink/part-", CUT, then=away)
    frame = lake.readStream.format("delta").load(source)
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
    finish(writer.trigger(availableNow=True).start(sink))
    assert their_ids(sink, s3) == list(range(20))
    assert theirs(sink, s3).version() == 1


def append_theirs(place: str, s3: S3Server, number: int) -> None:
    """Append with delta-rs, which takes an append for one that has read what is deleted meanwhile, and refuses it."""
    for _ in range(5):
        try:
            rows = pa.table({"id": [number]})
            write_deltalake(place, rows, mode="append", storage_options=storage_options(s3.url))
        except CommitFailedError:
            continue
        return
    raise AssertionError(number)


def test_writers_of_several_programs_lose_nothing(
    lake: SparkSession, bucket: Bucket, s3: S3Server, tmp_path: Path
) -> None:
    """Two servers and delta-rs append to one table, and a fourth deletes, all at once."""
    place = f"{bucket.url}/t"
    lake.range(0, 4).write.format("delta").save(place)
    failed: list[BaseException] = []

    def watched(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as failure:  # noqa: BLE001 - told by the test
                failed.append(failure)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def appends(spark: SparkSession, first: int) -> None:
        for number in range(6):
            spark.range(first + number, first + number + 1).write.format("delta").mode("append").save(place)

    def delete(spark: SparkSession, table: str) -> None:
        spark.sql(f"DELETE FROM {table} WHERE id < 4")

    def their_appends() -> None:
        for number in range(6):
            append_theirs(place, s3, 300 + number)

    with riacho_server(tmp_path / "other") as server:
        other = connect(SparkSession.builder.remote(server.url).create(), s3.url)
        threads = [
            watched(lambda: appends(lake, 100)),
            watched(lambda: appends(other, 200)),
            watched(their_appends),
            watched(lambda: delete(lake, f"delta.`{place}`")),
        ]
        for thread in threads:
            thread.join(60)
        other.stop()
    assert not failed
    assert their_ids(place, s3) == [first + number for first in (100, 200, 300) for number in range(6)]
    assert theirs(place, s3).version() == 19


def warehouse_server(s3: S3Server, bucket: Bucket, folder: Path) -> AbstractContextManager[Server]:
    """A server whose warehouse is in the bucket; its credentials come from its environment."""
    warehouse = f"{bucket.url}/warehouse"
    environment = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    confs = (f"spark.hadoop.fs.s3a.endpoint={s3.url}", "spark.hadoop.fs.s3a.path.style.access=true")
    arguments = ["--warehouse", warehouse, *(word for conf in confs for word in ("--conf", conf))]
    return riacho_server(folder, arguments=arguments, environment=environment)


@pytest.fixture
def own_server(s3: S3Server, bucket: Bucket, tmp_path: Path) -> Iterator[Server]:
    with warehouse_server(s3, bucket, tmp_path / "own") as server:
        yield server


def test_two_servers_on_a_warehouse_see_each_others_tables(
    own_server: Server, s3: S3Server, bucket: Bucket, tmp_path: Path
) -> None:
    with warehouse_server(s3, bucket, tmp_path / "second") as second:
        one, two = (SparkSession.builder.remote(server.url).create() for server in (own_server, second))
        assert two.sql("SHOW TABLES").collect() == []
        one.sql("CREATE TABLE plain (id BIGINT) USING json")
        one.sql("INSERT INTO plain VALUES (1)")
        assert ids(two.table("plain")) == [1]
        one.sql("CREATE TABLE again (id BIGINT) USING parquet")
        one.sql("INSERT INTO again VALUES (2)")
        assert ids(two.sql("SELECT id FROM again")) == [2]
        two.sql("INSERT INTO again VALUES (3)")
        assert ids(one.table("again")) == [2, 3]
        one.sql("CREATE TABLE versioned (id BIGINT)")
        two.sql("INSERT INTO versioned VALUES (4)")
        assert ids(one.sql("SELECT id FROM versioned")) == [4]
        two.stop()
        one.stop()


def test_a_warehouse_in_a_bucket(own_server: Server, lake: SparkSession, bucket: Bucket, s3: S3Server) -> None:
    spark = SparkSession.builder.remote(own_server.url).create()
    # Keys of a session are for other buckets; the warehouse stays the server's.
    spark.conf.set("fs.s3a.access.key", "another")
    spark.conf.set("fs.s3a.secret.key", "another's secret")
    spark.sql("CREATE DATABASE bronze COMMENT 'raw'")
    spark.sql("CREATE TABLE bronze.events (id BIGINT, g STRING) PARTITIONED BY (g)")
    spark.sql("INSERT INTO bronze.events VALUES (1, 'a'), (2, 'b')")
    spark.range(3).write.saveAsTable("bronze.numbers")
    assert spark.catalog.databaseExists("bronze")
    assert sorted(row.tableName for row in spark.sql("SHOW TABLES IN bronze").collect()) == ["events", "numbers"]
    assert ids(lake.read.format("delta").load(f"{bucket.url}/warehouse/bronze.db/events")) == [1, 2]
    # What others put into the warehouse is a table too.
    write_deltalake(
        f"{bucket.url}/warehouse/bronze.db/theirs", pa.table({"id": [7]}), storage_options=storage_options(s3.url)
    )
    assert ids(spark.table("bronze.theirs")) == [7]
    spark.sql("ALTER TABLE bronze.numbers RENAME TO bronze.renamed")
    assert ids(spark.table("bronze.renamed")) == [0, 1, 2]
    assert not spark.catalog.tableExists("bronze.numbers")
    query = spark.readStream.table("bronze.renamed").writeStream.trigger(availableNow=True)
    finish(query.option("checkpointLocation", f"{own_server.log.parent}/checkpoint").toTable("bronze.streamed"))
    assert ids(spark.table("bronze.streamed")) == [0, 1, 2]
    spark.sql("DROP TABLE bronze.streamed")
    assert bucket.keys("warehouse/bronze.db/streamed") == []
    spark.sql("DROP DATABASE bronze CASCADE")
    assert bucket.keys("warehouse/bronze.db") == []
    spark.stop()


def test_a_pipeline_keeps_its_checkpoints_in_a_bucket(
    lake: SparkSession, bucket: Bucket, database: str, tmp_path: Path
) -> None:
    source = f"{bucket.url}/source"
    project = Project(lake, database, tmp_path)

    def events() -> None:
        @dp.table
        def events() -> DataFrame:
            return lake.readStream.format("delta").load(source)

    counted = "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM events"
    for first in (0, 10):
        lake.range(first, first + 5).write.format("delta").mode("append").save(source)
        assert project.run(events, counted, storage=f"{bucket.url}/state").completed
        assert project.table("counted") == [(first // 2 + 5,)]
    folder = f"state/_checkpoints/spark_catalog/{database}/events/events/0"
    assert bucket.keys(f"{folder}/commits") == [f"{folder}/commits/{batch}" for batch in (0, 1)]


def test_every_kind_of_flow_in_a_bucket(lake: SparkSession, bucket: Bucket, database: str, tmp_path: Path) -> None:
    """Sinks, flows that run once and schemas that are kept, in a storage whose name is no plain word."""
    landing, out = f"{bucket.url}/landing here", f"{bucket.url}/out 50%"
    project = Project(lake, database, tmp_path)

    def sinks() -> None:
        dp.create_sink("files", "json", {"path": f"{out}/json"})
        dp.create_sink("table", "delta", {"path": f"{out}/delta"})
        for target in ("files", "table"):
            for name in ("first", "second"):

                @dp.append_flow(target=target, name=f"{name}_{target}")
                def flow() -> DataFrame:
                    return lake.readStream.table("landed")

    definitions = f"""
        CREATE STREAMING TABLE landed AS SELECT id FROM STREAM read_files('{landing}', format => 'json');
        CREATE STREAMING TABLE filled;
        CREATE FLOW fill AS INSERT INTO ONCE filled BY NAME SELECT id FROM range(3)"""
    storage = f"{bucket.url}/the%20state/100%25"
    for first in (0, 2):
        lake.range(first, first + 2).coalesce(1).write.mode("append").json(landing)
        assert project.run(sinks, definitions, storage=storage).completed
    for form in ("json", "delta"):
        found = lake.read.format(form).load(f"{out}/{form}")
        assert sorted(row.id for row in found.collect()) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert project.table("filled") == [(0,), (1,), (2,)]
    assert bucket.keys("the state/100%/_checkpoints/files/first_files/0/commits")
    assert bucket.keys(f"the state/100%/_schemas/spark_catalog/{database}/landed")
    assert project.run(sinks, definitions, storage=storage, full_refresh_all=True).completed
    assert lake.read.json(f"{out}/json").count() == 16


SECRET = "s3cr3t-of-this-test"


def failure_of(work: Callable[[], object]) -> str:
    with pytest.raises(PySparkException) as caught:
        work()
    return str(caught.value)


def test_errors_say_what_is_wrong_and_no_secret(
    lake: SparkSession, bucket: Bucket, s3_gate: Gate, server: Server, database: str
) -> None:
    lake.conf.set("fs.s3a.secret.key", SECRET)
    lake.conf.set("fs.s3a.session.token", f"token-{SECRET}")
    told: list[str] = []

    def failed(work: Callable[[], object], *parts: str) -> None:
        text = failure_of(work)
        told.append(text)
        assert all(part in text for part in parts), text

    place = f"{bucket.url}/t"
    missing = "s3a://no-such-bucket-of-riacho/t"
    failed(
        lambda: lake.range(1).write.format("delta").save(missing), "bucket 'no-such-bucket-of-riacho' does not exist"
    )
    failed(lambda: lake.read.format("delta").load(missing).collect(), "no-such-bucket-of-riacho")
    failed(lambda: lake.read.format("delta").load(f"{bucket.url}/nothing").collect(), f"{bucket.url}/nothing")
    failed(lambda: lake.range(1).write.format("delta").save(f"s3a://key:{SECRET}@{bucket.name}/t"), "credentials")
    lake.range(3).write.format("delta").save(place)
    s3_gate.on("*", "", answer(403, "InvalidAccessKeyId", f"The key {ACCESS_KEY} does not exist"), times=100)
    failed(lambda: lake.read.format("delta").load(place).collect(), "denies access", place, "access.key")
    failed(lambda: lake.range(1).write.format("delta").mode("append").save(place), "denies access", "access.key")
    s3_gate.clear()
    lake.conf.set("fs.s3a.attempts.maximum", "2")
    s3_gate.on("*", "", answer(503, "SlowDown", "Please reduce your request rate."), times=100)
    failed(lambda: lake.read.format("delta").load(place).collect(), place)
    s3_gate.clear()
    lake.conf.set("fs.s3a.endpoint", "http://127.0.0.1:9")
    failed(lambda: lake.read.format("delta").load(place).collect(), "cannot be reached", "fs.s3a.endpoint")
    lake.conf.unset("fs.s3a.endpoint")
    lake.conf.unset("fs.s3a.attempts.maximum")
    lake.conf.set("fs.s3a.bucket.other.access.key", "alone")
    lake.conf.unset("fs.s3a.secret.key")
    lake.conf.unset("spark.hadoop.fs.s3a.secret.key")
    failed(lambda: lake.read.format("delta").load("s3a://other/t").collect(), "fs.s3a.secret.key is not")
    assert not [text for text in told if SECRET in text or ACCESS_KEY in text]


def test_secrets_are_nowhere(lake: SparkSession, bucket: Bucket, server: Server, database: str, tmp_path: Path) -> None:
    lake.conf.set("fs.s3a.secret.key", SECRET)
    place = f"{bucket.url}/t"
    lake.range(3).write.format("delta").save(place)
    lake.sql(f"CREATE TABLE {database}.t LOCATION '{place}'")
    frame = lake.readStream.table(f"{database}.t")
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c"))
    query = finish(writer.trigger(availableNow=True).start(f"{bucket.url}/sink"))
    shown = [json.dumps(progress, default=str) for progress in query.recentProgress]
    shown += [str(row) for row in lake.sql(f"EXPLAIN EXTENDED SELECT * FROM {database}.t").collect()]
    shown += [str(row) for row in lake.sql(f"DESCRIBE TABLE EXTENDED {database}.t").collect()]
    shown += [str(row) for row in lake.sql(f"SHOW TBLPROPERTIES {database}.t").collect()]
    shown += [str(row) for row in lake.sql(f"DESCRIBE HISTORY {database}.t").collect()]
    shown += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    shown += [bucket.get(key).decode(errors="replace") for key in bucket.keys("")]
    shown.append(server.log.read_text())
    assert not [text for text in shown if SECRET in text or SECRET_KEY in text or ACCESS_KEY in text]
