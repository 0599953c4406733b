"""A materialized view's rows are swapped in one Delta version."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from riacho.errors import SparkError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.catalog.base import Table, TableName
from riacho.server.engine.spool import empty
from riacho.server.graph.materialized import DeltaTableWriter, aligned
from riacho.server.graph.views.refresh import Refresher, _MovedError
from riacho.testing.clock import ManualClock
from tests.engine.server.graph.support import Pipelines
from tests.unit.server.graph.support import FakeCatalog

WRITER = DeltaTableWriter(FakeCatalog(), ManualClock())  # type: ignore[arg-type]


def sql(text: str) -> pb.Relation:
    return pb.Relation(sql=pb.SQL(query=text))


def view(location: Path, schema: pa.Schema, format: str = "delta") -> Table:
    return Table(TableName("spark_catalog", "default", "m"), location, format, schema)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), "old": ["x", "y"]})
    write_deltalake(tmp_path / "m", rows, description="kept", configuration={"delta.checkpointInterval": "7"})
    return view(tmp_path / "m", rows.schema)


def test_rows_and_columns_are_swapped_at_once(pipelines: Pipelines, table: Table) -> None:
    relation = sql("SELECT 7L AS id, 'n' AS new")
    WRITER.refresh(table, relation, pipelines.session.schema(relation), pipelines.session)
    after = DeltaTable(str(table.location))
    assert after.version() == 1
    assert pa.table(after.to_pyarrow_table()).to_pylist() == [{"id": 7, "new": "n"}]
    assert after.metadata().description == "kept"
    assert after.metadata().configuration["delta.checkpointInterval"] == "7"


def test_a_failure_leaves_the_old_rows(pipelines: Pipelines, table: Table) -> None:
    relation = sql("SELECT CAST(raise_error('boom') AS BIGINT) AS id, 'x' AS old FROM range(3)")
    with pytest.raises(SparkError, match="boom"):
        WRITER.refresh(table, relation, table.schema, pipelines.session)
    after = DeltaTable(str(table.location))
    assert after.version() == 0
    assert after.to_pyarrow_table().num_rows == 2


@pytest.mark.parametrize("checkpoints", [False, True], ids=["", "checkpoints"])
def test_a_view_of_a_table_that_is_written_all_the_time(
    pipelines: Pipelines, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: bool
) -> None:
    """Once its log has a checkpoint, the engine cannot read every older version of the table."""
    place = tmp_path / "read"
    for n in range(5):
        write_deltalake(place, pa.table({"id": pa.array([n], pa.int64())}), mode="append")

    moved = 0

    def move(*_: object) -> None:
        nonlocal moved
        moved += 1
        for _turn in range(3):
            write_deltalake(place, pa.table({"id": pa.array([7], pa.int64())}), mode="append")
        if checkpoints:
            DeltaTable(place).create_checkpoint()
        raise _MovedError

    monkeypatch.setattr(Refresher, "_require_still", move)
    pipelines.session.run(sql(f"CREATE TABLE read USING delta LOCATION '{place}'"))
    relation = sql("SELECT id FROM spark_catalog.default.read")
    ids = pa.schema([("id", pa.int64())])
    catalog = FakeCatalog(Table(TableName("spark_catalog", "default", "read"), place, "delta", ids))
    DeltaTableWriter(catalog, ManualClock()).refresh(table, relation, ids, pipelines.session)  # type: ignore[arg-type]
    pipelines.session.run(sql("DROP TABLE read"))
    assert moved == 3
    assert DeltaTable(str(table.location)).to_pyarrow_table().num_rows >= 5


def test_other_formats_are_refused(pipelines: Pipelines, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperationError, match=r"spark_catalog.default.m is a table of format parquet"):
        WRITER.refresh(view(tmp_path, pa.schema([]), "parquet"), sql("SELECT 1"), pa.schema([]), pipelines.session)


def test_aligned_goes_by_name_and_fills_with_nulls(pipelines: Pipelines) -> None:
    have = pa.schema([("b", pa.int32()), ("A", pa.int32())])
    want = pa.schema([("a", pa.int64()), ("c", pa.string()), ("b", pa.int32())])
    relation = sql("SELECT 1 AS b, 2 AS A")
    rows = pipelines.session.run(aligned(relation, have, want))
    assert rows.to_pylist() == [{"a": 2, "c": None, "b": 1}]
    assert rows.schema.field("a").type == pa.int64()


def test_aligned_leaves_what_fits(pipelines: Pipelines) -> None:
    schema = pa.schema([("a", pa.int64())])
    relation = empty(schema)
    assert aligned(relation, schema, schema) is relation
