"""Doubles and texts as decimals, and doubles rounded: Spark takes a double as the number that its shortest text is.

    before                                   after
    round(d, 2)                              if(abs(d) < 1e12 OR isnull('…'), sign(d) * (f + (abs(d) >= tie)) / 100, …)
    CAST(d AS DECIMAL(10,2))   (d: DOUBLE)   if(abs(d) < 1e12 OR isnull('…'), CAST(round(d, 2) AS DECIMAL(10,2)), …)
    CAST(s AS DECIMAL(10,2))   (s: STRING)   CAST(riacho_plain_numbers_…(s) AS DECIMAL(10,2))
    ceil(d, 2)                               ceil(CAST(d AS DECIMAL(30,15)), 2)

The engine takes a double as the binary fraction that it is, and reads no exponents in decimals. `formats.doubles` says
why the comparison with a tie is exact; what has more digits goes through text here as well. It does the same in a
function of riacho's own, for what must not be computed several times; but the engine does not see that two calls of
such a function are the same, as in `SELECT f(x) … GROUP BY f(x)`. Sources: `Decimal.set`, `RoundBase`, `RoundCeil`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import pyarrow as pa

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.engine.sail import udfs
from riacho.server.engine.sail.own_functions import own_function
from riacho.server.engine.sail.typed import coercion
from riacho.server.engine.sail.typed.names import type_named
from riacho.server.plan import build
from riacho.server.plan.literals import int_literal, integer_of, string_of
from riacho.server.plan.walk import expressions
from riacho.server.sql.tokens import tokenize
from riacho.server.sql.words import words
from riacho.types import type_to_ddl

Expression = pb.Expression

OUT_OF_RANGE: Final = "[NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION]"

_PLAIN: Final = "plain_numbers"
_MARK: Final = "of a double by its text"
"""Marks what has been rewritten, because a plan may be prepared more than once; the type stands before it."""
_REPEATABLE: Final = words(
    "+ - * / % DIV == = != <> < <= > >= <=> AND OR NOT IN BETWEEN NEGATIVE POSITIVE ABS SIGN SIGNUM FLOOR CEIL CEILING "
    "ROUND BROUND SQRT EXP LN LOG LOG10 POW POWER MOD PMOD GREATEST LEAST COALESCE IFNULL NVL NVL2 NULLIF IF WHEN CASE "
    "ISNULL ISNOTNULL ISNAN NANVL TRY_ADD TRY_SUBTRACT TRY_MULTIPLY TRY_DIVIDE RAISE_ERROR CAST TRY_CAST DECIMAL "
    "DOUBLE FLOAT INT BIGINT RPAD REPLACE SUBSTRING_INDEX CONCAT ELEMENT_AT GET SUM AVG MEAN MIN MAX COUNT COUNT_IF "
    "TRY_SUM TRY_AVG STDDEV STDDEV_SAMP STDDEV_POP VARIANCE VAR_SAMP VAR_POP CORR MEDIAN PERCENTILE APPROX_PERCENTILE "
    "PERCENTILE_APPROX FIRST LAST ANY_VALUE MAX_BY MIN_BY"
)
"""The functions that may be computed several times over."""
_ONCE: Final = words("OVER SELECT VALUES")
_LONGEST: Final = 2_000
"""Bytes of what is computed several times over: rounding of rounding of … grows."""
_MOST_NATIVE: Final = 18
"""Digits behind the point up to which no double with so many digits has a text with a negative exponent."""
_SURE: Final = 14
_ALL: Final = 17
_TEXT_WITHOUT_EXPONENT: Final = 16
"""Below 10 to that power the engine writes doubles without exponents."""


def needs_source(new: pa.DataType | None) -> bool:
    """Whether it matters for a cast to that type what it is from."""
    return new is not None and coercion.is_decimal(new)


def cast(
    value: Expression, old: pa.DataType | None, new: pa.DataType | None, *, lenient: bool = False
) -> Expression | None:
    """The replacement for a cast, if it needs one. `lenient`: of a TRY_CAST."""
    if old is None or new is None or not coercion.is_decimal(new):
        return None
    if coercion.is_fraction(old):
        if new.scale <= _MOST_NATIVE and _may_repeat(value):
            return _native_cast(_wide(value, old), new, lenient)
        return build.call(own_function("decimal", udfs.to_decimal, (new.precision, new.scale, not lenient), new), value)
    if not coercion.is_text(old) or _is_plain(value):
        return None
    return _cast(build.call(own_function(_PLAIN, udfs.plain_numbers, (), pa.string()), value), new, lenient)


def _is_plain(value: Expression) -> bool:
    """Whether `cast` made this."""
    name = value.unresolved_function.function_name or value.expression_string.expression
    return name.startswith(f"riacho_{_PLAIN}_")


def digits_of(argument: Expression) -> int | None:
    """The number of digits that `round` is given, which may be text; None if it is no literal."""
    text = string_of(argument)
    if text is None:
        return integer_of(argument)
    return int(text) if text.removeprefix("-").isdecimal() else None


def rounded(name: str, value: Expression, kind: pa.DataType, digits: int | None) -> Expression:
    """`round` or `bround` of FLOAT or DOUBLE.

    Raises UnsupportedOperationError if the number of digits is no literal.
    """
    if digits is None:
        raise UnsupportedOperationError(f"{name} is not supported here unless its number of digits is a literal.")
    if digits == 0 and kind == pa.float64():
        # No binary fraction is nearer to half than its text is; adding 0 makes 0 of -0.
        return build.call("+", build.call(name, value, int_literal(0)), _double(0.0))
    if name == "round" and abs(digits) <= _ALL - 2 and _may_repeat(value):
        made = _native_round(_wide(value, kind), digits, kind)
        return made if kind == pa.float64() else build.cast(made, kind)
    return build.call(own_function("rounded", udfs.rounded, (digits, name == "bround"), kind), value)


def as_decimal(value: Expression, kind: pa.DataType) -> Expression:
    """FLOAT or DOUBLE as the decimal that Spark takes it for beside decimals."""
    meant = pa.decimal128(14, 7) if kind == pa.float32() else pa.decimal128(30, 15)
    made = cast(value, kind, meant)
    assert made is not None
    return made


def made_type(expression: Expression) -> pa.DataType | None:
    """The type of an expression that was made here; None for others."""
    function = expression.unresolved_function
    if function.function_name != "if" or not function.arguments:
        return None
    condition = function.arguments[0].unresolved_function
    if condition.function_name != "or":
        return None
    mark = condition.arguments[1].unresolved_function
    return _marked(mark.arguments[0].literal.string) if mark.function_name == "isnull" else None


def type_in_text(condition: str) -> pa.DataType | None:
    """The same for SQL text, given the condition of an `if`."""
    *_, last = condition.rpartition("isnull('")
    found, mark, end = last.partition(f" {_MARK}')")
    return type_named(found) if mark and not end.strip(") ") else None


def _marked(text: str) -> pa.DataType | None:
    return type_named(text.removesuffix(f" {_MARK}")) if text.endswith(_MARK) else None


def _may_repeat(value: Expression) -> bool:
    """Whether a value may stand several times in an expression: it is short, and the same each time."""
    if value.ByteSize() > _LONGEST:
        return False
    return all(map(_is_repeatable, expressions(pb.Expression(alias=pb.Expression.Alias(expr=value)))))


def _is_repeatable(part: Expression) -> bool:
    match part.WhichOneof("expr_type"):
        case "unresolved_function":
            return part.unresolved_function.function_name.upper() in _REPEATABLE
        case "call_function":
            return part.call_function.function_name.upper() in _REPEATABLE
        case "expression_string":
            tokens = tokenize(part.expression_string.expression)
            called = {one.word for one, behind in pairwise(tokens) if behind.is_symbol("(") and one.name is not None}
            return called <= _REPEATABLE and not {token.word for token in tokens} & _ONCE
        case "literal" | "unresolved_attribute" | "cast" | "alias" | "unresolved_named_lambda_variable":
            return True
        case "unresolved_extract_value":
            return True
        case _:
            return False


def _wide(value: Expression, kind: pa.DataType) -> Expression:
    return value if kind == pa.float64() else build.cast(value, pa.float64())


def _native_round(value: Expression, digits: int, kind: pa.DataType) -> Expression:
    size = build.call("abs", value)
    wide = pa.decimal128(38, 20 if digits > 0 else 4)
    text = _plain_text(value) if digits < 0 else build.cast(value, pa.string())
    by_text = build.call("round", _cast(text, wide, lenient=True), int_literal(digits))
    long = build.call(
        "when",
        build.call(">=", size, _power(_ALL - digits)),
        value,
        build.cast(build.cast(by_text, pa.string()), pa.float64()),
    )
    return _choice(size, digits, _nearest(value, digits), long, kind)


def _native_cast(value: Expression, new: pa.DataType, lenient: bool) -> Expression:
    size = build.call("abs", value)
    whole = new.precision - new.scale
    large = build.null() if lenient else _too_large(value, new)

    def of_text(text: Expression) -> Expression:
        return build.call("coalesce", _cast(text, new, lenient=True), large)

    cases = [
        build.call("isnull", value),
        build.null(),
        build.call("<", size, _power(min(whole + 1, _TEXT_WITHOUT_EXPONENT))),
        of_text(build.cast(value, pa.string())),
        build.call("isnan", build.call("-", value, value)),  # infinite, or NaN
        build.null(),
    ]
    if whole > _TEXT_WITHOUT_EXPONENT:
        cases += [build.call("<", size, _power(whole)), of_text(_plain_text(value))]
    return _choice(size, new.scale, _near_cast(value, new, large), build.call("when", *cases, large), new)


def _near_cast(value: Expression, new: pa.DataType, large: Expression) -> Expression:
    nearest = _nearest(value, new.scale)
    if new.precision > _SURE:
        return build.cast(nearest, new)
    return build.call("coalesce", _cast(nearest, new, lenient=True), large)


def _too_large(value: Expression, new: pa.DataType) -> Expression:
    told = f" cannot be represented as Decimal({new.precision}, {new.scale})."
    text = build.call("concat", build.text(f"{OUT_OF_RANGE} "), build.cast(value, pa.string()), build.text(told))
    return build.cast(build.call("raise_error", text), new)


def _choice(size: Expression, digits: int, near: Expression, far: Expression, kind: pa.DataType) -> Expression:
    mark = build.call("isnull", build.text(f"{type_to_ddl(kind)} {_MARK}"))
    return build.call("if", build.call("or", build.call("<", size, _power(_SURE - digits)), mark), near, far)


def _nearest(value: Expression, digits: int) -> Expression:
    """See `formats.doubles._nearest`."""
    size = build.call("abs", value)
    moved = build.call("*", size, _power(digits)) if digits >= 0 else build.call("/", size, _power(-digits))
    floor = build.cast(build.call("floor", moved), pa.float64())
    tenfold = build.call("+", build.call("*", floor, _double(10.0)), _double(5.0))
    tie = build.call("/", tenfold, _power(digits + 1)) if digits >= 0 else build.call("*", tenfold, _power(-digits - 1))
    up = build.call("if", build.call(">=", size, tie), _double(1.0), _double(0.0))
    whole = build.call("+", floor, up)
    found = build.call("/", whole, _power(digits)) if digits >= 0 else build.call("*", whole, _power(-digits))
    signed = build.call("*", build.call("sign", value), found)
    return build.call("+", signed, _double(0.0))


def _plain_text(value: Expression) -> Expression:
    """The digits of a large double, whose text has an exponent in the engine: `1.25e18` is `1250000000000000000`."""
    text = build.cast(value, pa.string())
    digits = build.call(
        "replace", build.call("substring_index", text, build.text("e"), int_literal(1)), build.text("."), build.text("")
    )
    power = _cast(build.call("substring_index", text, build.text("e"), int_literal(-1)), pa.int32(), lenient=True)
    negative = build.call("if", build.call("<", value, _double(0.0)), int_literal(2), int_literal(1))
    large = build.call("rpad", digits, build.call("+", power, negative), build.text("0"))
    return build.call("if", build.call("<", build.call("abs", value), _power(_TEXT_WITHOUT_EXPONENT)), text, large)


def _cast(value: Expression, kind: pa.DataType, lenient: bool) -> Expression:
    made = build.cast(value, kind)
    if lenient:
        made.cast.eval_mode = Expression.Cast.EVAL_MODE_TRY
    return made


def _power(exponent: int) -> Expression:
    return _double(float(f"1e{exponent}"))


def _double(value: float) -> Expression:
    return Expression(literal=Expression.Literal(double=value))
