"""Rows of panes made those of sliding windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.plan import build
from riacho.server.plan.build import Expression
from riacho.server.plan.from_sql.expressions import text_expression
from riacho.server.state.run import Mask
from riacho.server.streaming.operators.grouping import Grouping
from riacho.server.streaming.operators.panes import Panes, Windows, panes_of
from riacho.types import TIMESTAMP

WINDOW = pa.struct([("start", TIMESTAMP), ("end", TIMESTAMP)])
MINUTE = 60_000_000


def window(*spans: str) -> Expression:
    return build.call("window", build.col("ts"), *map(build.text, spans))


def grouping(*keys: Expression, sets: tuple[tuple[int, ...], ...] = ()) -> Grouping:
    return Grouping(keys, [WINDOW] * len(keys), None, sets)


def add(state: Sequence[pa.Array], batch: Sequence[pa.Array], known: Mask) -> list[pa.Array]:
    """Sums, for rows of which the left is null where it is not known."""
    assert all(np.array_equal(column.is_valid().to_numpy(zero_copy_only=False), known) for column in state)
    return [pc.coalesce(pc.add(left, right), right) for left, right in zip(state, batch, strict=True)]


def sums(panes: Panes, rows: list[tuple[int, str | None, int]]) -> Counter[tuple[int, str | None]]:
    """What `in_windows` makes of rows (start of a pane, key, number), by start of the window and key."""
    starts = [row[0] for row in rows]
    edges = [pa.array(edge, pa.int64()).cast(TIMESTAMP) for edge in (starts, [s + panes.windows.pane for s in starts])]
    columns = [
        pa.array([row[1] for row in rows], pa.string()),
        pa.StructArray.from_arrays(edges, fields=list(WINDOW)),
        pa.array([row[2] for row in rows], pa.int64()),
    ]
    table = panes.in_windows(pa.Table.from_arrays(columns, names=["_key0", "_key1", "_partial0"]), add)
    found: Counter[tuple[int, str | None]] = Counter()
    start, end = (part.cast(pa.int64()).to_pylist() for part in table.column("_key1").combine_chunks().flatten())
    for key, begin, stop, number in zip(
        table["_key0"].to_pylist(), start, end, table["_partial0"].to_pylist(), strict=True
    ):
        assert stop - begin == panes.windows.width
        assert (begin, key) not in found, "one row for each group"
        found[begin, key] = number
    return found


spans = st.integers(1, 12)


@given(
    st.tuples(spans, spans).map(lambda pair: (max(pair), min(pair))),
    st.integers(-11, 11),
    st.lists(st.tuples(st.integers(-40, 40), st.sampled_from(["a", "b", None]), st.integers(1, 9)), max_size=30),
)
def test_each_window_has_the_rows_of_its_panes(
    shape: tuple[int, int], offset: int, rows: list[tuple[int, str | None, int]]
) -> None:
    width, slide = shape
    windows = Windows(width, slide, offset % slide)
    expected: Counter[tuple[int, str | None]] = Counter()
    by_pane: Counter[tuple[int, str | None]] = Counter()
    for time, key, number in rows:
        by_pane[time - (time - offset) % windows.pane, key] += number
        for start in range(time - width + 1, time + 1):
            if (start - offset) % slide == 0:
                expected[start, key] += number
    panes = Panes(1, windows, grouping(build.col("k"), window("1 minute")))
    assert sums(panes, [(start, key, number) for (start, key), number in by_pane.items()]) == expected


def test_long_windows_of_short_panes() -> None:
    panes = Panes(1, Windows(1000, 1), grouping(build.col("k"), window("1 minute")))
    found = sums(panes, [(0, "a", 1), (999, "a", 2), (5000, "a", 4)])
    assert found[0, "a"] == 3
    assert len(found) == 1999 + 1000


@pytest.mark.parametrize(
    ("spans", "expected", "by"),
    [
        (("10 minutes", "4 minutes"), Windows(10 * MINUTE, 4 * MINUTE), (2 * MINUTE, 0)),
        (("10 minutes", "5 minutes"), Windows(10 * MINUTE, 5 * MINUTE), (5 * MINUTE, 0)),
        (("10 minutes", "4 minutes", "3 minutes"), Windows(10 * MINUTE, 4 * MINUTE, 3 * MINUTE), (2 * MINUTE, MINUTE)),
        (("10 minutes", "4 minutes", "-1 minute"), Windows(10 * MINUTE, 4 * MINUTE, -MINUTE), (2 * MINUTE, MINUTE)),
        (("1 hour", "interval 90 seconds"), Windows(60 * MINUTE, 3 * MINUTE // 2), (3 * MINUTE // 2, 0)),
    ],
)
def test_the_engine_is_asked_for_panes(spans: tuple[str, ...], expected: Windows, by: tuple[int, int]) -> None:
    panes = panes_of(grouping(build.col("k"), build.alias(window(*spans), "w")))
    assert panes is not None
    assert (panes.key, panes.windows) == (1, expected)
    pane, offset = by
    asked = window(*(f"{span} microseconds" for span in (pane, pane, offset)))
    assert list(panes.grouping.expressions) == [build.col("k"), asked]


def test_text_is_read() -> None:
    panes = panes_of(grouping(text_expression("window(ts, '10 minutes', '5 minutes')")))
    assert panes is not None
    assert panes.windows.pane == 5 * MINUTE


@pytest.mark.parametrize(
    "key",
    [
        build.col("k"),
        window("10 minutes"),
        window("10 minutes", "10 minutes", "1 minute"),
        window("1 month", "1 day"),
        window("ten", "five"),
        build.call("window", build.col("ts"), build.col("width"), build.text("5 minutes")),
        build.call("date_trunc", build.text("hour"), build.col("ts")),
    ],
    ids=["column", "tumbling", "with a start", "months", "no interval", "no constant", "other function"],
)
def test_other_keys_have_no_panes(key: Expression) -> None:
    assert panes_of(grouping(key)) is None


def test_grouping_sets_and_several_windows_have_none() -> None:
    sliding = window("10 minutes", "5 minutes")
    assert panes_of(grouping(sliding, build.col("k"), sets=((0, 1), (0,)))) is None
    assert panes_of(grouping(sliding, sliding)) is None
