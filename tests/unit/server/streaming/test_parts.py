"""Rows that go through the spool in parts are the source's rows, whatever the parts are and whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riacho.protos import pb
from riacho.server.engine.spool import FolderSpool
from riacho.server.streaming import parts
from riacho.server.streaming.parts import SpooledSource
from riacho.server.streaming.sources.base import SourceData

SCHEMA = pa.schema([("id", pa.int64())])
sizes = st.lists(st.integers(0, 4), max_size=8)


class Numbers:
    """A source of counted rows, in batches of the sizes given. `fail_at`: the batch whose reading fails."""

    def __init__(self, sizes: list[int], fail_at: int | None = None) -> None:
        self.reads = 0
        self._sizes = sizes
        self._fail_at = fail_at

    @property
    def all(self) -> list[int]:
        return list(range(sum(self._sizes)))

    def read(self) -> SourceData:
        self.reads += 1
        return SourceData(SCHEMA, self._batches(), {"told": "yes"})

    def _batches(self) -> Iterator[pa.RecordBatch]:
        first = 0
        for index, size in enumerate(self._sizes):
            if index == self._fail_at:
                raise OSError("gone")
            yield pa.record_batch([pa.array(range(first, first + size), pa.int64())], schema=SCHEMA)
            first += size


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of two rows, then of four."""
    monkeypatch.setattr(parts, "FIRST_BYTES", 16)
    monkeypatch.setattr(parts, "LARGEST_BYTES", 32)


@pytest.fixture
def spool() -> Iterator[FolderSpool]:
    opened = FolderSpool("test")
    yield opened
    opened.close()


def ids(leaf: pb.Relation) -> list[int]:
    tables = [pa.ipc.open_file(path).read_all() for path in leaf.read.data_source.paths]
    return [row for table in tables for row in table["id"].to_pylist()]


@settings(deadline=None)
@given(sizes=sizes, in_parts=st.booleans())
def test_the_rows_are_all_there_in_order(sizes: list[int], in_parts: bool) -> None:
    numbers, spool = Numbers(sizes), FolderSpool("test")
    source = SpooledSource(numbers.read, spool, in_parts=in_parts)
    for reads in (1, 2):
        found = [ids(leaf) for leaf in source]
        assert [row for part in found for row in part] == numbers.all
        assert source.rows == len(numbers.all)
        assert len(found) == 1 or (in_parts and len(sizes) > 1)
        assert numbers.reads == (1 if len(found) == 1 else reads)
    assert source.metrics == {"told": "yes"}
    spool.close()


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=8), data=st.data())
def test_an_error_of_the_source_comes_behind_the_rows_before_it(sizes: list[int], data: st.DataObject) -> None:
    fail_at = data.draw(st.integers(0, len(sizes) - 1))
    numbers, spool = Numbers(sizes, fail_at=fail_at), FolderSpool("test")
    found: list[int] = []

    def go_through() -> None:
        for leaf in SpooledSource(numbers.read, spool, in_parts=True):
            found.extend(ids(leaf))

    with pytest.raises(OSError, match="gone"):
        go_through()
    assert found == numbers.all[: len(found)]
    # Only the part that was being put together is lost: less than its bound and one batch more.
    assert sum(sizes[:fail_at]) - len(found) < 4 + 4
    spool.close()


def test_a_part_is_there_until_the_next_one_is_asked_for(spool: FolderSpool) -> None:
    source = iter(SpooledSource(Numbers([2, 2, 2, 2]).read, spool, in_parts=True))
    first = next(source)
    assert ids(first) == [0, 1]
    second = next(source)
    assert ids(second) == [2, 3, 4, 5]
    with pytest.raises(FileNotFoundError):
        ids(first)


def test_a_source_can_be_left_half_way_and_read_again(spool: FolderSpool) -> None:
    numbers = Numbers([3, 3, 3])
    source = SpooledSource(numbers.read, spool, in_parts=True)
    for leaf in source:
        assert ids(leaf) == [0, 1, 2]
        break
    assert [row for leaf in source for row in ids(leaf)] == numbers.all


def test_it_stops_between_parts_when_asked(spool: FolderSpool) -> None:
    def stop() -> None:
        raise InterruptedError

    source = iter(SpooledSource(Numbers([3, 3, 3]).read, spool, in_parts=True, check_stop=stop))
    next(source)
    with pytest.raises(InterruptedError):
        next(source)
