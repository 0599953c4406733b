"""Which rows of several tables have the same key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from riacho.server.delta.deletion_vectors import Rows
from riacho.server.state.hashing import hash_keys


def numbered(keys: Sequence[str], *tables: pa.Table) -> list[Rows]:
    """For each table a number per row: rows of the same key have the same one, whatever table they are in.

    Equal as Spark's grouping has it: NaN equals NaN, and -0.0 equals 0.0. The key columns of all tables have the same
    types, and the numbers count from 0.
    """
    hashes = [hash_keys([table.column(name) for name in keys], table.num_rows) for table in tables]
    high = np.concatenate([each.high for each in hashes])
    low = np.concatenate([each.low for each in hashes])
    order = np.argsort(high, kind="stable")
    same_high = high[order][1:] == high[order][:-1]
    same_low = low[order][1:] == low[order][:-1]
    if np.any(same_high & ~same_low):  # two keys share a word: rows of one may lie between rows of the other
        order = np.lexsort((low, high))
        same_high = high[order][1:] == high[order][:-1]
        same_low = low[order][1:] == low[order][:-1]
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.concatenate([np.zeros(min(1, len(order)), dtype=np.int64), np.cumsum(~(same_high & same_low))])
    return np.split(numbers, np.cumsum([len(each) for each in hashes])[:-1])
