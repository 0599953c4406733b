"""State much larger than its bound: the pages that are resident stay below it, and what is found is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from riacho.server.state import run
from riacho.server.state.hashing import hash_keys
from riacho.server.state.memory import BlockPool
from riacho.server.state.run import NEVER
from riacho.server.state.store import BEGINNING, Changes, StateStore

KEYS = 500_000
MEGABYTE = 1 << 20
BLOCK = MEGABYTE // 2
BOUND = 2 * MEGABYTE
READ_AHEAD = MEGABYTE
"""What the kernel maps besides what was asked for, at the edges of blocks."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state of `KEYS` rows, about 28 MB, in blocks of `BLOCK` bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "BLOCK_BYTES", BLOCK)
        made = tmp_path_factory.mktemp("store")
        store = opened(made, BlockPool(), 0)
        store.write(1, puts(np.arange(KEYS), np.arange(KEYS)), rows=KEYS, floor=BEGINNING)
        store.close()
        yield made


def opened(folder: Path, pool: BlockPool, version: int) -> StateStore:
    store = StateStore(folder, pa.schema([("k", pa.int64()), ("v", pa.int64())]), unique=True, pool=pool)
    store.restore(version)
    return store


def puts(
    keys: np.ndarray[tuple[int], np.dtype[np.int64]], values: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Changes:
    count = len(keys)
    table = pa.table({"k": keys, "v": values})
    hashed = hash_keys([table["k"]], count)
    return Changes(hashed, np.zeros(count, dtype=np.int64), np.full(count, NEVER), table)


def resident_bytes(folder: Path) -> int:
    """Pages of the folder's files in this process's memory, as the kernel counts them."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = str(folder) in line
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def touch(store: StateStore, seed: int) -> None:
    """Find keys all over the state, and check what is found."""
    keys = np.random.default_rng(seed).choice(KEYS, 2_000, replace=False)
    found = store.find(hash_keys([pa.array(keys)], len(keys)))
    assert found.table["k"].to_numpy().tolist() == keys[found.probe].tolist()
    assert len(found) == len(keys)


def test_without_a_bound_what_was_touched_stays(folder: Path) -> None:
    store = opened(folder, BlockPool(), 1)
    touch(store, 0)
    assert resident_bytes(folder) > 5 * BOUND
    assert resident_bytes(folder) <= store.resident_bytes + READ_AHEAD
    store.close()


def test_a_bound_holds_for_all_stores_of_a_pool(folder: Path) -> None:
    pool = BlockPool()
    pool.bind("query", BOUND)
    stores = [opened(folder, pool, 1) for _ in range(2)]
    for seed in range(5):
        for store in stores:
            touch(store, seed)
            assert pool.bytes <= BOUND
            assert resident_bytes(folder) <= BOUND + BLOCK + READ_AHEAD
    for store in stores:
        store.close()
    assert pool.bytes == 0


def test_a_bound_holds_when_everything_is_read_or_leaves(folder: Path) -> None:
    pool = BlockPool()
    pool.bind("query", BOUND)
    store = opened(folder, pool, 1)
    seen = 0
    for part in store.alive():
        seen += part.num_rows
        assert resident_bytes(folder) <= BOUND + BLOCK + READ_AHEAD
    assert seen == KEYS
    leaving = 0
    for found in store.leaving(int(NEVER)):
        for part in found.blocks():
            assert part.nbytes <= 2 * BLOCK
            leaving += part.num_rows
    assert leaving == KEYS
    assert resident_bytes(folder) <= BOUND + BLOCK + READ_AHEAD
    store.close()
