"""Rows that are handed over in memory are the rows that their file has; and never more of them than allowed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.server.delta import files
from riacho.server.delta.actions import AddFile
from riacho.server.delta.commits import COMMITS, Subscription
from riacho.server.delta.writer import DeltaWriter

PLENTY = 1 << 20
TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any], pa.DataType]] = {
    "int": (pa.int32(), st.integers(-(2**31), 2**31 - 1), pa.int64()),
    "long": (pa.int64(), st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "double": (pa.float64(), st.floats(), pa.float64()),
    "float": (pa.float32(), st.floats(width=32), pa.float64()),
    "text": (pa.string(), st.text(st.characters(codec="utf-8"), max_size=5), pa.string()),
    "view": (pa.large_string(), st.text(st.characters(codec="utf-8"), max_size=5), pa.string()),
    "few": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "b"]), pa.string()),
    "bytes": (pa.binary(), st.binary(max_size=5), pa.binary()),
    "flag": (pa.bool_(), st.booleans(), pa.bool_()),
    "day": (pa.date32(), st.dates(), pa.date32()),
    "moment": (pa.timestamp("us", "UTC"), st.integers(-(2**50), 2**50), pa.timestamp("us", "UTC")),
    "local": (pa.timestamp("us"), st.integers(-(2**50), 2**50), pa.timestamp("us")),
    "money": (pa.decimal128(12, 2), st.decimals(-1000, 1000, places=2), pa.decimal128(14, 2)),
    "list": (pa.list_(pa.int32()), st.lists(st.none() | st.integers(0, 9), max_size=3), pa.list_(pa.int32())),
    "pair": (
        pa.struct([("a", pa.int32()), ("B", pa.string())]),
        st.fixed_dictionaries({"a": st.none() | st.integers(0, 9), "B": st.none() | st.just("x")}),
        pa.struct([("b", pa.string()), ("a", pa.int64()), ("c", pa.date32())]),
    ),
    "map": (
        pa.map_(pa.string(), pa.int32()),
        st.lists(st.tuples(st.sampled_from("xyz"), st.none() | st.integers(0, 9)), max_size=2),
        pa.map_(pa.string(), pa.int32()),
    ),
    "nothing": (pa.null(), st.none(), pa.int64()),
}


def reader(table: Path, hold_bytes: int = PLENTY) -> Subscription:
    return COMMITS.subscribe(table, lambda: None, hold_bytes)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "t"
    assert not COMMITS.wants_rows(tmp_path / "t"), "a test left its reader behind"


def numbers(*values: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": list(values), "part": [value % 2 for value in values]})


def write(table: Path, *batches: pa.RecordBatch, partition_by: tuple[str, ...] = ()) -> list[AddFile]:
    return [new.add for new in files.write_batches(iter(batches), table, partition_by)]


@st.composite
def written(draw: st.DrawFn) -> tuple[list[pa.RecordBatch], pa.Schema]:
    """Batches, and the columns that a reader wants: some of them, wider ones, in another order and case, others."""
    names = draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=5, unique=True))
    schema = pa.schema([(name, TYPES[name][0]) for name in names])
    batches = []
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(0, 4))
        columns = [
            pa.array(draw(st.lists(st.none() | TYPES[name][1], min_size=count, max_size=count)), TYPES[name][0])
            for name in names
        ]
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    wanted = draw(st.lists(st.sampled_from(sorted({*names, "absent"})), min_size=1, unique=True))
    kinds = {**TYPES, "absent": (None, None, pa.int64())}
    fields = [pa.field(name.upper() if draw(st.booleans()) else name, kinds[name][2]) for name in wanted]
    return batches, pa.schema(fields)


@settings(deadline=None)
@given(written(), st.booleans())
def test_both_ways_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[pa.RecordBatch], pa.Schema], marked: bool
) -> None:
    batches, schema = case
    table = tmp_path_factory.mktemp("t")
    subscription = reader(table)
    try:
        for add in write(table, *batches):
            file = files.data_file(table, add)
            if marked:  # as with a deletion vector
                file = files.DataFile(file.path, file.partition_values, deleted=np.array([0], np.uint64))
            rows = subscription.take(add.path)
            assert rows is not None
            held = pa.Table.from_batches(list(files.held_batches(rows, file, schema)), schema)
            read = pa.Table.from_batches(list(files.read_batches(file, schema)), schema)
            assert held.schema.equals(read.schema)
            assert repr(held.to_pylist()) == repr(read.to_pylist())  # NaN is not equal to itself
    finally:
        subscription.close()


@pytest.mark.parametrize("value", [Decimal("1.50"), None])
def test_partition_values_come_from_the_log_both_ways(table: Path, value: Decimal | None) -> None:
    subscription = reader(table)
    batch = pa.RecordBatch.from_pydict({"id": [1, 2], "p": pa.array([value, value], pa.decimal128(5, 2))}, schema=None)
    (add,) = write(table, batch, partition_by=("p",))
    file = files.data_file(table, add)
    rows = subscription.take(add.path)
    assert rows is not None
    for schema in (batch.schema, pa.schema([batch.schema.field("p")])):
        assert list(files.held_batches(rows, file, schema)) == list(files.read_batches(file, schema))
    subscription.close()


def test_nothing_is_kept_for_nobody(table: Path) -> None:
    write(table, numbers(1))
    late = reader(table)
    assert COMMITS.held_bytes(table) == 0
    late.close()


def test_rows_wait_until_every_reader_has_them(table: Path) -> None:
    one, other, looking = reader(table), reader(table), reader(table, hold_bytes=0)
    (add,) = write(table, numbers(1, 2))
    assert looking.take(add.path) is None
    assert one.take(add.path) is not None
    assert one.take(add.path) is None, "a second time they come from the file"
    assert COMMITS.held_bytes(table) > 0
    assert other.take(add.path) is not None
    assert COMMITS.held_bytes(table) == 0
    for each in (one, other, looking):
        each.close()


def test_rows_of_a_reader_that_leaves_go(table: Path) -> None:
    one, other = reader(table), reader(table)
    write(table, numbers(1, 2))
    one.close()
    assert COMMITS.held_bytes(table) > 0
    assert other.take("nothing of that name") is None
    other.close()
    assert COMMITS.held_bytes(table) == 0


def test_no_more_is_kept_than_allowed(table: Path) -> None:
    size = pa.Table.from_batches([numbers(1, 2)]).nbytes
    slow = reader(table, hold_bytes=3 * size)
    adds = [write(table, numbers(n, n))[0] for n in range(5)]
    assert COMMITS.held_bytes(table) == 3 * size
    assert [slow.take(add.path) is not None for add in adds] == [False, False, True, True, True], "the oldest go first"
    assert COMMITS.held_bytes(table) == 0
    slow.close()


def test_large_writes_are_left_to_the_engine_for_a_while(table: Path) -> None:
    small = reader(table, hold_bytes=10)
    assert COMMITS.wants_rows(table)
    write(table, numbers(*range(100)))
    assert COMMITS.held_bytes(table) == 0
    asked = [COMMITS.wants_rows(table) for _ in range(9)]
    assert asked == [False] * 8 + [True]
    small.close()


def test_files_that_no_version_has_are_forgotten(table: Path) -> None:
    subscription = reader(table)
    new = files.write_batches(iter([numbers(1)]), table)
    files.discard(table, new)
    assert subscription.take(new[0].add.path) is None
    assert COMMITS.held_bytes(table) == 0
    subscription.close()


def test_a_commit_wakes_the_readers_of_its_table(table: Path, tmp_path: Path) -> None:
    woken: list[str] = []
    linked = tmp_path / "link"
    linked.symlink_to(table)
    here = COMMITS.subscribe(table, lambda: woken.append("here"))
    there = COMMITS.subscribe(linked, lambda: woken.append("through a link"))
    elsewhere = COMMITS.subscribe(tmp_path / "other", lambda: woken.append("elsewhere"))
    DeltaWriter(table).commit(lambda state: [{"commitInfo": {}}])
    assert sorted(woken) == ["here", "through a link"]
    for each in (here, there, elsewhere):
        each.close()
    DeltaWriter(table).commit(lambda state: [{"commitInfo": {}}])
    assert len(woken) == 2
