"""Sliding windows by panes: rows are grouped by the stretches of time between the edges of windows, those by windows.

    window(ts, '10 minutes', '4 minutes')     [0 ──────────── 10)
                                                      [4 ──────────── 14)
    pane: window(ts, '2 minutes')             [0   2) [2   4) [4   6) …

A row is in several windows, and the engine would group it once for each. But a window is a number of whole panes. So
the engine groups each row once, by its pane. What comes of that are few rows with partial numbers; in order of group
and time each window is a range of them, which is merged as a batch is merged with the state. Rows come as they come,
panes in order of time, so this is for functions that do not mind the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np
import pyarrow as pa

from riacho.errors import ParseError
from riacho.intervals import interval_us
from riacho.server.plan import build
from riacho.server.plan.build import Expression
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.state.hashing import KeyHash, hash_keys
from riacho.server.state.run import Mask, Rows
from riacho.server.streaming.operators.calls import one_array
from riacho.server.streaming.operators.grouping import Grouping

Columns = Sequence[pa.Array]
MergeColumns = Callable[[Columns, Columns, Mask], Columns]
"""merge(left, right, both): aligned partials made one each; where `both` is false the left ones are null."""


@dataclass(frozen=True)
class Windows:
    """Windows `width` long, of which one begins every `slide`, and one at `offset`; all in microseconds."""

    width: int
    slide: int
    offset: int = 0

    @property
    def pane(self) -> int:
        return gcd(self.width, self.slide)

    def beginning_with(self, panes: Rows, groups: Rows) -> tuple[Rows, Rows]:
        """Each window of each group by the first pane in it: the pane's place, and where the window begins.

        `panes`: where they begin, in order within each of `groups`.
        """
        before = panes - self.width
        same = groups[1:] == groups[:-1]
        before[1:][same] = np.maximum(before[1:], panes[:-1])[same]
        # A window that has this pane, and not the one before it, begins behind `before`, and not behind the pane.
        none, last = ((edges - self.offset) // self.slide for edges in (before, panes))
        places = np.repeat(np.arange(len(panes)), last - none)
        nth = np.arange(len(places)) - np.searchsorted(places, places)
        return places, (none[places] + 1 + nth) * self.slide + self.offset


@dataclass(frozen=True)
class Panes:
    """A grouping by sliding windows, and what to ask the engine for instead. Made by `panes_of`.

    `key`: which of the keys is the window. `grouping`: the same by panes.
    """

    key: int
    windows: Windows
    grouping: Grouping

    def in_windows(self, rows: pa.Table, merge: MergeColumns) -> pa.Table:
        """The rows of windows made of those of panes, one for each group of either."""
        keys, partials = (rows.select(names) for names in _cut(rows.column_names, len(self.grouping.columns)))
        others = [column for key, column in enumerate(keys.columns) if key != self.key]
        hashes = hash_keys(others, rows.num_rows)
        panes = _micros(keys.column(self.key))
        order = np.lexsort((panes, hashes.low, hashes.high))
        panes, groups = panes[order], _numbered(hashes.take(order))
        begin, start = self.windows.beginning_with(panes, groups)
        end = _first_at(groups, panes, groups[begin], start + self.windows.width)
        merged = _merged(_take(map(one_array, partials.columns), order), begin, end, merge)
        kind = rows.schema.field(self.key)
        made = keys.take(pa.array(order[begin])).set_column(self.key, kind, self._structs(start, kind.type))
        return pa.Table.from_arrays([*made.columns, *merged], schema=rows.schema)

    def _structs(self, starts: Rows, kind: pa.StructType) -> pa.Array:
        edges = [pa.array(edge).cast(kind.field(0).type) for edge in (starts, starts + self.windows.width)]
        return pa.StructArray.from_arrays(edges, fields=list(kind))


def panes_of(grouping: Grouping) -> Panes | None:
    """The panes of a grouping; None if it has no sliding windows, or has them in a way that is not seen through."""
    if grouping.sets:
        return None
    found = [(key, windows) for key, windows in enumerate(map(_windows, grouping.expressions)) if windows is not None]
    if len(found) != 1 or found[0][1].width == found[0][1].slide:
        return None
    [(key, windows)] = found
    expressions = list(grouping.expressions)
    expressions[key] = _by_pane(expressions[key], windows)
    return Panes(key, windows, replace(grouping, expressions=expressions))


def _windows(key: Expression) -> Windows | None:
    """The windows of a key, if it is a call of `window` with constants."""
    function = _inner(key).unresolved_function
    if function.function_name.lower() != "window" or not all(
        e.literal.HasField("string") for e in function.arguments[1:]
    ):
        return None
    try:
        spans = [interval_us(argument.literal.string) for argument in function.arguments[1:]]
    except ParseError:
        return None  # the engine says so
    if not spans or any(months for months, _ in spans):
        return None
    width, *rest = (micros for _, micros in spans)
    slide, *start = rest or [width]
    return Windows(width, slide, *start) if 0 < slide <= width else None


def _by_pane(key: Expression, windows: Windows) -> Expression:
    arguments = (windows.pane, windows.pane, windows.offset % windows.pane)
    function = _inner(key).unresolved_function
    texts = [build.text(f"{micros} microseconds") for micros in arguments]
    return build.call(function.function_name, function.arguments[0], *texts)


def _inner(key: Expression) -> Expression:
    read = structured(key)
    return read.alias.expr if read.HasField("alias") else read


def _cut(names: list[str], at: int) -> tuple[list[str], list[str]]:
    return names[:at], names[at:]


def _numbered(keys: KeyHash) -> Rows:
    """Numbers for keys that are in order: equal for equal ones, and rising."""
    new = np.ones(len(keys), dtype=np.bool_)
    new[1:] = (keys.high[1:] != keys.high[:-1]) | (keys.low[1:] != keys.low[:-1])
    return np.cumsum(new)


def _micros(windows: pa.ChunkedArray) -> Rows:
    """Where windows begin."""
    starts: Rows = one_array(windows).field(0).cast(pa.int64()).to_numpy()
    return starts


def _first_at(groups: Rows, times: Rows, group: Rows, time: Rows) -> Rows:
    """The first place in rows that are ordered by group and time that is at or after a time in a group."""
    known = np.unique(times)
    ranks = groups * (len(known) + 1) + np.searchsorted(known, times)
    return np.searchsorted(ranks, group * (len(known) + 1) + np.searchsorted(known, time))


def _merged(columns: Columns, begin: Rows, end: Rows, merge: MergeColumns) -> Columns:
    """Each range of rows made one row.

    A range is put together from stretches of 1, 2, 4 … rows, as its length says in binary. All stretches of a length
    are merged at once, each of two that are half as long; some lie across ranges, and are not asked for.
    """
    at, left = begin.copy(), end - begin
    made: Columns = [pa.nulls(len(begin), column.type) for column in columns]
    has = np.zeros(len(begin), dtype=np.bool_)
    length = 1
    while True:
        takes = np.flatnonzero(left & 1)
        both = has[takes]
        part = merge(_take(made, takes, ~both), _take(columns, at[takes]), both)
        place = np.arange(len(begin))
        place[takes] = len(begin) + np.arange(len(takes))
        made = _take([pa.concat_arrays(pair) for pair in zip(made, part, strict=True)], place)
        has[takes] = True
        at[takes] += length
        left >>= 1
        if not left.any():
            return made
        rows = len(columns[0]) - length
        both = np.ones(rows, dtype=np.bool_)
        columns = merge([c.slice(0, rows) for c in columns], [c.slice(length) for c in columns], both)
        length *= 2


def _take(columns: Iterable[pa.Array], rows: Rows, masked: Mask | None = None) -> Columns:
    """These rows; null where they are `masked`."""
    places = pa.array(rows, mask=masked)
    return [column.take(places) for column in columns]
