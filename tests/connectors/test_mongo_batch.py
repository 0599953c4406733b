"""MongoDB in batches: what documents are as rows, and rows as documents; the same as MongoDB's connector on Spark."""

# ruff: noqa: DTZ001 - both servers give moments of the session without its zone
from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.binary import Binary
from bson.code import Code
from bson.regex import Regex
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.connectors.mongo import Mongo
from tests.spec.support import rows, said

FIRST, SECOND = ObjectId("65a000000000000000000001"), ObjectId("65a000000000000000000002")
DAY = dt.datetime(2026, 1, 2, 3, 4, 5, 678000)


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(PySparkException) as caught:
        call()
    return said(caught.value)


def values(mongo: Mongo, spark: SparkSession, kind: str, **more: Any) -> dict[str, Any]:
    """The values of `various` in a column of that type, by name."""
    frame = mongo.read(spark, "various", f"_id STRING, v {kind}", **more)
    return {row[0]: row[1] for row in frame.collect()}


@pytest.fixture
def various(mongo: Mongo) -> None:
    """A value of each kind."""
    kinds = {
        "int": 3, "long": Int64(2**40), "double": 2.7, "negative": -2.7, "number": "12.9", "word": "abc", "bool": True,
        "date": DAY, "old": dt.datetime(1960, 1, 1, 12), "decimal": Decimal128("1.555"), "id": FIRST,
        "timestamp": Timestamp(100, 1), "binary": b"ab", "document": {"a": 1}, "array": [1], "null": None,
    }  # fmt: skip
    mongo["various"].insert_many([{"_id": name, "v": value} for name, value in kinds.items()])
    mongo["various"].insert_one({"_id": "missing"})


EVERY_TYPE: dict[str, Any] = {
    "s": "text", "i": 1, "l": Int64(2**40), "d": 1.5, "b": True, "n": None, "date": DAY, "dec": Decimal128("12.345"),
    "bin": b"\x01\x02", "uuid": Binary(b"0" * 16, 4), "rx": Regex("a+", "i"), "ts": Timestamp(100, 2),
    "code": Code("f()"), "scoped": Code("f()", {"a": 1}), "least": MinKey(), "most": MaxKey(), "arr": [1, 2, Int64(3)],
    "doc": {"b": 1, "a": {"x": "y"}}, "docs": [{"a": 1}, {"b": "x"}], "mixed": [1, "a", 2.5, FIRST, DAY],
    "empty": [], "nothing": {}, "nest": [[1], [2.5]], "ref": DBRef("c", 1),
}  # fmt: skip


def test_every_type_inferred(spark: SparkSession, mongo: Mongo) -> None:
    mongo["t"].insert_one({"_id": FIRST, **EVERY_TYPE})
    mongo["t"].insert_one(
        {
            "_id": SECOND,
            "i": Int64(5),
            "s": 7,
            "d": float("inf"),
            "dec": Decimal128("100.5"),
            "doc": {"c": 3},
            "arr": None,
        }
    )
    frame = mongo.read(spark, "t")
    assert frame.schema.simpleString() == (
        "struct<_id:string,arr:array<bigint>,b:boolean,bin:binary,code:string,d:double,date:timestamp,dec:decimal(6,3),"
        "doc:struct<a:struct<x:string>,b:int,c:int>,docs:array<struct<a:int,b:string>>,empty:array<string>,i:bigint,"
        "l:bigint,least:string,mixed:array<string>,most:string,n:void,nest:array<array<double>>,nothing:struct<>,"
        "ref:struct<$ref:string,$id:int>,rx:string,s:string,scoped:string,ts:timestamp,uuid:binary>"
    )
    first, second = (row.asDict(recursive=True) for row in frame.orderBy("_id").collect())
    assert first == {
        "_id": str(FIRST), "arr": [1, 2, 3], "b": True, "bin": b"\x01\x02", "code": '{"$code": "f()"}', "d": 1.5,
        "date": DAY, "dec": Decimal("12.345"), "doc": {"a": {"x": "y"}, "b": 1, "c": None},
        "docs": [{"a": 1, "b": None}, {"a": None, "b": "x"}], "empty": [], "i": 1, "l": 2**40,
        "least": '{"$minKey": 1}', "mixed": ["1", "a", "2.5", str(FIRST), "2026-01-02T03:04:05.678Z"],
        "most": '{"$maxKey": 1}', "n": None, "nest": [[1.0], [2.5]], "nothing": {}, "ref": {"$ref": "c", "$id": 1},
        "rx": '{"$regularExpression": {"pattern": "a+", "options": "i"}}', "s": "text",
        "scoped": '{"$code": "f()", "$scope": {"a": 1}}', "ts": dt.datetime(1970, 1, 1, 0, 1, 40), "uuid": b"0" * 16,
    }  # fmt: skip
    there = {"_id": str(SECOND), "d": float("inf"), "dec": Decimal("100.500"), "i": 5, "s": "7"}
    assert second == dict.fromkeys(first) | there | {"doc": {"a": None, "b": None, "c": 3}}


def test_flat_documents(spark: SparkSession, mongo: Mongo) -> None:
    """What is read without Python: also where it must not be."""
    mongo["flat"].insert_many(
        [
            {"_id": ObjectId(), "n": i, "l": Int64(i), "d": i / 2, "s": f"é{i}", "b": i % 2 == 0, "t": DAY}
            for i in range(5)
        ]
    )
    mongo["flat"].insert_one({"_id": ObjectId(), "n": None})
    frame = mongo.read(spark, "flat")
    assert frame.schema.simpleString() == ("struct<_id:string,b:boolean,d:double,l:bigint,n:int,s:string,t:timestamp>")
    assert rows(frame.drop("_id")) == sorted(
        [*((i % 2 == 0, i / 2, i, i, f"é{i}", DAY) for i in range(5)), (None,) * 6], key=repr
    )
    assert rows(frame.select("_id")) == sorted((str(d["_id"]),) for d in mongo["flat"].find())
    mongo["flat"].insert_one({"_id": "plain", "d": float("nan"), "n": 9})
    assert str(mongo.read(spark, "flat").where("n = 9").select("d", "_id").collect()) == "[Row(d=nan, _id='plain')]"
    mongo["flat"].insert_one({"_id": "bool", "n": True})
    schema = "_id STRING, n INT"
    assert "The dataType 'integer' is invalid for 'BsonBoolean{value=true}'" in failure(
        mongo.read(spark, "flat", schema).collect
    )


def test_types_that_are_widened(spark: SparkSession, mongo: Mongo) -> None:
    def kind(*found: Any, **more: Any) -> str:
        mongo["w"].drop()
        mongo["w"].insert_many([{"_id": at, "v": value} for at, value in enumerate(found)])
        return mongo.read(spark, "w", **more).schema["v"].dataType.simpleString()

    assert kind(1, Int64(1)) == "bigint"
    assert kind(1, 1.5) == "double"
    assert kind(1, "a") == "string"
    assert kind(1, None) == "int"
    assert kind(True, 1) == "string"
    assert kind(DAY, "a") == "string"
    assert kind(Decimal128("1.5"), 3) == "decimal(10,0)"
    assert kind(Decimal128("1234567890.5"), 3) == "decimal(11,1)"
    assert kind(Decimal128("1.5"), Int64(3)) == "decimal(20,0)"
    assert kind(Decimal128("1.5"), 3.5) == "decimal(30,15)"
    assert kind(Decimal128("1.5"), Decimal128("0.001")) == "decimal(4,3)"
    assert kind(Decimal128("12345678901234567890.5"), Decimal128("0.1234567890123456789012345")) == "double"
    assert kind([], [1]) == "array<int>"
    assert kind([1], ["a"]) == "array<string>"
    assert kind([1], {"a": 1}) == "string"
    assert kind({"b": 1}, {"a": "x", "b": 1.5}) == "struct<a:string,b:double>"
    assert kind({"b": 1, "a": 1}, {"b": Int64(1), "a": 1}) == "struct<b:bigint,a:int>"
    assert kind([{"a": 1}, {"a": None, "c": []}]) == "array<struct<a:int,c:array<string>>>"
    few = {"sql__inferSchema__mapTypes__minimum__key__size": "3"}
    large = {"a": 1, "b": 2.5, "c": None}
    assert kind(large, **few) == "map<string,double>"
    assert kind(large, {"d": "x"}, **few) == "map<string,string>"
    off = {"sql__inferSchema__mapTypes__enabled": "false"}
    assert kind(large, **few, **off) == "struct<a:int,b:double,c:void>"
    assert kind({"a": 1, "b": 2}, schemaHints="`v.a` STRING, w DATE") == "struct<a:string,b:int>"
    assert kind({"a": 1}, schemaHints="v STRUCT<z: ARRAY<DECIMAL(5, 2)>>") == "struct<a:int,z:array<decimal(5,2)>>"


@pytest.mark.usefixtures("various")
def test_values_of_other_types_than_their_column(spark: SparkSession, mongo: Mongo) -> None:
    def fit(kind: str) -> dict[str, Any]:
        found = values(mongo, spark, kind, mode="PERMISSIVE")
        fitting = len(values(mongo, spark, kind, mode="DROPMALFORMED"))
        there = {name: value for name, value in found.items() if value is not None}
        assert fitting == len(there) + 2, kind
        return there

    whole = {"int": 3, "double": 2, "negative": -2, "number": 12, "decimal": 1, "timestamp": 100_000}
    moments = {"long": 2**40, "date": 1767323045678, "old": -315576000000}
    assert fit("BIGINT") == whole | moments
    assert fit("INT") == whole | {"long": 0, "date": 2091487022, "old": -2043387392}
    small = fit("SMALLINT")
    assert (small["int"], small["double"], small["timestamp"]) == (3, 2, -31072)
    assert fit("DOUBLE")["number"] == 12.9
    assert fit("DOUBLE")["decimal"] == 1.555
    assert fit("FLOAT")["long"] == float(2**40)
    assert fit("BOOLEAN") == {"bool": True}
    assert set(fit("BINARY")) == {"binary", "number", "word", "document"}
    assert fit("STRING") == {
        "int": "3", "long": "1099511627776", "double": "2.7", "negative": "-2.7", "number": "12.9", "word": "abc",
        "bool": "true", "date": "2026-01-02T03:04:05.678Z", "old": "1960-01-01T12:00:00Z", "decimal": "1.555",
        "id": str(FIRST), "timestamp": '{"$timestamp": {"t": 100, "i": 1}}', "binary": "YWI=", "document": '{"a": 1}',
        "array": "[1]",
    }  # fmt: skip
    assert fit("TIMESTAMP")["date"] == DAY
    assert fit("TIMESTAMP")["old"] == dt.datetime(1960, 1, 1, 12)
    assert fit("DATE")["date"] == dt.date(2026, 1, 2)
    assert {name: row["a"] for name, row in fit("STRUCT<a: INT>").items()} == {"document": 1}
    assert fit("ARRAY<INT>") == {"array": [1]}
    assert fit("MAP<STRING, INT>") == {"document": {"a": 1}}
    few = '{"$match": {"_id": {"$in": ["int", "number", "decimal"]}}}'
    decimals = mongo.read(spark, "various", "_id STRING, v DECIMAL(5, 2)", aggregation__pipeline=few)
    assert dict(rows(decimals)) == {"int": Decimal("3.00"), "number": Decimal("12.90"), "decimal": Decimal("1.56")}


@pytest.mark.usefixtures("various")
def test_documents_that_do_not_fit(spark: SparkSession, mongo: Mongo) -> None:
    def told(kind: str) -> str:
        return failure(lambda: mongo.read(spark, "various", f"_id STRING, v {kind}").collect())

    assert "Invalid field: 'v'. The dataType 'integer' is invalid for 'BsonString{value='abc'}'" in told("INT")
    assert "Invalid field: 'v'. The dataType 'struct' is invalid for 'BsonInt32{value=3}'" in told("STRUCT<a: INT>")
    kept = mongo.read(
        spark, "various", "_id STRING, v INT, bad STRING", mode="PERMISSIVE", columnNameOfCorruptRecord="bad"
    )
    assert {row.bad for row in kept.collect() if row._id in ("word", "id", "bool", "int")} == {
        None,
        '{"_id": "bool", "v": true}',
        '{"_id": "id", "v": {"$oid": "65a000000000000000000001"}}',
        '{"_id": "word", "v": "abc"}',
    }
    inferred = mongo.read(spark, "various", mode="PERMISSIVE", columnNameOfCorruptRecord="bad")
    assert inferred.columns == ["_id", "v", "bad"]
    mongo["parts"].insert_one(
        {"_id": 1, "a": [1, "x", None, {"b": 1}], "m": {"k": "1", "j": "q"}, "s": {"x": {"y": "q"}}}
    )
    parts = "a ARRAY<INT>, m MAP<STRING, INT>, s STRUCT<x: STRUCT<y: INT>>"
    (row,) = mongo.read(spark, "parts", parts, mode="permissive").collect()
    assert (row.a, row.m, row.s.asDict(recursive=True)) == (
        [1, None, None, None],
        {"k": 1, "j": None},
        {"x": {"y": None}},
    )
    assert mongo.read(spark, "parts", parts, mode="dropMalformed").collect() == []


def test_values_as_json(spark: SparkSession, mongo: Mongo) -> None:
    odd = 'é\u0301 \U0001f600 \u200b\u00a0\x01"\\/<'
    numbers = [1e7, 1e-5, 123456.789, 1.0, float("inf"), 0.1 + 0.2, 1e22, 5e-324, 2e-323, -1e-7, 1234567890123.25]
    more = [Int64(5), b"\x00", dt.datetime(2026, 1, 1, 0, 0, 0, 120000), {"q": [None, True, {"$a": 1}]}]
    mongo["j"].insert_one({"_id": 1, "odd": [odd], "numbers": numbers, "more": more})
    frame = mongo.read(spark, "j", "odd STRING, numbers STRING, more STRING")
    assert tuple(frame.collect()[0]) == (
        '["é\\u0301 \\ud83d\\ude00 \\u200b\u00a0\\u0001\\"\\\\/<"]',
        (
            '[1.0E7, 1.0E-5, 123456.789, 1.0, {"$numberDouble": "Infinity"}, 0.30000000000000004, 1.0E22, 4.9E-324, '
            "2.0E-323, -1.0E-7, 1.23456789012325E12]"
        ),
        '[5, "AA==", "2026-01-01T00:00:00.12Z", {"q": [null, true, {"$a": 1}]}]',
    )
    extended = mongo.read(spark, "j", "more STRING, numbers ARRAY<STRING>", outputExtendedJson="true").collect()[0]
    assert extended.more == (
        '[{"$numberLong": "5"}, {"$binary": {"base64": "AA==", "subType": "00"}}, '
        '{"$date": {"$numberLong": "1767225600120"}}, {"q": [null, true, {"$a": {"$numberInt": "1"}}]}]'
    )
    assert extended.numbers[:2] == ['{"$numberDouble": "1.0E7"}', '{"$numberDouble": "1.0E-5"}']


def test_options_of_a_read(spark: SparkSession, mongo: Mongo) -> None:
    mongo["a"].insert_many([{"_id": i, "v": i} for i in range(4)])
    mongo["b"].insert_one({"_id": "b", "w": 1})
    name = mongo.database.name

    def count(**options: str) -> int:
        named = {"connection.uri": mongo.uri, **{key.replace("__", "."): value for key, value in options.items()}}
        return spark.read.format("mongodb").options(**named).load().count()

    assert count(database=name, collection="a") == 4
    assert count(spark__mongodb__database=name, spark__mongodb__collection="b") == 1
    assert count(spark__mongodb__database=name, spark__mongodb__collection="b", collection="a") == 4
    assert count(database=name, collection="b", spark__mongodb__read__collection="a") == 4
    assert count(connection__uri=f"{mongo.uri}/{name}.a") == 4
    assert count(connection__uri=f"{mongo.uri}/{name}.a", collection="b") == 1
    assert count(connection__uri=f"{mongo.uri}/{name}.a", spark__mongodb__collection="b") == 4
    assert (
        spark.read.format("com.mongodb.spark.sql.connector.MongoTableProvider")
        .options(**mongo.options("a"))
        .load()
        .count()
        == 4
    )
    assert "Missing configuration for: database" in failure(lambda: count(collection="a"))
    assert "Missing configuration for: database" in failure(
        lambda: count(spark__mongodb__write__database=name, collection="a")
    )
    assert "Missing configuration for: collection" in failure(lambda: count(database=name))
    assert "Invalid connection string" in failure(
        lambda: count(connection__uri="mongo://x", database=name, collection="a")
    )
    assert "which is not supported by batch queries" in failure(mongo.read(spark, "a,b").collect)
    assert mongo.read(spark, "a,b").columns == ["_id", "v", "w"]
    assert "'x' is not a valid Parse mode" in failure(lambda: mongo.read(spark, "a", mode="x").collect())

    def piped(pipeline: str, **more: Any) -> list[tuple[Any, ...]]:
        return rows(mongo.read(spark, "a", aggregation__pipeline=pipeline, **more))

    assert piped("[{'$match': {_id: {$gt: 1}}}, {$project: {v: 1}}]") == [(2, 2), (3, 3)]
    assert piped('{"$group": {"_id": null, "n": {"$sum": 1}}}') == [(None, 4)]
    assert piped('{"$match": {"_id": 0}}', comment="c", sampleSize="1", aggregation__allowDiskUse="false") == [(0, 0)]
    assert "Invalid aggregation pipeline: 5" in failure(lambda: piped("5"))


def test_partitions_lose_and_double_nothing(spark: SparkSession, mongo: Mongo) -> None:
    mongo["large"].insert_many([{"_id": i if i % 2 else f"{i}", "text": "x" * 3000} for i in range(1500)])
    name = "com.mongodb.spark.sql.connector.read.partitioner."
    for partitioner, options in (
        ("SinglePartitionPartitioner", {}),
        ("PaginateIntoPartitionsPartitioner", {"partitioner__options__max__number__of__partitions": "3"}),
    ):
        frame = mongo.read(spark, "large", partitioner=name + partitioner, **options)
        if partitioner.startswith("Single"):  # the connector loses documents whose ids are of several kinds
            assert frame.count() == frame.select("_id").distinct().count() == 1500


def test_queries_over_a_collection(spark: SparkSession, mongo: Mongo) -> None:
    mongo["q"].insert_many(
        [
            {"_id": i, "n": i % 5, "s": f"s{i % 3}", "t": DAY + dt.timedelta(days=i), "d": i / 4, "x": {"y": i}}
            for i in range(40)
        ]
    )
    mongo["q"].insert_one({"_id": 100, "d": float("inf")})

    def ids(condition: str, frame: DataFrame | None = None) -> list[int]:
        frame = mongo.read(spark, "q") if frame is None else frame
        return sorted(row[0] for row in frame.where(condition).select("_id").collect())

    assert ids("n = 3 AND s = 's0'") == [3, 18, 33]
    assert ids("_id > 37") == [38, 39, 100]
    assert ids("_id <= 1") == [0, 1]
    assert ids("_id IN (5, 7, 1000)") == [5, 7]
    assert ids("s LIKE 's2%' AND _id < 9") == [2, 5, 8]
    assert ids("s IS NULL") == [100]
    assert ids("s IS NOT NULL AND x.y >= 38") == [38, 39]
    assert ids("t > TIMESTAMP'2026-02-09 03:04:05.678'") == [39]
    assert ids("t >= TIMESTAMP'2026-02-09 03:04:05.677999'") == [38, 39]
    assert ids("d > 9.5") == [39, 100]
    assert ids("d = 2") == [8]
    assert ids("NOT n = 3 AND _id < 5") == [0, 1, 2, 4]
    assert ids("n = 3 OR _id = 0") == sorted([0, *range(3, 40, 5)])
    frame = mongo.read(spark, "q")
    assert frame.groupBy("n").count().orderBy("n").collect()[0].asDict() == {"n": None, "count": 1}
    assert frame.join(mongo.read(spark, "q").select("_id"), "_id").count() == 41
    assert frame.selectExpr("count(*)", "sum(x.y)").collect() == [(41, 780)]
    frame.createOrReplaceTempView("mongo_q")
    assert spark.sql("SELECT max(d) FROM mongo_q WHERE n = 4").collect() == [(9.75,)]


ROW = """
SELECT 1 AS _id, CAST(1 AS TINYINT) AS ti, CAST(2 AS SMALLINT) AS si, 3 AS i, 4L AS l, CAST(1.5 AS FLOAT) AS f,
 2.5D AS d, 1.50BD AS dec, 'x' AS s, true AS b, X'0102' AS bin, DATE'2026-01-02' AS dt,
 TIMESTAMP'2026-01-02 03:04:05.678901' AS ts, TIMESTAMP'1960-01-01 00:00:00.0005' AS old, array(1, null, 2) AS a,
 map('k', 1L, 'n', null) AS m, struct(1L AS x, null AS y, array(struct(1 AS z)) AS w) AS st, null AS nu
"""


def test_every_type_written(spark: SparkSession, mongo: Mongo) -> None:
    (document,) = mongo.write(spark.sql(ROW), "t")
    assert document == {
        "_id": 1, "ti": 1, "si": 2, "i": 3, "l": 4, "f": 1.5, "d": 2.5, "dec": Decimal128("1.50"), "s": "x", "b": True,
        "bin": b"\x01\x02", "dt": dt.datetime(2026, 1, 2), "ts": DAY, "old": dt.datetime(1960, 1, 1), "a": [1, None, 2],
        "m": {"k": 1, "n": None}, "st": {"x": 1, "y": None, "w": [{"z": 1}]}, "nu": None,
    }  # fmt: skip
    assert list(document) == list(spark.sql(ROW).columns)
    assert (type(document["l"]), type(document["i"]), type(document["m"]["k"])) == (Int64, int, Int64)
    (sparse,) = mongo.write(spark.sql(ROW).select("_id", "a", "m", "st", "nu"), "sparse", ignoreNullValues="true")
    assert sparse == {"_id": 1, "a": [1, 2], "m": {"k": 1}, "st": {"x": 1, "w": [{"z": 1}]}}
    assert rows(mongo.read(spark, "t").select("dec", "ts", "st.w")) == [(Decimal("1.50"), DAY, [(1,)])]
    for text in (
        "INTERVAL 1 DAY",
        "map(1, 2)",
        "CAST('12345678901234567890123456789012345678' AS DECIMAL(38, 0))",
        "1 AS `$x`",
    ):
        failure(mongo.writer(spark.sql(f"SELECT 1 AS _id, {text}"), "bad").save)
    assert mongo.documents("bad") == []


def frame_of(spark: SparkSession, *given: tuple[Any, ...], columns: str = "_id INT, k STRING, v INT") -> DataFrame:
    return spark.createDataFrame(list(given), columns).coalesce(1)


def test_operations(spark: SparkSession, mongo: Mongo) -> None:
    two = frame_of(spark, (1, "a", 10), (2, "b", 20))
    mongo.write(two, "r")
    assert mongo.write(two.select("_id", "k"), "r") == [{"_id": 1, "k": "a"}, {"_id": 2, "k": "b"}]
    mongo.write(two, "u")
    updated = mongo.write(two.selectExpr("_id", "v + 1 AS w").limit(1), "u", operationType="update")
    assert updated == [{"_id": 1, "k": "a", "v": 10, "w": 11}, {"_id": 2, "k": "b", "v": 20}]
    mongo.write(two, "i", operationType="INSERT")
    failure(mongo.writer(two, "i", operationType="insert").save)
    three = frame_of(spark, (1, "z", 0), (2, "z", 0), (3, "c", 1))
    failure(mongo.writer(three, "i", operationType="insert", ordered="false").save)
    assert [(d["_id"], d["k"]) for d in mongo.documents("i")] == [(1, "a"), (2, "b"), (3, "c")]
    assert mongo.write(frame_of(spark, (1, "z", 0), (9, "z", 0)), "r", upsertDocument="false") == [
        {"_id": 1, "k": "z", "v": 0},
        {"_id": 2, "k": "b"},
    ]
    overwritten = mongo.writer(two.limit(1), "r").mode("overwrite")
    overwritten.save()
    assert mongo.documents("r") == [{"_id": 1, "k": "a", "v": 10}]
    for mode, name in (("error", "ErrorIfExists"), ("ignore", "Ignore")):
        with pytest.raises(AnalysisException, match=f'cannot be written in the "{name}" mode') as caught:
            mongo.writer(two, "r").mode(mode).save()
        assert caught.value.getCondition() == "UNSUPPORTED_DATA_SOURCE_SAVE_MODE"
    assert "'merge' is not a valid Write Operation Type" in failure(mongo.writer(two, "r", operationType="merge").save)
    failure(mongo.writer(two, "a,b").save)
    mongo.database.create_collection("strict", validator={"v": {"$lt": 15}})
    failure(mongo.writer(two, "strict").save)
    assert mongo.documents("strict") == [{"_id": 1, "k": "a", "v": 10}]


def test_documents_known_by_other_fields(spark: SparkSession, mongo: Mongo) -> None:
    def written(frame: DataFrame, collection: str, **more: Any) -> list[dict[str, Any]]:
        found = mongo.write(frame, collection, **more)
        return sorted(({k: v for k, v in one.items() if k != "_id"} for one in found), key=repr)

    two = frame_of(spark, ("a", 10), ("b", 20), columns="k STRING, v INT")
    written(two, "k", idFieldList="k")
    assert written(two.selectExpr("k", "v + 5 AS v"), "k", idFieldList="k") == [
        {"k": "a", "v": 15},
        {"k": "b", "v": 25},
    ]
    assert written(two.selectExpr("k", "1 AS q", "v + 5 AS v"), "k", idFieldList="k, v", operationType="update") == [
        {"k": "a", "v": 15, "q": 1},
        {"k": "b", "v": 25, "q": 1},
    ]
    # Rows without the field are inserted, each time anew.
    written(two, "none")
    assert len(written(two, "none", operationType="update", idFieldList="missing")) == 4
    assert mongo.write(frame_of(spark, (None, "z", 0)), "null") == [{"_id": None, "k": "z", "v": 0}]


JSON = [
    '{"a": 1, "d": {"$date": "2026-01-01T00:00:00Z"}}', '[1, 2, "x"]', "true", "01234", "{a: 1}", "{a:b:c}", "1.5",
    '"q"', "null", "{'a': 'b'}", "", "hello world", "12345678901", '{"$oid": "65a000000000000000000001"}', "-5",
    '{"x": ISODate("2026-01-01")}', "hello", "2026-01-01", ' {"a":1} ', '{"a":1,}', "1e3", "/ab/i",
]  # fmt: skip


def test_text_as_json(spark: SparkSession, mongo: Mongo) -> None:
    given = frame_of(spark, *enumerate(JSON), columns="_id INT, j STRING")

    def parsed(mode: str) -> list[Any]:
        mongo["j"].drop()
        return [document["j"] for document in mongo.write(given, "j", convertJson=mode)]

    new_year = dt.datetime(2026, 1, 1)
    assert parsed("any") == parsed("true") == [
        {"a": 1, "d": new_year}, [1, 2, "x"], True, 1234, {"a": 1}, "{a:b:c}", 1.5, "q", None, {"a": "b"}, "",
        "hello world", Int64(12345678901), FIRST, -5, {"x": new_year}, "hello", "2026-01-01", {"a": 1}, {"a": 1},
        1000.0, Regex("ab", "i"),
    ]  # fmt: skip
    some = parsed("objectOrArrayOnly")
    assert some[:6] == [{"a": 1, "d": new_year}, [1, 2, "x"], "true", "01234", {"a": 1}, "{a:b:c}"]
    assert some[18:20] == [' {"a":1} ', {"a": 1}]
    assert parsed("false") == JSON


def test_settings_of_a_write(spark: SparkSession, mongo: Mongo) -> None:
    many = spark.range(1000).withColumnRenamed("id", "_id")
    assert len(mongo.write(many, "many", maxBatchSize="7", comment="c")) == 1000
    concern = {"writeConcern__w": "majority", "writeConcern__journal": "true", "writeConcern__wTimeoutMS": "1000"}
    assert len(mongo.write(many.limit(3), "few", **concern)) == 3
    assert len(mongo.write(many.limit(4), "few", writeConcern__w="1")) == 4
    failure(mongo.writer(many, "few", writeConcern__journal="maybe").save)
    failure(mongo.writer(many, "few", maxBatchSize="x").save)
    levels = {
        "spark.mongodb.write.connection.uri": mongo.uri,
        "spark.mongodb.write.database": mongo.database.name,
        "spark.mongodb.collection": "levels",
        "spark.mongodb.read.collection": "other",
    }
    many.limit(2).write.format("mongodb").mode("append").options(**levels).save()
    assert len(mongo.documents("levels")) == 2


def test_rows_without_columns(spark: SparkSession, mongo: Mongo) -> None:
    assert len(mongo.write(spark.range(3).select(), "t")) == 3
    assert mongo.read(spark, "t").select().count() == 3
