"""What the engine says of a value, in Spark's conditions."""

from __future__ import annotations

import pytest

from riacho import errors
from riacho.server.engine.sail.conditions import condition_of, java_double

CASES = [
    ("Cast error: Cannot cast string 'a' to value of Int32 type", errors.NumberFormatError, "CAST_INVALID_INPUT"),
    ("Cannot cast value 'a' to value of Boolean type", errors.SparkRuntimeError, "CAST_INVALID_INPUT"),
    ("invalid timestamp: a", errors.DateTimeError, "CAST_INVALID_INPUT"),
    ("Cast error: Can't cast value 300 to type Int8", errors.ArithmeticFailure, "CAST_OVERFLOW"),
    ("Cast error: value of 2500000000 is out of range Int32", errors.ArithmeticFailure, "CAST_OVERFLOW"),
    ("Division by zero", errors.ArithmeticFailure, "DIVIDE_BY_ZERO"),
    ("Remainder by zero", errors.ArithmeticFailure, "REMAINDER_BY_ZERO"),
    ("Int32 overflow on negative(-2147483648)", errors.ArithmeticFailure, "ARITHMETIC_OVERFLOW"),
    ("element_at: the index is out of bounds", errors.ArrayIndexError, "INVALID_ARRAY_INDEX_IN_ELEMENT_AT"),
    ("expected numeric datetime field at byte offset 0", errors.DateTimeError, "CANNOT_PARSE_TIMESTAMP"),
]


@pytest.mark.parametrize(("message", "kind", "condition"), CASES)
def test_each_has_a_condition(message: str, kind: type[errors.SparkError], condition: str) -> None:
    error = condition_of(message)
    assert type(error) is kind
    assert error.condition == condition


def test_the_alternative_to_an_overflow_is_told() -> None:
    error = condition_of("[ARITHMETIC_OVERFLOW] overflow. Use 'try_multiply'")
    assert error is not None
    assert error.parameters["alternative"] == " Use 'try_multiply' to tolerate overflow and return NULL instead."


def test_other_errors_have_none() -> None:
    assert condition_of("No such table") is None


@pytest.mark.parametrize(
    ("text", "java"),
    [("1e20", "1.0E20"), ("10000000000.0", "1.0E10"), ("-2.5e29", "-2.5E29"), ("0.00012", "1.2E-4"), ("1.5", "1.5"),
     ("12345678.9", "1.23456789E7"), ("inf", "Infinity")],
)  # fmt: skip
def test_doubles_as_java_prints_them(text: str, java: str) -> None:
    assert java_double(text) == java
