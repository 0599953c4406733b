"""What the server leaves out: never a document that passes the filter, and most of those that do not."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp
from pyspark.sql import types as t
from pyspark.sql.datasource import (
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    InputPartition,
    IsNotNull,
    IsNull,
    LessThan,
    LessThanOrEqual,
    StringStartsWith,
)

from riacho.connectors.mongodb.options import MongoOptions
from riacho.connectors.mongodb.reader import MongoReader
from riacho.connectors.mongodb.source import MongoSource
from riacho.errors import AnalysisError, IllegalArgumentError
from tests.connectors.mongo import Mongo

ID = ObjectId("65a000000000000000000001")
DAY = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC)
VALUES = [
    3, Int64(3), 3.0, 3.9, -3.5, math.nan, math.inf, Int64(2**53 + 1), Decimal128("3.2"), "3", "abc", "a.c", "", True,
    DAY, Timestamp(1767323045, 1), ID, str(ID), b"ab", {"a": 1}, [1, None], [3, "abc"], [], None,
]  # fmt: skip
NUMBERS = [3, 4, -3, 0, 2**53 + 1]
PASSES: dict[Any, Callable[[Any, Any], bool]] = {
    EqualTo: lambda value, to: value == to,
    GreaterThan: lambda value, to: value > to,
    GreaterThanOrEqual: lambda value, to: value >= to,
    LessThan: lambda value, to: value < to,
    LessThanOrEqual: lambda value, to: value <= to,
}


def passes(one: Any, value: Any) -> bool:
    """What Spark makes of a filter."""
    if isinstance(one, IsNull):
        return value is None
    if isinstance(one, IsNotNull):
        return value is not None
    if value is None:
        return False
    if isinstance(one, In):
        return value in one.value
    if isinstance(one, StringStartsWith):
        return str(value).startswith(one.value)
    if isinstance(value, float) and math.isnan(value):
        return isinstance(one, GreaterThan | GreaterThanOrEqual)  # it is the greatest
    return PASSES[type(one)](value, one.value)


def reader(mongo: Mongo, kind: t.DataType) -> MongoReader:
    schema = t.StructType([t.StructField("_id", t.IntegerType()), t.StructField("v", kind)])
    options = MongoOptions.read({**mongo.options("v"), "mode": "DROPMALFORMED"})
    return MongoReader(options, schema)


def rows(one: MongoReader) -> dict[int, Any]:
    batches = [batch for part in one.partitions() for batch in one.read(part)]
    return {row["_id"]: row["v"] for batch in batches for row in batch.to_pylist()}


def literals(kind: t.DataType) -> list[Any]:
    if isinstance(kind, t.StringType):
        return ["3", "abc", "a", str(ID), "[1, null]"]
    if isinstance(kind, t.TimestampType):
        return [DAY, DAY + dt.timedelta(microseconds=1), DAY - dt.timedelta(microseconds=1)]
    if isinstance(kind, t.BooleanType):
        return [True, False]
    return [float(n) for n in NUMBERS] if isinstance(kind, t.DoubleType) else list(NUMBERS)


KINDS = [t.StringType(), t.IntegerType(), t.LongType(), t.DoubleType(), t.BooleanType(), t.TimestampType()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_no_document_is_lost(mongo: Mongo, kind: t.DataType) -> None:
    # Python has no moments as late as the largest number.
    values = [value for value in VALUES if not isinstance(kind, t.TimestampType) or value != 2**53 + 1]
    mongo["v"].insert_many([{"_id": at, "v": value} for at, value in enumerate(values)])
    mongo["v"].insert_one({"_id": len(VALUES)})
    everything = rows(reader(mongo, kind))
    path = ("v",)
    filters: list[Filter] = [IsNull(path), IsNotNull(path)]
    for literal in literals(kind):
        filters += [make(path, literal) for make in PASSES]
    filters.append(In(path, (*literals(kind)[:2], None)))
    if isinstance(kind, t.StringType):
        filters += [StringStartsWith(path, start) for start in ("a", "a.", "65a0", "{", "")]
    for one in filters:
        pushing = reader(mongo, kind)
        assert list(pushing.pushFilters([one])) == [one]
        found = rows(pushing)
        wanted = {at for at, value in everything.items() if passes(one, value)}
        assert wanted <= set(found), one


def test_most_documents_stay_away(mongo: Mongo) -> None:
    mongo["v"].insert_many([{"_id": i, "v": i} for i in range(100)])
    pushing = reader(mongo, t.IntegerType())
    pushing.pushFilters([GreaterThan(("v",), 97), LessThan(("_id",), 99)])
    assert rows(pushing) == {98: 98}
    limited = MongoReader(MongoOptions.read(mongo.options("v")), t.StructType([t.StructField("v", t.IntegerType())]))
    limited.pushLimit(3)
    (part,) = limited.partitions()
    assert sum(batch.num_rows for batch in limited.read(part)) == 3


def test_names_that_are_paths_for_the_server(mongo: Mongo) -> None:
    """A field may have a dot in its name; the server takes `a.b` for the field `b` of `a`."""
    mongo["v"].insert_many([{"_id": 1, "a.b": 5, "a": {"b": 6}, "": 7}, {"_id": 2, "a": {"b": 5}}])
    names = ("_id", "a.b", "")
    schema = t.StructType([t.StructField(name, t.IntegerType()) for name in names])
    for more in ({}, {"aggregation__pipeline": "{$match: {}}"}):
        dotted = MongoReader(MongoOptions.read(mongo.options("v", **more)), schema)
        filters: list[Filter] = [IsNotNull((name,)) for name in names[1:]]
        assert dotted.pushFilters([*filters, EqualTo(("a.b",), 5)])
        (part,) = dotted.partitions()
        found = [tuple(row.values()) for batch in dotted.read(part) for row in batch.to_pylist()]
        assert found == [(1, 5, 7), (2, None, None)]


def test_stages_that_are_not_cut_up(mongo: Mongo) -> None:
    mongo["v"].insert_many([{"_id": i, "v": "x" * 4000} for i in range(900)])

    def parts(pipeline: str) -> int:
        options = mongo.options("v", partitioner__options__partition__size="1", aggregation__pipeline=pipeline)
        return len(MongoReader(MongoOptions.read(options), t.StructType().add("v", "string")).partitions())

    assert parts('{"$match": {"v": 1}}') > 2
    assert parts('[{"$match": {"$text": {"$search": "x"}}}, {"$project": {"v": 1}}]') == 1
    assert parts('{"$match": {"place": {"$near": [1, 2]}}}') == 1
    assert parts('{"$limit": 3}') == 1
    for wrong in ("[{}]", "{}", '{"$match": {}, "$limit": 1}', "5", '["$match"]'):
        with pytest.raises(IllegalArgumentError, match="Invalid aggregation pipeline"):
            parts(wrong)


def test_a_decimal_that_spark_has_no_type_for(mongo: Mongo) -> None:
    mongo["v"].insert_one({"v": Decimal128("1E+5")})
    with pytest.raises(AnalysisError, match="Negative scale is not allowed: '-5'") as caught:
        MongoSource(mongo.options("v")).schema()
    assert caught.value.condition == "NEGATIVE_SCALE_DISALLOWED"


def test_ranges_of_ids_of_several_kinds(mongo: Mongo) -> None:
    ids = [i if i % 3 else str(i) if i % 2 else ObjectId() for i in range(900)]
    mongo["v"].insert_many([{"_id": one, "v": "x" * 4000} for one in ids])
    schema = t.StructType([t.StructField("_id", t.StringType())])
    name = "com.mongodb.spark.sql.connector.read.partitioner.SamplePartitioner"
    one = MongoReader(
        MongoOptions.read(mongo.options("v", partitioner=name, partitioner__options__partition__size="1")), schema
    )
    parts: list[InputPartition] = list(one.partitions())
    assert len(parts) > 2
    found = [row["_id"] for part in parts for batch in one.read(part) for row in batch.to_pylist()]
    assert sorted(found) == sorted(map(str, ids))
