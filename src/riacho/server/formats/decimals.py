"""Numbers in text as exact decimals, as Java's `BigDecimal` and Spark's `Decimal` take them."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Final

_DECIMAL_TEXT: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WIDE: Final = Context(prec=1100, Emax=999_999, Emin=-999_999)


def to_decimal(text: str, precision: int, scale: int) -> Decimal | None:
    """The DECIMAL(precision, scale) of a number in text, rounded half up, or None if it is none or too large."""
    value = parse_number(text)
    if value is None or (value and value.adjusted() > precision):
        return None
    rounded = value.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP, context=_WIDE)
    return None if len(rounded.as_tuple().digits) > precision and rounded else rounded


def parse_number(text: str) -> Decimal | None:
    """A number in decimal notation as Java's `BigDecimal` reads it, with all its digits, or None."""
    if not _DECIMAL_TEXT.fullmatch(text):
        return None
    try:
        return _WIDE.create_decimal(text)
    except InvalidOperation:
        return None
