"""What names mean in statements and DataFrames: case makes no difference, temporary views come before tables."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.spec.support import rows, said, syntax_error


@pytest.fixture
def spark(spark: SparkSession, database: str) -> SparkSession:
    """The session, in a database of its own."""
    spark.sql(f"USE {database}")
    return spark


def test_a_temporary_view_takes_the_place_of_a_table(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE t (a INT) USING delta")
    spark.sql("INSERT INTO t VALUES (1)")
    spark.sql("CREATE TEMP VIEW T AS SELECT 'temp' AS x")
    for name in ("t", "T"):
        assert rows(spark.sql(f"SELECT * FROM {name}")) == rows(spark.table(name)) == [("temp",)]
        assert spark.sql(f"DESCRIBE {name}").collect()[0][0] == "x"
        assert spark.sql(f"SHOW COLUMNS IN {name}").collect()[0][0] == "x"
        assert rows(spark.sql(f"SELECT * FROM {database}.{name}")) == [(1,)]
    with pytest.raises(AnalysisException, match="EXPECT_TABLE_NOT_VIEW"):
        spark.sql("INSERT INTO t VALUES (2)")

    spark.sql("CREATE TABLE copy USING delta AS SELECT * FROM T")
    assert rows(spark.table("copy")) == [("temp",)]
    spark.sql("CREATE OR REPLACE TEMP VIEW T AS SELECT 2 AS y")
    assert spark.table("t").columns == ["y"]
    spark.sql("DROP VIEW T")
    assert rows(spark.table("t")) == [(1,)]


def test_a_temporary_view_is_found_whatever_the_case(spark: SparkSession) -> None:
    spark.sql("CREATE TEMP VIEW testData AS SELECT * FROM VALUES (1, 'a'), (2, 'b') AS v(Ab, b)")
    assert rows(spark.sql("SELECT testdata.aB, TESTDATA.b FROM TestData")) == [(1, "a"), (2, "b")]
    assert rows(spark.sql("TABLE TESTDATA")) == rows(spark.table("TESTDATA")) == [(1, "a"), (2, "b")]
    assert rows(spark.sql("SELECT sum(Ab) OVER (ORDER BY b) FROM TESTDATA")) == [(1,), (3,)]
    cube = "SELECT b, sum(ab) FROM TESTDATA GROUP BY CUBE(b)"
    assert rows(spark.sql(cube)) == [("a", 1), ("b", 2), (None, 3)]
    assert rows(spark.sql("SELECT 1 WHERE EXISTS (SELECT * FROM TESTDATA WHERE ab = 2)")) == [(1,)]
    assert rows(spark.table("TESTDATA").groupBy("B").agg(F.max("AB"))) == [("a", 1), ("b", 2)]

    spark.range(2).createOrReplaceTempView("fromFrame")
    assert rows(spark.sql("SELECT ID FROM FROMFRAME f WHERE F.id = 1")) == [(1,)]
    assert spark.catalog.tableExists("FROMFRAME")
    assert spark.catalog.dropTempView("FromFrame")
    assert not spark.catalog.dropTempView("FromFrame")
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        spark.table("fromframe").collect()


def test_a_temporary_view_is_not_made_twice(spark: SparkSession) -> None:
    spark.sql("CREATE TEMP VIEW v AS SELECT 1 AS a")
    with pytest.raises(AnalysisException, match="TEMP_TABLE_OR_VIEW_ALREADY_EXISTS"):
        spark.sql("CREATE TEMP VIEW V AS SELECT 2 AS a")
    with pytest.raises(AnalysisException, match="TEMP_TABLE_OR_VIEW_ALREADY_EXISTS"):
        spark.range(1).createTempView("V")
    with pytest.raises(ParseException, match="IF NOT EXISTS"):
        spark.sql("CREATE TEMP VIEW IF NOT EXISTS v AS SELECT 2 AS a")
    with pytest.raises(ParseException, match="INVALID_TEMP_OBJ_QUALIFIER"):
        spark.sql("CREATE TEMP VIEW a.v AS SELECT 2 AS a")
    spark.sql("CREATE OR REPLACE TEMP VIEW V (b) AS SELECT 3")
    assert spark.table("v").columns == ["b"]


def test_global_temporary_views(spark: SparkSession, database: str) -> None:
    name = f"Global_{database}"
    spark.sql(f"CREATE GLOBAL TEMP VIEW {name} AS SELECT 5 AS g")
    try:
        assert rows(spark.sql(f"SELECT * FROM GLOBAL_TEMP.{name.upper()}")) == [(5,)]
        assert rows(spark.table(f"global_temp.{name.lower()}")) == [(5,)]
        with pytest.raises(AnalysisException, match="TEMP_TABLE_OR_VIEW_ALREADY_EXISTS"):
            spark.range(1).createGlobalTempView(name.lower())
        spark.range(1).createOrReplaceGlobalTempView(name.lower())
        assert spark.table(f"global_temp.{name}").columns == ["id"]
    finally:
        spark.sql(f"DROP VIEW global_temp.{name}")
    with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
        spark.table(f"global_temp.{name}").collect()
    assert not spark.catalog.dropGlobalTempView(name)


def test_names_of_with_are_found_whatever_the_case(spark: SparkSession) -> None:
    assert rows(spark.sql("WITH Tt AS (SELECT 1 AS a), u AS (SELECT * FROM tT) SELECT TT.A FROM TT JOIN U")) == [(1,)]


def test_every_statement_takes_names_in_any_case(spark: SparkSession, database: str) -> None:
    """Made, read, written and dropped under names that differ in case alone."""
    db = database.upper()
    spark.sql(f"CREATE TABLE {db}.Vendas_Dia (Id INT, Nome STRING) USING delta")
    spark.sql(f"INSERT INTO {db}.VENDAS_DIA VALUES (1, 'a'), (2, 'b')")
    spark.sql("CREATE VIEW Resumo AS SELECT max(ID) AS Maior FROM VENDAS_Dia")
    assert rows(spark.sql("SELECT MAIOR FROM RESUMO")) == [(2,)]
    spark.sql(f"CREATE TABLE Copia USING delta AS SELECT * FROM {db}.Vendas_Dia WHERE id = 2")
    spark.sql("INSERT INTO COPIA SELECT ID + 2, NOME FROM VENDAS_DIA v WHERE V.id = 1")
    assert rows(spark.table("COPIA")) == [(2, "b"), (3, "a")]

    spark.sql(f"UPDATE {db}.Vendas_Dia SET NOME = 'x' WHERE Vendas_Dia.ID = 1")
    spark.sql(f"DELETE FROM {db}.Vendas_Dia AS v WHERE V.id = 2")
    assert rows(spark.table("vendas_dia")) == [(1, "x")]
    spark.sql(
        f"MERGE INTO {db}.Vendas_Dia USING {db}.Copia ON Vendas_Dia.ID = Copia.id "
        "WHEN NOT MATCHED THEN INSERT (ID, nome) VALUES (Copia.ID, COPIA.nome)"
    )
    assert rows(spark.table("vendas_dia")) == [(1, "x"), (2, "b"), (3, "a")]
    spark.sql("CREATE TEMP VIEW Fonte AS SELECT 3 AS ID, 'new' AS Nome")
    spark.sql("MERGE INTO VENDAS_DIA AS t USING FONTE AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *")
    assert rows(spark.table("vendas_dia")) == [(1, "x"), (2, "b"), (3, "new")]
    spark.table("VENDAS_DIA").filter("ID = 1").write.insertInto("COPIA")
    spark.table("VENDAS_DIA").filter("ID = 1").writeTo("Copia").append()
    assert spark.table("copia").count() == 4
    spark.sql("DROP VIEW RESUMO")
    spark.sql("DROP TABLE COPIA")
    assert not spark.catalog.tableExists("copia")


@pytest.mark.parametrize("properties", ["delta.enableChangeDataFeed = true", "delta.constraints.positive = 'iD > 0'"])
def test_columns_of_changed_tables_are_found_whatever_the_case(spark: SparkSession, properties: str) -> None:
    spark.sql("CREATE TABLE t (Id INT, Nome STRING) USING delta")
    if "constraints" in properties:
        spark.sql("ALTER TABLE t ADD CONSTRAINT positive CHECK (iD > 0)")
    else:
        spark.sql(f"ALTER TABLE t SET TBLPROPERTIES ({properties})")
    spark.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    spark.sql("UPDATE t SET NOME = upper(nome) WHERE id = 1 AND t.ID < 2")
    spark.sql("DELETE FROM t AS x WHERE X.ID = 3 AND nome = 'c'")
    assert rows(spark.table("t")) == [(1, "A"), (2, "b")]
    spark.sql(
        "MERGE INTO t USING (SELECT 2 AS ID, 'z' AS NOME UNION ALL SELECT 4, 'n') AS s ON t.id = s.id "
        "WHEN MATCHED AND t.nome = 'b' THEN UPDATE SET nome = s.nome "
        "WHEN NOT MATCHED THEN INSERT (id, nome) VALUES (s.Id, s.nome)"
    )
    assert rows(spark.table("t")) == [(1, "A"), (2, "z"), (4, "n")]
    if "constraints" in properties:
        with pytest.raises(PySparkException, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
            spark.sql("INSERT INTO t VALUES (5, 'e'), (-1, 'f')")
        with pytest.raises(PySparkException, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
            spark.sql("INSERT INTO t (nome) VALUES ('f')")
        with pytest.raises(AnalysisException, match="DELTA_CONSTRAINT_ALREADY_EXISTS"):
            spark.sql("ALTER TABLE t ADD CONSTRAINT POSITIVE CHECK (id > 1)")
        with pytest.raises(AnalysisException, match="1 rows in .* violate the new CHECK constraint"):
            spark.sql("ALTER TABLE t ADD CONSTRAINT small CHECK (ID < 4)")
        spark.sql("ALTER TABLE t DROP CONSTRAINT Positive")
        spark.sql("INSERT INTO t (id) VALUES (-1)")
        assert spark.table("t").count() == 4


def test_names_of_columns_are_not_sql(spark: SparkSession) -> None:
    """What stands in them between dots is part of the name."""
    df = spark.createDataFrame([("2", {"x": 3}, 4.0)], "`a b` STRING, s STRUCT<x: INT>, `1` DOUBLE")
    added = df.select(F.col("a b") * 2, F.col("s.x") / 2, F.col("1") + F.lit("1"))
    assert rows(added) == [(4, 1.5, 5.0)]
    assert rows(df.groupBy("a b").agg(F.sum("s.x"))) == [("2", 3)]


def test_the_column_of_a_watermark_is_sql(spark: SparkSession) -> None:
    stream = spark.readStream.format("rate").load().withColumnRenamed("timestamp", "the time")
    marked = stream.withWatermark("`the time`", "1 minute").groupBy(F.window("the time", "1 minute")).count()
    assert marked.columns == ["window", "count"]
    with pytest.raises(ParseException) as caught:
        stream.withWatermark("the time", "1 minute").writeStream.format("noop").start()
    assert said(caught.value) == syntax_error("the time", "'time': extra input 'time'", 1, 4)


@pytest.mark.parametrize("form", ["delta", "parquet"])
def test_columns_may_be_named_after_their_table(spark: SparkSession, database: str, form: str) -> None:
    for table in ("t", "u"):
        spark.sql(f"CREATE TABLE {database}.{table} USING {form} AS SELECT id, 'x' AS v FROM range(3)")
    texts = [
        f"SELECT t.id, t.v FROM {database}.t",
        f"SELECT {database}.T.id, {database}.t.v FROM {database}.t",
        f"SELECT t.* FROM {database}.t",
        f"SELECT t.id, u.v FROM {database}.t JOIN {database}.u u ON {database}.t.id = u.id",
        f"SELECT q.* FROM (SELECT t.* FROM {database}.t) q",
    ]
    for text in texts:
        assert sorted(rows(spark.sql(text))) == [(0, "x"), (1, "x"), (2, "x")], text
    frame = spark.table(f"{database}.t")
    for chosen in (frame.select("t.id", f"{database}.t.v"), frame.select("t.*"), frame.alias("a").select("a.*")):
        assert sorted(rows(chosen)) == [(0, "x"), (1, "x"), (2, "x")]


@pytest.mark.riacho_only  # Delta on Spark takes no subqueries there
def test_changes_of_rows_that_depend_on_a_table_of_files(spark: SparkSession, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.files USING parquet AS SELECT id FROM range(4)")
    spark.sql(f"CREATE TABLE {database}.t USING delta AS SELECT id FROM range(6)")
    spark.sql(f"DELETE FROM {database}.t WHERE id IN (SELECT id FROM {database}.files WHERE id < 2)")
    found = f"EXISTS (SELECT 1 FROM {database}.files f WHERE f.id = t.id AND f.id = 3)"
    spark.sql(f"UPDATE {database}.t SET id = 30 WHERE {found}")
    assert sorted(rows(spark.table(f"{database}.t"))) == [(2,), (4,), (5,), (30,)]


def test_a_partition_column_may_be_left_out(spark: SparkSession, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.t (id INT, g STRING) USING delta PARTITIONED BY (g)")
    spark.sql(f"INSERT INTO {database}.t (id) VALUES (1)")
    spark.sql("SELECT 2 AS id").write.format("delta").mode("append").saveAsTable(f"{database}.t")
    assert sorted(rows(spark.table(f"{database}.t"))) == [(1, None), (2, None)]
