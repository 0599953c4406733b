"""Date and time patterns of fixed width (`dd/MM/yyyy HH:mm:ss`), read column by column.

Such a pattern has one text form only, so its parts can be cut out by position and put together again as ISO 8601, which
Arrow casts. Text of any other form is left to `patterns`, which reads all that Spark reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

_WIDTHS: Final = {"yyyy": 4, "MM": 2, "dd": 2, "HH": 2, "mm": 2, "ss": 2}
_TOKEN: Final = re.compile(r"'((?:[^']|'')+)'|([A-Za-z])\2*|([^A-Za-z'\[\]])")


@dataclass(frozen=True)
class FixedPattern:
    """`expression`: what the whole text must match. `at`: where each part begins."""

    expression: str
    at: dict[str, int]

    @property
    def has_time(self) -> bool:
        return "HH" in self.at

    def to_iso(self, column: pa.Array) -> pa.Array:
        """Text in this pattern as ISO 8601, and NULL for values of another form."""
        fits = pc.match_substring_regex(column, self.expression)
        if not pc.all(fits, min_count=0).as_py():
            column = pc.if_else(fits, column, pa.scalar(None, column.type))
        date = _joined([self._part(column, name) for name in ("yyyy", "MM", "dd")], "-")
        if not self.has_time:
            return date
        time = _joined([self._part(column, name) for name in ("HH", "mm", "ss") if name in self.at], ":")
        return _joined([date, time], "T")

    def _part(self, column: pa.Array, name: str) -> pa.Array:
        start = self.at[name]
        return pc.utf8_slice_codeunits(column, start, start + _WIDTHS[name])


def _joined(parts: list[pa.Array], between: str) -> Any:
    return pc.binary_join_element_wise(*parts, between)


@lru_cache(maxsize=64)
def fixed_pattern(pattern: str) -> FixedPattern | None:
    """The pattern as positions, or None if its text may vary in width or form, or it is no whole date."""
    at: dict[str, int] = {}
    expression, end, read = "", 0, 0
    for token in _TOKEN.finditer(pattern):
        if token.start() != read:
            return None
        read = token.end()
        text = token.group()
        if token[2] is None:
            literal = (token[1] or token[3]).replace("''", "'")
            expression += re.escape(literal)
            end += len(literal)
        elif text in _WIDTHS and text not in at:
            at[text] = end
            expression += rf"\d{{{_WIDTHS[text]}}}"
            end += _WIDTHS[text]
        else:
            return None
    whole_date = {"yyyy", "MM", "dd"} <= at.keys()
    times = [name in at for name in ("HH", "mm", "ss")]
    if read != len(pattern) or not whole_date or times not in ([False] * 3, [True, True, False], [True] * 3):
        return None
    return FixedPattern(f"^{expression}$", at)
