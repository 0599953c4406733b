"""Rows as lines of JSON, spelled as Spark's `JacksonGenerator` spells them, column by column.

A column becomes the text of its values; the texts of a row are joined with the names between them. Nested values are
rows and lists of texts again. Nothing is done value by value but bytes and intervals, which are rare.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.errors import UnsupportedOperationError
from riacho.server.formats.write.spelling import Moment, base64_text, floats, scalar_text
from riacho.types import type_to_ddl

Offsets: TypeAlias = npt.NDArray[Any]
Marks: TypeAlias = npt.NDArray[np.bool_]
"""Which of the 256 bytes are meant."""

_SHORT: Final = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
_NOT_NUMBERS: Final = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True)
class JsonText:
    """How rows become JSON. `keep_nulls`: fields that are null are written, not left out. `line_end` follows a row."""

    moment: Moment
    keep_nulls: bool = False
    line_end: str = "\n"

    def lines(self, batch: pa.RecordBatch) -> pa.Array:
        """The text of each row. Raises UnsupportedOperationError for keys of maps that have no text."""
        return self._objects(batch.schema.names, batch.columns, batch.num_rows, self.line_end)

    def values(self, column: pa.Array) -> pa.Array:
        """The text of each value of a column of a nested type, null where it is. Raises as `lines`."""
        return self._value(column).whole()

    def _objects(self, names: Sequence[str], columns: Sequence[pa.Array], rows: int, end: str = "") -> pa.Array:
        """`{"a":1,"b":"x"}` of each row, whatever of it is null."""
        if not names:
            return pa.repeat(pa.scalar("{}" + end), rows)
        pieces: list[pa.Array | str] = []
        constant = ""
        for name, column in zip(names, columns, strict=True):
            key = f",{json.dumps(name, ensure_ascii=False)}:"
            value = self._value(column)
            if value.text.null_count and self.keep_nulls:
                value = _Value("", pc.fill_null(value.whole(), "null"), "")
            if value.text.null_count:
                pieces += [constant, pc.binary_join_element_wise(key + value.before, value.text, value.after, "")]
                constant = ""
            else:
                pieces += [constant + key + value.before, value.text]
                constant = value.after
        pieces.append(constant + "}" + end)
        if isinstance(pieces[0], str) and pieces[0]:  # the first field is always there
            pieces[0] = "{" + pieces[0][1:]
            return _joined(pieces, rows)
        joined = _joined(pieces, rows)
        empty = pc.starts_with(joined, "}")
        if pc.any(empty).as_py():
            return pc.if_else(empty, "{}" + end, pc.binary_replace_slice(joined, 0, 1, "{"))
        return pc.binary_replace_slice(joined, 0, 1, "{")

    def _value(self, column: pa.Array) -> _Value:
        """The values of a column, each as it stands in JSON."""
        arrow = column.type
        if pa.types.is_string(arrow):
            return _Value('"', escaped(column), '"')
        if pa.types.is_floating(arrow):
            return _Value("", _number(floats(column)), "")
        if pa.types.is_map(arrow):
            return _Value("", self._maps(column), "")
        if pa.types.is_list(arrow):
            return _Value("", self._lists(column), "")
        if pa.types.is_struct(arrow):
            fields = [column.field(index) for index in range(arrow.num_fields)]
            text = self._objects([field.name for field in arrow], fields, len(column))
            return _Value("", _null_as(text, column), "")
        text = scalar_text(column, self.moment, base64_text)
        if pa.types.is_temporal(arrow):
            return _Value('"', text, '"')
        return _Value('"', text, '"') if pa.types.is_binary(arrow) else _Value("", text, "")

    def _lists(self, column: pa.Array) -> pa.Array:
        offsets, values = _content(column, column.values)
        elements = pc.fill_null(self._value(values).whole(), "null")
        return _bracketed("[", elements, offsets, "]", column)

    def _maps(self, column: pa.Array) -> pa.Array:
        offsets, keys = _content(column, column.keys)
        _, items = _content(column, column.items)
        texts = pc.fill_null(self._value(items).whole(), "null")
        entries = pc.binary_join_element_wise('"', self._key(keys), '":', texts, "")
        return _bracketed("{", entries, offsets, "}", column)

    def _key(self, keys: pa.Array) -> pa.Array:
        """The keys of maps as text: Spark prints what it has inside, so of dates and times a number."""
        arrow = keys.type
        if pa.types.is_string(arrow):
            return escaped(keys)
        if pa.types.is_date(arrow):
            return keys.cast(pa.int32()).cast(pa.string())
        if pa.types.is_timestamp(arrow) or pa.types.is_duration(arrow):
            return keys.cast(pa.int64()).cast(pa.string())
        if pa.types.is_nested(arrow) or pa.types.is_binary(arrow):
            raise UnsupportedOperationError(
                f"The JSON format cannot write maps whose keys are of type {type_to_ddl(arrow)}: they have no text. "
                "Turn the keys into STRING, or the map into an array with map_entries."
            )
        return floats(keys) if pa.types.is_floating(arrow) else keys.cast(pa.string())


@dataclass(frozen=True)
class _Value:
    """The texts of a column, with what stands around each of them."""

    before: str
    text: pa.Array
    after: str

    def whole(self) -> pa.Array:
        if not self.before and not self.after:
            return self.text
        return pc.binary_join_element_wise(self.before, self.text, self.after, "")


def _joined(pieces: Sequence[pa.Array | str], rows: int) -> pa.Array:
    filled = [piece for piece in pieces if not isinstance(piece, str) or piece]
    if all(isinstance(piece, str) for piece in filled):
        return pa.repeat(pa.scalar("".join(str(piece) for piece in filled)), rows)
    return pc.binary_join_element_wise(*filled, "", null_handling="replace", null_replacement="")


def _content(column: pa.Array, values: pa.Array) -> tuple[Offsets, pa.Array]:
    """The offsets of lists from 0 on, and the values that belong to them."""
    offsets = np.asarray(column.offsets)
    first, last = int(offsets[0]), int(offsets[-1])
    return offsets - first, values.slice(first, last - first)


def _bracketed(opening: str, elements: pa.Array, offsets: Offsets, closing: str, column: pa.Array) -> pa.Array:
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), elements)
    text = pc.binary_join_element_wise(opening, pc.binary_join(lists, ","), closing, "")
    return _null_as(text, column)


def _null_as(text: pa.Array, column: pa.Array) -> pa.Array:
    return pc.if_else(column.is_valid(), text, pa.scalar(None, pa.string())) if column.null_count else text


def _number(text: pa.Array) -> pa.Array:
    """Numbers as they stand in JSON; what is none is text."""
    odd = pc.is_in(text, pa.array(_NOT_NUMBERS))
    if not pc.any(odd, min_count=0).as_py():
        return text
    return pc.if_else(odd, pc.binary_join_element_wise('"', text, '"', ""), text)


def escaped(text: pa.Array) -> pa.Array:
    """Text as it stands between quotes in JSON: quotes, backslashes and control characters escaped."""
    present = special_bytes(text, _ESCAPED)
    if not present:
        return text
    # The backslash first: the others bring some of their own.
    for code in sorted(present, key=lambda code: code != ord("\\")):
        text = pc.replace_substring(text, chr(code), _escape(code))
    return text


def special_bytes(text: pa.Array, special: Marks) -> list[int]:
    """Which of the bytes marked in `special` occur in a column of text, or are in its memory."""
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    data = text.buffers()[2]
    if data is None or not len(text):
        return []
    content = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    if not special[content].any():
        return []
    counts = np.bincount(content, minlength=256)
    return [int(code) for code in np.flatnonzero(counts * special[: len(counts)])]


def _escape(code: int) -> str:
    if code in (ord('"'), ord("\\")):
        return "\\" + chr(code)
    return _SHORT.get(code) or f"\\u{code:04X}"


def marked(codes: Sequence[int]) -> Marks:
    """A table of 256 bytes with the given ones marked, for `special_bytes`."""
    table = np.zeros(256, bool)
    table[list(codes)] = True
    return table


_ESCAPED: Final = marked([*range(32), ord('"'), ord("\\")])
