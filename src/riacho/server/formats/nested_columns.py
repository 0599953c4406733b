"""Columns of lists, maps and structs whose parts are converted, whatever converts the parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa

from riacho.errors import SparkRuntimeError

Convert: TypeAlias = Callable[[pa.Array], pa.Array]
Converter: TypeAlias = Callable[[pa.DataType, pa.DataType], Convert]
"""How to turn an array of one type into another. Raises Misfit if that is not possible."""


class Misfit(Exception):  # noqa: N818 - an answer, not an error: the caller decides what becomes of the column
    """A column of this type cannot be read as that type."""


def unchanged(array: pa.Array) -> pa.Array:
    """The array itself."""
    return array


def nested(source: pa.DataType, target: pa.DataType, part: Converter) -> Convert | None:
    """How to turn lists, maps and structs into those of `target`, each part by `part`; None for other types.

    Fields of structs are found by name in any case; those that the source lacks are NULL. Raises as `part`; the
    conversion of a map raises NULL_MAP_KEY for a key that does not fit.
    """
    if pa.types.is_struct(source) and pa.types.is_struct(target):
        return _struct(source, target, part)
    if pa.types.is_map(source) and pa.types.is_map(target):
        return _map(source, target, part)
    if is_list(source) and is_list(target):
        return _list(source, target, part)
    return None


def is_list(arrow: pa.DataType) -> bool:
    """Whether it is a list of either size, not a map."""
    return (pa.types.is_list(arrow) or pa.types.is_large_list(arrow)) and not pa.types.is_map(arrow)


def drops_fields(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether a conversion leaves out fields of structs, at any depth."""
    if pa.types.is_struct(source) and pa.types.is_struct(target):
        kept = {field.name.lower(): field.type for field in target}
        return any(f.name.lower() not in kept or drops_fields(f.type, kept[f.name.lower()]) for f in source)
    if pa.types.is_map(source) and pa.types.is_map(target):
        return drops_fields(source.item_type, target.item_type)
    if is_list(source) and is_list(target):
        return drops_fields(source.value_type, target.value_type)
    return False


def _struct(source: pa.StructType, target: pa.StructType, part: Converter) -> Convert:
    found = {source.field(i).name.lower(): i for i in reversed(range(source.num_fields))}
    steps: list[tuple[int | None, pa.Field, Convert]] = []
    for field in target:
        at = found.get(field.name.lower())
        steps.append((at, field, unchanged if at is None else part(source.field(at).type, field.type)))

    def convert(array: pa.StructArray) -> pa.Array:
        children = [
            pa.nulls(len(array), field.type) if at is None else step(array.field(at)) for at, field, step in steps
        ]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(children, fields=list(target), mask=mask)

    return convert


def _list(source: pa.ListType, target: pa.ListType, part: Converter) -> Convert:
    element = part(source.value_type, target.value_type)

    def convert(array: pa.Array) -> pa.Array:
        plain = array.cast(pa.list_(source.value_field)) if pa.types.is_large_list(array.type) else array
        return _with_children(plain, target, [element(plain.values)])

    return convert


def _map(source: pa.MapType, target: pa.MapType, part: Converter) -> Convert:
    key, item = part(source.key_type, target.key_type), part(source.item_type, target.item_type)

    def convert(array: pa.MapArray) -> pa.Array:
        keys = key(array.keys)
        # Arrow 25 ends the process for keys whose NULLs nobody has counted yet.
        if keys.null_count:
            raise _null_key(source, target)
        entries = pa.StructArray.from_arrays([keys, item(array.items)], fields=[target.key_field, target.item_field])
        return _with_children(array, target, [entries])

    return convert


def _null_key(source: pa.DataType, target: pa.DataType) -> SparkRuntimeError:
    """Spark gives such maps NULL for a key; Arrow's format has no such maps."""
    return SparkRuntimeError.of(
        "NULL_MAP_KEY",
        f"Cannot use null as map key. A key of type {source.key_type} in the file does not fit the {target.key_type} "
        "that the schema asks for; read the map with the type of key that it has.",
        sql_state="2200E",
    )


def _with_children(array: pa.Array, target: pa.DataType, children: list[pa.Array]) -> pa.Array:
    """The lists of `array` over other elements: offsets and nulls stay."""
    buffers = array.buffers()[:2]
    return pa.Array.from_buffers(target, len(array), buffers, array.null_count, array.offset, children=children)
