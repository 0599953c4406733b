"""What is in memory stays below a bound, and is counted right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.conf import STATE_BOUND, STATE_BOUNDED
from riacho.errors import IllegalArgumentError
from riacho.server.state.memory import BlockPool, bound_bytes


class FakeBlock:
    def __init__(self, size: int) -> None:
        self.bytes = size
        self.resident = False
        self.forgotten = False
        self.let_go_of = 0

    def let_go(self) -> None:
        self.let_go_of += 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.lists(st.integers(0, 7)), st.integers(1, 120))
def test_the_least_recently_used_blocks_are_let_go_of(sizes: list[int], touches: list[int], bound: int) -> None:
    blocks = [FakeBlock(size) for size in sizes]
    pool = BlockPool()
    pool.bind("query", bound)
    used: list[FakeBlock] = []
    for number in touches:
        block = blocks[number % len(blocks)]
        pool.touch(block)
        used = [*(other for other in used if other is not block), block]
        while sum(other.bytes for other in used) > bound:
            used.pop(0)
        assert [other for other in blocks if other.resident] == [other for other in blocks if other in used]
        assert pool.bytes == sum(other.bytes for other in used) <= bound


def test_the_smallest_bound_counts_while_its_holder_is_there() -> None:
    pool = BlockPool()
    pool.bind("a", 100)
    blocks = [FakeBlock(40), FakeBlock(40), FakeBlock(40)]
    for block in blocks[:2]:
        pool.touch(block)
    pool.bind("b", 50)
    assert [block.resident for block in blocks] == [False, True, False]
    pool.release("b")
    pool.touch(blocks[2])
    assert pool.bytes == 80


def test_without_a_bound_everything_stays_and_is_counted() -> None:
    pool = BlockPool()
    blocks = [FakeBlock(1 << 40) for _ in range(3)]
    for block in blocks:
        pool.touch(block)
    assert pool.bytes == 3 << 40
    pool.forget(blocks[:2])
    assert pool.bytes == 1 << 40
    assert [block.let_go_of for block in blocks] == [1, 1, 0]


def test_a_forgotten_block_never_counts_again() -> None:
    pool = BlockPool()
    block = FakeBlock(10)
    pool.forget([block])
    pool.touch(block)
    assert pool.bytes == 0
    assert not block.resident


@pytest.mark.parametrize(
    ("confs", "expected"),
    [
        ({}, None),
        ({STATE_BOUND.key: "7"}, None),
        ({STATE_BOUNDED.key: "true"}, 500 << 20),
        ({STATE_BOUNDED.key: "TRUE", STATE_BOUND.key: "64"}, 64 << 20),
    ],
)
def test_confs(confs: dict[str, str], expected: int | None) -> None:
    assert bound_bytes(confs) == expected


@pytest.mark.parametrize(
    ("confs", "message"),
    [
        ({STATE_BOUNDED.key: "yes"}, "must be boolean"),
        ({STATE_BOUNDED.key: "true", STATE_BOUND.key: "1g"}, "must be a long"),
        ({STATE_BOUNDED.key: "true", STATE_BOUND.key: "0"}, "Total memory usage must be a positive integer"),
    ],
)
def test_wrong_confs_are_refused_in_the_words_of_spark(confs: dict[str, str], message: str) -> None:
    with pytest.raises(IllegalArgumentError, match=message):
        bound_bytes(confs)
