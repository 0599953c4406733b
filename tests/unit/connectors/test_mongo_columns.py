"""Documents as columns by pymongoarrow: the same as by the exact way, or left to it."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, decode_all, encode
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from pyspark.sql import types as t

from riacho.connectors.mongodb.convert import CODEC, Conversion, DocumentMisfitError

VALUES: list[Any] = [
    None, "abc", "", "é😀", "1", ObjectId(), 7, -(2**31), Int64(2**31), Int64(-(2**63)), 1.0, 2.5, -0.0, 1e300,
    math.nan, math.inf, -math.inf, True, False, DatetimeMS(0), DatetimeMS(-62_135_596_800_001),
    DatetimeMS(9_223_372_036_854_775), DatetimeMS(2**62), Decimal128("1.5"), Decimal128("NaN"),
    Binary(b"x"), Binary(b"0" * 16, 4), Regex("a", "i"),
    Timestamp(5, 6), MinKey(), MaxKey(), Code("x"), Code("x", {"a": 1}), DBRef("c", 1), {"a": 1}, {}, [], [1], ["x"],
]  # fmt: skip
KINDS = [t.StringType(), t.IntegerType(), t.LongType(), t.DoubleType(), t.BooleanType(), t.TimestampType()]


def exact(conversion: Conversion, raw: bytes) -> pa.RecordBatch | None:
    try:
        return conversion.batch(decode_all(raw, CODEC))
    except DocumentMisfitError:
        return None


def shown(batch: pa.RecordBatch | None) -> str:
    """Values as text, in which NaN is NaN and -0.0 is not 0.0; moments as numbers, for Python has not all of them."""
    if batch is None:
        return "misfit"
    columns = [column.view(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in batch.columns]
    return repr([column.to_pylist() for column in columns])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_each_value_beside_each_other(kind: t.DataType) -> None:
    schema = t.StructType([t.StructField("_id", t.IntegerType()), t.StructField("v", kind)])
    fast = 0
    for first in VALUES:
        for second in VALUES:
            conversion = Conversion(schema)
            assert conversion.fast is not None
            documents = [{"_id": 1, "v": first}, {"_id": 2, "w": {"v": second}}, {"_id": 3, "v": second}]
            raw = b"".join(map(encode, documents))
            found = conversion.fast.batch(raw)
            if found is not None:
                fast += 1
                assert shown(found) == shown(exact(conversion, raw)), documents
    assert fast  # of some pairs: the test tests something
