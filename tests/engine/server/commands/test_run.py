"""Statements about names, run on a real engine; expectations are what Apache Spark 4.2 with Delta 4.4 answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from riacho.errors import AnalysisError, IllegalArgumentError, ParseError, SparkError, UnsupportedOperationError
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.commands import SqlContext

Rows = list[dict[str, Any]]
Sql = Callable[[str], Rows]


def values(rows: Rows) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows]


class TestDatabases:
    def test_they_are_made_and_listed(self, sql: Sql) -> None:
        assert sql("CREATE DATABASE bronze COMMENT 'raw data'") == []
        sql("CREATE SCHEMA IF NOT EXISTS Bronze")
        assert sql("SHOW DATABASES") == [{"namespace": "bronze"}, {"namespace": "default"}]
        assert sql("SHOW SCHEMAS LIKE 'b*|x'") == [{"namespace": "bronze"}]

    def test_one_of_that_name_is_enough(self, sql: Sql) -> None:
        sql("CREATE DATABASE b")
        with pytest.raises(AnalysisError, match="SCHEMA_ALREADY_EXISTS.*`b`"):
            sql("CREATE DATABASE b")

    def test_their_description(self, sql: Sql, warehouse: WarehouseCatalog) -> None:
        sql("CREATE DATABASE b COMMENT 'raw data'")
        assert values(sql("DESCRIBE DATABASE b")) == [
            ("Catalog Name", "spark_catalog"),
            ("Namespace Name", "b"),
            ("Comment", "raw data"),
            ("Location", f"file:{warehouse.warehouse}/b.db"),
        ]
        sql("COMMENT ON DATABASE b IS 'rawer'")
        assert values(sql("DESCRIBE SCHEMA b"))[2] == ("Comment", "rawer")

    def test_only_empty_ones_are_dropped_without_cascade(self, sql: Sql) -> None:
        sql("CREATE DATABASE b")
        sql("CREATE TABLE b.t (a INT)")
        with pytest.raises(AnalysisError, match="SCHEMA_NOT_EMPTY"):
            sql("DROP DATABASE b")
        sql("DROP DATABASE b CASCADE")
        with pytest.raises(AnalysisError, match="SCHEMA_NOT_FOUND.*`spark_catalog`.`b`"):
            sql("DROP DATABASE b")
        sql("DROP DATABASE IF EXISTS b")

    def test_use_changes_where_names_are_looked_up(self, sql: Sql, context: SqlContext) -> None:
        sql("CREATE DATABASE b")
        sql("CREATE TABLE b.t (a INT)")
        sql("USE b")
        assert context.current_database == "b"
        assert sql("SHOW TABLES") == [{"namespace": "b", "tableName": "t", "isTemporary": False}]
        assert sql("SELECT * FROM t") == []
        with pytest.raises(AnalysisError, match="SCHEMA_NOT_FOUND"):
            sql("USE nowhere")

    def test_a_location_of_its_own_is_refused(self, sql: Sql) -> None:
        with pytest.raises(UnsupportedOperationError, match="LOCATION"):
            sql("CREATE DATABASE b LOCATION '/elsewhere'")


class TestTables:
    def test_a_table_is_described(self, sql: Sql, warehouse: WarehouseCatalog) -> None:
        sql(
            "CREATE TABLE T (id BIGINT NOT NULL COMMENT 'the id', s STRING, p DATE) USING delta PARTITIONED BY (p) "
            "COMMENT 'tbl' TBLPROPERTIES (delta.enableChangeDataFeed = true, x = '1')"
        )
        columns: list[tuple[Any, ...]] = [
            ("id", "bigint", "the id"),
            ("s", "string", None),
            ("p", "date", None),
            ("# Partition Information", "", ""),
            ("# col_name", "data_type", "comment"),
            ("p", "date", None),
        ]
        assert values(sql("DESCRIBE t")) == columns
        properties = (
            "[delta.enableChangeDataFeed=true,delta.feature.appendOnly=supported,"
            "delta.feature.changeDataFeed=supported,delta.feature.invariants=supported,delta.minReaderVersion=1,"
            "delta.minWriterVersion=7,x=1]"
        )
        assert values(sql("DESCRIBE TABLE EXTENDED t")) == [
            *columns,
            ("", "", ""),
            ("# Detailed Table Information", "", ""),
            ("Catalog", "spark_catalog", ""),
            ("Namespace", "default", ""),
            ("Database", "default", ""),
            ("Table", "t", ""),
            ("Type", "MANAGED", ""),
            ("Comment", "tbl", ""),
            ("Location", f"file:{warehouse.warehouse}/t", ""),
            ("Provider", "delta", ""),
            ("Is_managed_location", "true", ""),
            ("Table Properties", properties, ""),
        ]

    def test_its_properties(self, sql: Sql) -> None:
        sql("CREATE TABLE t (a INT) TBLPROPERTIES (x = '1')")
        sql("ALTER TABLE t SET TBLPROPERTIES ('y' = '2', 'delta.enableChangeDataFeed' = 'true')")
        sql("ALTER TABLE t UNSET TBLPROPERTIES ('x', 'nope')")
        assert sql("SHOW TBLPROPERTIES t ('y')") == [{"key": "y", "value": "2"}]
        assert values(sql("SHOW TBLPROPERTIES t ('x')")) == [
            ("x", "Table spark_catalog.default.t does not have property: x")
        ]
        assert ("delta.feature.changeDataFeed", "supported") in values(sql("SHOW TBLPROPERTIES t"))

    def test_its_columns_can_be_added_to(self, sql: Sql) -> None:
        sql("CREATE TABLE t (a INT)")
        sql("INSERT INTO t VALUES (1)")
        sql("ALTER TABLE t ADD COLUMNS (n DOUBLE COMMENT 'en', s STRUCT<x: INT, y: ARRAY<STRING>>)")
        sql("ALTER TABLE t ALTER COLUMN a COMMENT 'ay'")
        assert values(sql("DESC t")) == [
            ("a", "int", "ay"),
            ("n", "double", "en"),
            ("s", "struct<x:int,y:array<string>>", None),
        ]
        assert sql("SELECT a, n, s FROM t") == [{"a": 1, "n": None, "s": None}]
        with pytest.raises(AnalysisError, match="FIELD_ALREADY_EXISTS.*`N`"):
            sql("ALTER TABLE t ADD COLUMN N INT")
        with pytest.raises(AnalysisError, match="UNRESOLVED_COLUMN.*`zz`"):
            sql("ALTER TABLE t ALTER COLUMN zz COMMENT 'x'")

    def test_create_table_as_select(self, sql: Sql) -> None:
        sql("CREATE TABLE t COMMENT 'c' TBLPROPERTIES (x = '1') AS SELECT 1 AS a, 'b' AS b")
        assert sql("SELECT * FROM t") == [{"a": 1, "b": "b"}]
        assert sql("SHOW TBLPROPERTIES t ('x')") == [{"key": "x", "value": "1"}]
        assert sql("DESCRIBE HISTORY t")[0]["operation"] == "CREATE TABLE AS SELECT"

    def test_create_or_replace_keeps_the_history(self, sql: Sql) -> None:
        sql("CREATE TABLE t AS SELECT 1 AS a")
        sql("CREATE OR REPLACE TABLE t AS SELECT 'x' AS b")
        assert sql("SELECT * FROM t") == [{"b": "x"}]
        sql("CREATE OR REPLACE TABLE t (c INT COMMENT 'see')")
        assert sql("SELECT * FROM t") == []
        assert values(sql("DESCRIBE t")) == [("c", "int", "see")]
        assert len(sql("DESCRIBE HISTORY t")) == 3

    def test_replace_needs_a_table(self, sql: Sql) -> None:
        with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_NOT_FOUND"):
            sql("REPLACE TABLE t (a INT)")

    def test_create_like(self, sql: Sql) -> None:
        sql("CREATE TABLE t (a INT COMMENT 'ay', b STRING)")
        sql("CREATE TABLE u LIKE t")
        assert sql("DESCRIBE u") == sql("DESCRIBE t")

    def test_what_show_create_prints_makes_the_same_table(self, sql: Sql) -> None:
        sql("CREATE TABLE t (a INT NOT NULL COMMENT 'it''s', `b-c` STRING) PARTITIONED BY (a) TBLPROPERTIES (x = 'y')")
        (text,) = sql("SHOW CREATE TABLE t")[0].values()
        before = sql("DESCRIBE EXTENDED t")
        sql("DROP TABLE t")
        sql(text)
        assert sql("DESCRIBE EXTENDED t") == before

    def test_a_table_elsewhere_is_not_removed_with_its_name(self, sql: Sql, tmp_path: Path) -> None:
        sql(f"CREATE TABLE t (a INT) LOCATION '{tmp_path / 'x ç'}'")
        sql("INSERT INTO t VALUES (1)")
        sql("DROP TABLE t")
        sql(f"CREATE TABLE u USING delta LOCATION '{tmp_path / 'x ç'}'")
        assert sql("SELECT * FROM u") == [{"a": 1}]
        assert sql(f"DESCRIBE DETAIL delta.`{tmp_path / 'x ç'}`")[0]["name"] is None

    def test_a_table_of_files(self, sql: Sql) -> None:
        sql("CREATE TABLE t (a INT, b STRING) USING parquet PARTITIONED BY (b)")
        sql("INSERT INTO t VALUES (1, 'x')")
        sql("INSERT INTO t VALUES (2, 'y')")
        assert sorted(values(sql("SELECT a, b FROM t"))) == [(1, "x"), (2, "y")]
        with pytest.raises(AnalysisError, match="DELTA_TABLE_ONLY_OPERATION"):
            sql("DESCRIBE HISTORY t")

    def test_renaming(self, sql: Sql) -> None:
        sql("CREATE TABLE t AS SELECT 1 AS a")
        sql("ALTER TABLE t RENAME TO u")
        assert sql("SELECT * FROM u") == [{"a": 1}]
        with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_NOT_FOUND"):
            sql("SELECT * FROM t")

    def test_truncating(self, sql: Sql) -> None:
        sql("CREATE TABLE t AS SELECT 1 AS a")
        sql("TRUNCATE TABLE t")
        assert sql("SELECT * FROM t") == []

    def test_detail(self, sql: Sql) -> None:
        sql("CREATE TABLE t (a INT) COMMENT 'c'")
        sql("INSERT INTO t VALUES (1)")
        (detail,) = sql("DESCRIBE DETAIL t")
        assert (detail["format"], detail["name"], detail["description"]) == ("delta", "spark_catalog.default.t", "c")
        assert (detail["numFiles"], detail["minReaderVersion"], detail["minWriterVersion"]) == (1, 1, 2)
        assert detail["sizeInBytes"] > 0

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("CREATE TABLE `a-b` (a INT)", r"INVALID_SCHEMA_OR_RELATION_NAME.*`a-b`"),
            ("CREATE TABLE `../t` (a INT)", "INVALID_SCHEMA_OR_RELATION_NAME"),
            ("CREATE TABLE nodb.t (a INT)", "SCHEMA_NOT_FOUND.*`spark_catalog`.`nodb`"),
            ("CREATE TABLE x.y.z (a INT)", "REQUIRES_SINGLE_PART_NAMESPACE.*`x`.`y`.`z`"),
            ("CREATE TABLE t (a INT) USING nosuch", "DATA_SOURCE_NOT_FOUND.*nosuch"),
            ("CREATE TABLE t (a INT, A STRING)", "DELTA_DUPLICATE_COLUMNS_FOUND"),
            ("CREATE TABLE t (`a b` INT)", "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES"),
            ("CREATE TABLE t (a INT) PARTITIONED BY (a)", "DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION"),
            ("CREATE TABLE t (a INT, b INT) PARTITIONED BY (zz)", "zz"),
            ("CREATE TABLE t (a INT GENERATED ALWAYS AS (1))", "GENERATED"),
            ("CREATE TABLE t (a INT) CLUSTER BY (a)", "Clustered"),
            ("CREATE TABLE t (a INT) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')", "columnMapping"),
            ("SHOW TABLES IN nodb", "SCHEMA_NOT_FOUND"),
            ("DROP TABLE nope", r"TABLE_OR_VIEW_NOT_FOUND.*`spark_catalog`.`default`.`nope`"),
            ("DROP VIEW nope", "TABLE_OR_VIEW_NOT_FOUND"),
            ("INSERT INTO nope VALUES (1)", "TABLE_OR_VIEW_NOT_FOUND"),
            ("TRUNCATE TABLE nope", "TABLE_OR_VIEW_NOT_FOUND"),
            ("DESCRIBE nope", "TABLE_OR_VIEW_NOT_FOUND"),
            ("ALTER TABLE nope SET TBLPROPERTIES ('a' = 'b')", "TABLE_OR_VIEW_NOT_FOUND"),
            ("OPTIMIZE nope", "TABLE_OR_VIEW_NOT_FOUND"),
            ("RESTORE TABLE nope TO VERSION AS OF 1", "TABLE_OR_VIEW_NOT_FOUND"),
        ],
    )
    def test_refusals(self, sql: Sql, text: str, error: str) -> None:
        with pytest.raises(SparkError, match=f"(?s){error}"):
            sql(text)

    def test_if_exists_and_if_not_exists(self, sql: Sql) -> None:
        sql("CREATE TABLE t (a INT)")
        sql("CREATE TABLE IF NOT EXISTS t (b INT)")
        assert values(sql("DESCRIBE t")) == [("a", "int", None)]
        with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_ALREADY_EXISTS.*`default`.`t`"):
            sql("CREATE TABLE t (b INT)")
        sql("DROP TABLE IF EXISTS t")
        sql("DROP TABLE IF EXISTS t")


class TestViews:
    def test_a_view_lives_in_its_own_database(self, sql: Sql) -> None:
        sql("CREATE DATABASE b")
        sql("CREATE TABLE b.t AS SELECT 1 AS a")
        sql("USE b")
        sql("CREATE VIEW v COMMENT 'vv' AS SELECT a + 1 AS n FROM t")
        sql("USE default")
        assert sql("SELECT * FROM b.v") == [{"n": 2}]
        assert sql("SHOW VIEWS IN b") == [{"namespace": "b", "viewName": "v", "isTemporary": False}]
        assert ("View Text", "SELECT a + 1 AS n FROM t", "") in values(sql("DESCRIBE EXTENDED b.v"))

    def test_it_can_be_replaced(self, sql: Sql) -> None:
        sql("CREATE VIEW v AS SELECT 1 AS a")
        sql("CREATE OR REPLACE VIEW v (x) AS SELECT 2")
        assert sql("SELECT * FROM v") == [{"x": 2}]
        sql("ALTER VIEW v AS SELECT 3 AS y")
        assert sql("SELECT * FROM v") == [{"y": 3}]
        with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
            sql("CREATE VIEW v AS SELECT 1 AS a")

    def test_views_of_views(self, sql: Sql) -> None:
        sql("CREATE VIEW a AS SELECT 1 AS x")
        sql("CREATE VIEW b AS SELECT x + 1 AS y FROM a")
        sql("CREATE OR REPLACE VIEW a AS SELECT 10 AS x")
        assert sql("SELECT * FROM b") == [{"y": 11}]

    def test_what_cannot_be_analysed_is_no_view(self, sql: Sql) -> None:
        with pytest.raises(AnalysisError):
            sql("CREATE VIEW v AS SELECT nope FROM nowhere")
        assert sql("SHOW VIEWS") == []

    def test_tables_and_views_share_names(self, sql: Sql) -> None:
        sql("CREATE TABLE t (a INT)")
        sql("CREATE VIEW v AS SELECT 1 AS a")
        with pytest.raises(AnalysisError, match="EXPECT_VIEW_NOT_TABLE"):
            sql("CREATE OR REPLACE VIEW t AS SELECT 1 AS a")
        with pytest.raises(AnalysisError, match="WRONG_COMMAND_FOR_OBJECT_TYPE.*Use DROP TABLE"):
            sql("DROP VIEW t")
        with pytest.raises(AnalysisError, match="EXPECT_TABLE_NOT_VIEW.*'INSERT'"):
            sql("INSERT INTO v VALUES (1)")
        sql("DROP VIEW v")
        assert sql("SHOW VIEWS") == []

    def test_temporary_views_are_the_engines(self, sql: Sql, context: SqlContext) -> None:
        sql("CREATE TEMPORARY VIEW tv AS SELECT 1 AS a")
        context.temporary_views = ["tv"]
        assert sql("SHOW TABLES") == [{"namespace": "", "tableName": "tv", "isTemporary": True}]
        assert values(sql("DESCRIBE tv")) == [("a", "int", None)]
        sql("DROP VIEW tv")
        with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_NOT_FOUND"):
            sql("SELECT * FROM tv")


class TestInsert:
    def test_by_position_by_name_and_by_list(self, sql: Sql) -> None:
        sql("CREATE TABLE t (id BIGINT, s STRING)")
        sql("INSERT INTO t VALUES (1, 'a')")
        sql("INSERT INTO t (s, id) VALUES ('b', 2)")
        sql("INSERT INTO t BY NAME SELECT 'c' AS s, 3 AS id")
        sql("INSERT INTO t BY NAME SELECT 4 AS id")
        assert sorted(values(sql("SELECT id, s FROM t"))) == [(1, "a"), (2, "b"), (3, "c"), (4, None)]

    def test_overwrite(self, sql: Sql) -> None:
        sql("CREATE TABLE t (id BIGINT)")
        sql("INSERT INTO t VALUES (1), (2)")
        sql("INSERT OVERWRITE t SELECT id * 10 FROM t")
        assert sorted(values(sql("SELECT id FROM t"))) == [(10,), (20,)]

    def test_replace_where(self, sql: Sql) -> None:
        sql("CREATE TABLE t (id BIGINT, s STRING)")
        sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        sql("INSERT INTO t REPLACE WHERE id > 1 SELECT CAST(3 AS BIGINT) AS id, 'c' AS s")
        assert sorted(values(sql("SELECT id, s FROM t"))) == [(1, "a"), (3, "c")]
        with pytest.raises(AnalysisError, match="DELTA_REPLACE_WHERE_MISMATCH"):
            sql("INSERT INTO t REPLACE WHERE id > 1 SELECT CAST(0 AS BIGINT) AS id, 'c' AS s")

    def test_columns_must_fit(self, sql: Sql) -> None:
        sql("CREATE TABLE t (id BIGINT, s STRING)")
        with pytest.raises(AnalysisError, match="not enough data columns; target table has 2 column"):
            sql("INSERT INTO t VALUES (1)")
        with pytest.raises(AnalysisError, match="too many data columns"):
            sql("INSERT INTO t (id) VALUES (1, 2)")
        with pytest.raises(AnalysisError, match="DELTA_MISSING_COLUMN.*Cannot find zzz in table columns: id, s"):
            sql("INSERT INTO t BY NAME SELECT 3 AS id, 'z' AS zzz")

    def test_nulls_are_refused_where_they_must_not_be(self, sql: Sql) -> None:
        sql("CREATE TABLE t (id BIGINT NOT NULL)")
        with pytest.raises(SparkError, match="DELTA_NOT_NULL_CONSTRAINT_VIOLATED.*id"):
            sql("INSERT INTO t VALUES (CAST(NULL AS BIGINT))")
        assert sql("SELECT * FROM t") == []


@pytest.mark.parametrize("properties", ["", "TBLPROPERTIES (delta.enableChangeDataFeed = true)"])
class TestChanges:
    """The same statements on plain tables (the engine's work) and on tables with a change feed (delta-rs's)."""

    @pytest.fixture
    def table(self, sql: Sql, properties: str) -> str:
        sql(f"CREATE TABLE t (id BIGINT, s STRING) {properties}")
        sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        return "t"

    def test_delete(self, sql: Sql, table: str) -> None:
        sql(f"DELETE FROM {table} WHERE id >= 2")
        assert values(sql("SELECT id, s FROM t")) == [(1, "a")]

    def test_update(self, sql: Sql, table: str) -> None:
        sql(f"UPDATE {table} SET s = concat(s, '!'), id = id * 10 WHERE s IN ('a', 'b')")
        assert sorted(values(sql("SELECT id, s FROM t"))) == [(3, "c"), (10, "a!"), (20, "b!")]

    def test_merge(self, sql: Sql, table: str) -> None:
        sql(
            f"MERGE INTO {table} AS t USING (SELECT * FROM VALUES (1, 'x'), (3, 'del'), (4, 'y') AS v(id, s)) AS s "
            "ON t.id = s.id WHEN MATCHED AND s.s = 'del' THEN DELETE WHEN MATCHED THEN UPDATE SET t.s = s.s "
            "WHEN NOT MATCHED THEN INSERT (id, s) VALUES (s.id, s.s)"
        )
        assert sorted(values(sql("SELECT id, s FROM t"))) == [(1, "x"), (2, "b"), (4, "y")]

    def test_merge_with_stars(self, sql: Sql, table: str) -> None:
        sql("CREATE TABLE src AS SELECT CAST(1 AS BIGINT) AS id, 'x' AS s UNION ALL SELECT 9, 'z'")
        sql(
            f"MERGE INTO {table} t USING src ON t.id = src.id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
        assert sorted(values(sql("SELECT id, s FROM t"))) == [(1, "x"), (2, "b"), (3, "c"), (9, "z")]


def test_changes_of_a_table_with_a_feed_are_counted_and_recorded(sql: Sql, warehouse: WarehouseCatalog) -> None:
    sql("CREATE TABLE t (id BIGINT) TBLPROPERTIES (delta.enableChangeDataFeed = true)")
    sql("INSERT INTO t VALUES (1), (2)")
    assert sql("UPDATE t SET id = 20 WHERE id = 2") == [{"num_affected_rows": 1}]
    assert sql("DELETE FROM t WHERE t.id = 1") == [{"num_affected_rows": 1}]
    merged = sql("MERGE INTO t USING (SELECT 20 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = 30")
    assert merged == [{"num_affected_rows": 1, "num_updated_rows": 1, "num_deleted_rows": 0, "num_inserted_rows": 0}]
    feed = DeltaTable(str(warehouse.warehouse / "t")).load_cdf(2).read_all()
    kinds = sorted(zip(feed["_change_type"].to_pylist(), feed["id"].to_pylist(), strict=True))
    assert kinds == [
        ("delete", 1),
        ("update_postimage", 20),
        ("update_postimage", 30),
        ("update_preimage", 2),
        ("update_preimage", 20),
    ]


class TestConstraints:
    def test_a_check_holds_for_every_write(self, sql: Sql) -> None:
        sql("CREATE TABLE t (id BIGINT)")
        sql("ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)")
        sql("INSERT INTO t VALUES (1)")
        with pytest.raises(SparkError, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES.*id > 0"):
            sql("INSERT INTO t VALUES (-1)")
        assert sql("SELECT * FROM t") == [{"id": 1}]
        sql("ALTER TABLE t DROP CONSTRAINT positive")
        sql("INSERT INTO t VALUES (-1)")

    def test_one_given_with_the_table(self, sql: Sql) -> None:
        sql("CREATE TABLE t (id BIGINT, CONSTRAINT positive CHECK (id > 0))")
        with pytest.raises(SparkError, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
            sql("INSERT INTO t VALUES (-1)")


class TestMaintenance:
    def test_optimize_vacuum_restore(self, sql: Sql, warehouse: WarehouseCatalog) -> None:
        sql("CREATE TABLE t (id BIGINT)")
        for value in range(3):
            sql(f"INSERT INTO t VALUES ({value})")
        (optimized,) = sql("OPTIMIZE t")
        assert optimized["path"] == f"file:{warehouse.warehouse}/t"
        assert (optimized["metrics"]["numFilesAdded"], optimized["metrics"]["numFilesRemoved"]) == (1, 3)
        assert sql("VACUUM t") == [{"path": f"file:{warehouse.warehouse}/t"}]
        sql("RESTORE TABLE t TO VERSION AS OF 2")
        assert sorted(values(sql("SELECT id FROM t"))) == [(0,), (1,)]
        operations = [row["operation"] for row in sql("DESCRIBE HISTORY t")]
        assert operations[0] == "RESTORE"
        assert operations[-1] == "CREATE TABLE"
        assert len(sql("DESCRIBE HISTORY t LIMIT 2")) == 2

    def test_vacuum_keeps_what_others_may_read(self, sql: Sql) -> None:
        sql("CREATE TABLE t (id BIGINT)")
        with pytest.raises(IllegalArgumentError, match="DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT"):
            sql("VACUUM t RETAIN 1 HOURS")


def test_a_statement_that_is_none(sql: Sql) -> None:
    with pytest.raises(ParseError, match=r"PARSE_SYNTAX_ERROR.*near 'b'"):
        sql("DROP TABLE a b")
