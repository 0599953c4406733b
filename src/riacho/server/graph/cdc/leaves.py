"""Columns as their leaves, and which leaves an event left open.

With IGNORE NULL UPDATES a null in an event means "as it was", leaf by leaf: a struct is taken apart into its fields, an
array or a map is one leaf. So each stored row says which nulls its event meant (`true`) and which it left open
(`false`), in a map from the leaf's name. Source: Spark's `Scd2VersionMap`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.identifiers import quote
from riacho.server.graph.cdc.arrays import Flags, flags

VERSION_MAP = "versionMap"
AUTHORED_NULLS = pa.map_(pa.string(), pa.field("value", pa.bool_(), nullable=False))


@dataclass(frozen=True)
class ColumnLeaf:
    """One leaf of a column: its full name, the column it belongs to, and its values."""

    name: str
    column: str
    values: pa.Array


def leaves_of(name: str, values: pa.Array) -> list[ColumnLeaf]:
    """The leaves of a column, in order."""
    return [ColumnLeaf(path, name, leaf) for path, leaf in _leaves(quote(name), values)]


def _leaves(path: str, values: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    if not pa.types.is_struct(values.type) or not values.type.num_fields:
        yield path, values
        return
    for field, child in zip(values.type, values.flatten(), strict=True):
        yield from _leaves(f"{path}.{quote(field.name)}", child)


def rebuilt(kind: pa.DataType, leaves: Iterator[pa.Array]) -> pa.Array:
    """The column of type `kind` that has these leaves; a struct without any value in it is null."""
    if not pa.types.is_struct(kind) or not kind.num_fields:
        return next(leaves)
    children = [rebuilt(field.type, leaves) for field in kind]
    empty = children[0].is_null()
    for child in children[1:]:
        empty = pc.and_(empty, child.is_null())
    return pa.StructArray.from_arrays(children, fields=[field.with_nullable(True) for field in kind], mask=empty).cast(
        kind
    )


def entries_of(maps: pa.Array, leaf: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which version maps have an entry of a leaf, and where its value stands among `values_of`."""
    offsets = flags(maps.offsets)
    keys = maps.keys.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    owner = np.repeat(np.arange(len(maps)), np.diff(offsets))
    found = np.flatnonzero(flags(pc.equal(keys, leaf)))
    return owner[found], found


def values_of(maps: pa.Array) -> pa.Array:
    """The values of all entries of maps, one map after another."""
    offsets = flags(maps.offsets)
    return maps.items.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))


def recorded(maps: pa.Array, leaf: str) -> tuple[Flags, Flags]:
    """What version maps say about a leaf: whether there is an entry, and its value (false without one)."""
    there, value = np.zeros(len(maps), dtype=np.bool_), np.zeros(len(maps), dtype=np.bool_)
    owner, place = entries_of(maps, leaf)
    there[owner] = True
    value[owner] = flags(values_of(maps).take(pa.array(place)))
    return there, value


def version_maps(entries: Mapping[str, tuple[Flags, Flags]], rows: int) -> pa.Array:
    """Version maps from, for each leaf, whether there is an entry and its value."""
    if not entries:
        return pa.MapArray.from_arrays(
            pa.array(np.zeros(rows + 1, dtype=np.int32)), pa.array([], pa.string()), pa.array([], pa.bool_())
        ).cast(AUTHORED_NULLS)
    there = np.column_stack([entry for entry, _ in entries.values()])
    value = np.column_stack([authored for _, authored in entries.values()])
    offsets = np.concatenate([np.zeros(1, dtype=np.int32), np.cumsum(there.sum(axis=1), dtype=np.int32)])
    names = np.nonzero(there)[1]
    keys = pa.array(list(entries), pa.string()).take(pa.array(names))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(value[there])).cast(AUTHORED_NULLS)


def carried(values: pa.Array, source: npt.NDArray[np.int64]) -> pa.Array:
    """The values at the places `source`; null where a place is negative."""
    return values.take(pa.array(source, mask=source < 0))


def left_open(versions: pa.Array, without: Flags, leaf: ColumnLeaf, *, ignored: bool) -> Flags:
    """Where events left a leaf open, by their version maps; `without` them, by whether nulls are ignored now.

    A null that is not in a map is that of a column that came later.
    """
    there, meant = recorded(versions, leaf.name)
    null = flags(leaf.values.is_null())
    return np.where(without, null & ignored, np.where(there, ~meant, null))
