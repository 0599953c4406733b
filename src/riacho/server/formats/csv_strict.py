"""The fast path of the CSV reader: a block of lines by Arrow's parser, if that cannot differ from Spark.

All columns are read as text and converted by casts, since Arrow's own CSV conversions are more lenient than Java's. The
lines that the two parsers could split differently are found before and kept from it:

- quotes that do not open right behind a separator and close right before one, escapes inside quotes, quoted empty
  values where they mean something of their own, quotes while white space is trimmed;
- comments and lines of white space, which Spark skips.

Values that Arrow's casts take more leniently are refused: hexadecimal integers, `1` as a boolean, `nan` and `inf`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from riacho.server.formats.casts import UNSAFE, cast_text, castable
from riacho.server.formats.content import Lines, is_text
from riacho.server.formats.csv_tokens import NONE, Dialect
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.salvage import Refused

_ONE_THREAD: Final = 1 << 20
_ROW: Final = re.compile(r"Row #(\d+)")
_BOM: Final = b"\xef\xbb\xbf"
_WHITE: Final = bytes(range(0x21))
_WHITE_TEXT: Final = _WHITE.decode()


def supports(schema: pa.Schema, dialect: Dialect, datetimes: Datetimes) -> bool:
    """Whether the fast path can be tried for this schema and dialect at all."""
    single = [dialect.separator, dialect.quote, dialect.escape, dialect.comment]
    if not len(schema) or any(len(char) != 1 or not char.isascii() for char in single):
        return False
    if dialect.separator == NONE or dialect.separator in _WHITE_TEXT.replace("\t", "").replace(" ", ""):
        return False
    if dialect.trim_left and dialect.separator in _WHITE_TEXT:
        return False
    return all(_supported(field.type, datetimes) for field in schema)


def _supported(arrow: pa.DataType, datetimes: Datetimes) -> bool:
    if pa.types.is_date32(arrow) or pa.types.is_timestamp(arrow):
        return castable(arrow, datetimes)
    return True


class StrictCsv:
    """Arrow's parser for one schema, over the lines of one block. `positions`: the columns to give; None for all."""

    def __init__(
        self,
        schema: pa.Schema,
        lines: Lines,
        dialect: Dialect,
        datetimes: Datetimes,
        positions: Sequence[int] | None = None,
    ) -> None:
        wanted = range(len(schema)) if positions is None else positions
        self._schema = pa.schema([schema.field(i) for i in wanted])
        self._lines = lines
        self._dialect = dialect
        self._datetimes = datetimes
        self._odd = _odd_lines(lines, dialect)
        self._ascii = lines.data.isascii()
        # One byte is found many times faster than two of which the first is common.
        self._hexadecimal = any(x in lines.data and b"0" + x in lines.data for x in (b"x", b"X"))
        self._parse = pa.csv.ParseOptions(
            delimiter=dialect.separator,
            quote_char=False if dialect.quote == NONE else dialect.quote,
            double_quote=False,
            escape_char=False,
            newlines_in_values=False,
        )
        names = [str(i) for i in range(len(schema))]
        self._convert = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[names[i] for i in wanted],
            strings_can_be_null=False,
            check_utf8=False,
        )
        self._names = names

    def __call__(self, low: int, high: int) -> pa.Table | Refused:
        """The rows of the lines from `low` up to `high`, unless Spark might read one of them otherwise."""
        odd = self._odd[low:high]
        if odd.any():
            return Refused(low + int(odd.argmax()))
        text = self._lines.span(low, high)
        if not self._ascii and not is_text(text):
            return Refused()
        whole = len(text) < _ONE_THREAD
        read = pa.csv.ReadOptions(
            use_threads=not whole,
            block_size=(len(text) if whole else -(-len(text) // (os.cpu_count() or 1))) + 1,
            column_names=self._names,
        )
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(text), read_options=read, parse_options=self._parse, convert_options=self._convert
            )
        except pa.ArrowInvalid as error:
            row = _ROW.search(str(error)) if whole else None
            at = low + int(row[1]) - 1 if row else high
            return Refused(at if low <= at < high else None)
        if table.num_rows != high - low:
            return Refused()
        columns = []
        for text_column, field in zip(table.columns, self._schema, strict=True):
            column = self._column(text_column, field.type)
            if column is UNSAFE:
                return Refused()
            columns.append(column)
        return pa.table(columns, schema=self._schema)

    def _column(self, text: pa.ChunkedArray, arrow: pa.DataType) -> Any:
        """A column of text as `arrow`, or UNSAFE."""
        if self._dialect.trim_left:
            text = pc.utf8_ltrim(text, _WHITE_TEXT)
        if self._dialect.trim_right:
            text = pc.utf8_rtrim(text, _WHITE_TEXT)
        null = pc.equal(text, "")
        if self._dialect.null_value:
            null = pc.or_(null, pc.equal(text, self._dialect.null_value))
        if pc.any(null).as_py():
            text = pc.if_else(null, pa.scalar(None, pa.string()), text)
        if pa.types.is_string(arrow):
            return text
        if pa.types.is_boolean(arrow):
            return _booleans(text)
        if pa.types.is_date32(arrow) or pa.types.is_timestamp(arrow):
            return cast_text(text, arrow, self._datetimes)
        if pa.types.is_integer(arrow) and self._hexadecimal:
            return UNSAFE
        try:
            column = text.cast(arrow)
        except pa.ArrowInvalid:
            return UNSAFE
        if pa.types.is_floating(arrow) and not pc.all(pc.is_finite(column), min_count=0).as_py():
            return UNSAFE
        return column


def _booleans(text: pa.ChunkedArray) -> Any:
    lower = pc.utf8_lower(text)
    true = pc.equal(lower, "true")
    return true if pc.all(pc.or_(true, pc.equal(lower, "false")), min_count=0).as_py() else UNSAFE


def _odd_lines(lines: Lines, dialect: Dialect) -> npt.NDArray[np.bool_]:
    """Which lines only the exact parser may have."""
    buffer = np.frombuffer(lines.data, np.uint8)
    first = buffer[lines.starts]
    odd: npt.NDArray[np.bool_] = first == ord(dialect.comment)
    for i in np.flatnonzero((first <= ord(" ")) & ~odd):
        odd[i] = not lines.line(int(i)).strip(_WHITE)
    # Arrow strips a byte order mark wherever a part begins.
    odd |= first == _BOM[0]
    if dialect.quote != NONE and dialect.quote.encode() in lines.data:
        odd |= _odd_quotes(lines, buffer, dialect)
    return odd


def _odd_quotes(lines: Lines, buffer: npt.NDArray[np.uint8], dialect: Dialect) -> npt.NDArray[np.bool_]:
    """Lines with a quote that is not simply the first or the last character of a value."""
    quotes = _places(lines, buffer, dialect.quote)
    line = np.searchsorted(lines.starts, quotes, side="right") - 1
    count = np.bincount(line, minlength=len(lines))
    if dialect.trim_left or dialect.trim_right:
        return count > 0
    # Within a line quotes must take turns: one that opens a value, one that closes it.
    order = np.arange(len(quotes)) - np.searchsorted(line, line)
    before = buffer[np.maximum(quotes - 1, 0)]
    after = buffer[np.minimum(quotes + 1, len(buffer) - 1)]
    opens = (before == ord(dialect.separator)) | (quotes == lines.starts[line])
    closes = (after == ord(dialect.separator)) | (quotes + 1 == lines.ends[line])
    # At the end of a line uniVocity has nothing behind the quote to look at: its slow path, the same result.
    wrong = np.where(order % 2 == 0, ~opens, ~closes)
    odd: npt.NDArray[np.bool_] = (count % 2 == 1) | (np.bincount(line[wrong], minlength=len(lines)) > 0)
    if dialect.null_value or dialect.empty_value:
        empty = (order % 2 == 1) & (before == ord(dialect.quote))
        odd |= np.bincount(line[empty], minlength=len(lines)) > 0
    if dialect.escape != NONE and dialect.escape.encode() in lines.data:
        escapes = _places(lines, buffer, dialect.escape)
        with_escape = np.bincount(np.searchsorted(lines.starts, escapes, side="right") - 1, minlength=len(lines)) > 0
        odd |= with_escape & (count > 0) if dialect.escape != dialect.quote else False
    return odd


def _places(lines: Lines, buffer: npt.NDArray[np.uint8], char: str) -> npt.NDArray[np.int64]:
    """Where `char` stands in the lines. Not before them: a header that was taken off is still in the block."""
    found = np.flatnonzero(buffer == ord(char))
    return found[np.searchsorted(found, lines.starts[0]) :]
