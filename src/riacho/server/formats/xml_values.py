"""Text of XML elements and attributes to values of Spark types (`StaxXmlParser.castTo`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from riacho.options import Options
from riacho.server.formats.csv_values import ascii_digits, java_float
from riacho.server.formats.csv_values import parser as csv_parser
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.decimals import to_decimal
from riacho.server.formats.patterns import compile_pattern
from riacho.server.formats.text_options import unsupported_type

_NUMBER: Final = re.compile(r"-?(?:[\d,]*\.?\d+|[\d,]+)(?:E-?\d+)?", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_ISO_DATE: Final = compile_pattern("yyyy-MM-dd")


class BadText(Exception):  # noqa: N818 - control flow of the reader
    """Text that is no value of its type."""


@dataclass(frozen=True)
class TextRules:
    """The options that say what text means. `null`: the text that means NULL, if there is one."""

    null: str | None
    trims: bool
    empty_is_null: bool

    @classmethod
    def of(cls, options: Options) -> TextRules:
        return cls(
            options.maybe("nullValue"),
            options.flag("ignoreSurroundingSpaces"),
            options.flag("treatEmptyValuesAsNulls"),
        )


def value_parser(arrow: pa.DataType, rules: TextRules, datetimes: Datetimes) -> Callable[[str], Any]:
    """How text becomes a value. The function raises BadText."""
    parse = _parser(arrow, datetimes)

    def convert(text: str) -> Any:
        value = text.strip(_BLANK) if rules.trims else text
        if value == rules.null or (rules.empty_is_null and not value.strip(_BLANK)):
            return None
        found = parse(value)
        if found is None:
            raise BadText(value)
        return found

    return convert


_BLANK: Final = "".join(map(chr, range(0x21)))
"""What Java's `trim` takes away."""


def _parser(arrow: pa.DataType, datetimes: Datetimes) -> Callable[[str], Any]:
    if pa.types.is_string(arrow):
        return str
    if pa.types.is_boolean(arrow):
        return lambda text: _BOOLEANS.get(text.lower())
    if pa.types.is_floating(arrow):
        return lambda text: _floating(text, arrow)
    if pa.types.is_decimal(arrow):
        return lambda text: to_decimal(ascii_digits(text.replace(",", "")), arrow.precision, arrow.scale)
    if pa.types.is_date32(arrow):
        return (datetimes.date_pattern or _ISO_DATE).days
    if pa.types.is_integer(arrow) or pa.types.is_timestamp(arrow):
        return csv_parser(pa.field("", arrow), _NO_OPTIONS, datetimes)
    if pa.types.is_nested(arrow):
        return lambda _: None  # text in place of elements
    raise unsupported_type("XML", pa.field("value", arrow))


_NO_OPTIONS: Final = Options("xml reader", ())


def _floating(text: str, arrow: pa.DataType) -> float | None:
    """A number as Java parses it; failing that, what stands at the beginning of the text, as its US format reads it."""
    found = java_float(text, arrow)
    if found is not None:
        return found
    match = _NUMBER.match(ascii_digits(text))
    return None if match is None else java_float(match.group().replace(",", ""), arrow)
