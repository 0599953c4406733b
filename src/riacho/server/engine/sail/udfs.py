"""What runs inside the engine's process: the functions of `own_functions`, made there from their constants.

Imported by name there, when the engine reads what `OwnFunction.registration` sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from riacho import types
from riacho.server.formats import doubles
from riacho.server.formats.avro.decode import decoder
from riacho.server.formats.avro.encode import encoder
from riacho.server.formats.byte_pieces import substring
from riacho.server.formats.number_texts import without_exponents
from riacho.server.formats.write.json_settings import json_text
from riacho.zones import session_zone

OnColumn = Callable[[pa.Array], pa.Array]


def from_avro(schema: str, options: tuple[tuple[str, str], ...]) -> OnColumn:
    """`from_avro` of a BINARY column."""

    def decode(column: pa.Array) -> pa.Array:
        return decoder(schema, options).decode(column)

    return decode


def to_avro(schema: str | None, kind: str | None) -> OnColumn:
    """`to_avro`; without a schema, of a column that is in a struct by itself, whose field tells if it may be null.

    `kind`: of a column that is in a struct by itself with other names in it: the type that it really has.
    """
    real = None if kind is None else types.from_json(kind)

    def encode(column: pa.Array) -> pa.Array:
        if real is not None:
            inside = column.field(0)
            inside = inside.cast(types.normalise(inside.type))
            column = types.relabelled(pa.record_batch([inside], names=["x"]), real).column(0)
        if schema is not None:
            return encoder(column.type, schema, True).encode(column)
        field = column.type.field(0)
        return encoder(field.type, schema, field.nullable).encode(column.field(0))

    return encode


def to_json(kind: str, options: tuple[tuple[str, str], ...], zone: str) -> OnColumn:
    """`to_json` of a column that is in a struct by itself with other names in it; `kind`: the type that it really has.

    `zone`: the session's.
    """
    real = types.from_json(kind)
    text = json_text(dict(options), session_zone(zone))

    def write(column: pa.Array) -> pa.Array:
        inside = column.field(0)
        inside = inside.cast(types.normalise(inside.type))
        return text.values(types.relabelled(pa.record_batch([inside], names=["x"]), real).column(0))

    return write


def part_of_bytes() -> Callable[[pa.Array, pa.Array, pa.Array], pa.Array]:
    """`substring` of BINARY: the bytes from a position, which counts from 1, or from the end if it is negative."""
    return substring


def rounded(digits: int, even: bool) -> OnColumn:
    """`round` and `bround` of FLOAT and DOUBLE."""

    def round_all(column: pa.Array) -> pa.Array:
        return doubles.rounded(column, digits, even)

    return round_all


def to_decimal(precision: int, scale: int, strict: bool) -> OnColumn:
    """The cast of FLOAT and DOUBLE to DECIMAL."""

    def cast_all(column: pa.Array) -> pa.Array:
        return doubles.to_decimal(column, precision, scale, strict)

    return cast_all


def plain_numbers() -> OnColumn:
    """Texts of numbers without exponents."""
    return without_exponents


def spark_type(text: str) -> Any:
    """PySpark's type of the only column of a schema in Spark's JSON."""
    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(text)).fields[0].dataType
