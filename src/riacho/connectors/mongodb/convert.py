"""Documents as columns, by the rules of MongoDB's connector, to the letter.

A column is made at once from the values of all documents: where they are all of the type that the column has, Arrow
takes them as they are; where not, each is converted, or does not fit. What a document that does not fit means depends
on the mode: an error (`FAILFAST`), nulls (`PERMISSIVE`), or no row (`DROPMALFORMED`).
Source: `com.mongodb.spark.sql.connector.schema.BsonDocumentToRowConverter`.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
from bson import DBRef, Decimal128, Int64, ObjectId, Timestamp, encode
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pyspark.sql import types as t
from pyspark.sql.pandas.types import to_arrow_schema

from riacho.connectors.mongodb.fast import FastDecoder
from riacho.connectors.mongodb.text import EXTENDED, PLAIN, RELAXED, as_text, java_double, to_json
from riacho.errors import SparkGeneralError

CODEC: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict, tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_MS
)
"""How documents are decoded for this module: nothing of a value is lost."""
FAILFAST: Final = "FAILFAST"
PERMISSIVE: Final = "PERMISSIVE"
DROPMALFORMED: Final = "DROPMALFORMED"

_NONE: Final = type(None)
_DAY_MS: Final = 86_400_000
_US: Final = 1000
_MOST_MS: Final = ((1 << 63) - 1) // _US
_MOST_DAYS: Final = (1 << 31) - 1
_MANY_DIGITS: Final = decimal.Context(prec=100)
Values = Sequence[Any]


class DocumentMisfitError(SparkGeneralError):
    """A document that does not fit the schema, in the mode that does not take it."""


@dataclass
class Conversion:
    """How documents become rows of `schema`, in the order of its fields.

    `corrupt`: the column that takes documents that do not fit, in the permissive mode; "" for none.
    """

    schema: t.StructType
    mode: str = FAILFAST
    corrupt: str = ""
    extended_json: bool = False
    _bad: dict[int, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.arrow = to_arrow_schema(self.schema, timezone="UTC")
        plain = self.mode == FAILFAST and not self.extended_json
        self.fast = FastDecoder.make(self.schema) if plain else None
        self._text = EXTENDED if self.extended_json else PLAIN

    def batch(self, documents: Sequence[dict[str, Any]]) -> pa.RecordBatch:
        """The rows. Raises DocumentMisfitError."""
        self._bad = {}
        rows = range(len(documents))
        columns = []
        for own, arrow in zip(self.schema.fields, self.arrow, strict=True):
            if self.mode != PERMISSIVE and not own.nullable:
                self._need(own.name, own.name, documents, rows)
            values = [document.get(own.name) for document in documents]
            columns.append(self._column(values, rows, own.dataType, arrow.type, own.name))
        if self._bad and self.mode == PERMISSIVE and self.corrupt in self.schema.names:
            at = self.schema.names.index(self.corrupt)
            texts = [to_json(documents[row], RELAXED) if row in self._bad else None for row in rows]
            columns[at] = pa.array(
                [text or known for text, known in zip(texts, columns[at].to_pylist(), strict=True)], pa.string()
            )
        batch = pa.RecordBatch.from_arrays(columns, schema=self.arrow) if columns else _no_columns(len(documents))
        if self._bad and self.mode == DROPMALFORMED:
            batch = batch.filter(pa.array([row not in self._bad for row in rows]))
        return batch

    @property
    def misfits(self) -> dict[int, str]:
        """Why documents of the last batch did not fit, by their places in it."""
        return self._bad

    def _misfit(self, row: int, text: str) -> None:
        if self.mode == FAILFAST:
            raise DocumentMisfitError(text)
        self._bad.setdefault(row, text)

    def _invalid(self, row: int, path: str, kind: t.DataType, value: Any, more: str = "") -> None:
        self._misfit(
            row, f"Invalid field: '{path}'. The dataType '{kind.typeName()}' is invalid for '{_shown(value)}'.{more}"
        )

    def _need(self, name: str, path: str, documents: Sequence[dict[str, Any] | None], rows: Sequence[int]) -> None:
        for row, document in zip(rows, documents, strict=True):
            if document is not None and name not in document:
                self._misfit(row, f"Missing field '{path}' in: '{to_json(document, self._text)}'")

    def _column(self, values: Values, rows: Sequence[int], kind: t.DataType, arrow: pa.DataType, path: str) -> pa.Array:
        if isinstance(kind, t.StructType):
            return self._struct(values, rows, kind, arrow, path)
        if isinstance(kind, t.ArrayType):
            return self._array(values, rows, kind, arrow, path)
        if isinstance(kind, t.MapType):
            return self._map(values, rows, kind, arrow, path)
        if isinstance(kind, t.NullType):
            return pa.nulls(len(values))
        kinds = set(map(type, values))
        if kinds <= _AS_THEY_ARE.get(type(kind), set()):
            return pa.array(values, arrow)
        if isinstance(kind, t.StringType):
            return self._texts(values, kinds)
        return self._each(values, rows, kind, arrow, path)

    def _each(self, values: Values, rows: Sequence[int], kind: t.DataType, arrow: pa.DataType, path: str) -> pa.Array:
        """A column of values that are not all of its own type."""
        convert: Callable[[Any, Any], Any] = _CONVERTERS.get(type(kind), _nothing)
        found: list[Any] = []
        for row, value in zip(rows, values, strict=True):
            one = None
            if value is not None:
                try:
                    one = convert(value, kind)
                except (ValueError, TypeError, decimal.InvalidOperation):
                    self._invalid(row, path, kind, value)
            found.append(one)
        if isinstance(kind, t.TimestampType | t.TimestampNTZType):
            return _times(found, arrow)
        return pa.array(found, arrow)

    def _texts(self, values: Values, kinds: set[type]) -> pa.Array:
        if kinds <= {ObjectId, _NONE} and self._text == PLAIN:
            return pa.array([None if value is None else str(value) for value in values], pa.string())
        return pa.array([None if value is None else as_text(value, self._text) for value in values], pa.string())

    def _struct(
        self, values: Values, rows: Sequence[int], kind: t.StructType, arrow: pa.StructType, path: str
    ) -> pa.Array:
        documents = self._documents(values, rows, kind, path)
        children = []
        for at, own in enumerate(kind.fields):
            inner = f"{path}.{own.name}"
            if self.mode != PERMISSIVE and not own.nullable:
                self._need(own.name, inner, documents, rows)
            name = own.name
            found = [None if document is None else document.get(name) for document in documents]
            children.append(self._column(found, rows, own.dataType, arrow.field(at).type, inner))
        mask = pa.array([document is None for document in documents], pa.bool_())
        if not children:
            return pa.array([None if document is None else {} for document in documents], arrow)
        return pa.StructArray.from_arrays(children, fields=list(arrow), mask=mask)

    def _documents(
        self, values: Values, rows: Sequence[int], kind: t.DataType, path: str
    ) -> list[dict[str, Any] | None]:
        """The values that are documents; None for the others, which do not fit."""
        if set(map(type, values)) <= {dict, _NONE}:
            return list(values)
        found: list[dict[str, Any] | None] = []
        for row, value in zip(rows, values, strict=True):
            document = dict(value.as_doc()) if isinstance(value, DBRef) else value
            if document is not None and not isinstance(document, dict):
                self._invalid(row, path, kind, value)
                document = None
            found.append(document)
        return found

    def _array(self, values: Values, rows: Sequence[int], kind: t.ArrayType, arrow: pa.ListType, path: str) -> pa.Array:
        lists: list[list[Any] | None] = []
        for row, value in zip(rows, values, strict=True):
            fits = value is None or isinstance(value, list)
            if not fits:
                self._invalid(row, path, kind, value)
            lists.append(value if fits else None)
        flat, offsets = [], [0]
        whose: list[int] = []
        for row, one in zip(rows, lists, strict=True):
            if one:
                flat += one
                whose += [row] * len(one)
            offsets.append(len(flat))
        child = self._column(flat, whose, kind.elementType, arrow.value_type, f"{path}.0")
        mask = pa.array([one is None for one in lists], pa.bool_())
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), child, type=arrow, mask=mask)

    def _map(self, values: Values, rows: Sequence[int], kind: t.MapType, arrow: pa.MapType, path: str) -> pa.Array:
        documents = self._documents(values, rows, kind, path)
        if not isinstance(kind.keyType, t.StringType):
            for row, document in zip(rows, documents, strict=True):
                if document is not None:
                    self._invalid(row, path, kind, document, " Map keys must be strings.")
            return pa.nulls(len(documents), arrow)
        keys: list[str] = []
        items: list[Any] = []
        whose: list[int] = []
        offsets: list[int | None] = []
        for row, document in zip(rows, documents, strict=True):
            offsets.append(None if document is None else len(keys))
            if document:
                keys += document.keys()
                items += document.values()
                whose += [row] * len(document)
        offsets.append(len(keys))
        child = self._column(items, whose, kind.valueType, arrow.item_type, f"{path}.*")
        return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(keys, pa.string()), child, type=arrow)


def _no_columns(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _times(ms: Sequence[int | None], arrow: pa.DataType) -> pa.Array:
    return pa.array([None if one is None else one * _US for one in ms], pa.int64()).view(arrow)


_AS_THEY_ARE: Final[dict[type[t.DataType], set[type]]] = {
    t.StringType: {str, _NONE},
    t.BinaryType: {bytes, _NONE},
    t.BooleanType: {bool, _NONE},
    t.IntegerType: {int, _NONE},
    t.LongType: {int, Int64, _NONE},
    t.DoubleType: {float, _NONE},
}
"""Values that a column takes as they are."""


def _number(value: Any) -> int | float | Decimal128:
    """A value as a number, where the connector takes it for one. Raises ValueError."""
    kind = type(value)
    if kind in (int, Int64, float, Decimal128):
        return int(value) if kind is Int64 else value
    if kind is DatetimeMS:
        return int(value)
    if kind is Timestamp:
        return int(value.time) * 1000
    if isinstance(value, str) and kind is str:
        return _decimal_text(value)
    raise ValueError(value)


def _decimal_text(text: str) -> Decimal128:
    try:
        return Decimal128(text)
    except decimal.InvalidOperation:
        raise ValueError(text) from None


def _whole(value: Any, bits: int) -> int:
    """A number as Java's `(int)` or `(long)` makes it whole: whole numbers are cut to their bits, others stop at the
    greatest and the smallest.
    """
    number = _number(value)
    if isinstance(number, int):
        return _cut(number, bits)
    real = _real(number)
    if math.isnan(real):
        return 0
    most = 1 << (bits - 1)
    return most - 1 if real >= most else -most if real <= -most else int(real)


def _cut(number: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (number + half) % (1 << bits) - half


def _real(value: Any) -> float:
    number = _number(value)
    return float(number.to_decimal()) if isinstance(number, Decimal128) else float(number)


def _exact(value: Any, kind: Any) -> decimal.Decimal:
    """A number as a DECIMAL of the column's type, rounded half up. Raises ValueError for one that is too large."""
    number = _number(value)
    if isinstance(number, float):
        found = decimal.Decimal(java_double(number))
    elif isinstance(number, int):
        found = decimal.Decimal(number)
    else:
        found = number.to_decimal()
    if not found.is_finite():
        raise ValueError(value)
    rounded = found.quantize(decimal.Decimal(1).scaleb(-kind.scale), decimal.ROUND_HALF_UP, _MANY_DIGITS)
    if len(rounded.as_tuple().digits) > kind.precision:
        raise ValueError(value)
    return rounded


def _nothing(value: Any, _kind: t.DataType) -> None:
    """What there is for a type that the connector does not read."""
    raise ValueError(value)


def _moment(value: Any, _kind: t.DataType) -> int:
    """A moment in milliseconds. Raises ValueError for one that has no microseconds."""
    ms = int(value) if type(value) is DatetimeMS else _whole(value, 64)
    if abs(ms) > _MOST_MS:
        raise ValueError(value)
    return ms


def _day(value: Any, _kind: t.DataType) -> int:
    day = _whole(value, 64) // _DAY_MS
    if abs(day) > _MOST_DAYS:
        raise ValueError(value)
    return day


def _float32(value: Any) -> float:
    return _real(value)


def _bytes(value: Any, _kind: t.DataType) -> bytes:
    if isinstance(value, bytes):
        return bytes(value)
    if type(value) is str:
        return value.strip("".join(map(chr, range(33)))).encode()
    if isinstance(value, dict):
        return encode(value)
    raise ValueError(value)


def _boolean(value: Any, _kind: t.DataType) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(value)


_CONVERTERS: Final[dict[type[t.DataType], Callable[[Any, Any], Any]]] = {
    t.BinaryType: _bytes,
    t.BooleanType: _boolean,
    t.ByteType: lambda value, _: _cut(_whole(value, 64), 8),
    t.ShortType: lambda value, _: _cut(_whole(value, 32), 16),
    t.IntegerType: lambda value, _: _whole(value, 32),
    t.LongType: lambda value, _: _whole(value, 64),
    t.FloatType: lambda value, _: _float32(value),
    t.DoubleType: lambda value, _: _real(value),
    t.DecimalType: _exact,
    t.DateType: _day,
    t.TimestampType: _moment,
    t.TimestampNTZType: _moment,
}
"""How one value becomes a value of the column, where it can. They raise ValueError where it cannot."""

_NAMES: Final[dict[type, str]] = {
    bool: "Boolean", Int64: "Int64", int: "Int32", float: "Double", ObjectId: "ObjectId",
    Decimal128: "Decimal128", DatetimeMS: "DateTime",
}  # fmt: skip


def _shown(value: Any) -> str:
    """A value as messages of the Java driver show it."""
    if type(value) is str:
        return f"BsonString{{value='{value}'}}"
    if isinstance(value, list):
        return f"BsonArray{{values=[{', '.join(map(_shown, value))}]}}"
    name = _NAMES.get(type(value))
    if name is None:
        return to_json(value, RELAXED)
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, float):
        text = java_double(value)
    else:
        text = str(int(value)) if isinstance(value, DatetimeMS) else str(value)
    return f"Bson{name}{{value={text}}}"
