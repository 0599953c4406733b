"""Many messages read side by side: one position in each, moved on by all that have a value to read.

Avro's binary form has no markers to find a value by: where one begins depends on all before it. What can be done at
once is the same value of every message, so a reader works on `Cursors`, and each step costs a few array operations
however many messages there are.

A message that turns out to be damaged is marked, and then reads as zeros; it never stops the others.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

PADDING: Final = 1024
"""Zero bytes behind the data: what a message that ends too early is read from, and what a null stands on."""

_STOPS: Final = np.uint64(0x8080808080808080)
_DIGITS: Final = np.uint64(0x7F7F7F7F7F7F7F7F)
_STEPS: Final = tuple(
    (np.uint64(keep), np.uint64(move), np.uint64(shift))
    for keep, move, shift in (
        (0x007F007F007F007F, 0x7F007F007F007F00, 1),
        (0x00003FFF00003FFF, 0x3FFF00003FFF0000, 2),
        (0x000000000FFFFFFF, 0x0FFFFFFF00000000, 4),
    )
)
_ONE: Final = np.uint64(1)


class Data:
    """The bytes of all messages, one after the other, with `PADDING` behind them."""

    def __init__(self, data: Bytes) -> None:
        size = len(data)
        padded = np.empty(size + PADDING, np.uint8)
        padded[:size] = data
        padded[size:] = 0
        self.bytes: Bytes = padded
        self.size = size
        self.words: Words = np.ndarray((size + PADDING - 7,), "<u8", padded, 0, (1,))
        """The eight bytes from each position, as a number."""
        self.halves: npt.NDArray[np.uint32] = np.ndarray((size + PADDING - 3,), "<u4", padded, 0, (1,))
        self._buffer: pa.Buffer | None = None
        self._stops: Ints | None = None

    @property
    def stops(self) -> Ints:
        """Where there are bytes that end a number."""
        if self._stops is None:
            self._stops = np.flatnonzero(self.bytes < 0x80)
        return self._stops

    @property
    def buffer(self) -> pa.Buffer:
        if self._buffer is None:
            self._buffer = pa.py_buffer(self.bytes)
        return self._buffer


class Cursors:
    """Positions in messages. `at`: the next byte of each; `end`: behind its last; `bad`: which ones are damaged."""

    __slots__ = ("at", "bad", "data", "end")

    def __init__(self, data: Data, at: Ints, end: Ints, bad: Flags) -> None:
        self.data = data
        self.at = at
        self.end = end
        self.bad = bad

    def __len__(self) -> int:
        return len(self.at)

    def some(self, which: Any) -> Cursors:
        """Cursors of some of the messages; `rejoin` brings back how far they came."""
        return Cursors(self.data, self.at[which], self.end[which], self.bad[which])

    def rejoin(self, which: Any, some: Cursors) -> None:
        self.at[which] = some.at
        self.bad[which] = some.bad

    def fail(self, which: Flags) -> None:
        """These messages are damaged: they have nothing more to read."""
        self.bad |= which
        self.at = np.where(which, self.data.size, self.at)
        self.end = np.where(which, self.data.size, self.end)

    def _check(self) -> None:
        """Those that read past their end are damaged."""
        past = self.at > self.end
        if past.any():
            self.fail(past)

    def take_bytes(self) -> Bytes:
        """One byte each."""
        found = self.data.bytes[self.at]
        self.at = self.at + 1
        self._check()
        return found

    def skip(self, sizes: Ints | int) -> Ints:
        """Move on by so many bytes; gives where each was."""
        start = self.at
        self.at = start + sizes
        past = self.at > self.end
        if past.any():
            self.fail(past)
            start = np.where(past, self.data.size, start)
        return start

    def longs(self) -> Ints:
        """A whole number each, of up to ten bytes (Avro's `long`)."""
        return _signed(self._varints(10))

    def ints(self) -> Ints:
        """A whole number each, of up to five bytes (Avro's `int`), of which 32 bits count."""
        return _signed(self._varints(5) & np.uint64(0xFFFFFFFF))

    def lengths(self) -> Ints:
        """The length of a text or of bytes, which is not negative and not longer than what is left."""
        found = self.longs()
        wrong = (found < 0) | (found > self.end - self.at)
        if wrong.any():
            self.fail(wrong)
            found = np.where(wrong, 0, found)
        return found

    def _varints(self, most: int) -> Words:
        first = self.data.bytes[self.at]
        if len(first) and first.max() < 0x80:
            self.at = self.at + 1
            self._check()
            return first.astype(np.uint64)
        words = self.data.words[self.at]
        stops = ~words & _STOPS
        low = stops & (~stops + _ONE)
        mask = low | (low - _ONE)  # all bits, where there is no stop: 0 - 1
        size = np.bitwise_count(mask).astype(np.int64) >> 3
        words &= mask
        words &= _DIGITS
        for keep, move, shift in _STEPS:
            words = (words & keep) | ((words & move) >> shift)
        if stops.all():
            self.at = self.at + size
            if most < 8:
                too_long = size > most
                if too_long.any():
                    self.fail(too_long)
        else:
            self._long_varints(words, size, np.flatnonzero(stops == 0), most)
        self._check()
        if self.bad.any():
            words[self.bad] = 0
        return words

    def _long_varints(self, words: Words, size: Ints, which: Ints, most: int) -> None:
        """Finish those of more than eight bytes."""
        at = self.at[which]
        ninth = self.data.bytes[at + 8].astype(np.uint64)
        tenth = self.data.bytes[at + 9].astype(np.uint64)
        is_nine = ninth < 0x80
        words[which] |= (ninth & np.uint64(0x7F)) << np.uint64(56)
        words[which] |= np.where(is_nine, np.uint64(0), (tenth & np.uint64(1)) << np.uint64(63))
        size[which] = np.where(is_nine, 9, 10)
        wrong = np.zeros(len(self.at), np.bool_)
        wrong[which] = ~is_nine & (tenth >= 0x80)
        self.at = self.at + size
        if most < 8:
            wrong |= size > most
        if wrong.any():
            self.fail(wrong)


def _signed(found: Words) -> Ints:
    """Zigzag: 0, -1, 1, -2, …"""
    return ((found >> _ONE) ^ (~(found & _ONE) + _ONE)).view(np.int64)


def cursors_of(column: pa.Array) -> tuple[Cursors, Flags | None]:
    """Cursors at the start of each value of a BINARY column, and which values are null (None: none is).

    A null is a message without bytes.
    """
    if pa.types.is_binary_view(column.type) or pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.large_binary())
    wide = pa.types.is_large_binary(column.type)
    nulls = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    count = len(column)
    _, offsets_buffer, data_buffer = column.buffers()
    if count == 0 or offsets_buffer is None:
        offsets = np.zeros(count + 1, np.int64)
    else:
        kind = np.int64 if wide else np.int32
        offsets = np.frombuffer(offsets_buffer, kind)[column.offset : column.offset + count + 1].astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    raw: Bytes = np.frombuffer(data_buffer, np.uint8)[first:last] if last > first else np.zeros(0, np.uint8)
    at, end = offsets[:-1] - first, offsets[1:] - first
    if nulls is not None:
        end = np.where(nulls, at, end)
    return Cursors(Data(raw), at, end, np.zeros(count, np.bool_)), nulls
