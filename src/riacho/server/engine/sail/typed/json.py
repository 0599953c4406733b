"""`to_json`: the engine prints DECIMAL, FLOAT and times in its own way, and knows no options but a time's format.

    to_json(struct(d), map('dateFormat', 'dd/MM/yyyy'))      riacho_to_json_91f…(CAST(struct(struct(d)) AS …))

What only has whole numbers, text and booleans is left to the engine. Source: `JacksonGenerator`.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.engine.sail import udfs
from riacho.server.engine.sail.dialect.constants import options_of
from riacho.server.engine.sail.own_functions import own_function
from riacho.server.engine.sail.typed import clocks
from riacho.server.engine.sail.typed.avro import numbered
from riacho.server.engine.sail.typed.values import Result, Values
from riacho.server.formats.write.json_settings import json_text
from riacho.server.plan import build
from riacho.server.plan.text import column_name

NAME: Final = "to_json"
_TIME: Final = build.call("map", build.text("timestampFormat"), build.text("yyyy-MM-dd'T'HH:mm:ss.SSSXXX"))
"""What the engine is told where the type is not known."""


def to_json(values: Values, alone: pa.DataType | None) -> Result:
    """What takes the call's place. `alone`: the type of a struct of the first argument alone, None if unknown.

    Raises UnsupportedOperationError for options that are no literals, and for `pretty`; SparkError for a wrong option.
    """
    arguments = [value.expression for value in values]
    options = options_of(arguments[1]) if len(arguments) == 2 else {}
    if options is None:
        raise UnsupportedOperationError("to_json takes its options as literals: map('option', 'value', …)")
    if any(key.lower() == "pretty" and value.lower() == "true" for key, value in options.items()):
        raise UnsupportedOperationError("to_json with the option `pretty` is not supported: leave it out")
    kind = None if alone is None else types.normalise(alone.field(0).type)
    if kind == pa.null():
        return Result(build.cast(build.null(), pa.string()), pa.string())
    if kind is not None and _is_plain(kind):
        raise _no_schema(arguments, kind)
    if kind is None or not pa.types.is_nested(kind) or not _is_known(kind):
        return Result(build.call(NAME, arguments[0], _TIME) if len(arguments) == 1 else None, pa.string())
    if not options and not _is_odd(kind):
        return Result(None, pa.string())
    zone = clocks.zone()
    json_text(options, zone)  # what is wrong with the options is told now
    nullable = types.nullable(pa.schema([pa.field("x", kind)]))[0].type
    constants = (types.to_json(pa.schema([pa.field("x", nullable)])), tuple(sorted(options.items())), zone.text)
    function = own_function(NAME, udfs.to_json, constants, pa.string())
    column = build.cast(build.call("struct", arguments[0]), numbered(pa.struct([pa.field("x", nullable)])))
    return Result(build.call(function, column), pa.string())


def _is_plain(kind: pa.DataType) -> bool:
    """Whether it is one of the types that cannot stand alone as JSON."""
    looks = (pa.types.is_primitive, pa.types.is_decimal, pa.types.is_string, pa.types.is_binary)
    return any(look(kind) for look in looks)


def _no_schema(arguments: list[pb.Expression], kind: pa.DataType) -> AnalysisError:
    shown = column_name(build.call(NAME, *arguments))
    told = types.type_to_ddl(kind)
    return AnalysisError.of(
        "DATATYPE_MISMATCH.INVALID_JSON_SCHEMA",
        f'Cannot resolve "{shown}" due to data type mismatch: Input schema "{told}" must be a struct, an array, a map '
        "or a variant.",
        sql_state="42K09",
        sqlExpr=f'"{shown}"',
        schema=f'"{told}"',
    )


def _is_known(kind: pa.DataType) -> bool:
    """Whether a cast can say this type."""
    inner = _inner(kind)
    if inner:
        return all(map(_is_known, inner))
    return not (pa.types.is_nested(kind) or pa.types.is_null(kind) or pa.types.is_interval(kind)) and _has_proto(kind)


def _has_proto(kind: pa.DataType) -> bool:
    try:
        types.to_proto(kind)
    except UnsupportedOperationError:
        return False
    return not pa.types.is_duration(kind)


def _is_odd(kind: pa.DataType) -> bool:
    """Whether the engine prints values of this type otherwise than Spark."""
    inner = _inner(kind)
    if inner:
        return any(map(_is_odd, inner))
    return not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind))


def _inner(kind: pa.DataType) -> list[pa.DataType]:
    if pa.types.is_struct(kind):
        return [field.type for field in kind]
    if pa.types.is_map(kind):
        return [kind.key_type, kind.item_type]
    return [kind.value_type] if pa.types.is_list(kind) else []
