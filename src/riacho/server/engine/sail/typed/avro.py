"""`to_avro`: the schema it writes in follows from the type of its argument, and from what in it may be null.

    to_avro(struct(id, s))       riacho_to_avro_2c7…(CAST(struct(id, s) AS STRUCT<id: BIGINT, s: STRING>))

The cast makes all parts of the argument nullable. Without it, the engine may find out later that a part is never null,
which makes another type of it, one that the function was not made for.
"""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.server.engine.sail.dialect import avro
from riacho.server.engine.sail.dialect.constants import is_null
from riacho.server.engine.sail.typed.values import Result, Values
from riacho.server.formats.avro.sql_types import to_avro as schema_of
from riacho.server.plan import build

NAME = avro.NEEDS_TYPES


def to_avro(values: Values, alone: pa.DataType | None) -> Result:
    """What takes the call's place. `alone`: the type of a struct of the first argument alone, None if unknown.

    Raises SparkError for a call that makes no sense, or a type that Avro has none for.
    """
    arguments = [value.expression for value in values]
    if alone is None or pa.types.is_null(alone.field(0).type):
        return Result(avro.to_avro(arguments), pa.binary())
    field = alone.field(0)
    nullable = types.nullable(pa.schema([field]))[0].type
    if not nullable.equals(field.type):
        arguments[0] = build.cast(arguments[0], nullable)
    if len(arguments) == 1 or is_null(arguments[1]):
        arguments[1:] = [build.text(schema_of(field.type, field.nullable).text())]
    return Result(avro.to_avro(arguments), pa.binary())
