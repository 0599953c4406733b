"""Avro's types as Spark's, and back (`org.apache.spark.sql.avro.SchemaConverters`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError, ArithmeticFailure, AvroIncompatibleError, UnsupportedOperationError
from riacho.server.formats.avro.options import DEEPEST, AvroOptions
from riacho.server.formats.avro.schema import Field, Schema, check_names, simple, union
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ

_PRIMITIVES: Final[Mapping[str, pa.DataType]] = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "fixed": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
}
_LOGICAL: Final[Mapping[str, pa.DataType]] = {
    "date": pa.date32(),
    "timestamp-millis": TIMESTAMP,
    "timestamp-micros": TIMESTAMP,
    "local-timestamp-millis": TIMESTAMP_NTZ,
    "local-timestamp-micros": TIMESTAMP_NTZ,
}
_CATALYST: Final = "spark.sql.catalyst.type"
_MOST_DIGITS: Final = 38


def to_spark(schema: Schema, options: AvroOptions) -> pa.Field:
    """The Spark type of a schema, as a field that says whether it may be null.

    Raises AvroIncompatibleError for a schema that contains itself, unless `recursiveFieldMaxDepth` says how deep to go.
    """
    found = _to_spark(schema, {}, options)
    assert found is not None  # the outermost record is never too deep
    return found


def _to_spark(schema: Schema, records: Mapping[str, int], options: AvroOptions) -> pa.Field | None:
    """The type inside so many `records` of each name; None if nothing is left of it below the deepest one allowed."""
    match schema.kind:
        case "record":
            return _record(schema, records, options)
        case "array":
            item = _to_spark(schema.item, records, options)
            kind = None if item is None else pa.list_(pa.field("element", item.type, item.nullable))
        case "map":
            item = _to_spark(schema.item, records, options)
            kind = None if item is None else pa.map_(pa.string(), pa.field("value", item.type, item.nullable))
        case "union":
            return _union(schema, records, options)
        case "null":
            return pa.field("", pa.null())
        case _:
            kind = _leaf(schema)
    return None if kind is None else pa.field("", kind, nullable=False)


def _leaf(schema: Schema) -> pa.DataType:
    if schema.logical in ("decimal", "custom-decimal"):
        if schema.precision > _MOST_DIGITS:
            raise ArithmeticFailure.of(
                "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION",
                f"Decimal precision {schema.precision} exceeds max precision {_MOST_DIGITS}.",
                sql_state="22003",
                precision=str(schema.precision),
                maxPrecision=str(_MOST_DIGITS),
            )
        return pa.decimal128(schema.precision, schema.scale)
    if schema.logical == "time-micros":
        raise AnalysisError.of("UNSUPPORTED_TIME_TYPE", "The data type TIME is not supported.", sql_state="0A000")
    marked = schema.others.get(_CATALYST)
    if marked is not None and schema.kind in ("int", "long") and schema.logical is None:
        if str(marked) != "interval day to second":
            raise UnsupportedOperationError(
                f"Avro values of the Spark type '{marked}' are not supported: only those of 'interval day to second'."
            )
        return pa.duration("us")
    return _LOGICAL.get(schema.logical or "", _PRIMITIVES[schema.kind])


def _record(schema: Schema, records: Mapping[str, int], options: AvroOptions) -> pa.Field | None:
    depth = records.get(schema.full_name, 0)
    if depth and options.deepest <= 0:
        raise AvroIncompatibleError(
            "\nFound recursive reference in Avro schema, which can not be processed by Spark by\n"
            f" default: {schema.text(2)}. Try setting the option `recursiveFieldMaxDepth`\n to 1 - {DEEPEST}."
            "\n          "
        )
    if depth and depth >= options.deepest:
        return None
    inside = {**records, schema.full_name: depth + 1}
    found = [(part.name, _to_spark(part.schema, inside, options)) for part in schema.fields]
    kind = pa.struct([pa.field(name, field.type, field.nullable) for name, field in found if field is not None])
    return pa.field("", kind, nullable=False)


def _union(schema: Schema, records: Mapping[str, int], options: AvroOptions) -> pa.Field | None:
    known = schema.known
    if schema.has_null:
        rest = known[0] if len(known) == 1 else union(known)
        inner = _to_spark(rest, records, options)
        return None if inner is None else pa.field("", inner.type)
    kinds = {branch.kind for branch in known}
    if len(known) == 1:
        return _to_spark(known[0], records, options)
    if len(known) == 2 and kinds == {"int", "long"}:
        return pa.field("", pa.int64(), nullable=False)
    if len(known) == 2 and kinds == {"float", "double"}:
        return pa.field("", pa.float64(), nullable=False)
    names = member_names(known, options)
    found = [(name, _to_spark(branch, records, options)) for name, branch in zip(names, known, strict=True)]
    return pa.field(
        "", pa.struct([pa.field(name, kind.type) for name, kind in found if kind is not None]), nullable=False
    )


def member_names(known: list[Schema], options: AvroOptions) -> list[str]:
    """The fields of the struct that a union of several types is. Raises AvroIncompatibleError if two are alike."""
    if not options.stable_names:
        return [f"member{at}" for at in range(len(known))]
    names = [options.stable_prefix + branch.short_name for branch in known]
    for at, name in enumerate(names):
        if name.lower() in (other.lower() for other in names[:at]):
            raise AvroIncompatibleError(
                "Cannot generate stable identifier for Avro union type due to name conflict of type name "
                f"{known[at].short_name}"
            )
    return names


def result_type(schema: Schema, options: AvroOptions) -> pa.DataType:
    """The type of `from_avro` for a schema: with a mode that lets damaged messages through, anything may be null."""
    kind = to_spark(schema, options).type
    return types.nullable(pa.schema([pa.field("x", kind)]))[0].type if options.permissive else kind


def to_avro(kind: pa.DataType, nullable: bool, name: str = "topLevelRecord", namespace: str = "") -> Schema:
    """The schema that Spark writes a type in. Raises AvroIncompatibleError for a type that Avro has none for."""
    made = _to_avro(types.normalise(kind), nullable, name, namespace)
    check_names(made)
    return made


def _to_avro(kind: pa.DataType, nullable: bool, name: str, namespace: str) -> Schema:
    made = _plain(kind)
    if made is None and pa.types.is_decimal(kind):
        size = _bytes_for(kind.precision)
        inside = f"{namespace}.{name}" if namespace else name
        made = Schema("fixed", name="fixed", namespace=inside, size=size, logical="decimal")
        made.precision, made.scale = kind.precision, kind.scale
        made.others = {"logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
    elif made is None and pa.types.is_struct(kind):
        inside = f"{namespace}.{name}" if namespace else name
        fields = [Field(part.name, _to_avro(part.type, part.nullable, part.name, inside)) for part in kind]
        made = Schema("record", name=name, namespace=namespace, fields=fields)
    elif made is None and pa.types.is_map(kind) and kind.key_type == pa.string():
        made = Schema("map", items=_to_avro(kind.item_type, kind.item_field.nullable, name, namespace))
    elif made is None and pa.types.is_list(kind):
        made = Schema("array", items=_to_avro(kind.value_type, kind.value_field.nullable, name, namespace))
    if made is None:
        raise AvroIncompatibleError(f"Unexpected type {types.type_to_ddl(kind)}.")
    return union([made, simple("null")]) if nullable and made.kind != "null" else made


def _plain(kind: pa.DataType) -> Schema | None:
    logical = {pa.date32(): ("int", "date"), TIMESTAMP: ("long", "timestamp-micros")}
    logical[TIMESTAMP_NTZ] = ("long", "local-timestamp-micros")
    if kind in logical:
        base, name = logical[kind]
        return Schema(base, logical=name, others={"logicalType": name})
    if kind == pa.duration("us"):
        return Schema("long", others={_CATALYST: "interval day to second"})
    if kind in (pa.int8(), pa.int16()):
        return simple("int")
    by_type = {arrow: word for word, arrow in _PRIMITIVES.items() if word not in ("fixed", "enum")}
    return simple(by_type[kind]) if kind in by_type else None


def _bytes_for(precision: int) -> int:
    """The fewest bytes that hold every number of so many digits."""
    size = 1
    while 1 << (8 * size - 1) < 10**precision:
        size += 1
    return size
