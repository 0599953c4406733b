"""Messages in the making: columns of bytes that are joined row by row once all are there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.avro.cursors import Flags, Ints

Pieces = list[pa.Array]
"""BINARY columns without nulls; the message of a row is what they have in that row, one after the other."""
Write = Callable[[pa.Array], Pieces]


def filled(column: pa.Array, value: object) -> pa.Array:
    """`column` with a value in place of nulls; Arrow's own way takes its time even where there are none."""
    return column.fill_null(value) if column.null_count else column


def varints(values: Ints, nothing: Flags | None = None) -> pa.Array:
    """Whole numbers as Avro writes them, zigzag and seven bits a byte; no bytes at all where `nothing`."""
    signed = values.astype(np.int64, copy=False)
    zigzag = ((signed << 1) ^ (signed >> 63)).view(np.uint64)
    size = np.ones(len(zigzag), np.int64)
    most = int(zigzag.max()) if len(zigzag) else 0
    if most < 0x80 and nothing is None:
        return bytes_of(zigzag.astype(np.uint8))
    width = max(1, -(-most.bit_length() // 7))
    for step in range(1, width):
        size += zigzag >= np.uint64(1 << (7 * step))
    if nothing is not None:
        size = np.where(nothing, 0, size)
    digits = np.empty((len(zigzag), width), np.uint8)
    for step in range(width):
        digits[:, step] = (zigzag >> np.uint64(7 * step)).astype(np.uint8) | 0x80
    if len(zigzag):
        digits[np.arange(len(zigzag)), np.maximum(size, 1) - 1] &= 0x7F
    return ragged(digits[np.arange(width)[None, :] < size[:, None]], size)


def ragged(data: npt.NDArray[np.uint8], size: Ints) -> pa.Array:
    offsets = np.zeros(len(size) + 1, np.int32)
    np.cumsum(size, out=offsets[1:])
    return pa.Array.from_buffers(pa.binary(), len(size), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def bytes_of(values: npt.NDArray[np.generic]) -> pa.Array:
    """The bytes of values that all have the same size."""
    width = values.itemsize * (values.shape[1] if values.ndim == 2 else 1)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * width
    raw = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(offsets.astype(np.int32)), raw])


def varint(value: int) -> bytes:
    found: bytes = varints(np.array([value], np.int64))[0].as_py()
    return found


def repeated(value: bytes, count: int) -> pa.Array:
    return bytes_of(np.repeat(np.frombuffer(value, np.uint8)[None, :], count, axis=0))


def of_known(write: Write, column: pa.Array) -> pa.Array:
    """The messages of the values that are not null; null for the others, which the writer does not see."""
    if not column.null_count:
        return joined(write(column), len(column))
    known = column.is_valid()
    kept = column.filter(known)
    flags = known.to_numpy(zero_copy_only=False)
    return joined(write(kept), len(kept)).take(pa.array(np.cumsum(flags) - 1, mask=~flags))


def joined(pieces: Pieces, count: int) -> pa.Array:
    if not pieces:
        return pa.array([b""] * count, pa.binary())
    return pieces[0] if len(pieces) == 1 else pc.binary_join_element_wise(*pieces, b"")
