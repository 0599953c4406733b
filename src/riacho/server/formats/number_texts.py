"""Texts of numbers, whole columns at once."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_EXPONENT: Final = r"^[\x00-\x20]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,9}[\x00-\x20]*$"
_BLANK: Final = "".join(map(chr, range(33)))
_DEEP: Final = 40
"""More digits behind the point than any decimal has, and one that says how the last is rounded."""
_FAR: Final = 60
"""A number with so many digits in front of the point fits no decimal, nor do any after it."""


def without_exponents(column: pa.Array) -> pa.Array:
    """The texts as they are, but for numbers with an exponent, whose digits are written out: `1.5e3` is `1500`.

    For the engine, which reads decimals, but none with an exponent. Few texts have one, and only these are touched.
    """
    texts = column.cast(pa.string())
    found = pc.match_substring_regex(texts, _EXPONENT)
    if not pc.any(found).as_py():
        return texts
    changed = [_written_out(text) for text in texts.filter(found).to_pylist()]
    return pc.replace_with_mask(texts, found.fill_null(False), pa.array(changed, pa.string()))


def _written_out(text: str) -> str:
    value = Decimal(text.strip(_BLANK))
    power = value.adjusted()
    if not value or power < -_DEEP:
        return "0"
    if power > _FAR:
        return f"{'-' if value < 0 else ''}1{'0' * _FAR}"
    whole, point, behind = format(value, "f").partition(".")
    return whole + point + behind[:_DEEP]
