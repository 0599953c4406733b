"""CSV text values to Spark types, by the rules of Java and Scala that Spark uses, one value at a time.

`int("١")` is a number to Java as it is to Python, `" 1"` and `"1_000"` are not; `"1d"`, `"0x1p3"` and `" 1.5 "` are
floating-point numbers. Source: `UnivocityParser.makeConverter`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pyarrow as pa

from riacho.options import Options
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.decimals import to_decimal
from riacho.server.formats.text_options import unsupported_type

Parse: TypeAlias = Callable[[str], Any]
"""Text to a value; None if it is none (no text means NULL to it)."""

_INTEGER: Final = re.compile(r"[+-]?\d+")
_DIGIT: Final = re.compile(r"\d")
_FLOAT: Final = re.compile(r"[+-]?(?:NaN|Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?)", re.ASCII)
_HEX_FLOAT: Final = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?\d+[fFdD]?", re.ASCII)


def parser(field: pa.Field, options: Options, datetimes: Datetimes) -> Parse:
    """How text becomes a value of `field`. Raises UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE for nested types."""
    arrow = field.type
    if pa.types.is_string(arrow):
        return str
    if pa.types.is_binary(arrow):
        return str.encode
    if pa.types.is_boolean(arrow):
        return lambda text: {"true": True, "false": False}.get(text.lower())
    if pa.types.is_integer(arrow):
        return _integer(1 << (arrow.bit_width - 1))
    if pa.types.is_floating(arrow):
        return _floating(arrow, options)
    if pa.types.is_decimal(arrow):
        return lambda text: to_decimal(ascii_digits(text.replace(",", "")), arrow.precision, arrow.scale)
    if pa.types.is_date32(arrow):
        return datetimes.date
    if pa.types.is_timestamp(arrow):
        return datetimes.local_timestamp if arrow.tz is None else datetimes.timestamp
    raise unsupported_type("CSV", field)


def _integer(bound: int) -> Parse:
    def parse(text: str) -> int | None:
        if not _INTEGER.fullmatch(text):
            return None
        value = int(text)
        return value if -bound <= value < bound else None

    return parse


def _floating(arrow: pa.DataType, options: Options) -> Parse:
    named = {
        options.text("nanValue"): float("nan"),
        options.text("negativeInf"): float("-inf"),
        options.text("positiveInf"): float("inf"),
    }

    def parse(text: str) -> float | None:
        return named[text] if text in named else java_float(text, arrow)

    return parse


def java_float(text: str, arrow: pa.DataType) -> float | None:
    """`Double.parseDouble` (or `Float.parseFloat`), None where it throws."""
    trimmed = text.strip("".join(map(chr, range(0x21))))
    if _HEX_FLOAT.fullmatch(trimmed):
        return float.fromhex(trimmed.rstrip("fFdD") if "p" in trimmed.lower() else trimmed)
    if not _FLOAT.fullmatch(trimmed):
        return None
    plain = trimmed if trimmed[-1] not in "fFdD" or trimmed.endswith("inity") else trimmed[:-1]
    if arrow == pa.float64():
        return float(plain)
    rounded: float = pa.scalar(plain.removeprefix("+")).cast(pa.float32()).as_py()
    return rounded


def ascii_digits(text: str) -> str:
    """Digits of any script as ASCII ones."""
    return text if text.isascii() else _DIGIT.sub(lambda digit: str(int(digit.group())), text)
