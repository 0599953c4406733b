"""The fast path of the JSON reader: a block of lines by Arrow's parser, if that cannot differ from Spark.

Arrow's parser refuses most of what Spark reads leniently. What it would read *differently* is kept from it or found
afterwards, and refused as well; the caller then looks for the lines to blame (`salvage`):

- several objects in a line, or one object over several lines: each line must begin with `{` and end with `}`. Between
  two lines there is then always `}` and `{`, which JSON allows only between top-level values, so counting the rows is
  enough to know that each line holds exactly one object;
- bytes that are no UTF-8;
- words that Arrow takes for numbers and Spark does not, and objects nested deeper than Spark reads (`_odd_lines`);
- `-0`, an integer without a sign for Jackson: blocks with a negative zero are refused;
- dates and timestamps: read as text, then converted only from the ISO forms that both understand (`casts`);
- BINARY (base64) and MAP (objects): not supported at all, see `supports`.

One thing that it refuses is common: numbers and booleans in a STRING column, which takes their text. Those columns get
their quotes, and the block another try (`json_spelling`).
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json

from riacho.server.formats.base import bare_rows
from riacho.server.formats.casts import UNSAFE, cast_seconds, cast_text, castable, text_schema
from riacho.server.formats.content import Lines, is_text
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.json_spelling import quoted
from riacho.server.formats.json_tokens import MAX_DEPTH
from riacho.server.formats.salvage import Refused

_CACHED: Final = 1 << 18
"""Searched at a time (bytes), so that what is compared stays in the processor's cache."""

_BEFORE_VALUE: Final = b":[,+- \t"

_ROW: Final = re.compile(r" in row (\d+)")
_BARE: Final = re.compile(r"Column\(.*?([^/]+)\) changed from string to (?:number|boolean) in row")


def supports(schema: pa.Schema, datetimes: Datetimes) -> bool:
    """Whether the fast path can be tried for this schema at all."""
    return all(_supported(field.type, datetimes) for field in schema)


def _supported(arrow: pa.DataType, datetimes: Datetimes) -> bool:
    if pa.types.is_struct(arrow):
        return arrow.num_fields > 0 and all(_supported(field.type, datetimes) for field in arrow)
    if pa.types.is_list(arrow) and not pa.types.is_map(arrow):
        return _supported(arrow.value_type, datetimes)
    if pa.types.is_date32(arrow) or pa.types.is_timestamp(arrow):
        return castable(arrow, datetimes)
    return not (pa.types.is_map(arrow) or pa.types.is_binary(arrow))


class StrictJson:
    """Arrow's parser for one schema, over the lines of one block.

    `refuse_unknown`: a field that no column takes makes the block refused (for a rescue column), else it is ignored.
    `non_numeric`: whether NaN and Infinity are numbers. `seconds`: TIMESTAMP columns that hold numbers.
    """

    def __init__(
        self,
        schema: pa.Schema,
        lines: Lines,
        datetimes: Datetimes,
        *,
        refuse_unknown: bool = False,
        non_numeric: bool = True,
        seconds: frozenset[str] = frozenset(),
    ) -> None:
        self._schema = schema
        self._lines = lines
        self._datetimes = datetimes
        self._seconds = seconds
        self._strings = _string_names(schema)
        texts = text_schema(schema)
        expected = [field.with_type(pa.int64()) if field.name in seconds else field for field in texts]
        self._options = pa.json.ParseOptions(
            explicit_schema=pa.schema(expected),
            unexpected_field_behavior="error" if refuse_unknown else "ignore",
            newlines_in_values=False,
        )
        self._is_text = is_text(lines.data)
        self._odd = _odd_lines(lines, non_numeric=non_numeric)

    def __call__(self, low: int, high: int) -> pa.Table | Refused:
        """The rows of the lines from `low` up to `high`, unless Spark might read one of them otherwise."""
        if self._odd[low:high].any():
            return Refused(low + int(self._odd[low:high].argmax()))
        if not self._is_text and not is_text(self._lines.span(low, high)):
            return Refused()
        found = self._parsed(low, high)
        if isinstance(found, Refused):
            return found
        if found.num_rows != high - low:
            return Refused()
        if not len(self._schema):
            return bare_rows(found.num_rows)
        columns = []
        for field in self._schema:
            column = found.column(field.name)
            column = (
                cast_seconds(column) if field.name in self._seconds else cast_text(column, field.type, self._datetimes)
            )
            if column is UNSAFE:
                return Refused()
            columns.append(column)
        return pa.table(columns, schema=self._schema)

    def _parsed(self, low: int, high: int) -> pa.Table | Refused:
        """What Arrow reads, with text for dates and times."""
        while True:
            text = self._lines.span(low, high)
            # Blocks are parsed side by side, so one needs no more than one thread.
            read = pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
            try:
                return pa.json.read_json(pa.BufferReader(text), read_options=read, parse_options=self._options)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                message = str(error)
            if (bare := _BARE.search(message)) and bare[1] in self._strings:
                self._strings.remove(bare[1])
                self._lines = quoted(self._lines, bare[1])
            else:
                row = _ROW.search(message)
                return Refused(low + int(row[1]) if row and int(row[1]) < high - low else None)


def _string_names(schema: pa.Schema) -> set[str]:
    """The names of STRING fields, at any depth."""
    kinds = [(field.name, field.type) for field in schema]
    names = set()
    while kinds:
        name, kind = kinds.pop()
        if pa.types.is_struct(kind):
            kinds += [(field.name, field.type) for field in kind]
        elif pa.types.is_list(kind):
            kinds.append((name, kind.value_type))
        elif pa.types.is_string(kind):
            names.add(name)
    return names


def _odd_lines(lines: Lines, *, non_numeric: bool) -> npt.NDArray[np.bool_]:
    """Which lines to keep from Arrow's parser, because it would read them and Spark would not."""
    buffer = np.frombuffer(lines.data, np.uint8)
    odd: npt.NDArray[np.bool_] = (buffer[lines.starts] != ord("{")) | (buffer[lines.ends - 1] != ord("}"))
    # To Arrow `Inf` is a number, and `NaN` may have a sign, also in fields that no column takes.
    odd[_lines_with(lines, buffer, b"Inf", _BEFORE_VALUE, unless=b"i" if non_numeric else b"")] = True
    odd[_lines_with(lines, buffer, b"NaN", b"-" if non_numeric else _BEFORE_VALUE)] = True
    if (lines.ends - lines.starts).max(initial=0) > 2 * MAX_DEPTH:
        # `[` and `{` differ in one bit.
        openings = np.add.reduceat((buffer | 0x20) == ord("{"), lines.starts, dtype=np.int32)
        odd[openings > MAX_DEPTH] = True
    return odd


def _lines_with(
    lines: Lines, buffer: npt.NDArray[np.uint8], word: bytes, before: bytes, unless: bytes = b""
) -> npt.NDArray[np.int64]:
    """The lines in which `word` (three bytes) follows one of the bytes `before` and is not followed by `unless`."""
    # One byte is found many times faster than three.
    if word[:1] not in lines.data:
        return np.empty(0, np.int64)
    found = []
    for start in range(0, len(buffer), _CACHED):
        part = buffer[start : start + _CACHED + len(word) - 1]
        hits = part[:-2] == word[0]
        hits &= part[1:-1] == word[1]
        hits &= part[2:] == word[2]
        if hits.any():
            found.append(np.flatnonzero(hits) + start)
    if not found:
        return np.empty(0, np.int64)
    at = np.concatenate(found)
    at = at[np.isin(buffer[np.maximum(at - 1, 0)], np.frombuffer(before, np.uint8))]
    if unless:
        at = at[buffer[np.minimum(at + len(word), len(buffer) - 1)] != unless[0]]
    line: npt.NDArray[np.int64] = np.searchsorted(lines.starts, at, side="right") - 1
    return line
