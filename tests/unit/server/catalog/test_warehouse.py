"""The catalog of a warehouse folder: what it finds, what it keeps, what it refuses."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from riacho import types
from riacho.errors import AnalysisError, SparkError
from riacho.server.catalog.base import TableName, View
from riacho.server.catalog.names import qualify as name
from riacho.server.catalog.warehouse import WarehouseCatalog

SCHEMA = pa.schema([types.with_comment(pa.field("id", pa.int64()), "the id"), pa.field("name", pa.string())])


def found(catalog: WarehouseCatalog) -> dict[str, list[str]]:
    return {database: [n.table for n in catalog.tables(database)] for database in catalog.databases()}


class TestNames:
    @pytest.mark.parametrize(
        ("text", "full"),
        [
            ("T", "spark_catalog.here.t"),
            ("Bronze.`T`", "spark_catalog.bronze.t"),
            ("spark_catalog.bronze.t", "spark_catalog.bronze.t"),
            ("SPARK_CATALOG.b.t", "spark_catalog.b.t"),
        ],
    )
    def test_one_to_three_parts_whatever_their_case(self, warehouse: WarehouseCatalog, text: str, full: str) -> None:
        assert str(warehouse.qualify(text, "here")) == full

    @pytest.mark.parametrize("text", ["a.b.t", "spark_catalog.a.b.t", "", "a b", "a."])
    def test_what_is_no_name(self, warehouse: WarehouseCatalog, text: str) -> None:
        with pytest.raises(AnalysisError, match="REQUIRES_SINGLE_PART_NAMESPACE|PARSE_[ES]"):
            warehouse.qualify(text)

    @pytest.mark.parametrize("table", ["../t", "a/b", ".", "..", "a b", "a-b", "ç"])
    def test_names_cannot_leave_the_folder(self, warehouse: WarehouseCatalog, table: str) -> None:
        with pytest.raises(AnalysisError, match="INVALID_SCHEMA_OR_RELATION_NAME"):
            warehouse.create_table(TableName("spark_catalog", "default", table), SCHEMA)
        with pytest.raises(AnalysisError, match="INVALID_SCHEMA_OR_RELATION_NAME"):
            warehouse.create_database(table)


class TestFolders:
    def test_they_are_sparks(self, warehouse: WarehouseCatalog) -> None:
        warehouse.create_database("Bronze")
        assert warehouse.create_table(name("bronze.Events"), SCHEMA).location == (
            warehouse.warehouse / "bronze.db" / "events"
        )
        assert warehouse.create_table(name("t"), SCHEMA).location == warehouse.warehouse / "t"

    def test_all_is_there_again_after_a_restart(self, warehouse: WarehouseCatalog, tmp_path: Path) -> None:
        warehouse.create_database("bronze", comment="raw")
        made = warehouse.create_table(
            name("bronze.t"), SCHEMA, partition_by=["name"], comment="tbl", properties={"x": "1"}
        )
        files = warehouse.create_table(name("files"), SCHEMA, format="parquet")
        outside = warehouse.create_table(name("outside"), SCHEMA, location=tmp_path / "elsewhere")
        view = View(name("bronze.v"), "SELECT 1 AS one", "vv")
        warehouse.create_view(view)

        again = WarehouseCatalog(warehouse.warehouse)
        assert found(again) == {"bronze": ["t", "v"], "default": ["files", "outside"]}
        assert again.database_comment("bronze") == "raw"
        assert again.table(made.name) == made
        assert again.table(files.name) == files
        assert again.table(outside.name) == outside
        assert outside.external
        assert again.view(view.name) == view
        assert types.comment_of(made.schema.field("id")) == "the id"

    def test_tables_of_other_writers_show_up(self, warehouse: WarehouseCatalog) -> None:
        before = warehouse.generation
        assert warehouse.generation == before
        write_deltalake(str(warehouse.warehouse / "theirs"), pa.table({"a": [1]}))
        assert warehouse.generation > before
        assert found(warehouse) == {"default": ["theirs"]}
        (warehouse.warehouse / "silver.db").mkdir()
        write_deltalake(str(warehouse.warehouse / "silver.db" / "Mixed"), pa.table({"a": [1]}))
        assert found(warehouse) == {"default": ["theirs"], "silver": ["mixed"]}

    def test_a_folder_becomes_a_table_with_its_first_version(self, warehouse: WarehouseCatalog) -> None:
        log = warehouse.warehouse / "t" / "_delta_log"
        log.mkdir(parents=True)
        assert found(warehouse) == {"default": []}
        write_deltalake(str(warehouse.warehouse / "t"), pa.table({"a": [1]}))
        assert found(warehouse) == {"default": ["t"]}

    def test_new_versions_change_no_name(self, warehouse: WarehouseCatalog) -> None:
        table = warehouse.create_table(name("t"), SCHEMA)
        generation = warehouse.generation
        write_deltalake(str(table.location), pa.table({"id": [1], "more": ["x"]}), mode="append", schema_mode="merge")
        assert warehouse.generation == generation
        seen = warehouse.table(table.name)
        assert seen is not None
        assert seen.schema.names == ["id", "name", "more"]

    def test_what_is_hidden_is_no_table(self, warehouse: WarehouseCatalog) -> None:
        for folder in ("_riacho", ".dot", "not-a-name", "_a_name"):
            write_deltalake(str(warehouse.warehouse / folder), pa.table({"a": [1]}))
        assert found(warehouse) == {"default": ["_a_name"]}

    def test_the_records_can_be_read_by_anybody(self, warehouse: WarehouseCatalog) -> None:
        warehouse.create_view(View(name("v"), "SELECT 1"))
        record = json.loads((warehouse.warehouse / "_riacho" / "views" / "default" / "v.json").read_text())
        assert record == {"text": "SELECT 1", "number": 1, "comment": None}


class TestCreating:
    def test_a_table_reads_as_delta(self, warehouse: WarehouseCatalog) -> None:
        table = warehouse.create_table(
            name("t"), SCHEMA, comment="tbl", properties={"delta.enableChangeDataFeed": "true", "x": "1"}
        )
        theirs = DeltaTable(str(table.location))
        assert theirs.metadata().description == "tbl"
        assert theirs.metadata().configuration == {"delta.enableChangeDataFeed": "true", "x": "1"}
        assert theirs.protocol().min_writer_version == 7
        assert theirs.protocol().writer_features == ["appendOnly", "changeDataFeed", "invariants"]
        assert theirs.schema().fields[0].metadata == {"comment": "the id"}

    def test_one_is_enough(self, warehouse: WarehouseCatalog) -> None:
        first = warehouse.create_table(name("t"), SCHEMA)
        with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
            warehouse.create_table(name("T"), SCHEMA)
        assert warehouse.create_table(name("t"), pa.schema([("x", pa.int32())]), if_not_exists=True) == first

    def test_one_of_many_wins(self, warehouse: WarehouseCatalog) -> None:
        others = [WarehouseCatalog(warehouse.warehouse) for _ in range(4)]
        outcomes: list[str] = []

        def create(catalog: WarehouseCatalog) -> None:
            try:
                catalog.create_table(name("t"), SCHEMA)
                outcomes.append("made")
            except SparkError as failure:
                outcomes.append(str(failure.condition))

        threads = [threading.Thread(target=create, args=(other,)) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == [*["TABLE_OR_VIEW_ALREADY_EXISTS"] * 3, "made"]
        assert DeltaTable(str(warehouse.warehouse / "t")).version() == 0

    def test_over_files_that_are_no_table(self, warehouse: WarehouseCatalog) -> None:
        (warehouse.warehouse / "t").mkdir()
        (warehouse.warehouse / "t" / "notes.txt").write_text("mine")
        with pytest.raises(AnalysisError, match="DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"):
            warehouse.create_table(name("t"), SCHEMA)

    def test_over_a_table_elsewhere(self, warehouse: WarehouseCatalog, tmp_path: Path) -> None:
        write_deltalake(tmp_path / "t", pa.table({"id": [1]}))
        seen = warehouse.create_table(name("a"), pa.schema([]), location=tmp_path / "t")
        assert seen.schema.names == ["id"]
        with pytest.raises(AnalysisError, match="DELTA_CREATE_TABLE_SCHEME_MISMATCH"):
            warehouse.create_table(name("b"), SCHEMA, location=tmp_path / "t")


class TestChanging:
    def test_columns_comment_and_properties(self, warehouse: WarehouseCatalog) -> None:
        table = warehouse.create_table(name("t"), SCHEMA, properties={"x": "1"})
        wider = pa.schema([*table.schema, pa.field("more", pa.float64())])
        evolved = warehouse.evolve(table.name, wider, comment="new", properties={"y": "2"})
        assert (evolved.schema.names, evolved.comment) == (["id", "name", "more"], "new")
        assert evolved.properties == {"x": "1", "y": "2"}
        assert types.comment_of(evolved.schema.field("id")) == "the id"

    def test_what_is_so_already_is_no_version(self, warehouse: WarehouseCatalog) -> None:
        table = warehouse.create_table(name("t"), SCHEMA)
        warehouse.evolve(table.name, table.schema)
        warehouse.truncate(table.name)
        assert DeltaTable(str(table.location)).version() == 0

    def test_a_change_feed_that_is_turned_on_raises_the_protocol(self, warehouse: WarehouseCatalog) -> None:
        table = warehouse.create_table(name("t"), SCHEMA)
        warehouse.evolve(table.name, properties={"delta.enableChangeDataFeed": "true"})
        assert "changeDataFeed" in (DeltaTable(str(table.location)).protocol().writer_features or [])

    def test_partition_columns_stay(self, warehouse: WarehouseCatalog) -> None:
        table = warehouse.create_table(name("t"), SCHEMA, partition_by=["name"])
        with pytest.raises(AnalysisError, match="DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN.*name"):
            warehouse.evolve(table.name, pa.schema([SCHEMA.field("id"), ("other", pa.string())]))

    def test_truncating_is_one_version(self, warehouse: WarehouseCatalog) -> None:
        table = warehouse.create_table(name("t"), SCHEMA)
        for value in range(3):
            write_deltalake(str(table.location), pa.table({"id": [value], "name": ["x"]}), mode="append")
        warehouse.truncate(table.name)
        assert DeltaTable(str(table.location)).version() == 4
        assert DeltaTable(str(table.location)).file_uris() == []


class TestDropping:
    def test_a_managed_table_goes_with_its_rows(self, warehouse: WarehouseCatalog) -> None:
        table = warehouse.create_table(name("t"), SCHEMA)
        warehouse.drop_table(table.name)
        assert not table.location.exists()
        assert warehouse.table(table.name) is None
        again = warehouse.create_table(name("t"), pa.schema([("other", pa.int32())]))
        assert again.schema.names == ["other"]

    def test_a_table_elsewhere_keeps_them(self, warehouse: WarehouseCatalog, tmp_path: Path) -> None:
        table = warehouse.create_table(name("t"), SCHEMA, location=tmp_path / "kept")
        warehouse.drop_table(table.name)
        assert DeltaTable(str(table.location)).version() == 0

    def test_what_is_not_there(self, warehouse: WarehouseCatalog) -> None:
        warehouse.drop_table(name("t"), if_exists=True)
        with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_NOT_FOUND"):
            warehouse.drop_table(name("t"))
        with pytest.raises(AnalysisError, match="SCHEMA_NOT_FOUND"):
            warehouse.tables("nowhere")

    def test_the_default_database_stays(self, warehouse: WarehouseCatalog) -> None:
        with pytest.raises(AnalysisError, match="default"):
            warehouse.drop_database("default", cascade=True)

    def test_a_database_with_all_that_is_in_it(self, warehouse: WarehouseCatalog) -> None:
        warehouse.create_database("b")
        warehouse.create_table(name("b.t"), SCHEMA)
        warehouse.create_view(View(name("b.v"), "SELECT 1"))
        with pytest.raises(AnalysisError, match="SCHEMA_NOT_EMPTY"):
            warehouse.drop_database("b")
        warehouse.drop_database("b", cascade=True)
        assert found(warehouse) == {"default": []}
        warehouse.create_database("b")
        assert found(warehouse) == {"b": [], "default": []}
