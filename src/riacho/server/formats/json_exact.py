"""One JSON record to one or more rows, by Spark's rules, in plain Python.

This is the slow path of the JSON reader: it takes the records that the strict parser refuses. Rules in short: a type
takes only its own tokens (`"12"` is no INT, `1.5` neither), but STRING takes the source text of anything; a value that
does not fit becomes NULL and marks the record as bad, while the other fields keep theirs; a bad element spoils its
whole array or map, but a bad field of a struct does not spoil the struct. Source: `JacksonParser`.

Values are what `pyarrow.array` takes for the type: integers for dates (days) and timestamps (microseconds), tuples for
structs, pairs for maps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

import pyarrow as pa

from riacho.errors import SparkGeneralError
from riacho.server.formats.base64_text import MalformedBase64Error, UnfinishedBase64Error, decode_base64
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.decimals import to_decimal
from riacho.server.formats.json_tokens import NO_TOKENS, JsonParser, MalformedJsonError, Node, Number, Pairs

Row: TypeAlias = tuple[Any, ...]
Converter: TypeAlias = Callable[[Node], Any]


class BadValue(Exception):  # noqa: N818 - control flow inside this module and its callers, no error of its own
    """A value that does not fit its type."""


class PartialValue(Exception):  # noqa: N818 - as above
    """A value of which some parts did not fit: `value` has NULL in their place."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class NeedsSource(Exception):  # noqa: N818 - as above
    """A STRING column met an array or object whose source text was not kept: parse the record again with it."""


@dataclass(frozen=True)
class Record:
    """What one record gives. `rows` is empty for a malformed record; `bad` says that something did not fit.

    `rescued`: per row, the fields (JSON text by name) that no column took or that did not fit; `unknown`: the names of
    those that no column took. Both only if asked for.
    """

    rows: Sequence[Row]
    bad: bool
    rescued: Sequence[Mapping[str, str]] = ()
    unknown: frozenset[str] = frozenset()


class RecordConverter:
    """Converts records to rows of `fields`. With `rescue`, it also gives what found no place in them.

    Raises UNSUPPORTED_DATATYPE when it is made, for a type that JSON cannot be read as.
    """

    def __init__(
        self, fields: Sequence[pa.Field], parser: JsonParser, datetimes: Datetimes, *, rescue: bool = False
    ) -> None:
        self._parser = parser
        self._parses: tuple[Callable[[str], Node], ...] = (parser.parse, parser.parse_with_outer_source)
        self._datetimes = datetimes
        self._rescue = rescue
        self._index = {field.name: i for i, field in enumerate(fields)}
        self._converters = [self._converter(field.type) for field in fields]

    def convert(self, text: str) -> Record:
        """The rows of one record (none for blank text)."""
        try:
            for parse in self._parses:
                try:
                    return self._root(parse(text))
                except NeedsSource:
                    # What one record needs, the next ones will.
                    self._parses = (self._parser.parse_with_outer_source,)
            return self._root(self._parser.parse_with_source(text))
        except (MalformedJsonError, BadValue):
            return Record((), bad=True)

    def _root(self, node: Node) -> Record:
        if node is NO_TOKENS:
            return Record((), bad=False)
        if isinstance(node, Pairs):
            return self._record([node])
        if isinstance(node, list) and all(isinstance(item, Pairs) for item in node):
            return self._record(node)
        raise BadValue

    def _record(self, objects: Sequence[Pairs]) -> Record:
        rows = [self._row(pairs) for pairs in objects]
        rescued = [lost for _, _, lost in rows]
        unknown = frozenset(name for lost in rescued for name in lost if name not in self._index)
        return Record([row for row, _, _ in rows], any(bad for _, bad, _ in rows), rescued, unknown)

    def _row(self, pairs: Pairs) -> tuple[Row, bool, dict[str, str]]:
        values: list[Any] = [None] * len(self._converters)
        bad = False
        rescued: dict[str, str] = {}
        for name, node in pairs:
            index = self._index.get(name)
            if index is None:
                if self._rescue:
                    rescued[name] = source_text(node)
                continue
            try:
                values[index] = self._converters[index](node)
                continue
            except PartialValue as partial:
                values[index] = partial.value
            except BadValue:
                pass
            bad = True
            if self._rescue:
                rescued[name] = source_text(node)
        return tuple(values), bad, rescued

    def _converter(self, arrow: pa.DataType) -> Converter:
        simple = _SIMPLE.get(arrow)
        if simple is not None:
            return simple
        if pa.types.is_floating(arrow):
            return _floating(arrow, self._parser.leniency.non_numeric_numbers)
        if pa.types.is_date32(arrow):
            return _text(self._datetimes.json_date)
        if pa.types.is_timestamp(arrow):
            if arrow.tz is None:
                return _text(self._datetimes.local_timestamp)
            return _timestamp(self._datetimes.timestamp)
        if pa.types.is_decimal(arrow):
            return _decimal(arrow.precision, arrow.scale)
        if pa.types.is_struct(arrow):
            return self._struct(arrow)
        if pa.types.is_map(arrow):
            return _map(self._converter(arrow.item_type))
        if pa.types.is_list(arrow):
            return _array(self._converter(arrow.value_type))
        raise SparkGeneralError.of(
            "UNSUPPORTED_DATATYPE", f'Unsupported data type "{arrow}".', sql_state="0A000", typeName=str(arrow)
        )

    def _struct(self, arrow: pa.StructType) -> Converter:
        inner = RecordConverter(list(arrow), self._parser, self._datetimes, rescue=self._rescue)

        def convert(node: Node) -> Row | None:
            if node is None:
                return None
            if not isinstance(node, Pairs):
                raise BadValue
            row, bad, lost = inner._row(node)
            # With a rescue column, a field that no struct field takes makes the value incomplete, so it is kept there.
            if bad or lost:
                raise PartialValue(row)
            return row

        return convert


def source_text(node: Node) -> str:
    """JSON text of a node, as written where the source is known. Raises NeedsSource where it is not."""
    if isinstance(node, Number):
        return str(node)
    if isinstance(node, list):
        return _container_text(node)
    return json.dumps(node, ensure_ascii=False)


def _container_text(node: Node) -> str:
    text: str | None = getattr(node, "text", None)
    if text is None:
        raise NeedsSource
    return text


def _string(node: Node) -> str | None:
    if node is None:
        return None
    if isinstance(node, str):
        return str(node) if node.isascii() else _encodable(node)
    if isinstance(node, bool):
        return "true" if node else "false"
    return _encodable(_container_text(node))


def _encodable(text: str) -> str:
    """`text` with half characters (lone surrogates) as `?`, which is how Java encodes them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return str(text)


def _boolean(node: Node) -> bool | None:
    if node is None or node is True or node is False:
        return node
    raise BadValue


def _integer(low: int, high: int, wrap: int = 0) -> Converter:
    def convert(node: Node) -> int | None:
        if node is None:
            return None
        if isinstance(node, Number) and node.is_integer and len(node) <= 20:
            value = int(node)
            if low <= value <= high:
                return value
            if high < value <= wrap:
                return value - 2 * (high + 1)
        raise BadValue

    return convert


_NON_NUMERIC_TEXT: Final = {
    "NaN": "nan",
    "+INF": "inf",
    "+Infinity": "inf",
    "Infinity": "inf",
    "-INF": "-inf",
    "-Infinity": "-inf",
}


def _floating(arrow: pa.DataType, non_numeric: bool) -> Converter:
    def convert(node: Node) -> float | None:
        if node is None:
            return None
        if isinstance(node, Number):
            if node in _NON_NUMERIC_TEXT:
                return float(_NON_NUMERIC_TEXT[node])
            # An integer token has no negative zero.
            text = "0" if node == "-0" else str(node)
            return float(text) if arrow == pa.float64() else _to_single(text)
        if non_numeric and isinstance(node, str) and node in _NON_NUMERIC_TEXT:
            return float(_NON_NUMERIC_TEXT[node])
        raise BadValue

    return convert


def _to_single(text: str) -> float:
    """The nearest float32 of the number written as `text`, rounded once, not by way of a float64."""
    rounded: float = pa.scalar(text).cast(pa.float32()).as_py()
    return rounded


def _binary(node: Node) -> bytes | None:
    if node is None:
        return None
    if not isinstance(node, str) or isinstance(node, Number):
        raise BadValue
    try:
        return decode_base64(node)
    except MalformedBase64Error as error:
        raise BadValue from error
    except UnfinishedBase64Error as error:
        raise MalformedJsonError(str(error)) from error


def _void(node: Node) -> None:
    del node


def _text(parse: Callable[[str], int | None]) -> Converter:
    """A value that is only taken from non-empty text."""

    def convert(node: Node) -> int | None:
        if node is None:
            return None
        if isinstance(node, str) and not isinstance(node, Number):
            value = parse(node) if node else None
            if value is not None:
                return value
        raise BadValue

    return convert


_LONG: Final = 1 << 64


def _timestamp(parse: Callable[[str], int | None]) -> Converter:
    from_text, from_number = _text(parse), _integer(-(1 << 63), (1 << 63) - 1)

    def convert(node: Node) -> Any:
        if isinstance(node, Number):
            # Seconds since the epoch; the multiplication overflows silently in Java.
            return int((from_number(node) * 1_000_000 + (_LONG >> 1)) % _LONG - (_LONG >> 1))
        return from_text(node)

    return convert


def _decimal(precision: int, scale: int) -> Converter:
    def convert(node: Node) -> Decimal | None:
        if node is None:
            return None
        if not isinstance(node, str):
            raise BadValue
        # A number may not have thousands separators, text may: Java's parser for the US locale strips them.
        text = node if isinstance(node, Number) else node.replace(",", "")
        value = to_decimal(text, precision, scale)
        if value is None:
            raise BadValue
        return value

    return convert


def _array(element: Converter) -> Converter:
    def convert(node: Node) -> list[Any] | None:
        if node is None:
            return None
        if not isinstance(node, list) or isinstance(node, Pairs):
            raise BadValue
        values, partial = [], False
        for item in node:
            try:
                values.append(element(item))
            except PartialValue as error:
                values.append(error.value)
                partial = True
        if partial:
            raise PartialValue(values)
        return values

    return convert


def _map(item: Converter) -> Converter:
    def convert(node: Node) -> list[tuple[str, Any]] | None:
        if node is None:
            return None
        if not isinstance(node, Pairs):
            raise BadValue
        entries, partial = [], False
        for name, value in node:
            try:
                entries.append((_encodable(name), item(value)))
            except PartialValue as error:
                entries.append((_encodable(name), error.value))
                partial = True
        if partial:
            raise PartialValue(entries)
        return entries

    return convert


_SIMPLE: Final[dict[pa.DataType, Converter]] = {
    pa.string(): _string,
    pa.bool_(): _boolean,
    # Jackson takes a byte's unsigned values and keeps their bits.
    pa.int8(): _integer(-128, 127, wrap=255),
    pa.int16(): _integer(-(1 << 15), (1 << 15) - 1),
    pa.int32(): _integer(-(1 << 31), (1 << 31) - 1),
    pa.int64(): _integer(-(1 << 63), (1 << 63) - 1),
    pa.binary(): _binary,
    pa.null(): _void,
}
