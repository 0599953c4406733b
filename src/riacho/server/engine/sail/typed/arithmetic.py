"""Arithmetic as Spark does it in ANSI mode: common types, overflow that raises, decimals that round.

The engine adds integers without checking for overflow. Its `try_add` does check, and returns null:

    a + b      coalesce(try_add(a, b), if(isnull(a + b), NULL, raise_error('[ARITHMETIC_OVERFLOW] …')))

The second argument is computed only for rows where the first is null.
"""

from __future__ import annotations

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.engine.sail.typed import clocks, coercion
from riacho.server.engine.sail.typed.coercion import is_decimal, is_fraction, is_integral, is_numeric, is_text
from riacho.server.engine.sail.typed.values import Result, Typed, Values, decimal_of, to
from riacho.server.plan import build
from riacho.server.plan.literals import string_of
from riacho.server.plan.overflow import OVERFLOW, unless_null
from riacho.server.plan.text import column_name
from riacho.server.sql.words import words
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ
from riacho.zones import DAY_US

DAYS = pa.duration("s")
"""Stands for an interval of whole days; one with a time of day is `TIME`."""
TIME = pa.duration("us")
MONTHS = pa.month_day_nano_interval()

_TRY = {"+": "try_add", "-": "try_subtract", "*": "try_multiply"}
_LONGEST = 2048
"""The largest operation, in bytes, that is written twice; a longer one is checked by means of a wider type."""
_ARITY = 2
_GENERATORS = words("explode explode_outer posexplode posexplode_outer inline inline_outer stack json_tuple")
_DATE, _INT, _BIGINT = pa.date32(), pa.int32(), pa.int64()
_LIMITS = {_INT: 1 << 31, _BIGINT: 1 << 63}


def is_checked(expression: pb.Expression) -> bool:
    """Whether this is an operation that `unless_null` has already rewritten."""
    function = expression.unresolved_function
    if function.function_name != "coalesce" or len(function.arguments) != _ARITY:
        return False
    last = function.arguments[1].unresolved_function
    if last.function_name != "if" or not last.arguments:
        return False
    error = last.arguments[-1].unresolved_function
    return error.function_name == "raise_error" and error.arguments[0].literal.string.startswith(OVERFLOW)


CHECKED_TEXT = f"raise_error('{OVERFLOW}"
"""What SQL text contains if it is checked already."""


def arithmetic(name: str, values: Values) -> Result | None:
    """`+ - * %`, and `mod`, `pmod`."""
    if len(values) != _ARITY:
        return None
    left, right = values
    if left.type is None or right.type is None:
        return None
    if not (is_numeric(left.type) and is_numeric(right.type)):
        return _with_text(name, left, right) or _with_times(name, left, right)
    if is_integral(left.type) and is_integral(right.type):
        return _of_integrals(name, left, right)
    if is_fraction(left.type) or is_fraction(right.type):
        if left.type == right.type:
            return Result(None, left.type)
        if pa.float64() in (left.type, right.type) and (is_integral(left.type) or is_integral(right.type)):
            return Result(None, pa.float64())  # as the engine does
        return _result(name, to(left, pa.float64()), to(right, pa.float64()), pa.float64())
    return _of_decimals(name, left, right)


def division(name: str, values: Values) -> Result | None:
    """`a / b`: DOUBLE; for decimals, a decimal."""
    left, right = values
    if left.type is None or right.type is None:
        return None
    if is_text(left.type) or is_text(right.type):
        return _with_text(name, left, right)
    if not (is_numeric(left.type) and is_numeric(right.type)):
        return _with_times(name, left, right)
    if (is_decimal(left.type) or is_decimal(right.type)) and not (is_fraction(left.type) or is_fraction(right.type)):
        return _of_decimals(name, left, right)
    return Result(None, pa.float64())


def whole_division(name: str, values: Values) -> Result | None:
    """`a div b`: BIGINT."""
    left, right = values
    if left.type is None or right.type is None:
        return None
    return _with_text(name, left, right, _BIGINT) or Result(None, _BIGINT)


def bitwise(name: str, values: Values) -> Result | None:
    """`& | ^`, shifts."""
    if len(values) != _ARITY or values[0].type is None or values[1].type is None:
        return None
    left, right = values
    if name.startswith("shift"):
        return _result(name, to(left, _INT), to(right, _INT), _INT) if left.is_text else None
    return _with_text(name, left, right)


def negation(name: str, values: Values) -> Result | None:
    """A sign; `abs`."""
    (value,) = values
    if value.type is None:
        return None
    if value.is_text:
        return Result(build.call(name, to(value, pa.float64()).expression), pa.float64())
    return Result(None, value.type) if is_numeric(value.type) else None


def _with_text(name: str, left: Typed, right: Typed, kind: pa.DataType | None = None) -> Result | None:
    """Text combined with a number is a number; None if neither is text, or the other is not a number."""
    if not (left.is_text or right.is_text):
        return None
    if left.is_text and right.is_text:
        raise _wrong_type(name, left, right)
    number = right if left.is_text else left
    assert number.type is not None
    if not is_numeric(number.type):
        return None
    meant = coercion.common(pa.string(), number.type)
    assert meant is not None
    left, right = to(left, meant), to(right, meant)
    if kind is not None:
        return Result(build.call(name, left.expression, right.expression), kind)
    changed = division(name, [left, right]) if name == "/" else arithmetic(name, [left, right])
    if changed is not None and changed.expression is not None:
        return changed
    return _result(name, left, right, meant if changed is None else changed.type)


def _with_times(name: str, left: Typed, right: Typed) -> Result | None:
    """Dates, timestamps and intervals."""
    kinds = (left.type, right.type)
    if name == "-" and kinds == (_DATE, _DATE):
        days = build.call("datediff", left.expression, right.expression)
        return Result(build.call("make_dt_interval", build.cast(days, _INT)), TIME)
    if name == "-" and _DATE in kinds and (TIMESTAMP in kinds or TIMESTAMP_NTZ in kinds):
        left, right = to(left, TIMESTAMP), to(right, TIMESTAMP)
        if clocks.clocks_change():
            return Result(clocks.between(left.expression, right.expression), TIME)
        return _result(name, left, right, TIME)
    if name not in ("+", "-"):
        return None
    time, other = (right, left) if name == "+" and coercion.is_time(right.type or pa.null()) else (left, right)
    if time.type == _DATE and other.type == TIME:
        first, second = ((to(value, TIMESTAMP) if value is time else value) for value in (left, right))
        return _result(name, first, second, TIMESTAMP)
    if time.type == _DATE and (other.type in (DAYS, MONTHS) or is_integral(other.type or pa.null())):
        return Result(None, _DATE)
    if time.type == TIMESTAMP and clocks.clocks_change() and (made := _by_the_clock(name, left, right, time)):
        return made
    if time.type in (TIMESTAMP, TIMESTAMP_NTZ):
        if other.type in (DAYS, TIME, MONTHS):
            return Result(None, time.type)
        if name == "-" and time.type == other.type:
            return Result(None, TIME)
    return None


def _by_the_clock(name: str, left: Typed, right: Typed, time: Typed) -> Result | None:
    """A TIMESTAMP, `time`, with an interval of days or another TIMESTAMP, where clocks change."""
    other = right if time is left else left
    if other.type == DAYS:
        return Result(clocks.plus_days(name, left.expression, right.expression, time.expression), TIMESTAMP)
    if other.type == TIME and other.expression.literal.HasField("day_time_interval"):
        return _with_days_and_time(name, time, other.expression.literal.day_time_interval)
    if name == "-" and other.type == TIMESTAMP:
        return Result(clocks.between(left.expression, right.expression), TIME)
    return None


def _with_days_and_time(name: str, time: Typed, micros: int) -> Result:
    """A TIMESTAMP and an interval with a time of day: first its days, by the calendar, then the rest."""
    days = int(micros / DAY_US) * DAY_US
    if not days:
        return Result(None, TIMESTAMP)
    moved = clocks.plus_days(name, time.expression, build.duration(days), time.expression)
    return Result(build.call(name, moved, build.duration(micros - days)), TIMESTAMP)


def _of_integrals(name: str, left: Typed, right: Typed) -> Result:
    assert left.type is not None
    assert right.type is not None
    kind = coercion.common(left.type, right.type)
    assert kind is not None
    if name not in _TRY or _fits(name, left, right, kind):
        return Result(None, kind)
    plain = build.call(name, to(left, kind).unchecked, to(right, kind).unchecked)
    _refuse_generators(name, left, right)
    if kind not in _LIMITS:  # TINYINT and SMALLINT
        wide = build.call(name, to(left, _INT).expression, to(right, _INT).expression)
        return Result(build.cast(wide, kind), kind, plain)
    left, right = to(left, kind), to(right, kind)
    if plain.ByteSize() > _LONGEST or _has_query(plain):
        wider = _BIGINT if kind == _INT else pa.decimal128(19, 0)
        wide = build.call(name, to(left, wider).expression, to(right, wider).expression)
        return Result(build.cast(wide, kind), kind, plain)
    checked = build.call(_TRY[name], left.expression, right.expression)
    return Result(unless_null(checked, build.call("isnull", plain), _TRY[name]), kind, plain)


def _refuse_generators(name: str, left: Typed, right: Typed) -> None:
    """A generator inside an expression that is written twice would return its rows twice; Spark refuses it there."""
    for value in (left, right):
        expression = value.expression
        called = (
            expression.unresolved_function.function_name or expression.expression_string.expression.partition("(")[0]
        )
        if called.strip().lower() in _GENERATORS:
            shown = column_name(build.call(name, left.expression, right.expression))
            raise AnalysisError.of(
                "UNSUPPORTED_GENERATOR.NESTED_IN_EXPRESSIONS",
                f'The generator is not supported: nested in expressions "{shown}".',
                sql_state="42K0E",
                expression=f'"{shown}"',
            )


def _has_query(expression: pb.Expression) -> bool:
    """Whether it contains a subquery, which must not be computed twice."""
    data = expression.SerializeToString()
    return b"select" in data.lower()


def _fits(name: str, left: Typed, right: Typed, kind: pa.DataType) -> bool:
    """Whether both are literals, so that the result is one too, or one of them changes nothing."""
    a, b = left.number, right.number
    if a is None or b is None:
        return 0 in (a, b) and name != "-"
    made = a + b if name == "+" else a - b if name == "-" else a * b
    limit = _LIMITS.get(kind, 1 << 7)
    return -limit <= made < limit


def _of_decimals(name: str, left: Typed, right: Typed) -> Result | None:
    """Decimals, one of which may be an integer."""
    first, second = decimal_of(left), decimal_of(right)
    assert first.type is not None
    assert second.type is not None
    operator = "%" if name in ("mod", "pmod") else name
    kind = coercion.decimal_result(operator, first.type, second.type)
    if operator == "/":
        return _quotient(first, second, kind)
    changed = first is not left or second is not right
    if operator == "%" or kind.precision == coercion.MAX_PRECISION:
        # Where digits of the result may be cut off, the engine has rules of its own.
        return _result(name, first, second, None) if changed else Result(None, None)
    return _result(name, first, second, kind) if changed else Result(None, kind)


def _quotient(first: Typed, second: Typed, kind: pa.DataType) -> Result:
    """`a / b` rounded to as many digits as in Spark: the engine keeps four more than `a`, and cuts off the rest."""
    assert first.type is not None
    whole = first.type.precision - first.type.scale
    scale = max(kind.scale - 3, first.type.scale)  # one digit more than needed
    if whole + scale > coercion.MAX_PRECISION - 5:  # the engine's result would not fit
        scale = first.type.scale
    wide = first if scale == first.type.scale else to(first, pa.decimal128(whole + scale, scale))
    return Result(build.cast(build.call("/", wide.expression, second.expression), kind), kind)


def _result(name: str, left: Typed, right: Typed, kind: pa.DataType | None) -> Result:
    plain = build.call(name, left.unchecked, right.unchecked)
    return Result(build.call(name, left.expression, right.expression), kind, plain)


def _unquoted(expression: pb.Expression) -> pb.Expression:
    """A text literal, which is shown without its quotes."""
    text = string_of(expression)
    return expression if text is None else build.text(text)


def _wrong_type(name: str, left: Typed, right: Typed) -> AnalysisError:
    shown = column_name(build.call(name, *(_unquoted(value.expression) for value in (left, right))))
    wanted = (
        '("DOUBLE" or "DECIMAL")'
        if name == "/"
        else '"INTEGRAL"'
        if name in ("&", "|", "^", "div")
        else '"NUMERIC"'
        if name in ("*", "%", "mod", "pmod")
        else '("NUMERIC" or "INTERVAL DAY TO SECOND" or "INTERVAL YEAR TO MONTH" or "INTERVAL")'
    )
    return AnalysisError.of(
        "DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE",
        f'Cannot resolve "{shown}" due to data type mismatch: the binary operator requires the input type {wanted}, '
        'not "STRING".',
        sql_state="42K09",
        sqlExpr=f'"{shown}"',
        inputType=wanted,
        actualDataType='"STRING"',
    )
