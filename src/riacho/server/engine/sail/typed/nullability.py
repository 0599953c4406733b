"""Whether a value may be null, as Spark sees it: the engine is more careful, and `to_avro` writes a byte a doubt.

struct(id, upper(name), current_timestamp())     the engine: the last two may be null; Spark: only if `name` may be
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from riacho.identifiers import column_parts
from riacho.protos import pb
from riacho.server.engine.sail.typed.scope import Scope
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.sql.words import words

Expression = pb.Expression

_NEVER: Final = words(
    "array current_date current_timestamp curdate input_file_name isnotnull isnull localtimestamp map "
    "monotonically_increasing_id named_struct now rand randn spark_partition_id struct unix_timestamp uuid <=> "
    "current_user current_database window"
)
"""Functions that never return null."""
_STRICT: Final = words(
    "abs ascii base64 bin ceil chr concat date_add date_format date_sub datediff day dayofmonth dayofweek dayofyear "
    "exp floor from_unixtime hex hour initcap instr length lower lcase lpad ltrim md5 minute month negative not ! "
    "pow power quarter regexp_extract regexp_replace repeat replace reverse rpad rtrim second sha sha1 sha2 signum "
    "size split sqrt string substr substring trim ucase unbase64 unix_micros unix_millis unix_seconds upper weekday "
    "weekofyear xxhash64 year || + - * = == != <> < <= > >= and or"
)
"""Functions that return null only for an argument that is null."""
_UNLESS_ALL: Final = words("coalesce greatest ifnull least nvl")
"""Functions that return null only if all arguments are."""


def as_in_spark(expression: Expression, field: pa.Field, scope: Scope) -> pa.Field:
    """`field`, what the engine says of an expression over `scope`, with Spark's opinion on what in it may be null."""
    expression = structured(expression)
    if expression.HasField("alias"):
        return as_in_spark(expression.alias.expr, field, scope)
    nullable = _nullable(expression, scope)
    field = field.with_nullable(field.nullable if nullable is None else nullable)
    name, arguments = _call(expression)
    parts = {"struct": arguments, "named_struct": arguments[1::2]}.get(name)
    if parts is not None and pa.types.is_struct(field.type) and len(parts) == field.type.num_fields:
        fields = [as_in_spark(part, own, scope) for part, own in zip(parts, field.type, strict=True)]
        return field.with_type(pa.struct(fields))
    if name == "array" and len(arguments) == 1 and pa.types.is_list(field.type):
        return field.with_type(pa.list_(as_in_spark(arguments[0], field.type.value_field, scope)))
    return field


def _nullable(expression: Expression, scope: Scope) -> bool | None:
    """Whether it may be null; None if that is not known here."""
    expression = structured(expression)
    match expression.WhichOneof("expr_type"):
        case "literal":
            return expression.literal.HasField("null")
        case "alias":
            return _nullable(expression.alias.expr, scope)
        case "unresolved_attribute":
            return scope.nullable(column_parts(expression.unresolved_attribute.unparsed_identifier))
        case "cast":
            return _cast(expression.cast, scope)
    name, arguments = _call(expression)
    if name in _NEVER:
        return False
    found = [_nullable(argument, scope) for argument in arguments]
    if name == "if" and len(found) == 3:
        return _any(found[1:])
    if name == "when" and found:
        return _any([*found[1::2], found[-1]] if len(found) % 2 else [True])
    if name in _UNLESS_ALL and found:
        return False if False in found else (None if None in found else True)
    return _any(found) if name in _STRICT and found else None


def _cast(cast: Expression.Cast, scope: Scope) -> bool | None:
    """To text, no value is lost; to anything else, that depends on what it is cast from."""
    if cast.eval_mode == cast.EVAL_MODE_TRY:
        return True
    to_text = cast.type.HasField("string") or cast.type_str.strip().lower() == "string"
    return _nullable(cast.expr, scope) if to_text else None


def _any(found: Sequence[bool | None]) -> bool | None:
    return True if True in found else (None if None in found else False)


def _call(expression: Expression) -> tuple[str, Sequence[Expression]]:
    if expression.HasField("unresolved_function"):
        return expression.unresolved_function.function_name.lower(), list(expression.unresolved_function.arguments)
    if expression.HasField("call_function"):
        return expression.call_function.function_name.lower(), list(expression.call_function.arguments)
    return "", ()
