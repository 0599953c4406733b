"""Translates the engine's messages about values that make a query fail into Spark's error conditions, where possible.

One table pairs each pattern in the engine's messages with the function that builds the error. The engine does not say
where in a query the value came from, so Spark's query context is missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from riacho import errors
from riacho.errors import SparkError
from riacho.server.plan.overflow import overflow

_ANSI = '"spark.sql.ansi.enabled"'
_TYPES = {
    "Int8": "TINYINT",
    "Int16": "SMALLINT",
    "Int32": "INT",
    "Int64": "BIGINT",
    "Float32": "FLOAT",
    "Float64": "DOUBLE",
    "Boolean": "BOOLEAN",
    "Date32": "DATE",
}
_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ")
_INT_LIMIT = 1 << 31


def condition_of(message: str) -> SparkError | None:
    """The error for a message from the engine; None if the message is not a known one."""
    for pattern, make in _TABLE:
        found = pattern.search(message)
        if found is not None:
            return make(found)
    return None


def _type(arrow: str) -> str:
    """Spark's name for a type that the engine names."""
    if arrow.startswith("Decimal"):
        return arrow.replace("Decimal128", "DECIMAL").replace(" ", "")
    if arrow.startswith("Timestamp"):
        return "TIMESTAMP" if "Some" in arrow or '"' in arrow else "TIMESTAMP_NTZ"
    return _TYPES.get(arrow, arrow.upper())


def _invalid_input(value: str, target: str) -> SparkError:
    cls: type[SparkError] = errors.NumberFormatError
    if target in _TIMES:
        cls = errors.DateTimeError
    elif target == "BOOLEAN":
        cls = errors.SparkRuntimeError
    return cls.of(
        "CAST_INVALID_INPUT",
        f'The value \'{value}\' of the type "STRING" cannot be cast to "{target}" because it is malformed. Correct the '
        "value as per the syntax, or change its target type. Use `try_cast` to tolerate malformed input and return "
        "NULL instead.",
        sql_state="22018",
        expression=f"'{value}'",
        sourceType='"STRING"',
        targetType=f'"{target}"',
        ansiConfig=_ANSI,
    )


def _cast_overflow(value: str, source: str, target: str) -> SparkError:
    return errors.ArithmeticFailure.of(
        "CAST_OVERFLOW",
        f'The value {value} of the type "{source}" cannot be cast to "{target}" due to an overflow. Use `try_cast` to '
        "tolerate overflow and return NULL instead.",
        sql_state="22003",
        value=value,
        sourceType=f'"{source}"',
        targetType=f'"{target}"',
        ansiConfig=_ANSI,
    )


def _number_overflow(found: re.Match[str]) -> SparkError:
    value, target = found[1], _type(found[2])
    if value.lstrip("-").isdigit():
        is_int = abs(int(value)) < _INT_LIMIT
        return _cast_overflow(value if is_int else f"{value}L", "INT" if is_int else "BIGINT", target)
    return _cast_overflow(value if value == "NaN" else f"{java_double(value)}D", "DOUBLE", target)


def _decimal_overflow(found: re.Match[str]) -> SparkError:
    digits = len(found[1].lstrip("-"))
    return _cast_overflow(f"{found[1]}BD", f"DECIMAL({digits},0)", _type(found[2]))


def java_double(text: str) -> str:
    """A double as Java prints it, given the shortest text that identifies it."""
    value = float(text)
    if not math.isfinite(value):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    mantissa, _, exponent = f"{value!r}".partition("e")
    digits = mantissa.replace(".", "").lstrip("-").lstrip("0").rstrip("0") or "0"
    whole = mantissa.lstrip("-").partition(".")[0]
    power = int(exponent or 0)
    if whole.strip("0"):
        power += len(whole.lstrip("0")) - 1
    else:
        behind = mantissa.partition(".")[2]
        power -= len(behind) - len(behind.lstrip("0")) + 1
    return f"{'-' if value < 0 else ''}{digits[0]}.{digits[1:] or '0'}E{power}"


def _too_large(found: re.Match[str]) -> SparkError:
    return _too_large_for(found[1], found[2], "0")


def _too_large_for(value: str, precision: str, scale: str) -> SparkError:
    return errors.ArithmeticFailure.of(
        "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        f" {value} cannot be represented as Decimal({precision}, {scale}). If necessary set {_ANSI} to "
        '"false" to bypass this error, and return NULL instead.',
        sql_state="22003",
        value=value,
        precision=precision,
        scale=scale,
        config=_ANSI,
    )


def _by_zero(condition: str, name: str, instead: str) -> Callable[[re.Match[str]], SparkError]:
    return lambda _: errors.ArithmeticFailure.of(
        condition,
        f"{name} by zero. Use `{instead}` to tolerate divisor being 0 and return NULL instead. If necessary set "
        f'{_ANSI} to "false" to bypass this error.',
        sql_state="22012",
        config=_ANSI,
    )


def _overflow(found: re.Match[str]) -> SparkError:
    return overflow(found.groupdict().get("instead") or "")


def _array_index(found: re.Match[str]) -> SparkError:
    return errors.ArrayIndexError.of(
        "INVALID_ARRAY_INDEX",
        f"The index {found[1]} is out of bounds. The array has {found[2]} elements. Use the SQL function `get()` to "
        "tolerate accessing element at invalid index and return NULL instead.",
        sql_state="22003",
        indexValue=found[1],
        arraySize=found[2],
    )


def _element_at(_: re.Match[str]) -> SparkError:
    return errors.ArrayIndexError.of(
        "INVALID_ARRAY_INDEX_IN_ELEMENT_AT",
        "The index is out of bounds. Use `try_element_at` to tolerate accessing element at invalid index and return "
        "NULL instead.",
        sql_state="22003",
    )


def _index_of_zero(_: re.Match[str]) -> SparkError:
    return errors.SparkRuntimeError.of(
        "INVALID_INDEX_OF_ZERO",
        "The index 0 is invalid. An index shall be either < 0 or > 0 (the first element has index 1).",
        sql_state="22003",
    )


def _cannot_parse(found: re.Match[str]) -> SparkError:
    why = found[1].strip()
    return errors.DateTimeError.of(
        "CANNOT_PARSE_TIMESTAMP",
        f"{why}. Use `try_to_timestamp` to tolerate invalid input string and return NULL instead.",
        sql_state="22007",
        message=why,
        func="`try_to_timestamp`",
    )


def _user_raised(found: re.Match[str]) -> SparkError:
    return errors.SparkRuntimeError.of("USER_RAISED_EXCEPTION", found[1], sql_state="P0001", errorMessage=found[1])


def _duplicated_key(found: re.Match[str]) -> SparkError:
    return errors.SparkRuntimeError.of(
        "DUPLICATED_MAP_KEY",
        f"Duplicate map key {found[1]} was found, please check the input data.\nIf you want to remove the duplicated "
        'keys, you can set "spark.sql.mapKeyDedupPolicy" to "LAST_WIN" so that the key inserted at last takes '
        "precedence.",
        sql_state="23505",
        key=found[1],
        mapKeyDedupPolicy='"spark.sql.mapKeyDedupPolicy"',
    )


def _day_of_week(found: re.Match[str]) -> SparkError:
    return errors.IllegalArgumentError.of(
        "ILLEGAL_DAY_OF_WEEK", f"Illegal input for day of week: {found[1]}.", sql_state="22009", string=found[1]
    )


def _many_rows(_: re.Match[str]) -> SparkError:
    return errors.SparkGeneralError.of(
        "SCALAR_SUBQUERY_TOO_MANY_ROWS",
        "More than one row returned by a subquery used as an expression.",
        sql_state="21000",
    )


def _no_view(found: re.Match[str]) -> SparkError:
    name = f"`global_temp`.`{found[1]}`"
    return errors.AnalysisError.of(
        "TABLE_OR_VIEW_NOT_FOUND",
        f"The table or view {name} cannot be found. Verify the spelling and correctness of the schema and catalog.",
        sql_state="42P01",
        relationName=name,
    )


_TABLE: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], SparkError]]] = [
    (re.compile(pattern, re.DOTALL), make)
    for pattern, make in (
        (r"\[USER_RAISED_EXCEPTION\] (.*)", _user_raised),
        (r"\[ARITHMETIC_OVERFLOW\] (?:overflow\. Use '(?P<instead>\w+)')?", _overflow),
        (r"Int\d+ overflow on (?:negative|abs)\(", _overflow),
        (r"Cannot cast string '(.*)' to value of (.+) type", lambda found: _invalid_input(found[1], _type(found[2]))),
        (r"Cannot cast value '(.*)' to value of (.+) type", lambda found: _invalid_input(found[1], _type(found[2]))),
        (
            r"\[CAST_INVALID_INPUT\] The value '(.*)' of the type \"STRING\" cannot be cast to \"(.+?)\"",
            lambda found: _invalid_input(found[1], found[2]),
        ),
        (r"^Temporary View not found: (.*)$", _no_view),  # views of other kinds are looked up among the tables
        (r"^invalid timestamp: (.*)$", lambda found: _invalid_input(found[1], "TIMESTAMP")),
        (r"Can't cast value (.+) to type (\w+)", _number_overflow),
        (r"value of (\S+) is out of range (\w+)", _decimal_overflow),
        (r"(\S+) is too (?:large|small) to store in a Decimal\d+ of precision (\d+)", _too_large),
        (
            r"\[NUMERIC_VALUE_OUT_OF_RANGE\.WITH_SUGGESTION\] (\S+) cannot be represented as Decimal\((\d+), (\d+)\)",
            lambda found: _too_large_for(found[1], found[2], found[3]),
        ),
        (r"(?i)\b(?:division|divide) by zero", _by_zero("DIVIDE_BY_ZERO", "Division", "try_divide")),
        (r"(?i)\bremainder by zero", _by_zero("REMAINDER_BY_ZERO", "Remainder", "try_mod")),
        (r"\[INVALID_ARRAY_INDEX\] The index (-?\d+) is out of bounds\. The array has (\d+) elements", _array_index),
        (r"element_at: the index is out of bounds", _element_at),
        (r"element_at: the index 0 is invalid", _index_of_zero),
        (r"\[CANNOT_PARSE_TIMESTAMP\] (?:Execution error: )?(.*)", _cannot_parse),
        (r"^(?:Execution error: )?(.* at byte offset \d+)", _cannot_parse),
        (r"\[DUPLICATED_MAP_KEY\] Duplicate map key (.*?) was found", _duplicated_key),
        (r"^(?:Execution error: )?Illegal input for day of week: (.*)", _day_of_week),
        (r"^Scalar subquery returned more than one row", _many_rows),
    )
]
"""The first pattern that matches wins."""
