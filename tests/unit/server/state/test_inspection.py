"""State can be looked into while nothing runs, and looking changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from riacho.server.state.hashing import hash_keys
from riacho.server.state.inspection import live_rows, stores
from riacho.server.state.store import Changes, StateStore

SCHEMA = pa.schema([("k", pa.string())])


def write(store: StateStore, version: int, rows: dict[str, int], *, total: int, floor: int) -> None:
    keys = pa.array(list(rows), pa.string())
    table = pa.table({"k": keys}, schema=SCHEMA)
    time = np.array(list(rows.values()), dtype=np.int64)
    changes = Changes(hash_keys([keys], len(rows)), np.zeros(len(rows), dtype=np.int64), time, table)
    store.write(version, changes, rows=total, floor=floor)


def test_the_newest_version_and_its_live_rows(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "state" / "0" / "default", SCHEMA, unique=True)
    store.restore(0)
    write(store, 1, {"a": 10, "b": 20}, total=2, floor=0)
    write(store, 2, {"c": 30}, total=2, floor=10)
    store.close()
    before = sorted(tmp_path.rglob("*"))
    [found] = stores(tmp_path)
    assert (found.operator, found.store, found.version, found.rows, found.dead_before_us) == (0, "default", 2, 2, 10)
    rows = [row for part in live_rows(found) for row in part.to_pylist()]
    assert sorted((row["k"], row["_time"]) for row in rows) == [("b", 20), ("c", 30)]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_without_state(tmp_path: Path) -> None:
    assert stores(tmp_path) == []
