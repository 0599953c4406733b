"""Which runs to merge into one, and how: what keeps the number of runs small however long a query lives.

Runs are merged by size, like carrying in binary addition: when `FAN_IN` neighbouring runs are of one size class, they
become one of the next. So a row is rewritten once per class, a logarithm of the size of the state, and a batch that
changes few rows causes little work however much state there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from riacho.server.state.run import Mask, Place, Run, RunInfo, block_rows

FAN_IN = 4
_SMALLEST_CLASS_ROWS = 4096


def size_class(rows: int) -> int:
    """0 for the smallest runs; each class is `FAN_IN` times as large as the one before."""
    size, rows = 0, rows // _SMALLEST_CLASS_ROWS
    while rows:
        size, rows = size + 1, rows // FAN_IN
    return size


def choose(runs: Sequence[RunInfo]) -> slice | None:
    """The neighbours to merge, given all runs from oldest to newest; None if all is well.

    Runs are taken together with everything newer of at most their class, so that one merge does what several smaller
    ones would do one after the other. Many runs are merged even if they are of different classes, unless that would
    write a large run again for the sake of a few rows.
    """
    best: slice | None = None
    rows = [run.rows for run in runs]
    classes = [size_class(count) for count in rows]
    for largest in sorted(set(classes)):
        start = len(runs)
        while start and classes[start - 1] <= largest:
            start -= 1
        group = rows[start:]
        worthwhile = sum(group) * FAN_IN >= max(group, default=0) * (FAN_IN + 1)
        if classes[start:].count(largest) >= FAN_IN or (best is None and len(group) >= 2 * FAN_IN and worthwhile):
            best = slice(start, len(runs))
    return best


def merge(runs: Sequence[Run], *, floor: int, oldest: bool, unique: bool) -> Iterator[pa.Table]:
    """The rows that are alive in `runs` (oldest first), sorted, in parts of about a block.

    Of several rows with one key and number the newest stays. Rows whose time is at or before `floor` go, and with
    `oldest` (nothing older than these runs exists) so do tombstones. Needs memory for one part of each run at a time.
    """
    bounds = _bounds(runs)
    for tables in zip(*(run.slices(bounds) for run in reversed(runs)), strict=True):
        merged = pa.concat_tables([table for table in tables if table.num_rows] or tables[:1])
        if merged.num_rows:
            yield _alive(merged, floor=floor, oldest=oldest, unique=unique)


def _bounds(runs: Sequence[Run]) -> list[Place | None]:
    """Where to cut runs so that all of them together have about a block in each part: at equal steps of the largest.

    A key with very many rows is cut as well, between two of its rows.
    """
    largest = max(runs, key=lambda run: run.info.rows)
    total = sum(run.info.rows for run in runs)
    parts = max(1, total // block_rows(total, sum(run.info.bytes for run in runs)))
    step = largest.info.rows / parts
    cuts = {largest.place(int(step * part)) for part in range(1, parts)} if largest.info.rows else set()
    return [*sorted(cuts), None]


def _alive(table: pa.Table, *, floor: int, oldest: bool, unique: bool) -> pa.Table:
    """`table` holds the newest rows first; stable sorts keep them ahead of what they replace."""
    high, low, seq, time = (table.column(i).to_numpy() for i in range(4))
    order = np.argsort(high, kind="stable")
    same_high = high[order][1:] == high[order][:-1]
    if not unique or np.any(same_high & (low[order][1:] != low[order][:-1])):
        order = np.lexsort((seq, low, high))
        same_high = high[order][1:] == high[order][:-1]
    repeated = same_high & (low[order][1:] == low[order][:-1]) & (seq[order][1:] == seq[order][:-1])
    keep: Mask = np.concatenate((np.ones(1, dtype=np.bool_), ~repeated)) & (time[order] > floor)
    if oldest:
        keep &= ~np.asarray(table.column(4).to_numpy(), dtype=np.bool_)[order]
    return table.take(pa.array(order[keep]))
