"""Parquet files of every column type, read as every other: what widens, what fails, how values change."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.server.formats.oracle.case import Case


def _file(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def _column(values: list[Any], arrow: pa.DataType) -> pa.Table:
    return pa.table({"v": pa.array(values, arrow), "z": pa.array([9] * len(values), pa.int32())})


_ZONED = datetime(2024, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
_MOMENT = _ZONED.replace(tzinfo=None)

_FILES: dict[str, bytes] = {
    "boolean": _file(_column([True, None], pa.bool_())),
    "tinyint": _file(_column([-5, None, 100], pa.int8())),
    "smallint": _file(_column([-5, None, 300], pa.int16())),
    "int": _file(_column([-5, None, 70000], pa.int32())),
    "bigint": _file(_column([-5, None, 1 << 40], pa.int64())),
    "uint8": _file(_column([5, 255], pa.uint8())),
    "uint16": _file(_column([5, 65535], pa.uint16())),
    "uint32": _file(_column([5, 4294967295], pa.uint32())),
    "uint64": _file(_column([5, 18446744073709551615], pa.uint64())),
    "float": _file(_column([1.5, None, float("nan")], pa.float32())),
    "double": _file(_column([1.5, None, 1e300], pa.float64())),
    "decimal_5_2": _file(_column([Decimal("1.25"), None], pa.decimal128(5, 2))),
    "decimal_15_2": _file(_column([Decimal("1.25"), None], pa.decimal128(15, 2))),
    "decimal_25_2": _file(_column([Decimal("1.25"), None], pa.decimal128(25, 2))),
    "string": _file(_column(["a", None, "12"], pa.string())),
    "binary": _file(_column([b"a", None, b"\xff"], pa.binary())),
    "date": _file(_column([date(2024, 1, 2), None], pa.date32())),
    "timestamp_us": _file(_column([_ZONED, None], pa.timestamp("us", tz="UTC"))),
    "timestamp_ms": _file(_column([_ZONED.replace(microsecond=123000), None], pa.timestamp("ms", tz="UTC"))),
    "timestamp_ns": _file(_column([_ZONED, None], pa.timestamp("ns", tz="UTC")), version="2.6"),
    "ntz_us": _file(_column([_MOMENT, None], pa.timestamp("us"))),
    "ntz_ns": _file(_column([_MOMENT, None], pa.timestamp("ns")), version="2.6"),
    "int96": _file(_column([_MOMENT, None], pa.timestamp("ns")), use_deprecated_int96_timestamps=True),
    "array_int": _file(_column([[1, None], None, []], pa.list_(pa.int32()))),
    "struct": _file(_column([{"x": 1, "y": "a"}, None], pa.struct([("x", pa.int32()), ("y", pa.string())]))),
    "map": _file(_column([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32()))),
    "dictionary": _file(_column(["a", None, "a"], pa.dictionary(pa.int32(), pa.string()))),
    "time": _file(_column([1000, None], pa.time64("us"))),
}

_READS = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(5,2)", "DECIMAL(12,2)",
    "DECIMAL(20,2)", "DECIMAL(30,4)", "DECIMAL(20,0)", "DECIMAL(10,0)", "STRING", "BINARY", "DATE", "TIMESTAMP",
    "TIMESTAMP_NTZ", "ARRAY<INT>", "ARRAY<BIGINT>", "STRUCT<x: INT>", "STRUCT<y: STRING, x: BIGINT, w: DATE>",
    "STRUCT<w: INT>", "MAP<STRING, INT>", "MAP<STRING, BIGINT>",
)  # fmt: skip


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text.lower())


_TWO = pa.table({"a": pa.array([1, 2]), "B": pa.array(["x", None])})

CASES: tuple[Case, ...] = (
    *[
        Case(f"{name}_as_{_slug(kind)}", f"v {kind}, z INT", content)
        for name, content in _FILES.items()
        for kind in _READS
    ],
    *[Case(f"infer_{name}", None, content) for name, content in _FILES.items()],
    Case("missing_column", "a BIGINT, n STRING", _file(_TWO)),
    Case("other_case", "A BIGINT, b STRING", _file(_TWO)),
    Case("other_order", "B STRING, a BIGINT", _file(_TWO)),
    Case("no_rows", "a BIGINT, B STRING", _file(_TWO.slice(0, 0))),
    Case("truncated", "a BIGINT", _file(_TWO)[:-10]),
    Case("not_parquet", "a BIGINT", b"hello, this is no parquet file at all"),
    Case("empty", "a BIGINT", b""),
    Case(
        "damaged_page",
        "a BIGINT",
        _file(_TWO, compression="snappy")[:4] + b"\x00" * 40 + _file(_TWO, compression="snappy")[44:],
    ),
)
