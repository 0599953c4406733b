"""Schemas of tables, worked out from the flows that write to them.

Spark's rules are those of `StructType.merge`: columns of both sides, the left one's order first; a column that both
have must have one type (structs, arrays and maps are merged inside), and is nullable if either is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import pyarrow as pa

from riacho import types
from riacho.errors import SparkGeneralError


def merge(left: pa.Schema, right: pa.Schema) -> pa.Schema:
    """The columns of both. Raises CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE."""
    return pa.schema(_merge_fields(types.normalise_schema(left), types.normalise_schema(right)))


def merge_all(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """All schemas merged, from left to right; no columns if there are none."""
    merged = pa.schema([])
    for schema in schemas:
        merged = merge(merged, schema)
    return merged


def _merge_fields(left: Iterable[pa.Field], right: Iterable[pa.Field]) -> list[pa.Field]:
    fields = {field.name: field for field in left}
    for field in right:
        known = fields.get(field.name)
        if known is None:
            fields[field.name] = field
        else:
            merged = _merge_types(known.type, field.type)
            fields[field.name] = known.with_type(merged).with_nullable(known.nullable or field.nullable)
    return list(fields.values())


def _merge_types(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if left.equals(right):
        return left
    if pa.types.is_struct(left) and pa.types.is_struct(right):
        return pa.struct(_merge_fields(left, right))
    if pa.types.is_list(left) and pa.types.is_list(right):
        element = _merge_types(left.value_type, right.value_type)
        return pa.list_(pa.field("element", element, left.value_field.nullable or right.value_field.nullable))
    if pa.types.is_map(left) and pa.types.is_map(right):
        item = _merge_types(left.item_type, right.item_type)
        nullable = left.item_field.nullable or right.item_field.nullable
        return pa.map_(_merge_types(left.key_type, right.key_type), pa.field("value", item, nullable))
    if pa.types.is_decimal(left) and pa.types.is_decimal(right) and left.scale == right.scale:
        return pa.decimal128(max(left.precision, right.precision), left.scale)
    raise _incompatible(left, right)


def _incompatible(left: pa.DataType, right: pa.DataType) -> SparkGeneralError:
    names = [f'"{types.type_to_ddl(side)}"' for side in (left, right)]
    return SparkGeneralError.of(
        "CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE",
        f"Failed to merge incompatible data types {names[0]} and {names[1]}. Please check the data types of the "
        "columns being merged and ensure that they are compatible. If necessary, consider casting the columns to "
        "compatible data types before attempting the merge.",
        sql_state="42825",
        left=names[0],
        right=names[1],
    )


def tree_string(schema: pa.Schema) -> str:
    """`schema` as `df.printSchema()` draws it (`StructType.treeString`)."""
    lines = ["root"]
    _draw(pa.struct(list(schema)), " |", lines)
    return "\n".join(lines) + "\n"


def _draw(arrow: pa.DataType, prefix: str, lines: list[str]) -> None:
    if pa.types.is_struct(arrow):
        for field in arrow:
            lines.append(f"{prefix}-- {field.name}: {_type_name(field.type)} (nullable = {_bool(field.nullable)})")
            _draw(field.type, f"{prefix}    |", lines)
    elif pa.types.is_list(arrow):
        nullable = _bool(arrow.value_field.nullable)
        lines.append(f"{prefix}-- element: {_type_name(arrow.value_type)} (containsNull = {nullable})")
        _draw(arrow.value_type, f"{prefix}    |", lines)
    elif pa.types.is_map(arrow):
        lines.append(f"{prefix}-- key: {_type_name(arrow.key_type)}")
        _draw(arrow.key_type, f"{prefix}    |", lines)
        nullable = _bool(arrow.item_field.nullable)
        lines.append(f"{prefix}-- value: {_type_name(arrow.item_type)} (valueContainsNull = {nullable})")
        _draw(arrow.item_type, f"{prefix}    |", lines)


def _type_name(arrow: pa.DataType) -> str:
    if pa.types.is_struct(arrow):
        return "struct"
    if pa.types.is_list(arrow):
        return "array"
    if pa.types.is_map(arrow):
        return "map"
    document = json.loads(types.to_json(pa.schema([pa.field("c", arrow)])))
    return str(document["fields"][0]["type"])


def _bool(value: bool) -> str:
    return "true" if value else "false"
