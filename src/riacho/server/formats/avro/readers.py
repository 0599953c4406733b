"""Values with parts: records, unions, lists and maps, from readers of what is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from riacho.server.formats.avro.cursors import PADDING, Cursors, Flags, Ints
from riacho.server.formats.avro.leaves import Enums, Nulls, Numbers, Texts, ValueReader

_MOST_OF_NOTHING: Final = 1 << 24
"""The most elements without bytes (nulls, empty records) that a list may have."""


class RecordValues:
    """`record`, as a struct.

    `fields`: in the writer's order, each with its place in the struct, or None to skip it. `defaults`: columns that the
    writer does not have, by their place.
    """

    width: int | None = None

    def __init__(
        self,
        kind: pa.StructType,
        fields: Sequence[tuple[ValueReader, int | None]],
        defaults: Sequence[tuple[ValueReader, int]],
    ) -> None:
        self.type = kind
        self._fields = fields
        self._defaults = defaults
        self.zeros: int | None = _sum_of_zeros([reader for reader, _ in fields])
        self.least = sum(reader.least for reader, _ in fields)

    def read(self, cursors: Cursors) -> pa.Array:
        columns: list[pa.Array] = [None] * self.type.num_fields
        for reader, place in self._fields:
            if place is None:
                reader.skip(cursors)
            else:
                columns[place] = reader.read(cursors)
        for reader, place in self._defaults:
            columns[place] = reader.read(cursors)
        return struct_of(self.type, columns, len(cursors))

    def skip(self, cursors: Cursors) -> None:
        for reader, _ in self._fields:
            reader.skip(cursors)


class Later:
    """A reader that is made when it is first used, because it contains itself. Only to skip what it would read."""

    zeros: int | None = None
    least = 0
    width: int | None = None

    def __init__(self, make: Callable[[], ValueReader]) -> None:
        self.type = pa.null()
        self._make = make
        self._made: ValueReader | None = None

    def read(self, cursors: Cursors) -> pa.Array:
        self.skip(cursors)
        return pa.nulls(len(cursors))

    def skip(self, cursors: Cursors) -> None:
        if not len(cursors):
            return  # where a recursive value ends
        if self._made is None:
            self._made = self._make()
        self._made.skip(cursors)


class Members:
    """One member of a union that is a struct with a field for each: that field has the value, the others are null."""

    width: int | None = None

    def __init__(self, kind: pa.StructType, place: int, value: ValueReader) -> None:
        self.type = kind
        self._place = place
        self._value = value
        self.zeros: int | None = value.zeros
        self.least = value.least

    def read(self, cursors: Cursors) -> pa.Array:
        columns = [pa.nulls(len(cursors), field.type) for field in self.type]
        columns[self._place] = self._value.read(cursors)
        return struct_of(self.type, columns, len(cursors))

    def skip(self, cursors: Cursors) -> None:
        self._value.skip(cursors)


class Unions:
    """`union`: which branch, then its value. All `branches` give columns of one type."""

    least = 1
    width: int | None = None

    def __init__(self, kind: pa.DataType, branches: Sequence[ValueReader]) -> None:
        self.type = kind
        self._branches = branches
        first = branches[0].zeros if branches else None
        self.zeros: int | None = None if first is None else first + 1
        nulls = [at for at, branch in enumerate(branches) if isinstance(branch, Nulls)]
        self._null = nulls[0] if len(nulls) == 1 and len(branches) == 2 else None
        """Where null is, if it is one of two."""

    def _chosen(self, cursors: Cursors) -> Ints:
        chosen = cursors.longs()
        wrong = (chosen < 0) | (chosen >= len(self._branches))
        if wrong.any():
            cursors.fail(wrong)
            chosen = np.where(wrong, 0, chosen)
        return chosen

    def read(self, cursors: Cursors) -> pa.Array:
        chosen = self._chosen(cursors)
        if not len(cursors):
            return pa.array([], self.type)
        first = int(chosen[0])
        if (chosen == first).all():
            return self._branches[first].read(cursors)
        if self._null is not None:
            return self._nullable(cursors, chosen == self._null, self._branches[1 - self._null])
        parts, places = [], []
        for at, branch in enumerate(self._branches):
            which = np.flatnonzero(chosen == at)
            if len(which):
                some = cursors.some(which)
                parts.append(branch.read(some))
                cursors.rejoin(which, some)
                places.append(which)
        order = np.empty(len(cursors), np.int64)
        order[np.concatenate(places)] = np.arange(len(cursors))
        return pa.concat_arrays(parts).take(pa.array(order))

    def _nullable(self, cursors: Cursors, nulls: Flags, reader: ValueReader) -> pa.Array:
        if reader.zeros is None or reader.zeros > PADDING // 2:
            which = np.flatnonzero(~nulls)
            some = cursors.some(which)
            found = reader.read(some)
            cursors.rejoin(which, some)
            order = np.cumsum(~nulls) - 1
            return found.take(pa.array(order, mask=nulls))
        # Nulls are read from zeros, because that is quicker than taking the others apart and putting them together.
        at, end = cursors.at, cursors.end
        zeros = cursors.data.size
        cursors.at = np.where(nulls, zeros, at)
        cursors.end = np.where(nulls, zeros + PADDING, end)
        bad = cursors.bad
        cursors.bad = bad.copy()
        found = reader.read(cursors)
        cursors.at = np.where(nulls, at, cursors.at)
        cursors.end = np.where(nulls, end, cursors.end)
        cursors.bad = np.where(nulls, bad, cursors.bad)
        return with_nulls(found, nulls)

    def skip(self, cursors: Cursors) -> None:
        chosen = self._chosen(cursors)
        for at, branch in enumerate(self._branches):
            which = np.flatnonzero(chosen == at)
            if len(which):
                some = cursors.some(which)
                branch.skip(some)
                cursors.rejoin(which, some)


class Lists:
    """`array`: blocks of elements, each after its count; a count of 0 ends it."""

    zeros: int | None = 1
    least = 1
    width: int | None = None

    def __init__(self, kind: pa.ListType, item: ValueReader) -> None:
        self.type = kind
        self._item = item

    def read(self, cursors: Cursors) -> pa.Array:
        owners, found = elements(cursors, self._item)
        return pa.ListArray.from_arrays(pa.array(_offsets(owners, len(cursors))), found, type=self.type)

    def skip(self, cursors: Cursors) -> None:
        elements(cursors, self._item, keep=False)


class Maps:
    """`map`: as an array of pairs. The last value of a key counts."""

    zeros: int | None = 1
    least = 1
    width: int | None = None

    def __init__(self, kind: pa.MapType, value: ValueReader) -> None:
        self.type = kind
        pair = pa.struct([pa.field("key", pa.string(), nullable=False), kind.item_field])
        self._pair = RecordValues(pair, [(Texts(pa.string()), 0), (value, 1)], [])

    def read(self, cursors: Cursors) -> pa.Array:
        owners, pairs = elements(cursors, self._pair)
        keys, values = pairs.field(0), pairs.field(1)
        numbers = keys.dictionary_encode()
        codes = owners * max(1, len(numbers.dictionary)) + numbers.indices.to_numpy().astype(np.int64)
        _, last = np.unique(codes[::-1], return_index=True)
        if len(last) < len(codes):
            kept = np.sort(len(codes) - 1 - last)
            owners, keys, values = owners[kept], keys.take(pa.array(kept)), values.take(pa.array(kept))
        offsets = pa.array(_offsets(owners, len(cursors)))
        return pa.MapArray.from_arrays(offsets, keys, values, type=self.type)

    def skip(self, cursors: Cursors) -> None:
        elements(cursors, self._pair, keep=False)


def elements(cursors: Cursors, item: ValueReader, *, keep: bool = True) -> tuple[Ints, pa.Array]:
    """All elements of all lists, in order, and for each the message that it belongs to."""
    owners: list[Ints] = []
    found: list[pa.Array] = []
    lanes = np.arange(len(cursors))
    some = cursors.some(lanes)
    while len(lanes):
        counts = _counts(some, item)
        ended = counts == 0
        cursors.rejoin(lanes[ended], some.some(ended))
        if ended.any():
            lanes, some, counts = lanes[~ended], some.some(~ended), counts[~ended]
        if len(lanes):
            _block(some, lanes, counts, item, owners, found if keep else None)
    if not owners:
        return np.zeros(0, np.int64), pa.array([], item.type)
    owner = np.concatenate(owners)
    if not keep:
        return owner, pa.array([], item.type)
    values = pa.concat_arrays(found) if len(found) > 1 else found[0]
    if len(owners) > 1:
        order = np.argsort(owner, kind="stable")
        owner, values = owner[order], values.take(pa.array(order))
    return owner, values


def _counts(some: Cursors, item: ValueReader) -> Ints:
    """How many elements the next block of each list has. A negative count comes with the size of the block."""
    counts = some.longs()
    negative = counts < 0
    if negative.any():
        sized = some.some(negative)
        sized.longs()
        some.rejoin(negative, sized)
        counts = np.where(negative, -counts, counts)
    most = (some.end - some.at) // item.least if item.least else np.int64(_MOST_OF_NOTHING)
    wrong = (counts > most) | (counts < 0)
    if wrong.any():
        some.fail(wrong)
    return np.where(some.bad, 0, counts)


def _block(
    some: Cursors, lanes: Ints, counts: Ints, item: ValueReader, owners: list[Ints], found: list[pa.Array] | None
) -> None:
    """One block of each list: all its elements at once where it is known where they begin, else one after the other."""
    starts = _starts(some, counts, item)
    if starts is not None:
        at, owner = starts
        all_of_them = Cursors(some.data, at, some.end[owner], some.bad[owner])
        values = item.read(all_of_them)
        if all_of_them.bad.any():
            damaged = np.zeros(len(some), np.bool_)
            damaged[owner[all_of_them.bad]] = True
            some.fail(damaged)
        owners.append(lanes[owner])
        if found is not None:
            found.append(values)
        return
    active, number = np.arange(len(some)), 0
    while len(active):
        each = some.some(active)
        if found is None:
            item.skip(each)
        else:
            found.append(item.read(each))
        owners.append(lanes[active])
        some.rejoin(active, each)
        number += 1
        active = active[(counts[active] > number) & ~some.bad[active]]


def _starts(some: Cursors, counts: Ints, item: ValueReader) -> tuple[Ints, Ints] | None:
    """Where each element begins, and whose it is; the cursors move behind them. None: only reading them tells."""
    is_number = isinstance(item, Numbers | Enums)
    if not is_number and item.width is None:
        return None
    owner = np.repeat(np.arange(len(some)), counts)
    before = np.repeat(np.cumsum(counts) - counts, counts)
    number = np.arange(len(owner)) - before
    if item.width is not None:
        at = some.at[owner] + number * item.width
        some.skip(counts * item.width)
        return at, owner
    stops = some.data.stops
    first = np.searchsorted(stops, some.at)
    last = first + counts - 1
    wrong = last >= len(stops)
    if wrong.any():
        some.fail(wrong)
        last = np.where(wrong, len(stops) - 1, last)
    place = np.minimum(first[owner] + number, len(stops)) - 1
    at = np.where(number == 0, some.at[owner], stops[place] + 1)
    some.skip(np.where(some.bad, 0, stops[last] + 1 - some.at))
    return at, owner


def _offsets(owners: Ints, count: int) -> Ints:
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(owners, minlength=count), out=offsets[1:])
    return offsets  # type: ignore[return-value]


def _sum_of_zeros(readers: Sequence[ValueReader]) -> int | None:
    total = 0
    for reader in readers:
        if reader.zeros is None:
            return None
        total += reader.zeros
    return total


def struct_of(kind: pa.StructType, columns: Sequence[pa.Array], count: int) -> pa.Array:
    """A struct column without nulls."""
    if not columns:
        return pa.Array.from_buffers(kind, count, [None])
    return pa.StructArray.from_arrays(columns, fields=list(kind))


def with_nulls(column: pa.Array, nulls: Flags) -> pa.Array:
    """`column`, which has no nulls of its own at this level, with nulls."""
    kind = column.type
    mask = pa.array(nulls)
    if pa.types.is_null(kind):
        return column
    if pa.types.is_struct(kind) and kind.num_fields:
        return pa.StructArray.from_arrays(
            [column.field(at) for at in range(kind.num_fields)], fields=list(kind), mask=mask
        )
    if pa.types.is_map(kind):
        return pa.MapArray.from_arrays(column.offsets, column.keys, column.items, type=kind, mask=mask)
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(column.offsets, column.values, type=kind, mask=mask)
    valid = pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    return pa.Array.from_buffers(kind, len(column), [valid, *column.buffers()[1:]])
