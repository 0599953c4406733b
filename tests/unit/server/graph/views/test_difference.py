"""What tells two tables apart, row by row."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.graph.views.difference import difference

ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.sampled_from(["a", "b", None]), st.sampled_from([0.5, None])),
    max_size=12,
)
TYPES = [pa.int64(), pa.string(), pa.float64()]


def table(rows: list[tuple[object, ...]]) -> pa.Table:
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(TYPES)]
    return pa.table(columns, names=["i", "s", "d"])


@given(ROWS, ROWS)
def test_old_rows_without_those_gone_and_with_the_new_ones_are_the_new_rows(
    old: list[tuple[object, ...]], new: list[tuple[object, ...]]
) -> None:
    found = difference(table(old), table(new))
    gone, come = Counter(old[i] for i in found.gone), Counter(new[i] for i in found.new)
    assert gone == Counter(old) - Counter(new)
    assert come == Counter(new) - Counter(old)


def test_the_sign_of_zero_counts() -> None:
    found = difference(table([(1, "a", 0.0), (2, "b", -0.0)]), table([(1, "a", -0.0), (2, "b", -0.0)]))
    assert (found.gone.tolist(), found.new.tolist()) == ([0], [0])
