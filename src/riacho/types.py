"""One schema in the forms the world writes it in.

Inside riacho a schema is a `pyarrow.Schema`. At the borders the same schema is Spark Connect's `DataType` message,
Spark's JSON (Delta logs, schema files, `StructType.json()`) or DDL text (`a INT, b STRING`). TIMESTAMP is
`timestamp[us, UTC]`, TIMESTAMP_NTZ is `timestamp[us]`. Sources: `org.apache.spark.sql.types.DataType` (JSON and DDL),
`spark/connect/types.proto` (messages), `org.apache.spark.sql.util.ArrowUtils` (Arrow).

Of a field's metadata riacho keeps the comment alone, in Arrow under `COMMENT`.

Parsing DDL is the engine's work (`EngineSession.parse_ddl`); writing it is done here.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from riacho.errors import SparkGeneralError
from riacho.identifiers import quote_if_needed
from riacho.protos import pb

TIMESTAMP = pa.timestamp("us", tz="UTC")
TIMESTAMP_NTZ = pa.timestamp("us")
COMMENT = b"comment"

# Spark's simple type name, the field of the DataType message, the Arrow type.
_SIMPLE: tuple[tuple[str, str, pa.DataType], ...] = (
    ("void", "null", pa.null()),
    ("binary", "binary", pa.binary()),
    ("boolean", "boolean", pa.bool_()),
    ("byte", "byte", pa.int8()),
    ("short", "short", pa.int16()),
    ("integer", "integer", pa.int32()),
    ("long", "long", pa.int64()),
    ("float", "float", pa.float32()),
    ("double", "double", pa.float64()),
    ("string", "string", pa.string()),
    ("date", "date", pa.date32()),
    ("timestamp", "timestamp", TIMESTAMP),
    ("timestamp_ntz", "timestamp_ntz", TIMESTAMP_NTZ),
    ("interval day to second", "day_time_interval", pa.duration("us")),
)
_ARROW_BY_NAME = {name: arrow for name, _, arrow in _SIMPLE}
_ARROW_BY_FIELD = {field: arrow for _, field, arrow in _SIMPLE}
_NAME_BY_ARROW = {arrow: name for name, _, arrow in _SIMPLE}
_FIELD_BY_ARROW = {arrow: field for _, field, arrow in _SIMPLE}
_DDL_NAMES = {"byte": "TINYINT", "short": "SMALLINT", "integer": "INT", "long": "BIGINT"}


def _unsupported(what: object) -> SparkGeneralError:
    return SparkGeneralError.of(
        "UNSUPPORTED_DATATYPE", f'Unsupported data type "{what}".', sql_state="0A000", typeName=str(what)
    )


def normalise(arrow: pa.DataType) -> pa.DataType:
    """The one Arrow type that stands for its Spark type: large, view and dictionary forms folded, times in µs."""
    if pa.types.is_dictionary(arrow):
        return normalise(arrow.value_type)
    if pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow):
        return pa.string()
    if pa.types.is_large_binary(arrow) or pa.types.is_binary_view(arrow) or pa.types.is_fixed_size_binary(arrow):
        return pa.binary()
    if pa.types.is_timestamp(arrow):
        return TIMESTAMP_NTZ if arrow.tz is None else TIMESTAMP
    if pa.types.is_duration(arrow):
        return pa.duration("us")
    if pa.types.is_decimal(arrow):
        return pa.decimal128(arrow.precision, arrow.scale)
    if pa.types.is_map(arrow):
        item = pa.field("value", normalise(arrow.item_type), arrow.item_field.nullable)
        return pa.map_(normalise(arrow.key_type), item)
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(normalise(field.type)) for field in arrow])
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow):
        return pa.list_(pa.field("element", normalise(arrow.value_type), arrow.value_field.nullable))
    return {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.decimal128(20, 0),
        pa.float16(): pa.float32(),
        pa.date64(): pa.date32(),
    }.get(arrow, arrow)


def normalise_schema(schema: pa.Schema) -> pa.Schema:
    """`schema` with each column's type normalised and, of Arrow's key-value metadata, the columns' comments alone."""
    return pa.schema([with_comment(f.with_type(normalise(f.type)), comment_of(f)) for f in schema])


def holds_timestamp(arrow: pa.DataType) -> bool:
    """Whether a value of this type is, or has somewhere in it, a TIMESTAMP."""
    if pa.types.is_timestamp(arrow):
        return arrow.tz is not None
    if pa.types.is_map(arrow):
        return holds_timestamp(arrow.key_type) or holds_timestamp(arrow.item_type)
    return any(holds_timestamp(arrow.field(index).type) for index in range(arrow.num_fields))


def schema_in_zone(schema: pa.Schema, zone: str) -> pa.Schema:
    """`schema` with that zone in each TIMESTAMP; the same object if nothing changes.

    The values stay what they are, for an instant is one in any zone; a reader that shows them as text, or asks for
    their hour, does so in that zone.
    """
    fields = [field.with_type(_in_zone(field.type, zone)) for field in schema]
    changed = pa.schema(fields, schema.metadata)
    return schema if changed.equals(schema) else changed


def _in_zone(arrow: pa.DataType, zone: str) -> pa.DataType:
    if not holds_timestamp(arrow):
        return arrow
    if pa.types.is_timestamp(arrow):
        return pa.timestamp(arrow.unit, zone)
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(_in_zone(field.type, zone)) for field in arrow])
    if pa.types.is_map(arrow):
        key, item = arrow.key_field, arrow.item_field
        return pa.map_(key.with_type(_in_zone(key.type, zone)), item.with_type(_in_zone(item.type, zone)))
    if pa.types.is_dictionary(arrow):
        return pa.dictionary(arrow.index_type, _in_zone(arrow.value_type, zone), arrow.ordered)
    element = arrow.value_field.with_type(_in_zone(arrow.value_type, zone))
    if pa.types.is_large_list(arrow):
        return pa.large_list(element)
    return pa.list_(element, arrow.list_size) if pa.types.is_fixed_size_list(arrow) else pa.list_(element)


def relabelled(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` under a schema that differs from its own in the zones of TIMESTAMPs alone. Nothing is copied."""
    return pa.record_batch(_Relabelled(batch, schema))


def with_inner_nulls(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch` with null fields in null structs, at any depth; itself if nothing had to change.

    What a field has where its struct is null means nothing to Arrow, but the engine takes it for the field's value.
    """
    if not any(pa.types.is_nested(field.type) for field in batch.schema):
        return batch
    given = batch.columns
    columns = [_with_inner_nulls(column) for column in given]
    if all(column is before for column, before in zip(columns, given, strict=True)):
        return batch
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _with_inner_nulls(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_struct(kind):
        return _struct_with_inner_nulls(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        before = array.values
        values = _with_inner_nulls(before)
        return array if values is before else _with_children(array, values)
    if pa.types.is_map(kind):
        before = array.items
        items = _with_inner_nulls(before)
        if items is before:
            return array
        return _with_children(
            array, pa.StructArray.from_arrays([array.keys, items], fields=[kind.key_field, kind.item_field])
        )
    return array


def _struct_with_inner_nulls(array: pa.StructArray) -> pa.Array:
    kind = array.type
    before = [array.field(place) for place in range(kind.num_fields)]
    given = [
        whole if part.null_count == whole.null_count else part
        for part, whole in zip(array.flatten() if array.null_count else before, before, strict=True)
    ]
    fields = [_with_inner_nulls(each) for each in given]
    if all(after is each for after, each in zip(fields, before, strict=True)):
        return array
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(fields, fields=list(kind), mask=mask)


def _with_children(array: pa.Array, child: pa.Array) -> pa.Array:
    """A list or a map with other elements in the places of its own."""
    buffers = array.buffers()[:2]
    return pa.Array.from_buffers(
        array.type, len(array), buffers, null_count=array.null_count, offset=array.offset, children=[child]
    )


class _Relabelled:
    """A batch that gives another schema than its own to whoever imports it (Arrow's PyCapsule interface)."""

    def __init__(self, batch: pa.RecordBatch, schema: pa.Schema) -> None:
        self._batch = batch
        self._schema = schema

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._schema.__arrow_c_schema__(), self._batch.__arrow_c_array__()[1]


def comment_of(field: pa.Field) -> str | None:
    """The column's comment, or None."""
    found = (field.metadata or {}).get(COMMENT)
    return None if found is None else found.decode()


def with_comment(field: pa.Field, comment: str | None) -> pa.Field:
    """`field` with that comment and nothing else as metadata."""
    return field.remove_metadata() if comment is None else field.with_metadata({COMMENT: comment.encode()})


def nullable(schema: pa.Schema) -> pa.Schema:
    """`schema` with every column and nested field nullable, as Spark makes the schema of a source (`asNullable`)."""
    return pa.schema([f.with_type(_nullable_type(f.type)).with_nullable(True) for f in schema])


def _nullable_type(arrow: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(arrow):
        return pa.struct([pa.field(f.name, _nullable_type(f.type)) for f in arrow])
    if pa.types.is_map(arrow):
        return pa.map_(_nullable_type(arrow.key_type), pa.field("value", _nullable_type(arrow.item_type)))
    if pa.types.is_list(arrow):
        return pa.list_(pa.field("element", _nullable_type(arrow.value_type)))
    return arrow


def from_proto(message: pb.DataType) -> pa.DataType:
    """The Arrow type of a `DataType` message.

    Raises UNSUPPORTED_DATATYPE for kinds that Arrow has no form of, ValueError for a type that is still text.
    """
    kind = message.WhichOneof("kind")
    if kind in _ARROW_BY_FIELD:
        return _ARROW_BY_FIELD[kind]
    if kind in ("char", "var_char"):
        return pa.string()
    if kind == "decimal":
        has = message.decimal.HasField
        return pa.decimal128(
            message.decimal.precision if has("precision") else 10, message.decimal.scale if has("scale") else 0
        )
    if kind == "array":
        element = from_proto(message.array.element_type)
        return pa.list_(_part("element", element, message.array.contains_null))
    if kind == "map":
        item = _part("value", from_proto(message.map.value_type), message.map.value_contains_null)
        return pa.map_(from_proto(message.map.key_type), item)
    if kind == "struct":
        return pa.struct([_field_from_proto(f) for f in message.struct.fields])
    if kind == "unparsed":
        raise ValueError(f"unparsed type {message.unparsed.data_type_string!r}: parse it with the engine first")
    raise _unsupported(kind)


def _part(name: str, kind: pa.DataType, nullable: bool) -> pa.Field:
    """The field of a part of a type; Arrow has no field of VOID that is not nullable, as the elements of `array()`."""
    return pa.field(name, kind, nullable or pa.types.is_null(kind))


def _field_from_proto(message: pb.DataType.StructField) -> pa.Field:
    comment = json.loads(message.metadata).get("comment") if message.metadata else None
    return with_comment(_part(message.name, from_proto(message.data_type), message.nullable), comment)


def schema_from_proto(message: pb.DataType) -> pa.Schema:
    """The Arrow schema of a struct `DataType` message. Raises as `from_proto`."""
    return pa.schema(list(from_proto(message)))


def to_proto(arrow: pa.DataType) -> pb.DataType:
    """The `DataType` message of an Arrow type. Raises UNSUPPORTED_DATATYPE."""
    arrow = normalise(arrow)
    message = pb.DataType()
    if arrow in _FIELD_BY_ARROW:
        getattr(message, _FIELD_BY_ARROW[arrow]).SetInParent()
    elif pa.types.is_decimal(arrow):
        message.decimal.precision, message.decimal.scale = arrow.precision, arrow.scale
    elif pa.types.is_struct(arrow):
        message.struct.SetInParent()
        for field in arrow:
            message.struct.fields.add(name=field.name, data_type=to_proto(field.type), nullable=field.nullable)
    elif pa.types.is_map(arrow):
        message.map.key_type.CopyFrom(to_proto(arrow.key_type))
        message.map.value_type.CopyFrom(to_proto(arrow.item_type))
        message.map.value_contains_null = arrow.item_field.nullable
    elif pa.types.is_list(arrow):
        message.array.element_type.CopyFrom(to_proto(arrow.value_type))
        message.array.contains_null = arrow.value_field.nullable
    else:
        raise _unsupported(arrow)
    return message


def schema_to_proto(schema: pa.Schema) -> pb.DataType:
    """A struct `DataType` message of an Arrow schema. Raises UNSUPPORTED_DATATYPE."""
    return to_proto(pa.struct(list(schema)))


def to_json(schema: pa.Schema) -> str:
    """Spark's compact schema JSON (`StructType.json()`), columns in order. Raises UNSUPPORTED_DATATYPE."""
    return json.dumps(_to_json(pa.struct(list(schema))), separators=(",", ":"), ensure_ascii=False)


def _to_json(arrow: pa.DataType) -> Any:
    arrow = normalise(arrow)
    if arrow in _NAME_BY_ARROW:
        return _NAME_BY_ARROW[arrow]
    if pa.types.is_decimal(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    if pa.types.is_struct(arrow):
        fields = [{"name": f.name, "type": _to_json(f.type), "nullable": f.nullable, "metadata": {}} for f in arrow]
        return {"type": "struct", "fields": fields}
    if pa.types.is_map(arrow):
        return {
            "type": "map",
            "keyType": _to_json(arrow.key_type),
            "valueType": _to_json(arrow.item_type),
            "valueContainsNull": arrow.item_field.nullable,
        }
    if pa.types.is_list(arrow):
        return {
            "type": "array",
            "elementType": _to_json(arrow.value_type),
            "containsNull": arrow.value_field.nullable,
        }
    raise _unsupported(arrow)


def from_json(text: str) -> pa.Schema:
    """The Arrow schema of Spark's schema JSON. Raises ValueError if it is no struct, UNSUPPORTED_DATATYPE."""
    parsed = _from_json(json.loads(text))
    if not pa.types.is_struct(parsed):
        raise ValueError(f"a schema must be a struct, found {parsed}")
    return pa.schema(list(parsed))


def _from_json(node: Any) -> pa.DataType:
    if isinstance(node, str):
        if node in _ARROW_BY_NAME:
            return _ARROW_BY_NAME[node]
        if node == "timestamp_ltz":
            return TIMESTAMP
        if node.startswith("decimal("):
            precision, scale = node[len("decimal(") : -1].split(",")
            return pa.decimal128(int(precision), int(scale))
        if node == "decimal":
            return pa.decimal128(10, 0)
        if node.startswith(("char(", "varchar(")):
            return pa.string()
        raise _unsupported(node)
    match node["type"]:
        case "struct":
            return pa.struct([pa.field(f["name"], _from_json(f["type"]), f["nullable"]) for f in node["fields"]])
        case "array":
            return pa.list_(pa.field("element", _from_json(node["elementType"]), node["containsNull"]))
        case "map":
            item = pa.field("value", _from_json(node["valueType"]), node["valueContainsNull"])
            return pa.map_(_from_json(node["keyType"]), item)
        case other:
            raise _unsupported(other)


def to_ddl(schema: pa.Schema) -> str:
    """DDL text of a schema, as `StructType.toDDL` writes it: `a BIGINT, b STRING NOT NULL`, names quoted if need be.

    Raises UNSUPPORTED_DATATYPE.
    """
    return ", ".join(
        f"{quote_if_needed(f.name)} {type_to_ddl(f.type)}{'' if f.nullable else ' NOT NULL'}" for f in schema
    )


def type_to_ddl(arrow: pa.DataType, *, not_null: bool = False) -> str:
    """SQL text of one type: `BIGINT`, `ARRAY<STRING>`, `STRUCT<a: INT>`. Raises UNSUPPORTED_DATATYPE.

    `not_null`: say NOT NULL of the fields of structs that are, as Spark's `DataType.sql` does.
    """
    arrow = normalise(arrow)
    if arrow in _NAME_BY_ARROW:
        name = _NAME_BY_ARROW[arrow]
        return _DDL_NAMES.get(name, name.upper())
    if pa.types.is_decimal(arrow):
        return f"DECIMAL({arrow.precision},{arrow.scale})"
    if pa.types.is_struct(arrow):
        fields = [
            f"{quote_if_needed(f.name)}: {type_to_ddl(f.type, not_null=not_null)}"
            + (" NOT NULL" if not_null and not f.nullable else "")
            for f in arrow
        ]
        return f"STRUCT<{', '.join(fields)}>"
    if pa.types.is_map(arrow):
        return (
            f"MAP<{type_to_ddl(arrow.key_type, not_null=not_null)}, {type_to_ddl(arrow.item_type, not_null=not_null)}>"
        )
    if pa.types.is_list(arrow):
        return f"ARRAY<{type_to_ddl(arrow.value_type, not_null=not_null)}>"
    raise _unsupported(arrow)
