"""A schema from documents, as MongoDB's connector infers it.

Types of one field are widened until they hold all its values; text holds everything. Fields are sorted by name, but
those of a nested document keep their order as long as all such documents have the same fields in the same order.
Sources: `com.mongodb.spark.sql.connector.schema.InferSchema`, `TypeCoercion.findTightestCommonType`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

from bson import DBRef, Decimal128, Int64, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS
from pyspark.sql import types as t

from riacho.errors import AnalysisError, ArithmeticFailure

_NUMBERS: Final = (t.ByteType, t.ShortType, t.IntegerType, t.LongType, t.FloatType, t.DoubleType)
"""From the narrowest to the widest."""
_DIGITS: Final[Mapping[type[t.DataType], int]] = {t.ByteType: 3, t.ShortType: 5, t.IntegerType: 10, t.LongType: 20}
_MOST_DIGITS: Final = 38


class _Unknown(t.DataType):
    """The type of nothing: the elements of an empty array."""


UNKNOWN: Final = _Unknown()


@dataclass(frozen=True)
class MongoInference:
    """`maps_from`: how many fields make a document a map; None for never. `hints`: fields whose types are known, a dot
    in a name being a step into a document. `corrupt`: a column for documents that do not fit.
    """

    maps_from: int | None = 250
    hints: t.StructType = field(default_factory=t.StructType)
    corrupt: str = ""

    def schema(self, documents: Iterable[Mapping[str, Any]]) -> t.StructType:
        """The schema of a collection. Raises AnalysisError where the top level would be a map."""
        found: t.DataType | None = None
        for document in documents:
            own = self._document(document)
            if found is None or (isinstance(found, t.StructType) and not found.fields):
                found = own
            elif isinstance(found, t.StructType) and isinstance(own, t.StructType):
                found = self._structs(found, own)
            else:
                found = self._common(found, own)
        known = _known(found or t.StructType())
        if not isinstance(known, t.StructType):
            raise AnalysisError(
                f"The documents have more than {self.maps_from} fields, which are inferred as a map: set "
                "sql.inferSchema.mapTypes.enabled to false, or give a schema"
            )
        if self.corrupt:
            known = t.StructType([*known.fields, t.StructField(self.corrupt, t.StringType())])
        return known

    def _document(self, document: Mapping[str, Any]) -> t.DataType:
        fields = {name: t.StructField(name, self._of(value)) for name, value in document.items()}
        for hint in self.hints.fields:
            top, *inner = hint.name.split(".")
            kind = hint.dataType
            for name in reversed(inner):
                kind = t.StructType([t.StructField(name, kind, hint.nullable if name == inner[-1] else True)])
            if top in fields:
                fields[top] = t.StructField(top, _preferred(fields[top].dataType, kind))
            else:
                fields[top] = t.StructField(top, kind, hint.nullable if not inner else True)
        return self._or_map(t.StructType(sorted(fields.values(), key=_by_name)))

    def _of(self, value: Any) -> t.DataType:
        """The type of a value."""
        if value is None:
            return t.NullType()
        if isinstance(value, DBRef):
            value = value.as_doc()
        if isinstance(value, dict):
            return self._or_map(t.StructType([t.StructField(name, self._of(one)) for name, one in value.items()]))
        if isinstance(value, list):
            element: t.DataType = UNKNOWN
            kinds: list[t.DataType] = []
            for one in value:
                kind = self._of(one)
                if kind not in kinds:
                    kinds.append(kind)
            for kind in kinds:
                element = self._common(element, kind)
            return t.ArrayType(element, True)
        if isinstance(value, Decimal128):
            return _decimal(value)
        plain = _OF.get(type(value))
        if plain is not None:
            return plain()
        return t.BinaryType() if isinstance(value, bytes) else t.StringType()

    def _or_map(self, struct: t.StructType) -> t.DataType:
        if self.maps_from is None or len(struct.fields) < self.maps_from:
            return struct
        value: t.DataType = UNKNOWN
        for own in struct.fields:
            value = self._common(value, own.dataType)
        return t.MapType(t.StringType(), value, True)

    def _structs(self, first: t.StructType, second: t.StructType) -> t.StructType:
        kinds: dict[str, t.DataType] = {}
        for own in (*first.fields, *second.fields):
            known = kinds.get(own.name)
            kinds[own.name] = own.dataType if known is None else self._common(known, own.dataType)
        return t.StructType(sorted((t.StructField(name, kind) for name, kind in kinds.items()), key=_by_name))

    def _common(self, first: t.DataType, second: t.DataType) -> t.DataType:
        """The narrowest type that holds the values of both."""
        if first is UNKNOWN:
            return second
        if second is UNKNOWN:
            return first
        found = tightest(first, second)
        if found is None:
            found = self._widened(first, second)
        return self._or_map(found) if isinstance(found, t.StructType) else found

    def _widened(self, first: t.DataType, second: t.DataType) -> t.DataType:
        if isinstance(first, t.StructType) and isinstance(second, t.StructType):
            return self._structs(first, second)
        if isinstance(first, t.ArrayType) and isinstance(second, t.ArrayType):
            return t.ArrayType(self._common(first.elementType, second.elementType), True)
        if isinstance(first, t.DecimalType):
            return _with_decimal(first, second)
        if isinstance(second, t.DecimalType):
            return _with_decimal(second, first)
        if isinstance(first, t.MapType) and isinstance(second, t.StructType):
            return self._map(first, second)
        if isinstance(first, t.StructType) and isinstance(second, t.MapType):
            return self._map(second, first)
        return t.StringType()

    def _map(self, known: t.MapType, struct: t.StructType) -> t.MapType:
        kinds = (own.dataType for own in struct.fields)
        return t.MapType(known.keyType, reduce(self._common, kinds, known.valueType), known.valueContainsNull)


_OF: Final[dict[type, Callable[[], t.DataType]]] = {
    str: t.StringType,
    ObjectId: t.StringType,
    bool: t.BooleanType,
    int: t.IntegerType,
    Int64: t.LongType,
    float: t.DoubleType,
    bytes: t.BinaryType,
    DatetimeMS: t.TimestampType,
    Timestamp: t.TimestampType,
}


def tightest(first: t.DataType, second: t.DataType) -> t.DataType | None:
    """`TypeCoercion.findTightestCommonType`: None where Spark would not convert by itself."""
    if first == second:
        return first
    if isinstance(first, t.NullType):
        return second
    if isinstance(second, t.NullType):
        return first
    for one, other in ((first, second), (second, first)):
        if isinstance(one, t.DecimalType) and type(other) in _DIGITS:
            return one if one.precision - one.scale >= _DIGITS[type(other)] else None
    if type(first) in _NUMBERS and type(second) in _NUMBERS:
        return max(first, second, key=lambda kind: _NUMBERS.index(type(kind)))
    if isinstance(first, t.ArrayType) and isinstance(second, t.ArrayType):
        element = tightest(first.elementType, second.elementType)
        return None if element is None else t.ArrayType(element, True)
    if isinstance(first, t.MapType) and isinstance(second, t.MapType):
        value = tightest(first.valueType, second.valueType)
        return None if value is None else t.MapType(first.keyType, value, True)
    if isinstance(first, t.StructType) and isinstance(second, t.StructType):
        return _tightest_struct(first, second)
    return None


def _tightest_struct(first: t.StructType, second: t.StructType) -> t.StructType | None:
    if len(first.fields) != len(second.fields):
        return None
    fields = []
    for one, other in zip(first.fields, second.fields, strict=True):
        kind = tightest(one.dataType, other.dataType) if one.name.lower() == other.name.lower() else None
        if kind is None:
            return None
        fields.append(t.StructField(one.name, kind))
    return t.StructType(fields)


def _with_decimal(known: t.DecimalType, other: t.DataType) -> t.DataType:
    if isinstance(other, t.DecimalType):
        scale = max(known.scale, other.scale)
        whole = max(known.precision - known.scale, other.precision - other.scale)
        return t.DoubleType() if whole + scale > _MOST_DIGITS else t.DecimalType(whole + scale, scale)
    if isinstance(other, t.IntegerType):
        return t.DecimalType(10, 0)
    if isinstance(other, t.LongType):
        return t.DecimalType(20, 0)
    return t.DecimalType(30, 15) if isinstance(other, t.DoubleType) else t.StringType()


def _decimal(value: Decimal128) -> t.DecimalType:
    number = value.to_decimal()
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ArithmeticFailure(f"{value} can not be converted to a BigDecimal")
    if sign and not number:
        raise ArithmeticFailure("Negative zero can not be converted to a BigDecimal")
    precision, scale = max(len(digits), -exponent), -exponent
    if scale < 0:
        raise AnalysisError.of(
            "NEGATIVE_SCALE_DISALLOWED",
            f"Negative scale is not allowed: '{scale}'. Give a schema for the decimals of the collection.",
            sql_state="0A000",
            scale=f"'{scale}'",
        )
    return t.DecimalType(precision, scale)


def _known(kind: t.DataType) -> t.DataType:
    """A type with text for what is not known: the elements of arrays that were all empty."""
    if kind is UNKNOWN:
        return t.StringType()
    if isinstance(kind, t.ArrayType):
        return t.ArrayType(_known(kind.elementType), kind.containsNull)
    if isinstance(kind, t.MapType):
        return t.MapType(kind.keyType, _known(kind.valueType), kind.valueContainsNull)
    if isinstance(kind, t.StructType):
        return t.StructType([t.StructField(own.name, _known(own.dataType), own.nullable) for own in kind.fields])
    return kind


def _preferred(known: t.DataType, hint: t.DataType) -> t.DataType:
    """The hint, and of documents what it does not speak of."""
    if not (isinstance(known, t.StructType) and isinstance(hint, t.StructType)):
        return hint
    merged = {own.name: own for own in hint.fields}
    for own in known.fields:
        other = merged.get(own.name)
        merged[own.name] = own if other is None else t.StructField(own.name, _preferred(own.dataType, other.dataType))
    return t.StructType(_as_hashed(list(merged.values())))


def _as_hashed(fields: list[t.StructField]) -> list[t.StructField]:
    """The fields in the order in which a `HashMap` of Java has them by their names."""
    buckets = 16
    while len(fields) > buckets * 3 // 4:
        buckets *= 2

    def bucket(own: t.StructField) -> int:
        found = 0
        units = own.name.encode("utf-16-be", "surrogatepass")
        for at in range(0, len(units), 2):
            found = (31 * found + int.from_bytes(units[at : at + 2], "big")) & 0xFFFFFFFF
        return (found ^ found >> 16) & (buckets - 1)

    return sorted(fields, key=bucket)


def _by_name(own: t.StructField) -> bytes:
    """Java's order of names: by UTF-16 units."""
    return own.name.encode("utf-16-be", "surrogatepass")
