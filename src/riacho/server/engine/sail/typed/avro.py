"""`to_avro`: the schema it writes in follows from the type of its argument, and from what in it may be null.

    to_avro(struct(id))         riacho_to_avro_2c7…(CAST(struct(struct(id)) AS STRUCT<_0: STRUCT<_0: BIGINT>>))

The engine may find out while it optimizes that a part is never null, which makes another type of the argument, one that
the function was not made for. A cast to other names is one that it cannot leave out, and says what the type is.
"""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.protos import pb
from riacho.server.engine.sail.dialect import avro
from riacho.server.engine.sail.dialect.constants import is_null
from riacho.server.engine.sail.typed.nullability import as_in_spark
from riacho.server.engine.sail.typed.scope import Scope
from riacho.server.engine.sail.typed.values import Result, Values
from riacho.server.formats.avro.sql_types import to_avro as schema_of
from riacho.server.plan import build

NAME = avro.NAME


def to_avro(values: Values, alone: pa.DataType | None, given: pb.Expression, scope: Scope) -> Result:
    """What takes the call's place. `alone`: the type of a struct of the first argument alone, None if unknown.

    `given`: the first argument as it was given, over `scope`. Raises SparkError for a call that makes no sense, or a
    type that Avro has none for.
    """
    arguments = [value.expression for value in values]
    if alone is None or pa.types.is_null(alone.field(0).type):
        return Result(avro.to_avro(arguments), pa.binary())
    field = alone.field(0)
    if len(arguments) == 1 or is_null(arguments[1]):
        known = as_in_spark(given, field, scope)
        arguments[1:] = [build.text(schema_of(known.type, known.nullable).text())]
    if not pa.types.is_nested(field.type):
        return Result(avro.to_avro(arguments), pa.binary())
    nullable = types.nullable(pa.schema([field]))[0].type
    arguments[0] = build.cast(build.call("struct", arguments[0]), numbered(pa.struct([pa.field("x", nullable)])))
    return Result(avro.to_avro(arguments, nullable), pa.binary())


def numbered(kind: pa.DataType) -> pa.DataType:
    """The type with numbers for the names of its fields. A cast goes by position."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f"_{at}", numbered(field.type)) for at, field in enumerate(kind)])
    if pa.types.is_map(kind):
        return pa.map_(numbered(kind.key_type), numbered(kind.item_type))
    return pa.list_(numbered(kind.value_type)) if pa.types.is_list(kind) else kind
