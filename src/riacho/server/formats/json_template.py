r"""The fastest path of the JSON reader: lines that differ in their values and in nothing else.

A program that writes records one after the other mostly writes them all alike: the same fields in the same order, with
the same spaces. The first line of a block then shows the text between the values, its *gaps*:

    {"id":7,"user":"ana"}        gaps   {"id":    ,"user":"    "}
                                 holes        7             ana

If every line has these gaps, what stands between them are the values, and no parser is needed: where they begin and end
follows from the positions of a mark that each inner gap has, for all lines at once. Commas will do while no text has
one; quotes always do, but there are several times as many. What follows is exact because

- there is no backslash in the block, so each quote begins or ends a name or a text;
- each gap is compared byte by byte, no two overlap, and the block has no further quote: so a hole never has one;
- marks and control characters follow each other as in the template, and the only control character there is the line
  end: so a hole never leaves its line;
- a hole without quotes must spell a number, a boolean or null as JSON demands (`_NUMBER`).

Whatever is otherwise, in any line, makes the block refused; then the strict parser takes it (`json_strict`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.base import bare_rows
from riacho.server.formats.casts import UNSAFE, cast_seconds, cast_text, castable
from riacho.server.formats.content import is_text
from riacho.server.formats.datetimes import Datetimes
from riacho.types import TIMESTAMP

_SAMPLE_BYTES: Final = 1 << 14
"""A block is tried by so much of it first, so that one which does not fit costs next to nothing."""

_MARKS: Final = (b",", b'"')
"""What values are found by, the faster one first."""

_MAX_BYTES: Final = (1 << 31) - 1
"""Positions are kept in 32 bits, as Arrow's strings have them."""

_FIELD: Final = re.compile(rb'[{,] *"([^"\\]*)" *: *(?:"([^"\\]*)"|([^"\\{}\[\], ]+)) *')
"""A field of the first line: its name, and its text or its bare value."""

_NUMBER: Final = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_SCALAR: Final = rf"{_NUMBER}|^true$|^false$"

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LineTemplate:
    """What all lines have in common: `gaps[i]` stands before the i-th value, the last one behind the last value.

    `names[i]` is the field of that value; `quoted[i]` says that it is text.
    """

    gaps: tuple[bytes, ...]
    names: tuple[str, ...]
    quoted: tuple[bool, ...]

    def count(self, char: bytes) -> int:
        """How often a character stands in the gaps of a line."""
        return sum(gap.count(char) for gap in self.gaps)


def template_of(line: bytes) -> LineTemplate | None:
    """The template that a line shows; None if it is not a flat object of plain values, or names a field twice."""
    gaps, names, quoted = [], [], []
    at = shown = 0
    while field := _FIELD.match(line, at):
        text = field.start(2) >= 0
        begin, end = field.span(2 if text else 3)
        gaps.append(line[shown:begin])
        names.append(field[1].decode("utf-8", "replace"))
        quoted.append(text)
        at, shown = field.end(), end
    if not names or line[at:] != b"}" or not line.startswith(b"{") or len(set(names)) < len(names):
        return None
    return LineTemplate((*gaps, line[shown:]), tuple(names), tuple(quoted))


class TemplateJson:
    """Reads blocks whose lines are all alike, for one schema. Several threads may share it.

    `refuse_unknown`: a field that no column takes makes the block refused (for a rescue column), else it is ignored.
    """

    def __init__(self, schema: pa.Schema, datetimes: Datetimes, *, refuse_unknown: bool = False) -> None:
        self._schema = schema
        self._datetimes = datetimes
        self._refuse_unknown = refuse_unknown
        self._mark: bytes | None = None
        """What the last block was read by: then the next one is not tried first. Only a guess, so threads may race."""

    def __call__(self, block: bytes) -> pa.Table | None:
        r"""The rows of a block of lines, each ended by one `\n` but perhaps the last; None if it is refused."""
        template = template_of(block[: block.find(b"\n")] if b"\n" in block else block)
        if template is None or (self._refuse_unknown and not set(template.names) <= set(self._schema.names)):
            return None
        known = self._mark
        for mark in _MARKS if known is None else _MARKS[_MARKS.index(known) :]:
            if known is None and len(block) > 2 * _SAMPLE_BYTES:
                sample = block[: block.rfind(b"\n", 0, _SAMPLE_BYTES) + 1]
                if sample and self._rows(sample, template, mark) is None:
                    continue
            table = self._rows(block, template, mark)
            if table is not None:
                self._mark = mark
                return table
        self._mark = None
        return None

    def _rows(self, block: bytes, template: LineTemplate, mark: bytes) -> pa.Table | None:
        holes = find_holes(block, template, mark)
        if holes is None:
            return None
        columns: dict[str, pa.ChunkedArray] = {}
        for i, (name, quoted) in enumerate(zip(template.names, template.quoted, strict=True)):
            index = self._schema.get_field_index(name)
            if index >= 0:
                column = self._column(holes.texts(i), self._schema.field(index).type, quoted=quoted)
                if column is UNSAFE:
                    return None
                columns[name] = column
            elif not quoted and not _are_scalars(holes.texts(i)):
                return None
        if not len(self._schema):
            return bare_rows(holes.rows)
        every = [
            columns[field.name] if field.name in columns else pa.nulls(holes.rows, field.type) for field in self._schema
        ]
        return pa.table(every, schema=self._schema)

    def _column(self, texts: pa.StringArray, arrow: pa.DataType, *, quoted: bool) -> pa.ChunkedArray:
        """The values of a column, or UNSAFE if one is not spelled as its type is."""
        is_moment = pa.types.is_date32(arrow) or pa.types.is_timestamp(arrow)
        if quoted:
            values = texts if is_moment or arrow == pa.string() else None
        elif arrow == TIMESTAMP:
            seconds = _numbers(texts, pa.int64())
            return UNSAFE if seconds is None else cast_seconds(pa.chunked_array([seconds]))
        elif is_moment:
            values = None
        elif arrow == pa.string():
            values = _without_null(texts)
            values = values if _spell(values, _SCALAR) else None
        elif pa.types.is_boolean(arrow):
            values = _booleans(texts)
        else:
            values = _numbers(texts, arrow)
        return UNSAFE if values is None else cast_text(pa.chunked_array([values]), arrow, self._datetimes)


def supports(schema: pa.Schema, datetimes: Datetimes) -> bool:
    """Whether the columns are of types that this path reads: no nested ones, none with an encoding of its own."""
    return all(
        castable(field.type, datetimes)
        if pa.types.is_date32(field.type) or pa.types.is_timestamp(field.type)
        else field.type == pa.string() or pa.types.is_boolean(field.type) or _is_number(field.type)
        for field in schema
    )


def _is_number(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow))


@dataclass(frozen=True)
class Holes:
    """Where the values of a block stand: hole i of row r is `block[begins[i][r]:ends[i][r]]`."""

    block: bytes
    begins: Sequence[Positions]
    ends: Sequence[Positions]

    @property
    def rows(self) -> int:
        return len(self.begins[0])

    def texts(self, hole: int) -> pa.StringArray:
        """The text in one hole of each row, copied together."""
        bounds = np.empty((self.rows, 2), np.int32)
        bounds[:, 0] = self.begins[hole]
        bounds[:, 1] = self.ends[hole]
        # The block as strings without gaps between them: a value, what follows it, the next value...
        strung = pa.StringArray.from_buffers(2 * self.rows - 1, pa.py_buffer(bounds), pa.py_buffer(self.block))
        return strung.take(pa.array(np.arange(0, 2 * self.rows, 2, dtype=np.int32)))


def find_holes(block: bytes, template: LineTemplate, mark: bytes) -> Holes | None:
    """The holes of all lines of a block, found by `mark`, one of `_MARKS`; None unless each line fits the template."""
    first, *inner, last = template.gaps
    end = b"\n" if block.endswith(b"\n") else b""
    if (
        len(block) > _MAX_BYTES
        or not all(mark in gap for gap in inner)
        or not block.startswith(first)
        or not block.endswith(last + end)
        or b"\\" in block
        or not is_text(block)
    ):
        return None
    buffer = np.frombuffer(block, np.uint8)
    found = np.flatnonzero((buffer == ord(mark)) | (buffer < ord(" ")))
    if not end:
        found = np.append(found, len(block))
    rows, rest = divmod(len(found), template.count(mark) + 1)
    if rest:
        return None
    by_line = found.reshape(rows, -1)
    line_ends = by_line[:, -1]
    if not _stands_at(last + b"\n" + first, block, line_ends[:-1] - len(last)):
        return None
    begins = [np.append(0, line_ends[:-1] + 1) + len(first)]
    ends = []
    seen = first.count(mark)
    for gap in inner:
        at = by_line[:, seen] - gap.index(mark)
        if not _stands_at(gap, block, at):
            return None
        ends.append(at)
        begins.append(at + len(gap))
        seen += gap.count(mark)
    ends.append(line_ends - len(last))
    # Gaps that do not overlap and hold all the quotes leave none for the holes.
    if any((begin > end).any() for begin, end in zip(begins, ends, strict=True)):
        return None
    quotes = template.count(b'"')
    if mark != b'"' and np.count_nonzero(buffer == ord('"')) != rows * quotes:
        return None
    return Holes(block, begins, ends)


def _stands_at(gap: bytes, block: bytes, begins: Positions) -> bool:
    """Whether `gap` stands at each of these rising positions."""
    if not len(begins):
        return True
    if begins[0] < 0 or begins[-1] + len(gap) > len(block):
        return False
    every = np.ndarray(len(block) - len(gap) + 1, f"V{len(gap)}", block, strides=(1,))
    return every[begins].tobytes() == gap * len(begins)


def _without_null(texts: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(texts, "null"), None, texts)


def _spell(texts: pa.StringArray, pattern: str) -> bool:
    """Whether all match, NULL aside."""
    return bool(pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py())


def _are_scalars(texts: pa.StringArray) -> bool:
    """Whether each is a number, a boolean or null: what may stand where no column looks."""
    return (_simple_numbers(texts) and _have_one_dot(texts)) or _spell(texts, rf"{_SCALAR}|^null$")


def _have_one_dot(texts: pa.StringArray) -> bool:
    """Whether none of these texts, which are not empty, has two dots."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1)
    is_dot = np.frombuffer(texts.buffers()[2], np.uint8, offsets[-1]) == ord(".")
    dots = np.count_nonzero(is_dot)
    return not dots or np.count_nonzero(np.logical_or.reduceat(is_dot, offsets[:-1])) == dots


def _booleans(texts: pa.StringArray) -> pa.BooleanArray | None:
    values = _without_null(texts)
    return pc.equal(values, "true") if _spell(values, "^true$|^false$") else None


def _numbers(texts: pa.StringArray, arrow: pa.DataType) -> pa.Array | None:
    """Numbers as JSON spells them, and NULL for null; None if there is anything else, or something does not fit."""
    if not _simple_numbers(texts):
        texts = _without_null(texts)
        if not _spell(texts, _NUMBER):
            return None
    try:
        return texts.cast(arrow)
    except pa.ArrowInvalid:
        return None


def _simple_numbers(texts: pa.StringArray) -> bool:
    """Whether each text that can be cast to a number is a JSON number without an exponent.

    Casts also take `1.`, `.5` and `007`. Many times faster than to match `_NUMBER`.
    """
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1)
    begins, ends = offsets[:-1], offsets[1:]
    data = np.frombuffer(texts.buffers()[2], np.uint8, offsets[-1])
    if not (begins < ends).all():
        return False
    digits, leading = begins, data[begins]
    negative = leading == ord("-")
    signs = np.count_nonzero(negative)
    if signs:
        digits = begins + negative
        if not (digits < ends).all():
            return False
        leading = data[digits]
    is_dot = data == ord(".")
    dots = np.count_nonzero(is_dot)
    if np.count_nonzero(data - ord("0") <= 9) + dots + signs != len(data):
        return False
    if dots and ((leading == ord(".")).any() or is_dot[ends - 1].any()):
        return False
    zero = np.flatnonzero(leading == ord("0"))
    behind = digits[zero] + 1
    alone = behind == ends[zero]
    return bool((alone | is_dot[np.minimum(behind, len(data) - 1)]).all())
