"""Random numbers that belong to a row: the same seed, field and row number give the same number, whoever asks.

So rows do not depend on how they are cut into partitions and batches, and a batch that is run again has the same ones.
A number is a hash (SplitMix64) of the row's number and of a key, which is made of the seed and of names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_UNIT: Final = 2.0**-53


def key_of(*parts: object) -> int:
    """A key of 64 bits, the same for the same parts everywhere."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def bits(key: int, rows: Numbers) -> Bits:
    """64 random bits for each row."""
    with np.errstate(over="ignore"):
        mixed = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(key)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX[0])
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX[1])
        return mixed ^ (mixed >> np.uint64(31))


def unit(key: int, rows: Numbers) -> Floats:
    """A number from 0 to less than 1 for each row."""
    return (bits(key, rows) >> np.uint64(11)).astype(np.float64) * _UNIT


def below(key: int, rows: Numbers, count: int) -> Numbers:
    """A whole number from 0 to less than `count` for each row."""
    return np.minimum((unit(key, rows) * count).astype(np.int64), count - 1)


def normal(key: int, rows: Numbers) -> Floats:
    """A number of the standard normal distribution for each row (Box and Muller's method)."""
    first = 1.0 - unit(key, rows)
    second = unit(key_of(key, "second"), rows)
    found: Floats = np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second)
    return found


def cumulated(weights: Sequence[float] | Floats) -> Floats:
    """What `weighted` takes: the shares up to each place, the last one 1."""
    sums: Floats = np.cumsum(np.asarray(weights, dtype=np.float64))
    sums /= sums[-1]
    sums[-1] = 1.0
    return sums


def weighted(key: int, rows: Numbers, shares: Floats) -> Numbers:
    """A place for each row, as often as its share says."""
    return np.searchsorted(shares, unit(key, rows), side="right").astype(np.int64)


def happens(key: int, rows: Numbers, share: float) -> npt.NDArray[np.bool_]:
    """Whether something that happens to this share of rows happens to each."""
    found: Any = unit(key, rows) < share
    return np.asarray(found, dtype=np.bool_)
