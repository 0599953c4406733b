"""Columns of every type that readers give."""

from __future__ import annotations

import pyarrow as pa

from riacho.types import TIMESTAMP

_TYPES = (
    pa.int32(), pa.string(), pa.binary(), pa.float64(), pa.bool_(), pa.decimal128(10, 2), pa.date32(), TIMESTAMP,
    pa.timestamp("us"), pa.list_(pa.int32()), pa.map_(pa.string(), pa.int32()),
    pa.struct([("p", pa.int32()), ("q", pa.string())]), pa.int64(),
)  # fmt: skip
SCHEMA = pa.schema([(chr(ord("a") + place), kind) for place, kind in enumerate(_TYPES)])
