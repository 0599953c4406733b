"""The state store against a dictionary, through restarts, merges and damage."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.errors import SparkGeneralError
from riacho.server.state import run
from riacho.server.state import store as store_module
from riacho.server.state.hashing import KeyHash, hash_keys
from riacho.server.state.memory import BlockPool
from riacho.server.state.run import NEVER
from riacho.server.state.store import BEGINNING, Changes, StateStore

SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64())])


class Put(NamedTuple):
    key: str
    seq: int
    value: int | None
    """None: the row is removed."""
    time: int


Model = dict[tuple[str, int], tuple[int, int]]
"""(key, seq) to (value, time)."""


def keys_of(keys: list[str]) -> KeyHash:
    return hash_keys([pa.array(keys, pa.string())], len(keys))


def changes_of(puts: list[Put]) -> Changes:
    return Changes(
        keys_of([put.key for put in puts]),
        np.array([put.seq for put in puts], dtype=np.int64),
        np.array([put.time for put in puts], dtype=np.int64),
        pa.table({"k": [put.key for put in puts], "v": pa.array([put.value for put in puts], pa.int64())}),
        np.array([put.value is None for put in puts], dtype=np.bool_),
    )


def apply(model: Model, puts: list[Put], floor: int) -> Model:
    result = dict(model)
    for put in puts:
        if put.value is None:
            result.pop((put.key, put.seq), None)
        else:
            result[put.key, put.seq] = (put.value, put.time)
    return {key: row for key, row in result.items() if row[1] > floor}


def content(store: StateStore) -> Model:
    rows: Model = {}
    for found in store.leaving(int(NEVER)):
        assert pa.concat_tables([SCHEMA.empty_table(), *found.blocks()]).equals(found.table)
        for row, seq, time in zip(found.table.to_pylist(), found.seq, found.time, strict=True):
            rows[row["k"], int(seq)] = (row["v"], int(time))
    alive = [(row["k"], row["v"]) for part in store.alive() for row in part.to_pylist()]
    assert sorted(alive) == sorted((key, value) for (key, _), (value, _) in rows.items())
    return rows


def lookup(store: StateStore, keys: list[str]) -> dict[str, set[tuple[int, int]]]:
    found = store.find(keys_of(keys), ["v"])
    answer: dict[str, set[tuple[int, int]]] = {key: set() for key in keys}
    for probe, seq, value in zip(found.probe, found.seq, found.table["v"].to_pylist(), strict=True):
        answer[keys[probe]].add((int(seq), value))
    return answer


KEYS = list("abcdefgh")


@st.composite
def histories(draw: st.DrawFn, *, unique: bool) -> list[tuple[list[Put], int]]:
    """Batches of changes, each with the floor after it. The time of a (key, seq) is fixed, as the store demands."""
    batches = []
    floor = 0
    for _ in range(draw(st.integers(1, 14))):
        names = draw(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 0 if unique else 2)), unique=True))
        floor += draw(st.integers(0, 2))
        puts = []
        for key, seq in names:
            time = int(NEVER) if key in "abc" else KEYS.index(key) * 3 + seq
            if time > floor:
                puts.append(Put(key, seq, draw(st.none() | st.integers(0, 99)), time))
        batches.append((puts, floor))
    return batches


@contextmanager
def tiny_blocks() -> Iterator[BlockPool]:
    """Blocks of three rows, and a pool that lets go of each as soon as it was read."""
    with patch.object(run, "BLOCK_ROWS", 3), patch.object(store_module, "BLOCK_ROWS", 3):
        pool = BlockPool()
        pool.bind("test", 1)
        yield pool


@pytest.mark.parametrize("blocks", [tiny_blocks, lambda: nullcontext(BlockPool())], ids=["tiny blocks", "one block"])
@pytest.mark.parametrize("unique", [True, False])
@given(data=st.data())
@settings(deadline=None)
def test_a_store_is_a_dictionary_that_survives_restarts(
    unique: bool, blocks: Callable[[], AbstractContextManager[BlockPool]], data: st.DataObject
) -> None:
    history = data.draw(histories(unique=unique))
    with tempfile.TemporaryDirectory() as folder, blocks() as pool:
        store = StateStore(Path(folder), SCHEMA, unique=unique, retain=5, pool=pool)
        store.restore(0)
        models: list[Model] = [{}]
        for version, (puts, floor) in enumerate(history, 1):
            models.append(apply(models[-1], puts, floor))
            store.write(version, changes_of(puts) if puts else None, rows=len(models[-1]), floor=floor)
            store.committed(version)
            if data.draw(st.integers(0, 3), label="restart") == 0:
                store.close()
                store = StateStore(Path(folder), SCHEMA, unique=unique, retain=5, pool=pool)
                store.restore(version)
            assert content(store) == models[-1]
            assert store.rows == len(models[-1])
            expected: dict[str, set[tuple[int, int]]] = {key: set() for key in KEYS}
            for (key, seq), (value, _) in models[-1].items():
                expected[key].add((seq, value))
            assert lookup(store, KEYS) == expected
        back = data.draw(st.integers(max(0, len(history) - 4), len(history)), label="restored version")
        store.restore(back)
        assert content(store) == models[back]
        store.close()


@given(data=st.data())
@settings(deadline=None)
def test_expired_rows_are_those_a_higher_floor_would_kill(data: st.DataObject) -> None:
    history = data.draw(histories(unique=True))
    with tempfile.TemporaryDirectory() as folder:
        store = StateStore(Path(folder), SCHEMA, unique=True)
        store.restore(0)
        model: Model = {}
        for version, (puts, floor) in enumerate(history, 1):
            model = apply(model, puts, floor)
            store.write(version, changes_of(puts) if puts else None, rows=len(model), floor=floor)
            store.committed(version)
        through = history[-1][1] + data.draw(st.integers(0, 20))
        but = data.draw(st.lists(st.sampled_from(KEYS), unique=True))
        gone = {key for (key, _), (_, time) in model.items() if time <= through and key not in but}
        found = [key for part in store.leaving(through, ["k"], but=keys_of(but)) for key in part.table["k"].to_pylist()]
        assert sorted(found) == sorted(gone)
        store.close()


@given(data=st.data())
@settings(deadline=None)
def test_damage_is_repaired_from_older_versions_or_refused_by_name(data: st.DataObject) -> None:
    history = data.draw(histories(unique=True))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = StateStore(folder, SCHEMA, unique=True)
        store.restore(0)
        model: Model = {}
        for version, (puts, floor) in enumerate(history, 1):
            model = apply(model, puts, floor)
            store.write(version, changes_of(puts) if puts else None, rows=len(model), floor=floor)
            store.committed(version)
        store.close()
        files = sorted(folder.iterdir())
        for path in data.draw(st.lists(st.sampled_from(files), unique=True, max_size=3)):
            match data.draw(st.sampled_from(["missing", "torn", "altered"])):
                case "missing":
                    path.unlink()
                case "torn":
                    path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size - 1))])
                case "altered":
                    content_ = bytearray(path.read_bytes())
                    place = data.draw(st.integers(0, len(content_) - 1))
                    content_[place] ^= 1 << data.draw(st.integers(0, 7))
                    path.write_bytes(bytes(content_))
        store = StateStore(folder, SCHEMA, unique=True)
        problem = _problem_of(lambda: store.restore(len(history)))
        if problem is None:
            assert content(store) == model
            assert store.rows == len(model)
        else:
            assert problem.condition == "CANNOT_LOAD_STATE_STORE.UNCATEGORIZED"
            assert str(folder) in problem.message
        store.close()


def _problem_of(action: Callable[[], None]) -> SparkGeneralError | None:
    try:
        action()
    except SparkGeneralError as error:
        return error
    return None


def test_a_damaged_snapshot_is_rebuilt_from_the_changes(tmp_path: Path) -> None:
    store = StateStore(tmp_path, SCHEMA, unique=True)
    store.restore(0)
    for version in range(1, 6):
        store.write(version, changes_of([Put(f"k{version}", 0, version, int(NEVER))]), rows=version, floor=BEGINNING)
        store.committed(version)
    store.close()
    [snapshot] = tmp_path.glob("1-*.arrow")
    snapshot.write_bytes(b"ARROW1 and then nothing of use")
    store = StateStore(tmp_path, SCHEMA, unique=True)
    store.restore(5)
    assert content(store) == {(f"k{v}", 0): (v, int(NEVER)) for v in range(1, 6)}
    store.close()


def test_a_missing_version_is_refused(tmp_path: Path) -> None:
    store = StateStore(tmp_path, SCHEMA, unique=True)
    with pytest.raises(SparkGeneralError, match=r"7\.json does not exist"):
        store.restore(7)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    store = StateStore(tmp_path, SCHEMA, unique=True)
    store.restore(0)
    store.write(1, changes_of([Put("a", 0, 1, int(NEVER))]), rows=1, floor=BEGINNING)
    store.close()
    other = StateStore(tmp_path, pa.schema([("k", pa.string()), ("v", pa.int32())]), unique=True)
    with pytest.raises(SparkGeneralError, match="STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE"):
        other.restore(1)


def test_old_versions_and_their_files_go(tmp_path: Path) -> None:
    store = StateStore(tmp_path, SCHEMA, unique=True, retain=3)
    store.restore(0)
    for version in range(1, 40):
        store.write(version, changes_of([Put("a", 0, version, int(NEVER))]), rows=1, floor=BEGINNING)
        store.committed(version)
    store.close()
    assert sorted(int(path.stem) for path in tmp_path.glob("*.json")) == [37, 38, 39]
    assert len(list(tmp_path.glob("*.arrow"))) <= 12


def test_files_are_plain_arrow(tmp_path: Path) -> None:
    store = StateStore(tmp_path, SCHEMA, unique=True)
    store.restore(0)
    store.write(1, changes_of([Put("a", 0, 41, 5)]), rows=1, floor=BEGINNING)
    store.close()
    with pa.ipc.open_file(str(tmp_path / "1.arrow")) as reader:
        [row] = reader.read_all().to_pylist()
    assert (row["k"], row["v"], row["_time"], row["_removed"]) == ("a", 41, 5, False)
