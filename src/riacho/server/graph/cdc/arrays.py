"""Small things with Arrow columns that the modules of AUTO CDC share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Flags = npt.NDArray[np.bool_]


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def column(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    """A column as a type; nulls if the table lacks it."""
    place = table.schema.get_field_index(name)
    return pa.nulls(len(table), kind) if place < 0 else cast(whole(table.column(place)), kind)


def child(struct: pa.StructArray, name: str, kind: pa.DataType) -> pa.Array:
    """A field of a struct, null where the struct is; nulls if it has no such field."""
    place = struct.type.get_field_index(name)
    return pa.nulls(len(struct), kind) if place < 0 else cast(struct.flatten()[place], kind)


def cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array as a type; itself if it has it."""
    return array if array.type == kind else array.cast(kind)


def nulled(array: pa.Array, flags: Flags) -> pa.Array:
    """The array with null where a flag is set."""
    if not flags.any():
        return array
    return array.take(pa.array(np.arange(len(array)), mask=flags))


def flags(array: pa.Array) -> npt.NDArray[Any]:
    """The values as NumPy has them; there are no nulls."""
    return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def comparable(array: pa.Array) -> pa.Array:
    """The same values in types that can be hashed: a map is the list of its entries."""
    kind = array.type
    if not _holds_map(kind):
        return array
    mask = array.is_null() if array.null_count else None
    if pa.types.is_map(kind):
        entries = pa.StructArray.from_arrays([array.keys, array.items], names=["key", "value"])
        return comparable(pa.ListArray.from_arrays(array.offsets, entries, mask=mask))
    if pa.types.is_struct(kind):
        children = [comparable(part) for part in array.flatten()]
        return pa.StructArray.from_arrays(children, names=[field.name for field in kind], mask=mask)
    return pa.ListArray.from_arrays(array.offsets, comparable(array.values), mask=mask)


def _holds_map(kind: pa.DataType) -> bool:
    return pa.types.is_map(kind) or any(_holds_map(kind.field(place).type) for place in range(kind.num_fields))
