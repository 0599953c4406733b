"""MongoDB as a stream: change streams, what stands in for them, and writes that come twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StructType

from riacho.connectors.mongodb.changes import has_changes
from riacho.connectors.mongodb.source import MongoSource
from riacho.testing.mongo import MongoServer
from tests.connectors.mongo import Mongo
from tests.spec.support import batches, finish, rows, said, until

pytestmark = pytest.mark.riacho_only  # the connector's streams need tokens in the form of MongoDB's own server

EVENTS = "operationType STRING, documentKey STRUCT<_id: INT>, fullDocument STRUCT<_id: INT, v: STRING>"
BEGINNING = {
    "change.stream.startup.mode": "timestamp",
    "change.stream.startup.mode.timestamp.start.at.operation.time": "0",
}
SOME_ID = ObjectId("65a000000000000000000001")
DOCUMENTS = {"change.stream.publish.full.document.only": "true"}


def changes(spark: SparkSession, mongo: Mongo, collection: str, schema: str | None, **options: str) -> DataFrame:
    reader = spark.readStream.format("mongodb").options(**mongo.options(collection)).options(**options)
    return (reader.schema(schema) if schema else reader).load()


def into(frame: DataFrame, folder: Path) -> StreamingQuery:
    """A query that takes what there is into FOLDER/table."""
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(folder / "checkpoint"))
    return finish(writer.trigger(availableNow=True).start(str(folder / "table")))


def table(spark: SparkSession, folder: Path, *columns: str) -> list[tuple[Any, ...]]:
    frame = spark.read.format("delta").load(str(folder / "table"))
    return rows(frame.select(*columns) if columns else frame)


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(PySparkException) as caught:
        call()
    return said(caught.value)


def test_events(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    mongo.database.create_collection("a", changeStreamPreAndPostImages={"enabled": True})
    mongo["a"].insert_one({"_id": 1, "v": "a"})
    mongo["a"].update_one({"_id": 1}, {"$set": {"v": "b"}})
    mongo["a"].replace_one({"_id": 1}, {"v": "c"})
    mongo["b"].insert_one({"_id": 2, "v": "b"})
    mongo["c"].insert_one({"_id": 3})
    mongo["a"].delete_one({"_id": 1})
    into(changes(spark, mongo, "a", EVENTS, **BEGINNING), tmp_path / "plain")
    assert table(spark, tmp_path / "plain") == [
        ("delete", (1,), None),
        ("insert", (1,), (1, "a")),
        ("replace", (1,), (1, "c")),
        ("update", (1,), None),
    ]
    both = changes(spark, mongo, "a,b", "operationType STRING, ns STRUCT<coll: STRING>", **BEGINNING)
    into(both, tmp_path / "both")
    assert table(spark, tmp_path / "both").count(("insert", ("b",))) == 1
    assert len(table(spark, tmp_path / "both")) == 5
    into(changes(spark, mongo, "*", "_id STRING, ns STRING, clusterTime TIMESTAMP", **BEGINNING), tmp_path / "all")
    found = table(spark, tmp_path / "all")
    assert len(found) == 6
    assert all(token.startswith('{"_data": "') and clock is not None for token, _, clock in found)
    before = changes(
        spark, mongo, "a", "operationType STRING, fullDocumentBeforeChange STRING, updateDescription STRING",
        **BEGINNING, **{"change.stream.lookup.full.document.before.change": "whenAvailable"},
    )  # fmt: skip
    into(before, tmp_path / "before")
    by_kind = {kind: (image, change) for kind, image, change in table(spark, tmp_path / "before")}
    assert by_kind["update"][0] == '{"_id": 1, "v": "a"}'
    assert '"updatedFields": {"v": "b"}' in by_kind["update"][1]
    assert by_kind["delete"] == ('{"_id": 1, "v": "c"}', None)
    looked_up = changes(
        spark, mongo, "a", EVENTS, **BEGINNING,
        **{"change.stream.lookup.full.document": "updateLookup"},
        **{"aggregation.pipeline": "{$match: {operationType: 'update'}}"},
    )  # fmt: skip
    into(looked_up, tmp_path / "looked")
    assert [row[0] for row in table(spark, tmp_path / "looked")] == ["update"]


def test_documents_from_now_on(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    mongo["a"].insert_one({"_id": 0, "v": "before"})
    frame = changes(spark, mongo, "a", None, **DOCUMENTS)
    assert frame.columns == ["_id", "v"]
    assert batches(into(frame, tmp_path)) == []
    # The position is kept by an empty batch: what happens while no query runs is not lost.
    mongo["a"].insert_many([{"_id": i, "v": f"{i}"} for i in range(1, 6)])
    mongo["a"].update_one({"_id": 1}, {"$set": {"v": "new"}})
    mongo["a"].delete_one({"_id": 2})
    into(frame, tmp_path)
    assert table(spark, tmp_path) == [(1, "1"), (1, "new"), (2, "2"), (3, "3"), (4, "4"), (5, "5")]
    mongo["a"].drop()
    mongo["a"].insert_one({"_id": 9, "v": "again"})
    into(frame, tmp_path)
    into(frame, tmp_path)
    assert table(spark, tmp_path, "v")[-1] == ("new",)
    assert ("again",) in table(spark, tmp_path, "v")


def test_batches_end_between_transactions(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    mongo["a"].insert_many([{"_id": i, "v": "x"} for i in range(10)])
    with mongo.database.client.start_session() as session, session.start_transaction():
        mongo["a"].insert_many([{"_id": i, "v": "y"} for i in range(10, 17)], session=session)
    limited = {**BEGINNING, **DOCUMENTS, "change.stream.micro.batch.max.rows": "4"}
    query = into(changes(spark, mongo, "a", "_id INT, v STRING", **limited), tmp_path)
    assert sum(batches(query)) == 17
    assert len(batches(query)) >= 3
    assert table(spark, tmp_path, "_id") == [(i,) for i in sorted(range(17), key=lambda i: repr((i,)))]


def test_a_running_stream(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    writer = changes(spark, mongo, "a", "_id INT, v STRING", **DOCUMENTS).writeStream.format("delta")
    query = writer.option("checkpointLocation", str(tmp_path / "c")).start(str(tmp_path / "table"))
    until(query, (tmp_path / "c" / "commits" / "0").exists)
    for number in range(3):
        mongo["a"].insert_one({"_id": number, "v": "x"})
        query.processAllAvailable()
        assert len(table(spark, tmp_path)) == number + 1
    query.stop()


def test_streams_that_are_refused(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    mongo["a"].insert_one({"_id": 0})

    def told(schema: str | None, **options: str) -> str:
        return failure(lambda: into(changes(spark, mongo, "a", schema, **options), tmp_path))

    assert "require a schema to be explicitly defined, unless using publish full document only" in told(None)
    assert "'x' is not a valid Startup mode" in told(EVENTS, **{"change.stream.startup.mode": "x"})
    for time_text in ("soon", "99999999999"):
        wrong = {**BEGINNING, "change.stream.startup.mode.timestamp.start.at.operation.time": time_text}
        assert "Must be either an integer number of seconds since the Epoch" in told(EVENTS, **wrong)
    assert "is not a valid Full Document" in told(EVENTS, **{"change.stream.lookup.full.document": "all"})
    later = {
        **BEGINNING,
        "change.stream.startup.mode.timestamp.start.at.operation.time": '{"$timestamp": {"t": 1, "i": 1}}',
    }
    into(changes(spark, mongo, "a", EVENTS, **later), tmp_path)
    assert table(spark, tmp_path, "operationType") == [("insert",)]


def test_stages_of_a_stream(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    """They see events, and only those with documents where documents are asked for."""
    mongo["a"].insert_many([{"_id": i, "v": "x"} for i in range(3)])
    mongo["a"].delete_one({"_id": 2})

    def staged(schema: str, stages: str, folder: Path, **more: str) -> list[tuple[Any, ...]]:
        into(changes(spark, mongo, "a", schema, **{"aggregation.pipeline": stages}, **BEGINNING, **more), folder)
        return table(spark, folder)

    set_w = '{"$addFields": {"fullDocument.w": 1}}'
    assert staged("_id INT, w INT", set_w, tmp_path / "1", **DOCUMENTS) == [(0, 1), (1, 1), (2, 1)]
    deletes = '{"$match": {"operationType": "delete"}}'
    assert staged("operationType STRING", deletes, tmp_path / "2") == [("delete",)]
    told = failure(lambda: staged("operationType STRING", '{"$project": {"_id": 0}}', tmp_path / "3"))
    assert "aggregation.pipeline takes away or changes _id" in told
    assert "oplog" not in told


def test_documents_that_do_not_fit(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    mongo["a"].insert_many([{"_id": 1, "v": 1}, {"_id": 2, "v": "no", "w": SOME_ID}, {"_id": 3, "v": 3}])
    schema = "_id INT, v INT"
    fitting = [(1, 1), (3, 3)]
    streamed = changes(spark, mongo, "a", schema, **BEGINNING, **DOCUMENTS)
    assert "Invalid field: 'v'. The dataType 'integer' is invalid" in failure(lambda: into(streamed, tmp_path / "1"))
    letters = str(tmp_path / "letters")
    kept = {"bad_data": "dead_letter", "bad_data_path": letters}
    into(changes(spark, mongo, "a", schema, **BEGINNING, **DOCUMENTS, **kept), tmp_path / "2")
    assert table(spark, tmp_path / "2") == fitting
    assert rows(mongo.read(spark, "a", schema, **kept)) == fitting
    assert rows(mongo.read(spark, "a", schema, bad_data="skip")) == fitting
    # A letter is a whole document, whatever of it was asked for.
    assert rows(mongo.read(spark, "a", schema, **kept).select("v")) == [(1,), (3,)]
    assert rows(mongo.read(spark, "a", "v INT, w STRING", **kept)) == [(1, None), (3, None)]
    found = spark.read.format("delta").load(letters).select("raw", "reason", "position", "format").collect()
    assert [(bytes(row.raw).decode(), row.position, row.format) for row in found] == [
        (
            '{"_id": {"$numberInt": "2"}, "v": "no", "w": {"$oid": "65a000000000000000000001"}}',
            '{"$numberInt": "2"}',
            "mongodb",
        )
    ]
    assert all("is invalid for 'BsonString{value='no'}'" in row.reason for row in found)
    wide = StructType().add("v", "string").add("w", "string")
    for options, shown in ({}, str(SOME_ID)), ({"outputExtendedJson": "true"}, f'{{"$oid": "{SOME_ID}"}}'):
        again = MongoSource(options).parse_again(wide, [bytes(row.raw) for row in found], lambda *_: None)
        assert again.to_pylist() == [{"v": "no", "w": shown}]
    both = mongo.read(spark, "a", schema, mode="PERMISSIVE", **kept)
    assert "leave one of them out" in failure(both.collect)


def written(
    spark: SparkSession, source: Path, mongo: Mongo, collection: str, folder: Path, **options: str
) -> StreamingQuery:
    frame = spark.readStream.format("delta").load(str(source))
    writer = frame.writeStream.format("mongodb").options(**mongo.options(collection)).options(**options)
    return finish(writer.option("checkpointLocation", str(folder)).trigger(availableNow=True).start())


def test_writes(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    source = tmp_path / "source"
    twice = spark.createDataFrame([(1, "a"), (2, "b"), (2, "b")], "_id INT, v STRING")
    twice.write.format("delta").save(str(source))
    written(spark, source, mongo, "keyed", tmp_path / "1")
    assert mongo.documents("keyed") == [{"_id": 1, "v": "a"}, {"_id": 2, "v": "b"}]
    written(spark, source, mongo, "updated", tmp_path / "2", operationType="update", idFieldList="v")
    assert sorted(document["v"] for document in mongo.documents("updated")) == ["a", "b"]
    plain = tmp_path / "plain"
    twice.drop("_id").write.format("delta").save(str(plain))

    def again(folder: Path, collection: str, **options: str) -> list[Any]:
        """The batch is written, and once more, as after a crash before its commit."""
        written(spark, plain, mongo, collection, folder, **options)
        (folder / "commits" / "0").unlink()
        written(spark, plain, mongo, collection, folder, **options)
        return sorted(document["v"] for document in mongo.documents(collection))

    assert again(tmp_path / "3", "keyless") == ["a", "b", "b"]
    assert again(tmp_path / "4", "inserted", operationType="insert", ordered="false") == ["a", "b", "b"]
    assert all(isinstance(document["_id"], ObjectId) for document in mongo.documents("keyless"))
    one = tmp_path / "one"
    number = float("nan")  # which no number equals, itself included
    spark.createDataFrame([("a", 1, number)], "v STRING, _id INT, d DOUBLE").write.format("delta").save(str(one))
    written(spark, one, mongo, "with-id", tmp_path / "5", operationType="insert")
    (tmp_path / "5" / "commits" / "0").unlink()
    written(spark, one, mongo, "with-id", tmp_path / "5", operationType="insert")
    assert str(mongo.documents("with-id")) == "[{'_id': 1, 'v': 'a', 'd': nan}]"
    mongo["with-id"].update_one({"_id": 1}, {"$set": {"v": "other"}})
    (tmp_path / "5" / "commits" / "0").unlink()
    assert "E11000" in failure(lambda: written(spark, one, mongo, "with-id", tmp_path / "5", operationType="insert"))


def test_writes_of_whole_results_and_in_foreach_batch(spark: SparkSession, mongo: Mongo, tmp_path: Path) -> None:
    source = tmp_path / "source"
    spark.createDataFrame([(1, "a"), (2, "b"), (3, "b")], "n INT, k STRING").write.format("delta").save(str(source))
    counts = spark.readStream.format("delta").load(str(source)).groupBy("k").count().withColumnRenamed("k", "_id")
    mongo["counts"].insert_one({"_id": "stale"})
    writer = counts.writeStream.format("mongodb").options(**mongo.options("counts")).outputMode("complete")
    finish(writer.option("checkpointLocation", str(tmp_path / "1")).trigger(availableNow=True).start())
    assert mongo.documents("counts") == [{"_id": "a", "count": 1}, {"_id": "b", "count": 2}]
    options = mongo.options("each", idFieldList="n", operationType="update", upsertDocument="true")

    def write(batch: DataFrame, _number: int) -> None:
        batch.write.format("mongodb").mode("append").options(**options).save()

    each = spark.readStream.format("delta").load(str(source)).writeStream.foreachBatch(write)
    finish(each.option("checkpointLocation", str(tmp_path / "2")).trigger(availableNow=True).start())
    assert sorted(document["n"] for document in mongo.documents("each")) == [1, 2, 3]


@pytest.fixture
def own_mongo(mongo_home: Path, tmp_path: Path) -> Iterator[MongoServer]:
    """A server of the test's own, not started yet."""
    server = MongoServer(mongo_home, tmp_path / "mongo")
    yield server
    server.stop()


def client(server: MongoServer, name: str = "shop") -> Mongo:
    connection = MongoClient[dict[str, Any]](server.uri, serverSelectionTimeoutMS=10_000)
    return Mongo(server.uri, connection[name])


def test_a_position_that_the_log_has_lost(spark: SparkSession, own_mongo: MongoServer, tmp_path: Path) -> None:
    own_mongo.arguments = ("--oplog-max-entries", "50")
    own_mongo.start()
    mongo = client(own_mongo)
    frame = changes(spark, mongo, "a", "_id INT", **DOCUMENTS)
    into(frame, tmp_path / "q")
    for at in range(0, 20_000, 2_000):
        mongo["a"].insert_many([{"_id": i} for i in range(at, at + 2_000)])
    told = failure(lambda: into(frame, tmp_path / "q"))
    assert "no longer has that position" in told
    assert "begin a new checkpoint" in told


def test_a_server_without_change_streams(spark: SparkSession, own_mongo: MongoServer, tmp_path: Path) -> None:
    own_mongo.arguments = ("--standalone",)
    own_mongo.start()
    mongo = client(own_mongo)
    mongo["a"].insert_many([{"_id": i, "v": f"{i}"} for i in range(5)])
    assert not has_changes(mongo.database.client, mongo.database.name, "a")
    frame = changes(spark, mongo, "a", "_id INT, v STRING", **DOCUMENTS, **BEGINNING)
    into(frame, tmp_path / "q")
    assert len(table(spark, tmp_path / "q")) == 5
    mongo["a"].insert_many([{"_id": i, "v": f"{i}"} for i in range(5, 12)])
    mongo["a"].insert_one({"_id": "text", "v": "other kind"})
    limited = changes(
        spark,
        mongo,
        "a",
        "_id STRING, v STRING",
        **DOCUMENTS,
        **BEGINNING,
        **{"change.stream.micro.batch.max.rows": "3"},
    )
    writer = limited.writeStream.format("memory").queryName("tailed")
    query = finish(writer.option("checkpointLocation", str(tmp_path / "m")).trigger(availableNow=True).start())
    assert batches(query) == [3, 3, 3, 3, 1]
    text = changes(spark, mongo, "a", "operationType STRING, fullDocument STRING, ns STRING")
    into(text, tmp_path / "events")
    assert table(spark, tmp_path / "events") == []
    mongo["a"].insert_one({"_id": "w", "v": "x"})
    into(text, tmp_path / "events")
    assert table(spark, tmp_path / "events") == [("insert", '{"_id": "w", "v": "x"}', '{"db": "shop", "coll": "a"}')]


def test_logins(spark: SparkSession, own_mongo: MongoServer, tmp_path: Path) -> None:
    own_mongo.start()
    admin = MongoClient[dict[str, Any]](own_mongo.uri).admin
    admin.command("createUser", "ana", pwd="s3cret/x", roles=[{"role": "readWrite", "db": "shop"}])
    own_mongo.stop()
    own_mongo.auth = True
    own_mongo.start()

    def uri(password: str) -> str:
        return f"mongodb://ana:{password}@127.0.0.1:{own_mongo.port}/shop.a?authSource=admin"

    good = {"connection.uri": uri("s3cret%2Fx")}
    one = spark.createDataFrame([(1,)], "_id INT")
    one.write.format("mongodb").mode("append").options(**good).save()
    assert spark.read.format("mongodb").options(**good).load().collect() == [(1,)]
    bad = {"connection.uri": uri("wr0ngpass")}
    stream = spark.readStream.format("mongodb").options(**bad).options(**DOCUMENTS).schema("_id INT").load()
    for go in (
        lambda: spark.read.format("mongodb").options(**bad).load().collect(),
        lambda: spark.read.format("mongodb").options(**bad).schema("_id INT").load().collect(),
        lambda: one.write.format("mongodb").mode("append").options(**bad).save(),
        lambda: into(stream, tmp_path / "q"),
    ):
        told = failure(go)
        assert "refuses the login" in told
        assert "wr0ngpass" not in told
    assert "refuses the login" in failure(
        lambda: spark.read.format("mongodb").options(**mongo_options(own_mongo)).load().collect()
    )


def mongo_options(server: MongoServer) -> dict[str, str]:
    return {"connection.uri": server.uri, "database": "shop", "collection": "a"}


def test_a_server_that_does_not_answer(spark: SparkSession, own_mongo: MongoServer) -> None:
    given = {"connection.uri": f"{own_mongo.uri}/?serverSelectionTimeoutMS=300", "database": "shop", "collection": "a"}
    began = time.monotonic()
    told = failure(lambda: spark.read.format("mongodb").options(**given).load().collect())
    assert f"no MongoDB server answers at {own_mongo.uri}" in told
    assert time.monotonic() - began < 20


def test_a_server_that_stops_and_comes_back(spark: SparkSession, own_mongo: MongoServer, tmp_path: Path) -> None:
    own_mongo.start()
    mongo = client(own_mongo)
    frame = changes(spark, mongo, "a", "_id INT, v STRING", **DOCUMENTS)
    query = (
        frame.writeStream.format("delta")
        .option("checkpointLocation", str(tmp_path / "c"))
        .start(str(tmp_path / "table"))
    )
    until(query, (tmp_path / "c" / "commits" / "0").exists)
    back = spark.readStream.format("delta").load(str(tmp_path / "table")).writeStream.format("mongodb")
    mongo["a"].insert_one({"_id": 1, "v": "a"})
    until(query, lambda: len(table(spark, tmp_path)) == 1)
    copy = back.options(**mongo.options("copy")).option("checkpointLocation", str(tmp_path / "back")).start()
    until(copy, lambda: len(mongo.documents("copy")) == 1)
    own_mongo.stop()
    own_mongo.start()
    mongo["a"].insert_many([{"_id": 2, "v": "b"}, {"_id": 3, "v": "c"}])
    until(query, lambda: len(table(spark, tmp_path)) == 3)
    until(copy, lambda: len(mongo.documents("copy")) == 3)
    query.stop()
    copy.stop()
