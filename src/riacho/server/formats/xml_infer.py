"""The schema of XML rows, as Spark infers it (`XmlInferSchema`).

An element that repeats is an array; one with attributes and text is a struct with a field for the text. What is still
unknown at the end becomes STRING. Fields come in the order of their names, which are the same in any case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Final

import pyarrow as pa

from riacho.options import Options
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.decimals import parse_number
from riacho.server.formats.json_infer import decimal_type, java_order, wider_decimal
from riacho.server.formats.modes import MalformedRecordError, ParseMode
from riacho.server.formats.patterns import compile_pattern
from riacho.server.formats.xml_convert import XmlNames
from riacho.server.formats.xml_events import END, TEXT, Event, RowEvents
from riacho.types import TIMESTAMP

_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_DOUBLE: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS: Final = frozenset({"true", "false"})
_ISO_DATE: Final = compile_pattern("yyyy-MM-dd")


class XmlInference:
    """Infers one schema from rows, by the reader's options."""

    def __init__(self, options: Options, names: XmlNames, datetimes: Datetimes) -> None:
        self._mode = ParseMode.of(options)
        self._corrupt = options.text("columnNameOfCorruptRecord")
        self._names = names
        self._types = options.flag("inferSchema")
        self._trims = options.flag("ignoreSurroundingSpaces")
        self._decimals = options.flag("prefersDecimal")
        self._date = (datetimes.date_pattern or _ISO_DATE).days
        self._timestamp = datetimes.timestamp

    def infer(self, rows: Iterable[RowEvents]) -> pa.Schema:
        """The schema of all rows. Raises MALFORMED_RECORD_IN_PARSING (FAILFAST)."""
        merged: pa.DataType = reduce(self._merged, (kind for row in rows for kind in self._row(row)), pa.struct([]))
        return pa.schema([field.with_type(_final(field.type)) for field in merged])

    def _merged(self, left: pa.DataType, right: pa.DataType) -> pa.DataType:
        return merge_types(left, right, self._names.value)

    def _row(self, row: RowEvents) -> list[pa.DataType]:
        """The type of one row: at most one."""
        if row.mistake is None:
            return [self._object(_Events(row.events), row.attributes)]
        if self._mode is ParseMode.FAILFAST:
            raise MalformedRecordError.in_parsing(row.mistake)
        return [pa.struct([pa.field(self._corrupt, pa.string())])] if self._mode is ParseMode.PERMISSIVE else []

    def _object(self, events: _Events, attributes: Sequence[str]) -> pa.StructType:
        found = _Fields(self._names.value)
        for name, value in self._attributes(attributes):
            found.add(name, self._text(value))
        for event in events:
            if event.kind == END:
                break
            if event.kind == TEXT:
                if event.text.strip():
                    found.add(self._names.value, self._text(event.text))
            else:
                found.add(event.text, self._element(events, event.attributes))
        return found.struct()

    def _element(self, events: _Events, attributes: Sequence[str]) -> pa.DataType:
        content = self._object(events, ())
        kind: pa.DataType = content
        if not content.num_fields:
            kind = pa.null()
        elif content.num_fields == 1 and content.field(0).name == self._names.value:
            only = content.field(0).type
            kind = content if pa.types.is_list(only) else only
        given = self._attributes(attributes)
        if not given:
            return kind
        found = _Fields(self._names.value)
        if pa.types.is_struct(kind):
            for field in kind:
                found.add(field.name, field.type)
        elif not pa.types.is_null(kind):
            found.add(self._names.value, kind)
        for name, value in given:
            found.add(name, self._text(value))
        return found.struct()

    def _attributes(self, attributes: Sequence[str]) -> list[tuple[str, str]]:
        if not self._names.attributes:
            return []
        prefix = self._names.attribute_prefix
        return [(prefix + name, value) for name, value in zip(attributes[::2], attributes[1::2], strict=True)]

    def _text(self, text: str) -> pa.DataType:
        if not self._types:
            return pa.string()
        value = text.strip() if self._trims else text
        if not value:
            return pa.null()
        plain = value.strip()
        if _WHOLE.fullmatch(plain) and -(1 << 63) <= int(plain) < 1 << 63:
            return pa.int64()
        if self._decimals and (number := parse_number(plain)) is not None and (kind := decimal_type(number)):
            return kind
        if _DOUBLE.fullmatch(plain):
            return pa.float64()
        if value.lower() in _BOOLEANS:
            return pa.bool_()
        if self._date(value) is not None:
            return pa.date32()
        return TIMESTAMP if self._timestamp(value) is not None else pa.string()


class _Events:
    """The events of a row, taken one after the other."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = iter(events)

    def __iter__(self) -> _Events:
        return self

    def __next__(self) -> Event:
        return next(self._events)


class _Fields:
    """The fields of a struct, by name in any case; one that comes again is an array."""

    def __init__(self, value: str) -> None:
        self._value = value
        self._found: dict[str, pa.Field] = {}

    def add(self, name: str, kind: pa.DataType) -> None:
        known = self._found.get(name.lower())
        if known is None:
            self._found[name.lower()] = pa.field(name, kind)
            return
        element = known.type.value_type if pa.types.is_list(known.type) else known.type
        merged = pa.list_(pa.field("element", merge_types(element, kind, self._value)))
        self._found[name.lower()] = known.with_type(merged)

    def struct(self) -> pa.StructType:
        return _sorted(list(self._found.values()))


def _sorted(fields: Sequence[pa.Field]) -> pa.StructType:
    return pa.struct(sorted(fields, key=lambda field: java_order(field.name)))


def merge_types(left: pa.DataType, right: pa.DataType, value: str) -> pa.DataType:
    """The type that takes the values of both; STRING if there is no better one. `value`: the name of a text's field."""
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_list(left) or pa.types.is_list(right):
        return pa.list_(pa.field("element", merge_types(_element(left), _element(right), value)))
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        fields = {field.name.lower(): field for field in left}
        for part in right:
            known = fields.get(part.name.lower())
            kind = part.type if known is None else merge_types(known.type, part.type, value)
            fields[part.name.lower()] = (part if known is None else known).with_type(kind)
        return _sorted(list(fields.values()))
    for struct, other in ((left, right), (right, left)):
        if pa.types.is_struct(struct) and struct.get_field_index(value) >= 0:
            text = merge_types(struct.field(value).type, other, value)
            return pa.struct([part.with_type(text) if part.name == value else part for part in struct])
    return _merge_simple(left, right)


def _element(arrow: pa.DataType) -> pa.DataType:
    return arrow.value_type if pa.types.is_list(arrow) else arrow


def _merge_simple(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if {left, right} == {pa.date32(), TIMESTAMP}:
        return TIMESTAMP
    if not all(kind in {pa.int64(), pa.float64()} or pa.types.is_decimal(kind) for kind in (left, right)):
        return pa.string()
    return pa.float64() if pa.float64() in {left, right} else wider_decimal(left, right)


def _final(arrow: pa.DataType) -> pa.DataType:
    """`arrow` with STRING for what is unknown."""
    if pa.types.is_null(arrow):
        return pa.string()
    if pa.types.is_list(arrow):
        return pa.list_(pa.field("element", _final(arrow.value_type)))
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(_final(field.type)) for field in arrow])
    return arrow
