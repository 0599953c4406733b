"""The fast path of the JSON reader: a block of lines by Arrow's parser, if that cannot differ from Spark.

Arrow's parser refuses most of what Spark reads leniently. What it would read *differently* is kept from it or found
afterwards, and refused as well; the caller then looks for the lines to blame (`salvage`):

- several objects in a line, or one object over several lines: each line must begin with `{` and end with `}`. Between
  two lines there is then always `}` and `{`, which JSON allows only between top-level values, so counting the rows is
  enough to know that each line holds exactly one object;
- bytes that are no UTF-8, words that Arrow takes for numbers and Spark does not, and what is nested deeper than Spark
  reads (`_odd_lines`);
- `-0`, an integer without a sign for Jackson, and decimals without room for the zeros of their scale (`casts`);
- dates and timestamps: read as text, then converted only from the ISO forms that both understand (`casts`);
- BINARY (base64) and MAP (objects): not supported at all, see `supports`.

What it refuses it names, so the block gets another try: without the lines that have a value of the wrong type, with
more digits for decimals, and with quotes around the numbers and booleans of a STRING column, which takes their text
(`json_spelling`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json

from riacho.server.formats.base import bare_rows
from riacho.server.formats.casts import cast_seconds, cast_values, castable, text_schema
from riacho.server.formats.content import Lines, is_text
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.json_spelling import quoted
from riacho.server.formats.json_tokens import MAX_DEPTH
from riacho.server.formats.salvage import Refused

_CACHED: Final = 1 << 18
"""Searched at a time (bytes), so that what is compared stays in the processor's cache."""

_BEFORE_VALUE: Final = b":[,+- \t"

_MOST_TRIES: Final = 8
"""So often lines with values that do not fit are searched for in a block, by what Arrow says of one of them."""

_BEGIN: Final = {"object": rb"\{", "array": rb"\[", "string": rb'"', "number": rb"[-0-9IN]", "boolean": rb"[tf]"}
"""How values of a kind begin."""

_ROW: Final = re.compile(r" in row (\d+)")
_UNFIT: Final = re.compile(r"^Failed to convert JSON to [^:]+(?:, couldn't parse:(.+)$|: (\S+) requires )")
_BARE: Final = re.compile(r"Column\(.*?([^/]+)\) changed from string to (?:number|boolean) in row")
_KIND: Final = re.compile(rf"Column\(.*?([^/]+)\) changed from \w+ to ({'|'.join(_BEGIN)}) in row")


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
    if pa.types.is_decimal(arrow):
        return bool(arrow.scale < arrow.precision)
    return not (pa.types.is_map(arrow) or pa.types.is_binary(arrow))


@dataclass(frozen=True)
class Parsed:
    """Rows of lines. `row`: for each line its row in `table`, -1 if only the exact parser may have it; None: all."""

    table: pa.Table
    row: npt.NDArray[np.int64] | None = None


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
        self._unknown = "error" if refuse_unknown else "ignore"
        self._strings = _string_names(schema)
        self._options = self._parse_options(wide=False)
        self._wide = False
        self._tries = 0
        self._odd = _odd_lines(lines, non_numeric=non_numeric)

    def __call__(self, low: int, high: int) -> Parsed | Refused:
        """The rows of the lines from `low` up to `high`, unless Spark might read some of them otherwise."""
        parsed = self._parsed(low, high)
        if isinstance(parsed, Refused):
            return parsed
        good = ~self._odd[low:high]
        rows = parsed.num_rows
        if rows != np.count_nonzero(good):
            return Refused()
        columns = []
        odd = np.zeros(rows, np.bool_)
        for field in self._schema:
            column = parsed.column(field.name).combine_chunks()
            if field.name in self._seconds:
                values = cast_seconds(column)
            else:
                values = cast_values(column, field.type, self._datetimes)
            if values.odd is not None:
                odd |= values.odd
            columns.append(values.array)
        table = pa.table(columns, schema=self._schema) if columns else bare_rows(rows)
        if good.all() and not odd.any():
            return Parsed(table)
        row = np.full(high - low, -1, np.int64)
        row[good] = np.where(odd, -1, np.arange(rows))
        return Parsed(table, row)

    def _parsed(self, low: int, high: int) -> pa.Table | Refused:
        """What Arrow reads of the lines that are not odd, with text for dates and times; in one chunk."""
        while True:
            odd = self._odd[low:high]
            text = self._text(low, high)
            if not len(text):
                return self._options.explicit_schema.empty_table()
            # Blocks are parsed side by side, so one needs no more than one thread.
            read = pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
            try:
                return pa.json.read_json(pa.BufferReader(text), read_options=read, parse_options=self._options)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                message = str(error)
            if not self._learned_from(message):
                found = _ROW.search(message)
                left = np.flatnonzero(~odd)
                row = int(found[1]) if found else len(left)
                return Refused(low + int(left[row]) if row < len(left) else None)

    def _text(self, low: int, high: int) -> memoryview | bytes:
        """The lines that are not odd."""
        odd = np.flatnonzero(self._odd[low:high]) + low
        if not len(odd):
            return self._lines.span(low, high)
        begins, ends = [low, *(odd + 1)], [*odd, high]
        return b"\n".join(self._lines.span(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end)

    def _learned_from(self, message: str) -> bool:
        """Whether another try may do better, now that this has been refused."""
        bare = _BARE.search(message)
        if bare and bare[1] in self._strings:
            self._strings.remove(bare[1])
            self._lines = quoted(self._lines, bare[1])
            return True
        unfit = _UNFIT.search(message)
        if unfit and "decimal" in message and not self._wide:
            self._wide = True
            self._options = self._parse_options(wide=True)
            return True
        if unfit:
            return self._avoid(_value((unfit[1] or unfit[2]).encode()))
        kind = _KIND.search(message)
        return kind is not None and self._avoid(_field(kind[1].encode(), kind[2]))

    def _avoid(self, text: re.Pattern[bytes]) -> bool:
        """Take the lines that have such text for odd; whether they were not yet.

        A line that is found by mistake is read by the exact parser, and all is well.
        """
        if self._tries == _MOST_TRIES:
            return False
        self._tries += 1
        at = [match.start() for match in text.finditer(self._lines.data)]
        odd = np.searchsorted(self._lines.starts, at, side="right") - 1
        learned = not self._odd[odd].all()
        self._odd[odd] = True
        return learned

    def _parse_options(self, *, wide: bool) -> pa.json.ParseOptions:
        texts = text_schema(self._schema, wide=wide)
        expected = [field.with_type(pa.int64()) if field.name in self._seconds else field for field in texts]
        return pa.json.ParseOptions(
            explicit_schema=pa.schema(expected), unexpected_field_behavior=self._unknown, newlines_in_values=False
        )


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
    if not is_text(lines.data):
        odd |= np.array([not is_text(lines.span(i, i + 1)) for i in range(len(lines))])
    if (lines.ends - lines.starts).max(initial=0) > 2 * MAX_DEPTH:
        # `[` and `{` differ in one bit.
        openings = np.add.reduceat((buffer | 0x20) == ord("{"), lines.starts, dtype=np.int32)
        odd[openings > MAX_DEPTH] = True
    return odd


def _value(token: bytes) -> re.Pattern[bytes]:
    """A value spelled so, perhaps between quotes."""
    return re.compile(rb"(?<=[" + re.escape(_BEFORE_VALUE) + rb'"])' + re.escape(token) + rb'(?=[,}\] \t"])')


def _field(name: bytes, kind: str) -> re.Pattern[bytes]:
    """A field of that name with a value of that kind."""
    return re.compile(rb'"' + re.escape(name) + rb'"[ \t]*:[ \t]*' + _BEGIN[kind])


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
