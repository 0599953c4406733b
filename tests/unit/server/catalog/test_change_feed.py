"""Batch reads of a change feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from riacho.clock import iso_utc
from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.catalog.change_feed import asks_for_changes, plan_change_feed
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta.log import DeltaLog
from riacho.storage import on_disk


@pytest.fixture
def table(warehouse: WarehouseCatalog) -> Path:
    """0: 1 and 2 · 1: 2 becomes 20 · 2: 1 is deleted."""
    path = on_disk(warehouse.warehouse, "it") / "t"
    data = pa.table({"id": pa.array([1, 2], pa.int64())})
    write_deltalake(str(path), data, configuration={"delta.enableChangeDataFeed": "true"})
    DeltaTable(str(path)).update(predicate="id = 2", updates={"id": "20"})
    DeltaTable(str(path)).delete("id = 1")
    return path


def read(warehouse: WarehouseCatalog, **options: object) -> list[tuple[Any, ...]]:
    relation = pb.Read(named_table=pb.Read.NamedTable(unparsed_identifier="t"))
    relation.named_table.options.update({name: str(value) for name, value in options.items()})
    wanted = plan_change_feed(relation, warehouse, "default")
    batches = list(wanted.batches())
    assert all(batch.schema.equals(wanted.schema) for batch in batches)
    rows = pa.Table.from_batches(batches, wanted.schema).to_pylist()
    return sorted((row["_commit_version"], row["_change_type"], row["id"]) for row in rows)


def test_all_changes_from_a_version_on(warehouse: WarehouseCatalog, table: Path) -> None:
    assert read(warehouse, startingVersion=0) == [
        (0, "insert", 1),
        (0, "insert", 2),
        (1, "update_postimage", 20),
        (1, "update_preimage", 2),
        (2, "delete", 1),
    ]


def test_it_agrees_with_delta_rs(warehouse: WarehouseCatalog, table: Path) -> None:
    theirs = pa.table(DeltaTable(table).load_cdf(0).read_all()).to_pylist()
    expected = sorted((row["_commit_version"], row["_change_type"], row["id"]) for row in theirs)
    assert read(warehouse, startingVersion=0) == expected


def test_versions_are_both_included(warehouse: WarehouseCatalog, table: Path) -> None:
    assert {version for version, _, _ in read(warehouse, startingVersion=1, endingVersion=1)} == {1}
    assert {version for version, _, _ in read(warehouse, startingVersion=1, endingVersion=99)} == {1, 2}


def test_times_stand_for_versions(warehouse: WarehouseCatalog, table: Path) -> None:
    times = [DeltaLog(table).read(version).timestamp_ms for version in range(3)]
    begin, end = iso_utc(times[0]), iso_utc(times[2])
    everything = read(warehouse, startingVersion=0)
    assert read(warehouse, startingTimestamp=begin, endingTimestamp=end) == everything


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "DELTA_NO_START_FOR_CDC_READ"),
        ({"startingVersion": 9}, "DELTA_CDC_START_VERSION_AFTER_LATEST.*9.*2"),
        ({"startingVersion": 2, "endingVersion": 1}, "DELTA_INVALID_CDC_RANGE"),
        ({"startingVersion": 0, "startingTimestamp": "2020-01-01"}, "DELTA_MULTIPLE_CDC_BOUNDARY.*starting"),
        ({"startingVersion": "x"}, "DELTA_ILLEGAL_OPTION.*startingVersion"),
        ({"startingTimestamp": "2999-01-01"}, "DELTA_TIMESTAMP_GREATER_THAN_COMMIT"),
        ({"startingVersion": 0, "endingTimestamp": "1999-01-01"}, "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"),
    ],
)
def test_ranges_that_are_none(warehouse: WarehouseCatalog, table: Path, options: dict[str, Any], error: str) -> None:
    with pytest.raises(SparkError, match=f"(?s){error}"):
        read(warehouse, **options)


def test_it_must_have_been_kept(warehouse: WarehouseCatalog) -> None:
    write_deltalake(str(warehouse.warehouse / "t"), pa.table({"id": [1]}))
    with pytest.raises(SparkError, match="DELTA_MISSING_CHANGE_DATA"):
        read(warehouse, startingVersion=0)


def test_the_table_must_be_there(warehouse: WarehouseCatalog) -> None:
    with pytest.raises(SparkError, match="TABLE_OR_VIEW_NOT_FOUND"):
        read(warehouse, startingVersion=0)


def test_who_asks_for_changes() -> None:
    plain = pb.Read(data_source=pb.Read.DataSource(format="delta"))
    asking = pb.Read(data_source=pb.Read.DataSource(format="delta", options={"READCHANGEFEED": "true"}))
    streaming = pb.Read(
        data_source=pb.Read.DataSource(format="delta", options={"readChangeFeed": "true"}), is_streaming=True
    )
    assert [asks_for_changes(read) for read in (plain, asking, streaming)] == [False, True, False]
