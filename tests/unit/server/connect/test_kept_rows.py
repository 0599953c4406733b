"""Rows that views go on reading when their batch is over: kept as long as a view reads them, and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from riacho.errors import SparkGeneralError
from riacho.protos import pb
from riacho.server.connect.kept_rows import KeptRows
from riacho.server.engine.spool import FolderSpool

MINE, SHARED = "mine", "shared"
OWNERS = (MINE, SHARED)


@pytest.fixture
def spool() -> Iterator[FolderSpool]:
    made = FolderSpool("kept-rows")
    yield made
    made.close()


def batch(spool: FolderSpool, value: int) -> pb.Relation:
    rows = pa.table({"id": [value]})
    relation, _ = spool.put(rows.to_batches(), rows.schema)
    return relation


def named(name: str) -> pb.Relation:
    relation = pb.Relation()
    relation.read.named_table.unparsed_identifier = name
    return relation


def values(relation: pb.Relation) -> list[int]:
    return [pa.ipc.open_file(path).read_all()["id"][0].as_py() for path in relation.read.data_source.paths]


def is_there(relation: pb.Relation) -> bool:
    return all(Path(path).exists() for path in relation.read.data_source.paths)


def test_a_view_has_its_rows_when_the_batch_is_over(spool: FolderSpool) -> None:
    kept = KeptRows()
    view = kept.keep(batch(spool, 1))
    kept.note(MINE, "v", view, OWNERS)
    spool.clear()
    assert values(view) == [1]
    again = kept.keep(view)
    assert values(again) == [1]
    kept.forget(MINE, "v")
    assert not is_there(view)


def test_a_view_that_is_made_anew_lets_go_of_what_it_read(spool: FolderSpool) -> None:
    kept = KeptRows()
    first, second = kept.keep(batch(spool, 1)), kept.keep(batch(spool, 2))
    kept.note(MINE, "v", first, OWNERS)
    kept.note(MINE, "v", second, OWNERS)
    assert (is_there(first), is_there(second)) == (False, True)
    kept.note(MINE, "v", named("a_table"), OWNERS)
    assert not is_there(second)


def test_rows_stay_for_views_built_on_the_one_that_had_them(spool: FolderSpool) -> None:
    kept = KeptRows()
    view = kept.keep(batch(spool, 1))
    kept.note(MINE, "v", view, OWNERS)
    kept.note(SHARED, "global_temp.g", named("V"), OWNERS)
    kept.note("theirs", "w", named("v"), ("theirs", SHARED))
    kept.forget(MINE)
    assert is_there(view)
    kept.forget(SHARED, "global_temp.g")
    assert not is_there(view)


def test_a_batch_that_is_over_is_refused(spool: FolderSpool) -> None:
    late = batch(spool, 1)
    spool.clear()
    with pytest.raises(SparkGeneralError, match="batch that is over"):
        KeptRows().keep(late)


def test_a_plan_without_batches_stays_as_it_is() -> None:
    relation = named("t")
    assert KeptRows().keep(relation) is relation
