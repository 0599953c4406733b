"""Rows as documents, by the rules of MongoDB's connector: whole columns become lists, and the lists documents.

Source: `com.mongodb.spark.sql.connector.schema.RowToBsonDocumentConverter`.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from bson import Decimal128, Int64
from bson.datetime_ms import DatetimeMS

from riacho.connectors.mongodb.extended_json import parse
from riacho.errors import SparkGeneralError

NO_JSON: Final = "false"
ANY_JSON: Final = "any"
OBJECTS_AND_ARRAYS: Final = "objectOrArrayOnly"

_US: Final = 1000
Values = list[Any]


class RowMisfitError(SparkGeneralError):
    """A row that cannot be a document."""


class DocumentMaker:
    """Makes documents of batches with the columns of `schema`.

    `convert_json`: which texts are read as JSON. `ignore_nulls`: leave out what is null, however deep.
    """

    def __init__(self, schema: pa.Schema, convert_json: str = NO_JSON, *, ignore_nulls: bool = False) -> None:
        self._names = schema.names
        self._json = convert_json
        self._ignore_nulls = ignore_nulls

    def documents(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        """One for each row, with fields in the order of the columns. Raises RowMisfitError."""
        if not batch.num_columns:
            return [{} for _ in range(batch.num_rows)]
        columns = [self._values(column) for column in batch.columns]
        rows = zip(*columns, strict=True)
        if self._ignore_nulls:
            return [
                {name: value for name, value in zip(self._names, row, strict=True) if value is not None} for row in rows
            ]
        return list(map(dict, map(zip, repeat(self._names), rows)))

    def _values(self, column: pa.Array) -> Values:
        """The values of a column as BSON has them; None for null."""
        arrow = column.type
        if pa.types.is_dictionary(arrow):
            return self._values(column.dictionary_decode())
        if pa.types.is_struct(arrow):
            return self._structs(column)
        if pa.types.is_map(arrow):
            return self._maps(column)
        if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
            return self._lists(column)
        if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
            return self._texts(column.to_pylist())
        convert = _converter(arrow)
        return convert(column)

    def _texts(self, values: Values) -> Values:
        if self._json == NO_JSON:
            return values
        return [value if value is None else self._parsed(value) for value in values]

    def _parsed(self, text: str) -> Any:
        if self._json == OBJECTS_AND_ARRAYS and text[:1] + text[-1:] not in ("{}", "[]"):
            return text
        try:
            return parse(text)
        except Exception:  # noqa: BLE001 - many kinds; the text is then no JSON
            return text

    def _structs(self, column: pa.StructArray) -> Values:
        names = [column.type.field(at).name for at in range(column.type.num_fields)]
        children = [self._values(child) for child in column.flatten()]
        valid = column.is_valid().to_pylist() if column.null_count else repeat(True, len(column))
        rows: Iterator[tuple[Any, ...]] = zip(*children, strict=True) if children else repeat((), len(column))
        found: Values = []
        for there, row in zip(valid, rows, strict=False):
            if not there:
                found.append(None)
            elif self._ignore_nulls:
                found.append({name: value for name, value in zip(names, row, strict=True) if value is not None})
            else:
                found.append(dict(zip(names, row, strict=True)))
        return found

    def _lists(self, column: pa.ListArray) -> Values:
        flat = self._values(column.flatten())
        found: Values = []
        at = 0
        for length in pc.list_value_length(column).to_pylist():
            if length is None:
                found.append(None)
                continue
            part = flat[at : at + length]
            at += length
            found.append([one for one in part if one is not None] if self._ignore_nulls else part)
        return found

    def _maps(self, column: pa.MapArray) -> Values:
        if not (pa.types.is_string(column.type.key_type) or pa.types.is_large_string(column.type.key_type)):
            raise RowMisfitError(f"Cannot cast Map into a BsonValue. Invalid key type {column.type.key_type}.")
        start, end = (column.offsets[0].as_py(), column.offsets[-1].as_py()) if len(column) else (0, 0)
        keys = column.keys.slice(start, end - start).to_pylist() if len(column) else []
        items = self._values(column.items.slice(start, end - start)) if len(column) else []
        offsets = column.offsets.to_pylist()
        valid = column.is_valid().to_pylist()
        found: Values = []
        for row, there in enumerate(valid):
            part = slice(offsets[row] - start, offsets[row + 1] - start)
            if not there:
                found.append(None)
            elif self._ignore_nulls:
                pairs = zip(keys[part], items[part], strict=True)
                found.append({key: item for key, item in pairs if item is not None})
            else:
                found.append(dict(zip(keys[part], items[part], strict=True)))
        return found


def _each(convert: Callable[[Any], Any], values: Sequence[Any]) -> Values:
    if None not in values:
        return list(map(convert, values))
    return [None if value is None else convert(value) for value in values]


def _as_it_is(column: pa.Array) -> Values:
    found: Values = column.to_pylist()
    return found


def _longs(column: pa.Array) -> Values:
    return _each(Int64, column.to_pylist())


def _moments(column: pa.Array) -> Values:
    us = column.cast(pa.timestamp("us", column.type.tz)).view(pa.int64()).to_pylist()
    return [None if value is None else DatetimeMS(value // _US) for value in us]


def _days(column: pa.Array) -> Values:
    days = column.cast(pa.int32()).to_pylist()
    return [None if value is None else DatetimeMS(value * 86_400_000) for value in days]


_CONTEXT: Final = decimal.Context(prec=34, Emin=-6143, Emax=6144)


def _decimals(column: pa.Array) -> Values:
    """Raises RowMisfitError for more digits than BSON has."""

    def convert(value: decimal.Decimal) -> Decimal128:
        if len(value.as_tuple().digits) > _CONTEXT.prec:
            raise RowMisfitError(
                f"Cannot cast {value} into a BsonValue. DecimalType({column.type.precision},{column.type.scale}) has "
                "no matching BsonValue. Error: Conversion to Decimal128 would require inexact rounding of "
                f"{value}"
            )
        return Decimal128(value)

    return _each(convert, column.to_pylist())


def _converter(arrow: pa.DataType) -> Callable[[pa.Array], Values]:
    """How columns of a type that has no parts become lists. Raises RowMisfitError for one that BSON has nothing for."""
    types = pa.types
    if types.is_int64(arrow):
        return _longs
    if types.is_integer(arrow) or types.is_floating(arrow) or types.is_boolean(arrow) or types.is_null(arrow):
        return _as_it_is
    if types.is_binary(arrow) or types.is_large_binary(arrow):
        return _as_it_is
    if types.is_timestamp(arrow):
        return _moments
    if types.is_date32(arrow):
        return _days
    if types.is_decimal(arrow):
        return _decimals
    raise RowMisfitError(f"Cannot cast a value into a BsonValue. {arrow} data type has no matching BsonValue.")
