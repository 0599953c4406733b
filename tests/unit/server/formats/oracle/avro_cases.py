"""Avro files of every type, read without a schema, with another one, and with the options of the reader."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import fastavro

from tests.unit.server.formats.oracle.case import Case

_ZONED = datetime(2024, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
_MOMENT = _ZONED.replace(tzinfo=None)


def _file(schema: Any, rows: list[dict[str, Any]], codec: str = "null", **options: Any) -> bytes:
    sink = io.BytesIO()
    fastavro.writer(sink, fastavro.parse_schema(schema), rows, codec=codec, **options)
    return sink.getvalue()


def _record(*fields: tuple[str, Any], name: str = "top") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": name, "type": kind} for name, kind in fields]}


def _column(kind: Any, values: list[Any]) -> bytes:
    return _file(_record(("v", kind), ("z", "int")), [{"v": value, "z": 9} for value in values])


def _logical(base: str, logical: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": logical, **more}


_FIXED = {"type": "fixed", "name": "fx", "size": 4}
_FILES: dict[str, bytes] = {
    "int": _column("int", [1, -70000]),
    "long": _column("long", [1, 1 << 40]),
    "float": _column("float", [1.5, float("nan")]),
    "double": _column("double", [1.5, 1e300]),
    "boolean": _column("boolean", [True, False]),
    "bytes": _column("bytes", [b"\xff", b""]),
    "string": _column("string", ["é", "12"]),
    "opt_int": _column(["null", "int"], [1, None]),
    "int_opt": _column(["int", "null"], [1, None]),
    "int_long": _column(["int", "long"], [1, 1 << 40]),
    "float_double": _column(["float", "double"], [1.5, 2.5]),
    "int_string": _column(["int", "string"], [1, "a"]),
    "null_int_string": _column(["null", "int", "string"], [None, 1, "a"]),
    "only_int": _column(["int"], [1]),
    "date": _column(_logical("int", "date"), [date(2024, 1, 2), date(1500, 1, 1)]),
    "timestamp_millis": _column(_logical("long", "timestamp-millis"), [_ZONED.replace(microsecond=123000)]),
    "timestamp_micros": _column(_logical("long", "timestamp-micros"), [_ZONED, _ZONED.replace(year=1500)]),
    "local_millis": _column(_logical("long", "local-timestamp-millis"), [_MOMENT.replace(microsecond=123000)]),
    "local_micros": _column(_logical("long", "local-timestamp-micros"), [_MOMENT]),
    "time_millis": _column(_logical("int", "time-millis"), [time(1, 2, 3)]),
    "time_micros": _column(_logical("long", "time-micros"), [time(1, 2, 3)]),
    "decimal": _column(_logical("bytes", "decimal", precision=5, scale=2), [Decimal("1.25"), Decimal("-999.99")]),
    "decimal_fixed": _column(
        {"type": "fixed", "name": "fd", "size": 9, "logicalType": "decimal", "precision": 20, "scale": 2},
        [Decimal("1.25")],
    ),
    "fixed": _column(_FIXED, [b"abcd"]),
    "enum": _column({"type": "enum", "name": "en", "symbols": ["A", "B"]}, ["A", "B"]),
    "uuid": _column(_logical("string", "uuid"), ["123e4567-e89b-12d3-a456-426614174000"]),
    "array": _column({"type": "array", "items": ["null", "int"]}, [[1, None], []]),
    "array_string": _column({"type": "array", "items": "string"}, [["x"], []]),
    "map": _column({"type": "map", "values": ["null", "long"]}, [{"k": 1, "l": None}, {}]),
    "record": _column(_record(("x", "int"), ("y", ["null", "string"]), name="r"), [{"x": 1, "y": None}]),
    "opt_record": _column(["null", _record(("x", "int"), name="r")], [None, {"x": 1}]),
    "null": _column("null", [None]),
}

_READS = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(5,2)", "DECIMAL(12,2)",
    "DECIMAL(30,4)", "DECIMAL(10,0)", "STRING", "BINARY", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "ARRAY<INT>",
    "ARRAY<BIGINT>", "STRUCT<x: INT>", "STRUCT<Y: STRING, w: DATE, X: BIGINT>", "STRUCT<w: INT>",
    "STRUCT<member0: INT, member1: STRING>", "STRUCT<member1: STRING>", "MAP<STRING, BIGINT>", "MAP<STRING, INT>",
)  # fmt: skip


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text.lower())


_TWO = _record(("a", "long"), ("B", ["null", "string"]))
_ROWS: list[dict[str, Any]] = [{"a": 1, "B": "x"}, {"a": 2, "B": None}]
_PLAIN = _file(_TWO, _ROWS)
_EVOLVED = {
    "type": "record",
    "name": "top",
    "fields": [
        {"name": "B", "type": ["null", "string"]},
        {"name": "new", "type": "int", "default": 7},
        {"name": "a", "type": "double"},
    ],
}
_SELF = {
    "type": "record",
    "name": "node",
    "fields": [{"name": "id", "type": "int"}, {"name": "next", "type": ["null", "node"]}],
}
_SELF_FILE = _file(_SELF, [{"id": 1, "next": {"id": 2, "next": {"id": 3, "next": None}}}])
_TWICE = _file(_record(("a", "long"), ("A", "long")), [{"a": 1, "A": 2}])

CASES: tuple[Case, ...] = (
    *[
        Case(f"{name}_as_{_slug(kind)}", f"v {kind}, z INT", content)
        for name, content in _FILES.items()
        for kind in _READS
    ],
    *[Case(f"infer_{name}", None, content) for name, content in _FILES.items()],
    Case("missing_column", "a BIGINT, n STRING", _PLAIN),
    Case("other_case", "A BIGINT, b STRING", _PLAIN),
    Case("other_order", "B STRING, a BIGINT", _PLAIN),
    Case("one_column", "B STRING", _PLAIN),
    Case("positional", "x BIGINT, y STRING", _PLAIN, {"positionalFieldMatching": "true"}),
    Case("positional_fewer", "x BIGINT", _PLAIN, {"positionalFieldMatching": "true"}),
    Case("positional_more", "x BIGINT, y STRING, z INT", _PLAIN, {"positionalFieldMatching": "true"}),
    Case("twice", "a BIGINT", _TWICE),
    Case("twice_infer", None, _TWICE),
    Case("evolved", None, _PLAIN, {"avroSchema": json.dumps(_EVOLVED)}),
    Case("evolved_schema", "new BIGINT, a DOUBLE", _PLAIN, {"avroSchema": json.dumps(_EVOLVED)}),
    Case("evolved_bad", None, _PLAIN, {"avroSchema": json.dumps(_record(("a", "long"), ("c", "int")))}),
    Case("evolved_no_json", None, _PLAIN, {"avroSchema": "nothing"}),
    Case("self", None, _SELF_FILE),
    Case("self_2", None, _SELF_FILE, {"recursiveFieldMaxDepth": "2"}),
    Case("self_16", None, _SELF_FILE, {"recursiveFieldMaxDepth": "16"}),
    Case("stable", None, _FILES["int_string"], {"enableStableIdentifiersForUnionType": "true"}),
    Case("stable_prefix", None, _FILES["int_string"],
         {"enableStableIdentifiersForUnionType": "true", "stableIdentifierPrefixForUnionType": "u_"}),
    Case("rebase_exception", None, _FILES["date"], {"datetimeRebaseMode": "EXCEPTION"}),
    Case("rebase_corrected", None, _FILES["date"], {"datetimeRebaseMode": "CORRECTED"}),
    Case("deflate", None, _file(_TWO, _ROWS, "deflate")),
    Case("bzip2", None, _file(_TWO, _ROWS, "bzip2")),
    Case("xz", None, _file(_TWO, _ROWS, "xz")),
    Case("many_blocks", None, _file(_TWO, _ROWS * 50, "deflate", sync_interval=20)),
    Case("no_rows", None, _file(_TWO, [])),
    Case("no_rows_schema", "a BIGINT", _file(_TWO, [])),
    Case("truncated", "a BIGINT", _PLAIN[:-20]),
    Case("truncated_header", "a BIGINT", _PLAIN[:60]),
    Case("bad_sync", "a BIGINT", _PLAIN[:-1] + b"\x00"),
    Case("not_avro", "a BIGINT", b"hello, this is no Avro file at all"),
    Case("not_avro_infer", None, b"hello, this is no Avro file at all"),
    Case("empty", "a BIGINT", b""),
    Case("not_a_record", None, _file("int", [1])),  # type: ignore[list-item]
    Case("not_a_record_schema", "a INT", _file("int", [1])),  # type: ignore[list-item]
)  # fmt: skip
