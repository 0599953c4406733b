"""The events of one XML row to a row of a schema, by Spark's rules (`StaxXmlParser`).

The functions follow Spark's parser event by event, because what it does with a value that does not fit can be seen: the
fields behind it in the same element are not read any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import pyarrow as pa

from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.xml_events import END, MISTAKE, START, TEXT, Event, RowEvents, source_of
from riacho.server.formats.xml_values import BadText, TextRules, value_parser

Attributes: TypeAlias = Sequence[str]
Field: TypeAlias = "Callable[[_RowCursor, str, Attributes], Any]"
"""Reads the value of an element behind its start; also moves behind its end. Raises BadText, PartialRow."""


class PartialRow(Exception):  # noqa: N818 - control flow of the reader
    """A row of which some values did not fit: `row` has NULL in their place."""

    def __init__(self, row: tuple[Any, ...]) -> None:
        super().__init__()
        self.row = row


@dataclass(frozen=True)
class XmlNames:
    """What columns are called. `wildcard`: the one for elements that no other takes."""

    attribute_prefix: str
    value: str
    wildcard: str
    attributes: bool


_STOP: Final = Event(END, "")


class _RowCursor:
    """Where in the events of a row its reader is."""

    __slots__ = ("_at", "_events")

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._at = 0

    def peek(self) -> Event:
        """The next event. Raises BadText where there is a mistake; behind one that is not fatal comes the end."""
        event = self._events[self._at] if self._at < len(self._events) else _STOP
        if event.kind >= MISTAKE:
            self._at += event.kind == MISTAKE
            raise BadText(event.text)
        return event

    def next(self) -> Event:
        event = self.peek()
        self._at += 1
        return event

    def only_text(self) -> str | None:
        """The text of an element that has nothing else; None for any other. Does not move."""
        events, at = self._events, self._at
        if at + 1 < len(events) and events[at].kind == TEXT and events[at + 1].kind == END:
            return events[at].text
        return None

    def skip_text(self) -> None:
        """Move behind the end of such an element."""
        self._at += 2

    def first(self, name: str) -> Event | None:
        """What an element begins with behind white space, not passed yet; None for one without content, which is."""
        event = self.peek()
        if event.kind == TEXT and not event.text.strip():
            self.next()
            event = self.peek()
        if event.kind == END:
            self.skip_end(name)
            return None
        return event

    def skip_end(self, name: str) -> None:
        """Move behind the end of the element. Raises BadText if something else comes first."""
        event = self.next()
        while event.kind == TEXT and not event.text.strip():
            event = self.next()
        if event.kind != END or event.text != name:
            raise BadText(f"Expected EndElement </{name}>")

    def skip_element(self) -> None:
        """Move behind the end of the element whose start was just read."""
        depth = 1
        while depth and self._at < len(self._events):
            kind = self.next().kind
            depth += 1 if kind == START else -1 if kind == END else 0

    def source(self, name: str) -> str:
        """All up to the end of the element as text; moves behind that end."""
        parts = []
        depth = 0
        while True:
            event = self.next()
            depth += 1 if event.kind == START else -1 if event.kind == END else 0
            parts.append(source_of(event))
            if self.peek().kind == END and depth <= 0:
                break
        self.skip_end(name)
        return "".join(parts)


class RowConverter:
    """Converts rows to `fields`."""

    def __init__(self, fields: Sequence[pa.Field], names: XmlNames, rules: TextRules, datetimes: Datetimes) -> None:
        self._names = names
        self._rules = rules
        self._datetimes = datetimes
        self._object = _Object(self, pa.struct(list(fields)))

    def convert(self, row: RowEvents) -> tuple[Any, ...]:
        """The values of a row. Raises PartialRow; BadText if nothing of it can be kept."""
        return self._object.read(_RowCursor(row.events), row.attributes)

    def field(self, arrow: pa.DataType) -> Field:
        """How an element becomes a value of that type."""
        if pa.types.is_struct(arrow):
            return _Object(self, arrow).with_attributes
        if pa.types.is_map(arrow):
            return self._map_field(arrow)
        if pa.types.is_list(arrow):
            return self.field(arrow.value_type)
        return self._text_field() if pa.types.is_string(arrow) else self._simple_field(arrow)

    def text(self, arrow: pa.DataType) -> Callable[[str], Any]:
        """How text becomes a value of that type."""
        return value_parser(arrow, self._rules, self._datetimes)

    def _text_field(self) -> Field:
        convert = self.text(pa.string())
        empty = None if self._rules.null == "" else ""

        def read(cursor: _RowCursor, name: str, _: Attributes) -> Any:
            text = cursor.only_text()
            if text is not None:
                cursor.skip_text()
                return convert(text)
            if cursor.peek().kind == END:
                cursor.skip_end(name)
                return empty
            return convert(cursor.source(name))

        return read

    def _simple_field(self, arrow: pa.DataType) -> Field:
        convert = self.text(arrow)

        def read(cursor: _RowCursor, name: str, _: Attributes) -> Any:
            text = cursor.only_text()
            if text is not None and text.strip():
                value = convert(text)  # text that is no value is not moved over, as in Spark
                cursor.skip_text()
                return value
            event = cursor.first(name)
            if event is None:
                return None
            if event.kind == START:
                raise BadText(event.text)
            value = convert(event.text)
            cursor.next()
            cursor.skip_end(name)
            return value

        return read

    def _map_field(self, arrow: pa.MapType) -> Field:
        item, text = self.field(arrow.item_type), self.text(arrow.item_type)

        def read(cursor: _RowCursor, name: str, attributes: Attributes) -> Any:
            event = cursor.first(name)
            if event is None:
                return None
            if event.kind == TEXT:
                raise BadText(event.text)
            pairs = {key: text(value) for key, value in self.named(attributes)}
            while True:
                event = cursor.next()
                if event.kind == START:
                    pairs[event.text] = item(cursor, event.text, event.attributes)
                elif event.kind == END:
                    return list(pairs.items())
                elif event.text.strip():
                    pairs[self._names.value] = text(event.text)

        return read

    def named(self, attributes: Attributes) -> list[tuple[str, str]]:
        """Attributes by the names of their columns."""
        if not self._names.attributes:
            return []
        prefix = self._names.attribute_prefix
        return [(prefix + name, value) for name, value in zip(attributes[::2], attributes[1::2], strict=True)]

    @property
    def names(self) -> XmlNames:
        return self._names


@dataclass
class _Object:
    """Reads elements as values of one struct type."""

    converter: RowConverter
    arrow: pa.StructType
    index: dict[str, int] = field(default_factory=dict)
    fields: list[Field] = field(default_factory=list)
    texts: list[Callable[[str], Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for place, part in enumerate(self.arrow):
            self.index.setdefault(part.name.lower(), place)
            self.fields.append(self.converter.field(part.type))
            self.texts.append(self.converter.text(part.type.value_type if _is_list(part.type) else part.type))
        self.lists = [_is_list(part.type) for part in self.arrow]
        self.value = self.index.get(self.converter.names.value.lower())
        self.wildcard = self.index.get(self.converter.names.wildcard.lower())
        self.any = self.converter.field(pa.string())

    def with_attributes(self, cursor: _RowCursor, name: str, attributes: Attributes) -> tuple[Any, ...]:
        """The value of a nested element."""
        values = self._attributes(attributes)
        if cursor.peek().kind == END:
            cursor.skip_end(name)
            row: list[Any] = [None] * len(self.fields)
        else:
            row = list(self.read(cursor, ()))
        for place, value in values:
            row[place] = value
        return tuple(row)

    def _attributes(self, attributes: Attributes) -> list[tuple[int, Any]]:
        if not attributes:
            return []
        found = [(self.index.get(name.lower()), value) for name, value in self.converter.named(attributes)]
        return [(place, self.texts[place](value)) for place, value in found if place is not None]

    def read(self, cursor: _RowCursor, attributes: Attributes) -> tuple[Any, ...]:
        """The value of an element with parts, up to behind its end."""
        row: list[Any] = [None] * len(self.fields)
        for place, value in self._attributes(attributes):
            row[place] = value
        bad = False
        while True:
            event = cursor.next()
            if event.kind == END:
                break
            if event.kind == TEXT:
                if self.value is not None and event.text.strip():
                    self._put(row, self.value, self.texts[self.value](event.text))
                continue
            try:
                self._child(cursor, event, row)
            except (BadText, PartialRow):
                bad = True
        if bad:
            raise PartialRow(tuple(row))
        return tuple(row)

    def _child(self, cursor: _RowCursor, event: Event, row: list[Any]) -> None:
        place = self.index.get(event.text.lower())
        if place is not None:
            self._put(row, place, self.fields[place](cursor, event.text, event.attributes))
        elif self.wildcard is not None:
            self._put(row, self.wildcard, self.any(cursor, event.text, ()))
        else:
            cursor.skip_element()

    def _put(self, row: list[Any], place: int, value: Any) -> None:
        if not self.lists[place]:
            row[place] = value
        elif row[place] is None:
            row[place] = [value]
        else:
            row[place].append(value)


def _is_list(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_list(arrow))
