"""Documents as columns by pymongoarrow, where it reads them as MongoDB's connector does; else not at all.

It reads numbers, text, dates, booleans and ObjectIds at the top of documents from the bytes themselves. It also takes
true for 1, NaN for null and text for an empty list: so it is not asked for nested documents and arrays, and batches in
which it could take one thing for another are left to `convert`, which is exact. `None` says so.
"""

from __future__ import annotations

import re
import warnings
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as t
from pyspark.sql.pandas.types import to_arrow_schema

_NUMBERS: Final = (t.IntegerType, t.LongType, t.DoubleType)
_PLAIN: Final = (*_NUMBERS, t.StringType, t.BooleanType, t.TimestampType)
_STRING, _OBJECT_ID, _BOOLEAN, _DOUBLE = b"\x02", b"\x07", b"\x08", b"\x01"
_HEX: Final = np.frombuffer(b"".join(f"{byte:02x}".encode() for byte in range(256)), np.uint16)
"""The two digits of each byte."""
_NOT_TAKEN: Final[dict[type[t.DataType], tuple[bytes, ...]]] = {
    t.IntegerType: (_BOOLEAN, _DOUBLE),
    t.LongType: (_BOOLEAN, _DOUBLE),
    t.DoubleType: (_BOOLEAN,),
}
"""Kinds of values that pymongoarrow takes for numbers otherwise than the connector: true is 1, infinity any number."""
_MOST_STRANGE: Final = 3
"""After so many batches that were left to `convert` one after the other, it is not tried any more."""


class FastDecoder:
    """For rows of `schema`. `make` gives one only where it can be of use."""

    def __init__(self, schema: t.StructType) -> None:
        self._schema = schema
        self._arrow = to_arrow_schema(schema, timezone="UTC")
        self._strange = 0

    @classmethod
    def make(cls, schema: t.StructType) -> FastDecoder | None:
        """None for columns that pymongoarrow does not read as the connector does, and without pymongoarrow."""
        with warnings.catch_warnings():
            # Sizes of pyarrow's classes that it was not built with; it does not use what changed.
            warnings.filterwarnings("ignore", message=".*size changed, may indicate binary incompatibility")
            try:
                import pymongoarrow.context
                import pymongoarrow.lib  # noqa: F401
            except ImportError:
                return None
        fit = all(type(own.dataType) in _PLAIN and own.nullable and "." not in own.name for own in schema.fields)
        return cls(schema) if fit and schema.fields else None

    def batch(self, raw: bytes) -> pa.RecordBatch | None:
        """The rows of documents, one behind the other. None: `convert` is to do it."""
        if self._strange >= _MOST_STRANGE:
            return None
        found = self._decoded(raw)
        self._strange = self._strange + 1 if found is None else 0
        return found

    def _decoded(self, raw: bytes) -> pa.RecordBatch | None:
        from pymongoarrow.context import PyMongoArrowContext
        from pymongoarrow.schema import Schema

        wanted: dict[str, Any] = {}
        for own in self._schema.fields:
            name = own.name.encode() + b"\0"
            if any(raw.find(kind + name) >= 0 for kind in _NOT_TAKEN.get(type(own.dataType), ())):
                return None
            wanted[own.name] = _asked_for(own.dataType, name, raw)
        context = PyMongoArrowContext(Schema(wanted), allow_invalid=False)
        try:
            context.process_bson_stream(raw)
            table = context.finish()
            columns = [
                self._column(own, arrow.type, table, raw) for own, arrow in zip(self._schema, self._arrow, strict=True)
            ]
        except (TypeError, ValueError, OverflowError, pa.ArrowInvalid):
            return None
        if any(column is None for column in columns):
            return None
        return pa.RecordBatch.from_arrays(columns, schema=self._arrow)

    def _column(self, own: t.StructField, arrow: pa.DataType, table: pa.Table, raw: bytes) -> pa.Array | None:
        column = table.column(own.name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pa.nulls(0, column.type)
        if column.null_count and _has_nan(own.name, raw):
            return None
        if isinstance(own.dataType, t.StringType) and column.type != pa.string():
            return _hex(column.storage)
        return column if column.type == arrow else pc.cast(column, arrow)


def _asked_for(kind: t.DataType, name: bytes, raw: bytes) -> pa.DataType:
    from pymongoarrow.types import ObjectIdType

    if isinstance(kind, t.StringType):
        ids = raw.find(_OBJECT_ID + name) >= 0 and raw.find(_STRING + name) < 0
        return ObjectIdType() if ids else pa.string()
    if isinstance(kind, t.IntegerType):
        return pa.int32()
    if isinstance(kind, t.LongType):
        return pa.int64()
    if isinstance(kind, t.DoubleType):
        return pa.float64()
    return pa.bool_() if isinstance(kind, t.BooleanType) else pa.timestamp("ms", "UTC")


def _has_nan(name: str, raw: bytes) -> bool:
    """Whether a field of that name could be a double that is no number, which pymongoarrow takes for null."""
    pattern = re.compile(_DOUBLE + re.escape(name.encode()) + rb"\0.{6}[\xf0-\xff][\x7f\xff]", re.DOTALL)
    return pattern.search(raw) is not None


def _hex(ids: pa.Array) -> pa.Array:
    """ObjectIds as their 24 digits."""
    count = len(ids)
    data = np.frombuffer(ids.buffers()[1], np.uint8, count * 12, ids.offset * 12)
    digits = _HEX[data].tobytes()
    offsets = np.arange(0, (count + 1) * 24, 24, dtype=np.int32)
    bits = None
    if ids.null_count:
        bits = pa.array(ids.is_valid().to_numpy(zero_copy_only=False)).buffers()[1]
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits), bits, ids.null_count)
