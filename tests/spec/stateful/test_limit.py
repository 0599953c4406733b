"""limit on a stream."""

from __future__ import annotations

from tests.spec.stateful.conftest import Watch
from tests.spec.stateful.support import Feed


def test_after_n_rows_nothing_more_comes_out(left: Feed, watch: Watch) -> None:
    query = watch(left.stream.limit(3).select("v"))
    left.put((1, "a", 1), (1, "a", 2))
    assert query.step() == [(1,), (2,)]
    left.put((1, "a", 3), (1, "a", 4))
    assert len(query.step()) == 1
    left.put((1, "a", 5))
    assert query.step() == []
    assert query.query.isActive
