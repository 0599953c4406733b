"""Runs are merged like carrying in addition: few stay, and each row is rewritten a logarithm of times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from riacho.server.state.compaction import FAN_IN, choose, size_class
from riacho.server.state.run import RunInfo


def run(rows: int) -> RunInfo:
    return RunInfo("x", rows, rows, 0, 1, 1, 0, 0, 0)


@given(st.lists(st.integers(1, 5000), max_size=400))
def test_few_runs_stay_and_work_is_a_logarithm(sizes: list[int]) -> None:
    runs: list[int] = []
    written = 0
    for rows in sizes:
        runs.append(rows)
        while (chosen := choose([run(size) for size in runs])) is not None:
            merged = sum(runs[chosen])
            written += merged
            runs[chosen] = [merged]
    classes = 1 + size_class(sum(sizes))
    assert len(runs) <= 2 * FAN_IN * classes
    assert written <= sum(sizes) * (classes + 2) * 2


def test_a_large_run_is_left_alone_by_small_changes() -> None:
    chosen = choose([run(10_000_000), *(run(1000) for _ in range(FAN_IN))])
    assert chosen == slice(1, 1 + FAN_IN)


def test_a_large_run_is_written_again_only_when_much_has_changed() -> None:
    runs, snapshots = [10_000_000], 0
    for batch in range(1, 1001):
        runs.append(5_000)
        while (chosen := choose([run(size) for size in runs])) is not None:
            if chosen.start == 0:
                snapshots += 1
                assert sum(runs[1:]) >= 10_000_000 / FAN_IN, f"batch {batch}"
                runs = [10_000_000]
            else:
                runs[chosen] = [sum(runs[chosen])]
        assert len(runs) <= 4 * FAN_IN
    assert snapshots == 2


def test_nothing_to_merge() -> None:
    assert choose([]) is None
    assert choose([run(10_000_000), run(1000)]) is None
