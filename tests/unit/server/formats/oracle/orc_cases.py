"""ORC files of every column type, read as every other: what converts, what fails, how values change."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyarrow import orc

from tests.unit.server.formats.oracle.case import Case


def _file(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    orc.write_table(table, sink, **options)
    return sink.getvalue()


def _column(values: list[Any], arrow: pa.DataType) -> pa.Table:
    return pa.table({"v": pa.array(values, arrow), "z": pa.array([9] * len(values), pa.int32())})


_ZONED = datetime(2024, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
_MOMENT = _ZONED.replace(tzinfo=None)
_OLD = _MOMENT.replace(1965, 7, 8, microsecond=0)
"""Before 1970, pyarrow writes fractions of seconds so that Java cannot read them."""

_FILES: dict[str, bytes] = {
    "boolean": _file(_column([True, None, False], pa.bool_())),
    "tinyint": _file(_column([-5, None, 100], pa.int8())),
    "smallint": _file(_column([-5, None, 300], pa.int16())),
    "int": _file(_column([-5, None, 70000], pa.int32())),
    "bigint": _file(_column([-5, None, 1 << 40], pa.int64())),
    "float": _file(_column([1.5, None, float("nan"), -3e10], pa.float32())),
    "double": _file(_column([1.5, None, 1e300, -0.0], pa.float64())),
    "decimal_5_2": _file(_column([Decimal("1.25"), None, Decimal("-999.99")], pa.decimal128(5, 2))),
    "decimal_25_2": _file(_column([Decimal("1.25"), None, Decimal("12345678901234567890.5")], pa.decimal128(25, 2))),
    "string": _file(_column(["a", None, "12", "", "é", "1.5", "2024-01-02", " 7 ", "true"], pa.string())),
    "binary": _file(_column([b"a", None, b"\xff", b""], pa.binary())),
    "date": _file(_column([date(2024, 1, 2), None, date(1969, 12, 31)], pa.date32())),
    "timestamp": _file(_column([_MOMENT, None, _OLD], pa.timestamp("us"))),
    "timestamp_ns": _file(
        _column([1_704_164_645_123_456_789, None, 999], pa.int64()).set_column(
            0, "v", pa.array([1_704_164_645_123_456_789, None, 999], pa.timestamp("ns"))
        )
    ),
    "instant": _file(_column([_ZONED, None, _OLD], pa.timestamp("us", tz="UTC"))),
    "array_int": _file(_column([[1, None], None, []], pa.list_(pa.int32()))),
    "struct": _file(
        _column([{"x": 1, "y": "a"}, None, {"x": None, "y": None}], pa.struct([("x", pa.int32()), ("y", pa.string())]))
    ),
    "map": _file(_column([[("k", 1), ("l", None)], None, []], pa.map_(pa.string(), pa.int32()))),
    "map_int": _file(_column([[(1, "x")], None, []], pa.map_(pa.int32(), pa.string()))),
    "nested": _file(
        _column(
            [[{"x": 1, "m": [("a", [date(2024, 1, 2)])]}], None, [None, {"x": 2, "m": None}]],
            pa.list_(pa.struct([("x", pa.int32()), ("m", pa.map_(pa.string(), pa.list_(pa.date32())))])),
        )
    ),
}

_READS = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(5,2)", "DECIMAL(12,2)",
    "DECIMAL(30,4)", "DECIMAL(10,0)", "STRING", "BINARY", "DATE", "TIMESTAMP",
    "TIMESTAMP_NTZ", "ARRAY<INT>", "ARRAY<BIGINT>", "ARRAY<STRING>", "STRUCT<x: INT>", "STRUCT<X: BIGINT, Y: STRING>",
    "STRUCT<y: STRING, x: BIGINT, w: DATE>", "STRUCT<w: INT>", "MAP<STRING, INT>", "MAP<STRING, BIGINT>",
    "MAP<BIGINT, STRING>",
)  # fmt: skip


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text.lower())


_TWO = pa.table({"a": pa.array([1, 2]), "B": pa.array(["x", None])})
_HIVE = pa.table({"_col0": pa.array([1, 2]), "_col1": pa.array(["x", None])})
_TWICE = pa.table([pa.array([1]), pa.array([2])], names=["a", "A"])

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
    Case("hive_names", "x BIGINT, y STRING", _file(_HIVE)),
    Case("hive_names_fewer", "x BIGINT", _file(_HIVE)),
    Case("hive_names_more", "x BIGINT, y STRING, z INT", _file(_HIVE)),
    Case("hive_names_infer", None, _file(_HIVE)),
    Case("twice_a", "a BIGINT", _file(_TWICE)),
    Case("twice_upper", "A BIGINT", _file(_TWICE)),
    Case("twice_infer", None, _file(_TWICE)),
    Case("no_rows", "a BIGINT, B STRING", _file(_TWO.slice(0, 0))),
    Case("no_rows_infer", None, _file(_TWO.slice(0, 0))),
    Case("zlib", "a BIGINT, B STRING", _file(_TWO, compression="zlib")),
    Case("snappy", "a BIGINT, B STRING", _file(_TWO, compression="snappy")),
    Case("zstd", "a BIGINT, B STRING", _file(_TWO, compression="zstd")),
    Case("lz4", "a BIGINT, B STRING", _file(_TWO, compression="lz4")),
    Case("truncated", "a BIGINT", _file(_TWO)[:-10]),
    Case("truncated_infer", None, _file(_TWO)[:-10]),
    Case("not_orc", "a BIGINT", b"hello, this is no ORC file at all"),
    Case("empty", "a BIGINT", b""),
)
