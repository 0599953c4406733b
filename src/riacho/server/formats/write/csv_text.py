r"""Rows as lines of CSV, quoted and escaped as Spark's `UnivocityGenerator` does it, column by column.

A value is quoted if it has the separator, a line end or (`escapeQuotes`) a quote in it, or begins with a quote, or
with `#` in the first column; white space at its ends goes; text that is empty then becomes `emptyValue`. A line of
nothing at all is left out, so a null in a table of one column is no line.

Source: `com.univocity.parsers.csv.CsvWriter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.write.json_text import marked, special_bytes
from riacho.server.formats.write.spelling import Moment, hex_text, scalar_text

_WHITE: Final = "".join(map(chr, range(33)))


@dataclass(frozen=True)
class CsvText:
    r"""How rows become CSV. `quote`, `escape` and `escape_escape` are one character or, for none, `\0`.

    `escape_quotes`: values with quotes in them are quoted. `comment`: what a first value is quoted for beginning with.
    """

    moment: Moment
    separator: str = ","
    quote: str = '"'
    escape: str = "\\"
    escape_escape: str = "\\"
    quote_all: bool = False
    escape_quotes: bool = True
    null_value: str = ""
    empty_value: str = '""'
    trim_leading: bool = True
    trim_trailing: bool = True
    comment: str = "#"
    line_end: str = "\n"

    def lines(self, batch: pa.RecordBatch) -> pa.Array:
        """The text of each row; fewer than rows where some have none."""
        columns = [self._column(column, index == 0) for index, column in enumerate(batch.columns)]
        return self._joined(columns)

    def header(self, names: Sequence[str]) -> str:
        """The line of the columns' names."""
        columns = [self._text(pa.array([name]), index == 0) for index, name in enumerate(names)]
        return "".join(self._joined(columns).to_pylist())

    def _joined(self, columns: Sequence[pa.Array]) -> pa.Array:
        if len(columns) == 1:
            filled = columns[0].filter(pc.not_equal(columns[0], ""))
            return pc.binary_join_element_wise(filled, self.line_end, "")
        between: list[pa.Array | str] = [columns[0]]
        for column in columns[1:]:
            between += [self.separator, column]
        return pc.binary_join_element_wise(*between, self.line_end, "")

    def _column(self, column: pa.Array, is_first: bool) -> pa.Array:
        text = self._text(scalar_text(column, self.moment, hex_text), is_first)
        if not column.null_count:
            return text
        return pc.fill_null(text, self._constant(self.null_value, is_first))

    def _text(self, text: pa.Array, is_first: bool) -> pa.Array:
        """Values as they stand in a line; null stays null."""
        if self.trim_leading and _has_white(text, last=False):
            text = pc.utf8_ltrim(text, _WHITE)
        ends_white = self.trim_trailing and _has_white(text, last=True)
        quoted = self._to_be_quoted(text, is_first)
        if ends_white:
            text = pc.utf8_rtrim(text, _WHITE)
        empty = pc.fill_null(pc.equal(text, ""), False)
        if quoted is not None:
            text = pc.replace_with_mask(text, quoted, self._quoted(text.filter(quoted)))
        if pc.any(empty, min_count=0).as_py():
            text = pc.if_else(empty, self._constant(self.empty_value, is_first), text)
        return text

    def _constant(self, value: str, is_first: bool) -> str:
        """What stands for null or for empty text: quoted like any value, unless it has its quotes already."""
        if len(value) >= 2 and value[0] == value[-1] == self.quote:
            return value
        if not value:
            return self.quote * 2 if self.quote_all else ""
        text = pa.array([value])
        quoted = self._to_be_quoted(text, is_first)
        shown: str = (self._quoted(text) if quoted is not None else text)[0].as_py()
        return shown

    def _to_be_quoted(self, text: pa.Array, is_first: bool) -> pa.Array | None:
        """Which values are quoted; None for no value."""
        if self.quote_all:
            return text.is_valid()
        starts = self.quote + (self.comment if is_first else "")
        inside = "\n\r" + self.line_end[0] + (self.quote if self.escape_quotes else "") + self.separator[0]
        if not special_bytes(text, marked([*(starts + inside).encode()])):
            return None
        anywhere = [self.separator, *("\n\r" + self.line_end[0]), *([self.quote] if self.escape_quotes else [])]
        pattern = "|".join([*map(_literal, anywhere), *(f"^{_literal(mark)}" for mark in starts)])
        quoted = pc.fill_null(pc.match_substring_regex(text, pattern), False)
        return quoted if pc.any(quoted).as_py() else None

    def _quoted(self, text: pa.Array) -> pa.Array:
        if self.escape_escape != "\0" and self.escape != self.quote:
            text = pc.replace_substring(text, self.escape, self.escape_escape + self.escape)
        text = pc.replace_substring(text, self.quote, self.escape + self.quote)
        if len(self.line_end) == 2:
            text = pc.replace_substring(text, "\n", self.line_end)
        return pc.binary_join_element_wise(self.quote, text, self.quote, "")


def _has_white(text: pa.Array, *, last: bool) -> bool:
    """Whether some value begins, or ends, with white space."""
    data = text.buffers()[2]
    if data is None or not len(text):
        return False
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    filled = offsets[1:] > offsets[:-1]
    content = np.frombuffer(data, np.uint8)
    return bool((content[(offsets[1:] - 1 if last else offsets[:-1])[filled]] <= 32).any())


def _literal(text: str) -> str:
    """An expression that matches just this text."""
    return "".join(f"\\x{{{ord(character):X}}}" for character in text)
