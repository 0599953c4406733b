"""A 128-bit hash of key columns: how state finds its keys.

The hash is written into state files, so it must never change between versions of riacho: it is defined here by
integer arithmetic alone. Two keys are taken for equal if their 128 bits are; at a hundred million keys the odds of a
mistake are about one in 10^22, far below those of the disk.

Keys are equal as Spark's grouping has it: NULL equals NULL, NaN equals NaN, and -0.0 equals 0.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Words = npt.NDArray[np.uint64]

_SEEDS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_NULL = np.uint64(0xA0761D6478BD642F)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_WORD_BYTES = 8


@dataclass(frozen=True)
class KeyHash:
    """Two words per row; rows are the same key exactly if both words are equal."""

    high: Words
    low: Words

    def __len__(self) -> int:
        return len(self.high)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> KeyHash:
        return KeyHash(self.high[rows], self.low[rows])


def hash_keys(columns: Sequence[pa.Array | pa.ChunkedArray], rows: int) -> KeyHash:
    """Hash `rows` keys made of `columns`; no columns at all is one key that every row has."""
    arrays = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns]
    words = []
    for seed in _SEEDS:
        state = np.full(rows, seed, dtype=np.uint64)
        for array in arrays:
            state = _mix(state ^ _hash(array, seed))
        words.append(state)
    return KeyHash(words[0], words[1])


def unique(keys: KeyHash) -> KeyHash:
    """Each key once, in any order."""
    return keys.take(first_places(keys))


def distinct(keys: KeyHash) -> int:
    """How many different keys there are."""
    return len(first_places(keys))


def first_places(keys: KeyHash) -> npt.NDArray[np.int64]:
    """Where each key stands first, in ascending order."""
    order = np.argsort(keys.high, kind="stable")
    high, low = keys.high[order], keys.low[order]
    same_high, same_low = high[1:] == high[:-1], low[1:] == low[:-1]
    if np.any(same_high & ~same_low):  # two keys share a word: rows of one may lie between rows of the other
        order = np.lexsort((keys.low, keys.high))
        high, low = keys.high[order], keys.low[order]
        same_high, same_low = high[1:] == high[:-1], low[1:] == low[:-1]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = ~(same_high & same_low)
    # Both sorts are stable, so the first of equal keys in `order` is the first of all.
    return np.sort(order[new])


def members(keys: KeyHash, among: KeyHash) -> npt.NDArray[np.bool_]:
    """Which of `keys` are in `among`."""
    if not len(among):
        return np.zeros(len(keys), dtype=np.bool_)
    among = among.take(np.lexsort((among.low, among.high)))
    place = np.searchsorted(among.high, keys.high)
    found = np.zeros(len(keys), dtype=np.bool_)
    while True:
        # One round is enough but for two keys that share a word.
        inside = place < len(among)
        inside[inside] = among.high[place[inside]] == keys.high[inside]
        found[inside] |= among.low[place[inside]] == keys.low[inside]
        if not np.any(inside & ~found):
            return found
        place = np.where(inside & ~found, place + 1, len(among))


def _mix(words: Words) -> Words:
    """Spread each bit over the whole word (the finaliser known as splitmix64)."""
    words = (words ^ (words >> np.uint64(30))) * _MULTIPLIERS[0]
    words = (words ^ (words >> np.uint64(27))) * _MULTIPLIERS[1]
    return words ^ (words >> np.uint64(31))


def _hash(array: pa.Array, seed: np.uint64) -> Words:
    kind = array.type
    if pa.types.is_null(kind):
        return np.full(len(array), _NULL, dtype=np.uint64)
    if pa.types.is_struct(kind):
        hashed = np.full(len(array), seed, dtype=np.uint64)
        for child in array.flatten():
            hashed = _mix(hashed ^ _hash(child, seed))
    elif pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind):
        hashed = _hash_bytes(array.cast(pa.large_binary()), seed)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        hashed = _hash_lists(array, seed)
    elif pa.types.is_decimal(kind):
        hashed = _hash_decimals(array, seed)
    else:
        hashed = _mix(_integers(array) + seed)
    if array.null_count:
        hashed = np.where(_numpy(array.is_null()), _NULL, hashed)
    return hashed


def _integers(array: pa.Array) -> Words:
    """One word per value of a type of fixed width."""
    kind = array.type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    elif pa.types.is_floating(kind):
        values = _numpy(array.cast(pa.float64()).fill_null(0.0)) + 0.0  # makes -0.0 the other zero
        return np.where(np.isnan(values), np.nan, values).view(np.uint64)
    elif pa.types.is_temporal(kind):
        array = array.cast(pa.int64())
    values = array.fill_null(0).cast(pa.int64(), safe=False)
    return _numpy(values).view(np.uint64)


def _hash_decimals(array: pa.Array, seed: np.uint64) -> Words:
    array = pc.cast(array, pa.decimal128(38, array.type.scale))
    buffer = array.buffers()[1]
    words = np.frombuffer(buffer, dtype=np.uint64)[2 * array.offset : 2 * (array.offset + len(array))]
    return _mix(_mix(words[0::2] + seed) ^ words[1::2])


def _hash_bytes(array: pa.Array, seed: np.uint64) -> Words:
    """Eight bytes at a time for all rows at once, as many rounds as the longest value has words."""
    rows = len(array)
    _, offset_buffer, data = array.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[array.offset : array.offset + rows + 1]
    lengths = np.diff(offsets)
    content = np.zeros(int(offsets[-1] - offsets[0]) + _WORD_BYTES if rows else 0, dtype=np.uint8)
    if data is not None and rows:
        content[:-_WORD_BYTES] = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]]
    starts = offsets[:-1] - (offsets[0] if rows else 0)
    hashed: Words = _mix(lengths.astype(np.uint64) + seed)
    place = np.arange(_WORD_BYTES)
    active = np.flatnonzero(lengths > 0)
    done = 0
    while len(active):
        left = lengths[active] - done
        window = content[(starts[active] + done)[:, None] + place]
        window[place[None, :] >= left[:, None]] = 0
        hashed[active] = _mix(hashed[active] ^ np.ascontiguousarray(window).view("<u8")[:, 0])
        done += _WORD_BYTES
        active = active[lengths[active] > done]
    return hashed


def _hash_lists(array: pa.Array, seed: np.uint64) -> Words:
    lengths = _numpy(pc.list_value_length(array).fill_null(0).cast(pa.int64()))
    elements = _hash(array.flatten(), seed)
    starts = np.cumsum(lengths) - lengths
    position = (np.arange(len(elements)) - np.repeat(starts, lengths)).astype(np.uint64)
    mixed = _mix(elements ^ _mix(position + seed))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return _mix((sums[starts + lengths] - sums[starts]) ^ lengths.astype(np.uint64))


def _numpy(array: pa.Array) -> npt.NDArray[Any]:
    return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
