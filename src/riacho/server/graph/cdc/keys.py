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
    words = np.empty(sum(map(len, hashes)), dtype=[("high", np.uint64), ("low", np.uint64)])
    words["high"] = np.concatenate([each.high for each in hashes])
    words["low"] = np.concatenate([each.low for each in hashes])
    _, numbers = np.unique(words, return_inverse=True)
    return np.split(numbers.astype(np.int64), np.cumsum([len(each) for each in hashes])[:-1])
