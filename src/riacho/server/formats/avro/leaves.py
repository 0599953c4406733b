"""Values without parts: each reader takes one of every message and gives a column without nulls."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho.server.formats.avro.cursors import PADDING, Cursors, Data, Ints

_SHORT: Final = 24
"""Texts up to this average length are gathered byte by byte; longer ones by way of views, which copies them whole."""
_VIEW: Final = np.dtype([("length", "<i4"), ("first", "<u4"), ("buffer", "<u4"), ("offset", "<u4")])
_MILLIS: Final = np.int64((1 << 63) // 1000)


class ValueReader(Protocol):
    """Reads one value of every message.

    `zeros`: how many zero bytes make a value, so that nulls can be read from them too; None: that is not known.
    `least`: the fewest bytes that a value has.
    """

    type: pa.DataType
    zeros: int | None
    least: int
    width: int | None
    """How many bytes each value has, if all have as many."""

    def read(self, cursors: Cursors) -> pa.Array:
        """The next value of each message, as a column of `type`. Values of damaged messages mean nothing."""

    def skip(self, cursors: Cursors) -> None:
        """Move on behind it."""


def plain(values: npt.NDArray[np.generic], kind: pa.DataType) -> pa.Array:
    """A column of numbers, without nulls, that uses the memory of `values`."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


class Numbers:
    """`int` and `long` as a number, a date or a time. `factor`: what the value is multiplied by."""

    zeros: int | None = 1
    least = 1
    width: int | None = None

    def __init__(self, written: str, kind: pa.DataType, factor: int = 1) -> None:
        self.type = kind
        self._is_int = written == "int"
        self._factor = factor
        self._stored = _stored(kind)

    def read(self, cursors: Cursors) -> pa.Array:
        values = cursors.ints() if self._is_int else cursors.longs()
        if self._factor != 1:
            wrong = (values > _MILLIS) | (values < -_MILLIS)
            if wrong.any():
                cursors.fail(wrong)
                values = np.where(wrong, 0, values)
            values = values * self._factor
        return plain(values.astype(self._stored, copy=False), self.type)

    def skip(self, cursors: Cursors) -> None:
        _ = cursors.ints() if self._is_int else cursors.longs()


def _stored(kind: pa.DataType) -> npt.DTypeLike:
    if pa.types.is_floating(kind):
        return np.float32 if kind == pa.float32() else np.float64
    return np.int32 if kind.bit_width == 32 else np.int64


class ScaledLongs:
    """A decimal kept as a `long` (Spark's `custom-decimal`)."""

    zeros: int | None = 1
    least = 1
    width: int | None = None

    def __init__(self, kind: pa.Decimal128Type) -> None:
        self.type = kind

    def read(self, cursors: Cursors) -> pa.Array:
        values = cursors.longs()
        stored = np.empty((len(values), 2), np.int64)
        stored[:, 0] = values
        stored[:, 1] = values >> 63
        return _within(stored, self.type, cursors)

    def skip(self, cursors: Cursors) -> None:
        cursors.longs()


class Floats:
    """`float` and `double`."""

    def __init__(self, written: str, kind: pa.DataType) -> None:
        self.type = kind
        self._is_float = written == "float"
        self.least = 4 if self._is_float else 8
        self.zeros: int | None = self.least
        self.width: int | None = self.least

    def read(self, cursors: Cursors) -> pa.Array:
        start = cursors.skip(self.least)
        if self._is_float:
            values: npt.NDArray[np.generic] = cursors.data.halves[start].view(np.float32)
        else:
            values = cursors.data.words[start].view(np.float64)
        return plain(values.astype(_stored(self.type), copy=False), self.type)

    def skip(self, cursors: Cursors) -> None:
        cursors.skip(self.least)


class Booleans:
    """`boolean`: 1 is true, and all else false, as Java's reader has it."""

    type = pa.bool_()
    zeros: int | None = 1
    least = 1
    width: int | None = 1

    def read(self, cursors: Cursors) -> pa.Array:
        return pa.array(cursors.take_bytes() == 1)

    def skip(self, cursors: Cursors) -> None:
        cursors.skip(1)


class Nulls:
    """`null`, for any type: it takes no bytes."""

    zeros: int | None = 0
    least = 0
    width: int | None = 0

    def __init__(self, kind: pa.DataType) -> None:
        self.type = kind

    def read(self, cursors: Cursors) -> pa.Array:
        return pa.nulls(len(cursors), self.type)

    def skip(self, cursors: Cursors) -> None:
        """Nothing is there to skip."""


class Texts:
    """`string` and `bytes`, as STRING or BINARY. What is not UTF-8 in a STRING is replaced by U+FFFD."""

    zeros: int | None = 1
    least = 1
    width: int | None = None

    def __init__(self, kind: pa.DataType) -> None:
        self.type = kind

    def read(self, cursors: Cursors) -> pa.Array:
        sizes = cursors.lengths()
        found = pieces(cursors.data, cursors.skip(sizes), sizes)
        return found if self.type == pa.binary() else as_text(found)

    def skip(self, cursors: Cursors) -> None:
        cursors.skip(cursors.lengths())


class Fixed:
    """`fixed`, as BINARY."""

    type = pa.binary()

    def __init__(self, size: int) -> None:
        self._size = self.least = size
        self.zeros: int | None = size
        self.width: int | None = size

    def read(self, cursors: Cursors) -> pa.Array:
        start = cursors.skip(self._size)
        sizes = np.where(cursors.bad, 0, self._size)
        return pieces(cursors.data, start, sizes)

    def skip(self, cursors: Cursors) -> None:
        cursors.skip(self._size)


class Decimals:
    """`decimal` kept in `bytes` (`size` None) or in a `fixed` of so many: two's complement, the highest byte first."""

    width: int | None = None

    def __init__(self, kind: pa.Decimal128Type, size: int | None) -> None:
        self.type = kind
        self._size = size
        self.least = 1 if size is None else size
        self.zeros: int | None = self.least

    def read(self, cursors: Cursors) -> pa.Array:
        if self._size is None:
            sizes = cursors.lengths()
            start = cursors.skip(sizes)
        else:
            start = cursors.skip(self._size)
            sizes = np.where(cursors.bad, 0, self._size)
        data = cursors.data.bytes
        empty = sizes == 0
        if empty.any() and self._size is None:  # a number has a byte; what nulls are read from lies behind all messages
            cursors.fail(empty & (cursors.end <= cursors.data.size))
        last = start + sizes - 1
        negative = ~empty & (data[np.where(empty, start, start)] >= 0x80)
        sign = np.where(negative, 0xFF, 0).astype(np.uint8)
        stored = np.empty((len(sizes), 16), np.uint8)
        for at in range(16):
            has = sizes > at
            stored[:, at] = np.where(has, data[np.where(has, last - at, 0)], sign)
        for at in range(16, int(sizes.max(initial=0))):  # what does not fit must be signs alone
            has = sizes > at
            cursors.fail(has & (data[np.where(has, last - at, 0)] != sign))
        cursors.fail((sizes > 16) & ((stored[:, 15] >= 0x80) != negative))
        return _within(stored.view(np.int64), self.type, cursors)

    def skip(self, cursors: Cursors) -> None:
        cursors.skip(cursors.lengths() if self._size is None else self._size)


def _within(stored: Ints, kind: pa.Decimal128Type, cursors: Cursors) -> pa.Array:
    """Decimals from their halves, the lower one first; a message with one of too many digits is damaged."""
    low, high = stored[:, 0].view(np.uint64), stored[:, 1]
    limit = 10**kind.precision
    top, bottom = np.int64(limit >> 64), np.uint64(limit & 0xFFFFFFFFFFFFFFFF)
    least = -limit
    least_top, least_bottom = np.int64(least >> 64), np.uint64(least & 0xFFFFFFFFFFFFFFFF)
    too_large = (high > top) | ((high == top) & (low >= bottom))
    too_small = (high < least_top) | ((high == least_top) & (low <= least_bottom))
    wrong = too_large | too_small
    if wrong.any():
        cursors.fail(wrong)
        stored = np.where(wrong[:, None], 0, stored)
    return plain(np.ascontiguousarray(stored).reshape(-1), kind) if not len(stored) else _decimals(stored, kind)


def _decimals(stored: Ints, kind: pa.Decimal128Type) -> pa.Array:
    return pa.Array.from_buffers(kind, len(stored), [None, pa.py_buffer(np.ascontiguousarray(stored))])


class Enums:
    """`enum`, as STRING. `symbols`: what each number stands for; None: a symbol that the reader does not know."""

    type = pa.string()
    least = 1
    width: int | None = None

    def __init__(self, symbols: list[str | None]) -> None:
        self._symbols = pa.array([symbol or "" for symbol in symbols], pa.string())
        self._unknown = np.array([symbol is None for symbol in symbols], np.bool_)
        self.zeros: int | None = 1 if symbols and symbols[0] is not None else None

    def read(self, cursors: Cursors) -> pa.Array:
        at = cursors.ints()
        count = len(self._symbols)
        wrong = (at < 0) | (at >= count)
        if count:
            wrong |= self._unknown[np.where(wrong, 0, at)]
        if wrong.any():
            cursors.fail(wrong)
            at = np.where(wrong, 0, at)
        if not count:
            return pa.array([""] * len(at), pa.string())
        return self._symbols.take(pa.array(at))

    def skip(self, cursors: Cursors) -> None:
        cursors.ints()


class Broken:
    """A value that the reader's schema has no place for: a message that has one is damaged."""

    zeros: int | None = None
    least = 0
    width: int | None = None

    def __init__(self, kind: pa.DataType) -> None:
        self.type = kind

    def read(self, cursors: Cursors) -> pa.Array:
        self.skip(cursors)
        return pa.nulls(len(cursors), self.type)

    def skip(self, cursors: Cursors) -> None:
        cursors.fail(np.ones(len(cursors), np.bool_))


class Constants:
    """The default of a field that the writer does not have."""

    zeros: int | None = 0
    least = 0
    width: int | None = 0

    def __init__(self, value: pa.Array) -> None:
        self.type = value.type
        self._value = value

    def read(self, cursors: Cursors) -> pa.Array:
        return self._value.take(pa.array(np.zeros(len(cursors), np.int32)))

    def skip(self, cursors: Cursors) -> None:
        """Nothing is there to skip."""


def as_text(found: pa.Array) -> pa.Array:
    """BINARY as STRING."""
    try:
        return found.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([value.decode(errors="replace") for value in found.to_pylist()], pa.string())


def pieces(data: Data, start: Ints, sizes: Ints) -> pa.Array:
    """The pieces of the data from `start` of these sizes, as BINARY."""
    count = len(sizes)
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    total = int(offsets[-1])
    if total > _SHORT * count and data.size + PADDING < 1 << 31:
        return _by_views(data, start, sizes)
    index = np.repeat(start - offsets[:-1], sizes)
    index += np.arange(total)
    gathered = data.bytes[index]
    if total >= 1 << 31:
        wide = [None, pa.py_buffer(offsets), pa.py_buffer(gathered)]
        return pa.Array.from_buffers(pa.large_binary(), count, wide).cast(pa.binary())
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(gathered)]
    return pa.Array.from_buffers(pa.binary(), count, buffers)


def _by_views(data: Data, start: Ints, sizes: Ints) -> pa.Array:
    """The same by Arrow's views: texts of up to twelve bytes lie in the view itself, others where they are."""
    views = np.zeros(len(sizes), _VIEW)
    views["length"] = sizes
    short = sizes <= 12
    head = data.words[start] & _low_bytes(np.minimum(sizes, 8))
    tail = data.halves[start + 8] & _low_bytes(np.clip(sizes - 8, 0, 4)).astype(np.uint32)
    views["first"] = head.astype(np.uint32)
    views["buffer"] = np.where(short, (head >> np.uint64(32)).astype(np.uint32), 0)
    views["offset"] = np.where(short, tail, start.astype(np.uint32))
    found = pa.Array.from_buffers(pa.binary_view(), len(sizes), [None, pa.py_buffer(views), data.buffer])
    return found.cast(pa.binary())


_MASKS: Final = np.array([(1 << (8 * size)) - 1 for size in range(9)], np.uint64)


def _low_bytes(sizes: Ints) -> npt.NDArray[np.uint64]:
    return _MASKS[sizes]
