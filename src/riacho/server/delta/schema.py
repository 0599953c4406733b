"""A Delta table's schema: Spark's JSON with metadata per column, as Arrow and back, and how new data fit into it.

Comments travel in Arrow as field metadata (`types.COMMENT`), so `Table.schema` has them and `create_table` takes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError, UnsupportedOperationError

_FORBIDDEN = frozenset(" ,;{}()\n\t=")


def to_arrow(schema_json: str) -> pa.Schema:
    """The Arrow schema of a table, column comments as field metadata. Raises as `types.from_json`."""
    schema = types.from_json(schema_json)
    comments = {f["name"]: f["metadata"].get("comment") for f in json.loads(schema_json)["fields"]}
    return pa.schema([types.with_comment(field, comments[field.name]) for field in schema])


def to_json(schema: pa.Schema, previous: str | None = None) -> str:
    """The schema text for the log. Columns that `previous` has too keep their metadata (generation rules, ids).

    Raises UNSUPPORTED_DATATYPE.
    """
    kept = {} if previous is None else {f["name"]: f["metadata"] for f in json.loads(previous)["fields"]}
    parsed = json.loads(types.to_json(schema))
    for field, written in zip(schema, parsed["fields"], strict=True):
        metadata = dict(kept.get(field.name, {}))
        comment = types.comment_of(field)
        if comment is not None:
            metadata["comment"] = comment
        written["metadata"] = metadata
    return compact(parsed)


def has_column_metadata(schema_json: str, *keys: str) -> bool:
    """Whether any column, nested ones too, carries metadata whose key starts with one of `keys`."""
    return any(key in schema_json for key in keys) and _mentions(json.loads(schema_json), keys)


def _mentions(node: Any, keys: tuple[str, ...]) -> bool:
    if isinstance(node, list):
        return any(_mentions(item, keys) for item in node)
    if not isinstance(node, dict):
        return False
    if any(name.startswith(keys) for name in node.get("metadata", {})):
        return True
    return any(_mentions(child, keys) for name, child in node.items() if name != "metadata")


def compact(value: object) -> str:
    """JSON without blanks, as the log has it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def check_writable(schema: pa.Schema, partition_by: Sequence[str] = ()) -> None:
    """Refuse a schema that Delta cannot store.

    Raises DELTA_DUPLICATE_COLUMNS_FOUND, DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES, DELTA_UNSUPPORTED_DATA_TYPES,
    DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION.
    """
    lowered = [name.lower() for name in schema.names]
    duplicates = sorted({name for name in lowered if lowered.count(name) > 1})
    if duplicates:
        names = ", ".join(duplicates)
        raise AnalysisError.of(
            "DELTA_DUPLICATE_COLUMNS_FOUND.DATA",
            f"Found duplicate column(s): {names}. The duplicate was found in the data being saved.",
            sql_state="42711",
            duplicateCols=names,
        )
    invalid = [name for name in schema.names if _FORBIDDEN & set(name)]
    if invalid:
        names = ", ".join(invalid)
        raise AnalysisError.of(
            "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES",
            "Found invalid character(s) among ' ,;{}()\\n\\t=' in the column names of your schema.\n"
            f"Invalid column names: {names}.\nPlease use other characters and try again.\n"
            "Alternatively, enable Column Mapping to keep using these characters.",
            sql_state="42K05",
            invalidColumnNames=names,
        )
    unsupported = [f"{f.name}: {types.type_to_ddl(f.type)}" for f in schema if _unstorable(f.type)]
    if unsupported:
        raise UnsupportedOperationError.of(
            "DELTA_UNSUPPORTED_DATA_TYPES",
            f"Found columns using unsupported data types: [{', '.join(unsupported)}]. Cast them to a type that Delta "
            "Lake stores.",
            sql_state="0AKDC",
            dataTypeList=f"[{', '.join(unsupported)}]",
        )
    if partition_by and len(partition_by) == len(schema):
        raise AnalysisError.of(
            "DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION",
            "Cannot use all columns for partition columns",
            sql_state="428FT",
        )


def _unstorable(arrow: pa.DataType) -> bool:
    if pa.types.is_null(arrow) or pa.types.is_duration(arrow) or pa.types.is_interval(arrow):
        return True
    return any(_unstorable(arrow.field(index).type) for index in range(arrow.num_fields))


def column_index(schema: pa.Schema) -> Mapping[str, pa.Field]:
    """The columns by lower-case name, as Spark finds them."""
    return {field.name.lower(): field for field in schema}


def merge(table: pa.Schema, data: pa.Schema) -> pa.Schema:
    """`table` with what only `data` has appended, nested fields too: what `mergeSchema` makes of them.

    Raises DELTA_FAILED_TO_MERGE_FIELDS where both have a column and the types cannot be reconciled.
    """
    found = column_index(data)
    merged = [_merge_field(f, found[f.name.lower()]) if f.name.lower() in found else f for f in table]
    known = column_index(table)
    added = [pa.field(f.name, f.type, metadata=f.metadata) for f in data if f.name.lower() not in known]
    return pa.schema([*merged, *added])


def _merge_field(table: pa.Field, data: pa.Field) -> pa.Field:
    merged = _merge_type(types.normalise(table.type), types.normalise(data.type))
    if merged is None:
        raise AnalysisError.of(
            "DELTA_FAILED_TO_MERGE_FIELDS",
            f"Failed to merge fields '{table.name}' and '{data.name}': the table has "
            f"{types.type_to_ddl(table.type)}, the data has {types.type_to_ddl(data.type)}.",
            sql_state="22005",
            currentField=table.name,
            updateField=data.name,
        )
    return table.with_type(merged)


def _merge_type(table: pa.DataType, data: pa.DataType) -> pa.DataType | None:
    """The table's type after the merge, or None where data of the other type would have to be refused."""
    if pa.types.is_struct(table) and pa.types.is_struct(data):
        return pa.struct(list(merge(pa.schema(list(table)), pa.schema(list(data)))))
    if pa.types.is_list(table) and pa.types.is_list(data):
        element = _merge_type(table.value_type, data.value_type)
        return element and pa.list_(table.value_field.with_type(element))
    if pa.types.is_map(table) and pa.types.is_map(data):
        key, item = _merge_type(table.key_type, data.key_type), _merge_type(table.item_type, data.item_type)
        return key and item and pa.map_(key, table.item_field.with_type(item))
    return table if castable(data, table) else None


def castable(data: pa.DataType, table: pa.DataType) -> bool:
    """Whether a write casts `data` to the table's type by itself, as Spark's ANSI store assignment allows it."""
    if data.equals(table) or pa.types.is_null(data):
        return True
    if _is_number(data):
        return _is_number(table) or _is_text(table)
    if pa.types.is_date(data) or pa.types.is_timestamp(data):
        return bool(pa.types.is_date(table) or pa.types.is_timestamp(table)) or _is_text(table)
    return bool(pa.types.is_boolean(data)) and _is_text(table)


def _is_number(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow))


def _is_text(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_string(arrow))


def same_columns(left: pa.Schema, right: pa.Schema) -> bool:
    """Whether two schemas have the same columns in the same order, whatever their nullability and comments."""
    return bool(types.nullable(types.normalise_schema(left)).equals(types.nullable(types.normalise_schema(right))))


def readable_as(data: pa.Schema, read: pa.Schema) -> bool:
    """Whether a reader of columns `read` loses nothing of `data`: it knows all its columns, by the same types, and
    does not take for NOT NULL what may be NULL. Source: Delta's `SchemaUtils.isReadCompatible`.
    """
    known = column_index(read)
    return all(f.name.lower() in known and _field_readable_as(f, known[f.name.lower()]) for f in data)


def _field_readable_as(data: pa.Field, read: pa.Field) -> bool:
    if data.nullable and not read.nullable:
        return False
    return _type_readable_as(types.normalise(data.type), types.normalise(read.type))


def _type_readable_as(data: pa.DataType, read: pa.DataType) -> bool:
    if pa.types.is_struct(data) and pa.types.is_struct(read):
        return readable_as(pa.schema(list(data)), pa.schema(list(read)))
    if pa.types.is_list(data) and pa.types.is_list(read):
        return _field_readable_as(data.value_field, read.value_field)
    if pa.types.is_map(data) and pa.types.is_map(read):
        return _type_readable_as(data.key_type, read.key_type) and _field_readable_as(data.item_field, read.item_field)
    return bool(data.equals(read))


def tree(schema: pa.Schema) -> str:
    """The schema as Spark's `treeString` draws it, for messages."""
    return "root\n" + "".join(_branch(field, " |") for field in schema)


def _branch(field: pa.Field, indent: str) -> str:
    arrow = types.normalise(field.type)
    line = f"{indent}-- {field.name}: {_type_word(arrow)} (nullable = {str(field.nullable).lower()})\n"
    if pa.types.is_struct(arrow):
        return line + "".join(_branch(child, indent + "    |") for child in arrow)
    return line


def _type_word(arrow: pa.DataType) -> str:
    if pa.types.is_struct(arrow):
        return "struct"
    if pa.types.is_list(arrow):
        return "array"
    if pa.types.is_map(arrow):
        return "map"
    word: str = json.loads(types.to_json(pa.schema([pa.field("c", arrow)])))["fields"][0]["type"]
    return word
