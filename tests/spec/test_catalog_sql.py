"""Databases, tables and views in SQL: what statements answer, on riacho as on Apache Spark with Delta."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StructField, StructType

from tests.spec.support import finish, rows


def columns(spark: SparkSession, text: str) -> str:
    return spark.sql(text).schema.simpleString()


class TestDatabases:
    def test_they_are_listed_and_described(self, spark: SparkSession, database: str) -> None:
        assert (database,) in rows(spark.sql("SHOW DATABASES"))
        assert rows(spark.sql(f"SHOW DATABASES LIKE '{database[:-1]}*'")) == [(database,)]
        assert columns(spark, "SHOW SCHEMAS") == "struct<namespace:string>"
        spark.sql(f"COMMENT ON DATABASE {database} IS 'raw data'")
        described: dict[str, str] = dict(spark.sql(f"DESCRIBE DATABASE {database}").collect())
        assert described["Namespace Name"] == database
        assert described["Comment"] == "raw data"
        assert described["Location"].endswith(f"{database}.db")

    def test_names_are_taken_once(self, spark: SparkSession, database: str) -> None:
        spark.sql(f"CREATE DATABASE IF NOT EXISTS {database}")
        with pytest.raises(AnalysisException, match="SCHEMA_ALREADY_EXISTS"):
            spark.sql(f"CREATE DATABASE {database}")
        with pytest.raises(AnalysisException, match="SCHEMA_NOT_FOUND"):
            spark.sql("DROP DATABASE there_is_none")
        spark.sql("DROP DATABASE IF EXISTS there_is_none")

    def test_full_ones_are_not_dropped(self, spark: SparkSession, database: str) -> None:
        spark.sql(f"CREATE TABLE {database}.t (a INT) USING delta")
        with pytest.raises(AnalysisException, match="SCHEMA_NOT_EMPTY"):
            spark.sql(f"DROP DATABASE {database}")

    def test_use(self, spark: SparkSession, database: str) -> None:
        spark.sql(f"CREATE TABLE {database}.t (a INT) USING delta")
        spark.sql(f"USE {database}")
        assert spark.catalog.currentDatabase() == database
        assert rows(spark.sql("SHOW TABLES")) == [(database, "t", False)]
        assert rows(spark.sql("SELECT * FROM t")) == []
        with pytest.raises(AnalysisException, match="SCHEMA_NOT_FOUND"):
            spark.sql("USE there_is_none")
        spark.sql("USE default")

    def test_other_sessions_see_the_same(self, spark: SparkSession, database: str) -> None:
        spark.sql(f"CREATE TABLE {database}.t (a INT) USING delta")
        assert [table.name for table in spark.catalog.listTables(database)] == ["t"]
        assert spark.catalog.tableExists(f"{database}.t")
        assert not spark.catalog.tableExists(f"{database}.u")
        assert spark.catalog.databaseExists(database)


class TestTables:
    def test_a_table_is_described(self, spark: SparkSession, database: str) -> None:
        spark.sql(
            f"CREATE TABLE {database}.T (id BIGINT NOT NULL COMMENT 'the id', s STRING, p DATE, "
            "n STRUCT<x: INT, y: ARRAY<STRING>>) USING delta PARTITIONED BY (p) COMMENT 'tbl' "
            "TBLPROPERTIES (delta.enableChangeDataFeed = true, x = '1')"
        )
        listed = [tuple(row) for row in spark.sql(f"DESCRIBE {database}.t").collect()]
        assert listed == [
            ("id", "bigint", "the id"),
            ("s", "string", None),
            ("p", "date", None),
            ("n", "struct<x:int,y:array<string>>", None),
            ("# Partition Information", "", ""),
            ("# col_name", "data_type", "comment"),
            ("p", "date", None),
        ]
        extended = {row[0]: row[1] for row in spark.sql(f"DESCRIBE EXTENDED {database}.t").collect()}
        assert (extended["Table"], extended["Type"], extended["Comment"]) == ("t", "MANAGED", "tbl")
        assert extended["Provider"] == "delta"
        properties = {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES {database}.t").collect()}
        assert properties == {
            "delta.enableChangeDataFeed": "true",
            "delta.feature.appendOnly": "supported",
            "delta.feature.changeDataFeed": "supported",
            "delta.feature.invariants": "supported",
            "delta.minReaderVersion": "1",
            "delta.minWriterVersion": "7",
            "x": "1",
        }
        assert rows(spark.sql(f"SHOW COLUMNS IN {database}.t")) == [("id",), ("n",), ("p",), ("s",)]
        assert {c.name: c.description for c in spark.catalog.listColumns(f"{database}.t")}["id"] == "the id"

    def test_properties_come_and_go(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} (a INT) USING delta")
        spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('y' = '2')")
        assert rows(spark.sql(f"SHOW TBLPROPERTIES {table} ('y')")) == [("y", "2")]
        spark.sql(f"ALTER TABLE {table} UNSET TBLPROPERTIES ('y')")
        missing = f"Table spark_catalog.{table} does not have property: y"
        assert rows(spark.sql(f"SHOW TBLPROPERTIES {table} ('y')")) == [("y", missing)]

    def test_columns_are_added_and_commented(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} (a INT) USING delta")
        spark.sql(f"INSERT INTO {table} VALUES (1)")
        spark.sql(f"ALTER TABLE {table} ADD COLUMNS (n DOUBLE COMMENT 'en')")
        spark.sql(f"ALTER TABLE {table} ALTER COLUMN a COMMENT 'ay'")
        assert rows(spark.sql(f"DESCRIBE {table}")) == [("a", "int", "ay"), ("n", "double", "en")]
        assert rows(spark.table(table)) == [(1, None)]
        with pytest.raises(AnalysisException, match="FIELD_ALREADY_EXISTS"):
            spark.sql(f"ALTER TABLE {table} ADD COLUMNS (n DOUBLE)")

    def test_create_as_select_and_replace(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} USING delta AS SELECT 1 AS a, 'x' AS b")
        spark.sql(f"CREATE TABLE IF NOT EXISTS {table} USING delta AS SELECT 2 AS other")
        assert rows(spark.table(table)) == [(1, "x")]
        spark.sql(f"CREATE OR REPLACE TABLE {table} USING delta AS SELECT 'y' AS c")
        assert rows(spark.table(table)) == [("y",)]
        spark.sql(f"CREATE TABLE {database}.u LIKE {table}")
        assert spark.table(f"{database}.u").columns == ["c"]

    def test_truncate_and_history(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} (a INT) USING delta")
        spark.sql(f"INSERT INTO {table} VALUES (1)")
        spark.sql(f"TRUNCATE TABLE {table}")
        assert rows(spark.table(table)) == []
        history = spark.sql(f"DESCRIBE HISTORY {table}")
        assert [row["version"] for row in history.collect()] == [2, 1, 0]
        assert history.columns[:5] == ["version", "timestamp", "userId", "userName", "operation"]
        assert spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").count() == 1

    def test_restore(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} USING delta AS SELECT 1 AS a")
        spark.sql(f"INSERT INTO {table} VALUES (2)")
        spark.sql(f"RESTORE TABLE {table} TO VERSION AS OF 0")
        assert rows(spark.table(table)) == [(1,)]

    def test_compaction(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} (a INT) USING delta")
        for value in range(3):
            spark.sql(f"INSERT INTO {table} VALUES ({value})")
        metrics = spark.sql(f"OPTIMIZE {table}").collect()[0]["metrics"]
        assert (metrics["numFilesAdded"], metrics["numFilesRemoved"]) == (1, 3)
        assert rows(spark.table(table)) == [(0,), (1,), (2,)]

    def test_a_table_of_files(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} (a INT, b STRING) USING parquet PARTITIONED BY (b)")
        spark.sql(f"INSERT INTO {table} VALUES (1, 'x')")
        assert rows(spark.table(table)) == [(1, "x")]

    def test_dropping(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} USING delta AS SELECT 1 AS a")
        spark.sql(f"DROP TABLE {table}")
        spark.sql(f"DROP TABLE IF EXISTS {table}")
        with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
            spark.sql(f"DROP TABLE {table}")
        with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
            spark.table(table).collect()
        spark.sql(f"CREATE TABLE {table} (b STRING) USING delta")
        assert rows(spark.table(table)) == []

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("CREATE TABLE {d}.`a-b` (a INT) USING delta", "INVALID_SCHEMA_OR_RELATION_NAME"),
            ("CREATE TABLE there_is_none.t (a INT) USING delta", "SCHEMA_NOT_FOUND"),
            ("SHOW TABLES IN there_is_none", "SCHEMA_NOT_FOUND"),
            ("DESCRIBE {d}.there_is_none", "TABLE_OR_VIEW_NOT_FOUND"),
            ("TRUNCATE TABLE {d}.there_is_none", "TABLE_OR_VIEW_NOT_FOUND"),
            ("INSERT INTO {d}.there_is_none VALUES (1)", "TABLE_OR_VIEW_NOT_FOUND"),
            ("ALTER TABLE {d}.there_is_none SET TBLPROPERTIES ('a' = 'b')", "TABLE_OR_VIEW_NOT_FOUND"),
            ("RESTORE TABLE {d}.there_is_none TO VERSION AS OF 1", "TABLE_OR_VIEW_NOT_FOUND"),
        ],
    )
    def test_refusals(self, spark: SparkSession, database: str, text: str, error: str) -> None:
        with pytest.raises(AnalysisException, match=error):
            spark.sql(text.format(d=database)).collect()

    def test_what_is_no_statement(self, spark: SparkSession) -> None:
        with pytest.raises(ParseException, match="PARSE_SYNTAX_ERROR"):
            spark.sql("DROP TABLE a b")


class TestViews:
    def test_a_view_reads_beside_itself(self, spark: SparkSession, database: str) -> None:
        spark.sql(f"CREATE TABLE {database}.t USING delta AS SELECT 1 AS a")
        spark.sql(f"USE {database}")
        spark.sql("CREATE VIEW v COMMENT 'vv' AS SELECT a + 1 AS n FROM t")
        spark.sql("USE default")
        assert rows(spark.table(f"{database}.v")) == [(2,)]
        assert rows(spark.sql(f"SHOW VIEWS IN {database}")) == [(database, "v", False)]
        spark.sql(f"CREATE OR REPLACE VIEW {database}.v (x) AS SELECT 7")
        assert rows(spark.table(f"{database}.v")) == [(7,)]
        spark.sql(f"DROP VIEW {database}.v")
        with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
            spark.sql(f"DROP VIEW {database}.v")

    def test_tables_and_views_are_told_apart(self, spark: SparkSession, database: str) -> None:
        spark.sql(f"CREATE TABLE {database}.t (a INT) USING delta")
        spark.sql(f"CREATE VIEW {database}.v AS SELECT 1 AS a")
        with pytest.raises(AnalysisException, match="EXPECT_VIEW_NOT_TABLE"):
            spark.sql(f"CREATE OR REPLACE VIEW {database}.t AS SELECT 1 AS a")
        with pytest.raises(AnalysisException, match="WRONG_COMMAND_FOR_OBJECT_TYPE"):
            spark.sql(f"DROP VIEW {database}.t")
        with pytest.raises(AnalysisException, match="EXPECT_TABLE_NOT_VIEW"):
            spark.sql(f"INSERT INTO {database}.v VALUES (1)")


class TestRows:
    def test_inserts(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} (id BIGINT, s STRING) USING delta")
        spark.sql(f"INSERT INTO {table} VALUES (1, 'a')")
        spark.sql(f"INSERT INTO {table} (s, id) VALUES ('b', 2)")
        spark.sql(f"INSERT INTO {table} BY NAME SELECT 'c' AS s, 3 AS id")
        assert rows(spark.table(table)) == [(1, "a"), (2, "b"), (3, "c")]
        spark.sql(f"INSERT OVERWRITE {table} SELECT id * 10, s FROM {table} WHERE id > 1")
        assert rows(spark.table(table)) == [(20, "b"), (30, "c")]
        spark.sql(f"INSERT INTO {table} REPLACE WHERE id > 25 SELECT CAST(26 AS BIGINT) AS id, 'z' AS s")
        assert rows(spark.table(table)) == [(20, "b"), (26, "z")]
        with pytest.raises(AnalysisException, match="not enough data columns"):
            spark.sql(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(AnalysisException, match="DELTA_MISSING_COLUMN"):
            spark.sql(f"INSERT INTO {table} BY NAME SELECT 3 AS id, 'z' AS zzz")

    @pytest.mark.parametrize("properties", ["", "TBLPROPERTIES (delta.enableChangeDataFeed = true)"])
    def test_changes(self, spark: SparkSession, database: str, properties: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} (id BIGINT, s STRING) USING delta {properties}")
        spark.sql(f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        spark.sql(f"UPDATE {table} AS t SET t.s = concat(t.s, '!') WHERE t.id = 2")
        spark.sql(f"DELETE FROM {table} WHERE id = 1")
        spark.sql(
            f"MERGE INTO {table} AS t USING (SELECT 3 AS id, 'z' AS s UNION ALL SELECT 4, 'd') AS s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET s = s.s WHEN NOT MATCHED THEN INSERT *"
        )
        assert rows(spark.table(table)) == [(2, "b!"), (3, "z"), (4, "d")]

    def test_constraints(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        spark.sql(f"CREATE TABLE {table} (id BIGINT NOT NULL) USING delta")
        spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT positive CHECK (id > 0)")
        spark.sql(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(PySparkException, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
            spark.sql(f"INSERT INTO {table} VALUES (-1)")
        assert rows(spark.table(table)) == [(1,)]

    def test_constraints_are_about_the_rows_that_are_written(
        self, spark: SparkSession, database: str, tmp_path: Path
    ) -> None:
        source, table, view = (f"{database}.{name}" for name in ("s", "t", "nested"))
        spark.sql(f"CREATE TABLE {source} (id BIGINT, a BIGINT, n STRUCT<r: BIGINT>) USING delta")
        spark.sql(
            f"INSERT INTO {source} VALUES (1, 5, named_struct('r', 7L)), (2, 50, NULL), (3, 7, named_struct('r', 8L))"
        )
        spark.sql(f"CREATE TABLE {table} (id BIGINT, a BIGINT) USING delta")
        spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT small CHECK (a < 10)")
        spark.sql(f"INSERT INTO {table} SELECT id, a FROM {source} WHERE id = 1")
        spark.sql(f"INSERT INTO {table} SELECT id + 10, a + id - id AS a FROM {source} WHERE n.r > 0")
        spark.table(source).where("a < 6 OR id = 3").drop("n").write.format("delta").mode("append").saveAsTable(table)
        stream = spark.readStream.table(source).where("id <> 2").selectExpr("id + 20 AS id", "a").writeStream
        finish(
            stream.format("delta")
            .option("checkpointLocation", f"{tmp_path}/kept")
            .trigger(availableNow=True)
            .toTable(table)
        )
        written = [(1, 5), (1, 5), (3, 7), (11, 5), (13, 7), (21, 5), (23, 7)]
        assert sorted(rows(spark.table(table))) == written
        # The row that is told is the one that broke the rule.
        with pytest.raises(PySparkException, match=r"violated by row with values:\n - a : 50"):
            spark.sql(f"INSERT INTO {table} SELECT id, a FROM {source}")
        spark.sql(f"CREATE TABLE {view} (n STRUCT<r: BIGINT>) USING delta")
        spark.sql(f"ALTER TABLE {view} ADD CONSTRAINT large CHECK (n.r > 7)")
        spark.sql(f"INSERT INTO {view} SELECT n FROM {source} WHERE id = 3")
        with pytest.raises(PySparkException, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
            spark.sql(f"INSERT INTO {view} SELECT n FROM {source}")
        assert spark.table(view).count() == 1

    def test_columns_that_must_not_be_null(self, spark: SparkSession, database: str) -> None:
        spark.sql(f"CREATE TABLE {database}.t (id BIGINT NOT NULL) USING delta")
        with pytest.raises(PySparkException, match="DELTA_NOT_NULL_CONSTRAINT_VIOLATED"):
            spark.sql(f"INSERT INTO {database}.t VALUES (CAST(NULL AS BIGINT))")
        assert rows(spark.table(f"{database}.t")) == []

    def test_by_path(self, spark: SparkSession, tmp_path: Path) -> None:
        path = tmp_path / "t"
        spark.range(2).write.format("delta").save(str(path))
        spark.sql(f"INSERT INTO delta.`{path}` VALUES (7)")
        spark.sql(f"DELETE FROM delta.`{path}` WHERE id = 0")
        assert rows(spark.sql(f"SELECT * FROM delta.`{path}`")) == [(1,), (7,)]
        assert spark.sql(f"DESCRIBE HISTORY delta.`{path}`").count() == 3


class TestCatalogApi:
    def test_databases(self, spark: SparkSession, database: str) -> None:
        found = {listed.name: listed for listed in spark.catalog.listDatabases()}
        assert found["default"].description == "default database"
        assert found[database].locationUri.endswith(f"{database}.db")
        assert spark.catalog.getDatabase(database).catalog == "spark_catalog"
        assert not spark.catalog.databaseExists("there_is_none")
        with pytest.raises(AnalysisException, match="SCHEMA_NOT_FOUND"):
            spark.catalog.getDatabase("there_is_none")

    def test_a_table_is_made(self, spark: SparkSession, database: str) -> None:
        schema = StructType([StructField("a", LongType())])
        frame = spark.catalog.createTable(f"{database}.t", source="delta", schema=schema, description="made")
        assert frame is not None
        spark.sql(f"INSERT INTO {database}.t VALUES (1)")
        assert rows(spark.table(f"{database}.t")) == [(1,)]
        assert spark.catalog.getTable(f"{database}.t").tableType == "MANAGED"

    def test_columns(self, spark: SparkSession, database: str) -> None:
        spark.sql(
            f"CREATE TABLE {database}.t (id BIGINT NOT NULL COMMENT 'i', p STRING) USING delta PARTITIONED BY (p)"
        )
        spark.sql(f"CREATE VIEW {database}.v AS SELECT 1 AS a")
        found = [
            (c.name, c.description, c.dataType, c.nullable, c.isPartition)
            for c in spark.catalog.listColumns(f"{database}.t")
        ]
        assert found == [("id", "i", "bigint", False, False), ("p", None, "string", True, True)]
        assert [c.dataType for c in spark.catalog.listColumns(f"{database}.v")] == ["int"]
        with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
            spark.catalog.listColumns(f"{database}.there_is_none")

    def test_views_and_refresh(self, spark: SparkSession, database: str) -> None:
        spark.sql(f"CREATE VIEW {database}.v AS SELECT 1 AS a")
        assert [(view.name, view.tableType) for view in spark.catalog.listViews(database)] == [("v", "VIEW")]
        spark.sql(f"CREATE TABLE {database}.t (a INT) USING delta")
        spark.catalog.refreshTable(f"{database}.t")
        spark.catalog.truncateTable(f"{database}.t")
        spark.catalog.dropView(f"{database}.v")
        spark.catalog.dropTable(f"{database}.t")
        assert spark.catalog.listTables(database) == []
