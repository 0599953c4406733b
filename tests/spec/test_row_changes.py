"""DELETE, UPDATE and MERGE: which rows they mean, what becomes of them, and that all readers see the same then."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import finish, rows

at = datetime
FEED = "TBLPROPERTIES (delta.enableChangeDataFeed = true)"


def make(spark: SparkSession, table: str, columns: str, *values: str, partition_by: str = "", more: str = "") -> None:
    """A table, a file for each of `values`."""
    partitioned = f"PARTITIONED BY ({partition_by})" if partition_by else ""
    spark.sql(f"CREATE TABLE {table} ({columns}) USING delta {partitioned} {more}")
    for value in values:
        spark.sql(f"INSERT INTO {table} VALUES {value}")


def streamed(spark: SparkSession, table: str, checkpoint: Path) -> list[tuple[Any, ...]]:
    """What a stream that starts now sees of a table."""
    name = f"seen_{checkpoint.name}"
    query = spark.readStream.table(table).writeStream.format("memory").queryName(name)
    finish(query.option("checkpointLocation", str(checkpoint)).trigger(availableNow=True).start())
    return rows(spark.table(name))


def counts(spark: SparkSession, statement: str) -> dict[str, int]:
    (answer,) = spark.sql(statement).collect()
    return answer.asDict()


class TestPartitions:
    """What a partition is called in the log, and where its files lie, is the same to all who write and read."""

    @pytest.mark.parametrize("how", ["sql", "saveAsTable", "writeTo", "ctas"])
    def test_a_value_that_no_folder_is_called_by(
        self, spark: SparkSession, database: str, tmp_path: Path, how: str
    ) -> None:
        table = f"{database}.t"
        given = [("two words", 1), ("two words", 2), ("50%", 3), ("50%25", 4), ("a/b=ç", 5), ("a/b=ç", 6), (None, 7)]
        frame = spark.createDataFrame(given, "g STRING, id INT")
        frame.createOrReplaceTempView("given")
        match how:
            case "sql":
                make(spark, table, "g STRING, id INT", partition_by="g")
                spark.sql(f"INSERT INTO {table} SELECT * FROM given WHERE id % 2 = 0")
                frame.where("id % 2 = 1").write.insertInto(table)
            case "saveAsTable":
                frame.write.format("delta").partitionBy("g").saveAsTable(table)
            case "writeTo":
                frame.writeTo(table).using("delta").partitionedBy("g").create()
            case _:
                spark.sql(f"CREATE TABLE {table} USING delta PARTITIONED BY (g) AS SELECT * FROM given")
        spark.sql(f"UPDATE {table} SET id = 30 WHERE id = 3")
        spark.sql(f"UPDATE {table} SET g = 'x y' WHERE g = 'two words' AND id = 2")
        spark.sql(f"DELETE FROM {table} WHERE g = 'a/b=ç' AND id = 5")
        spark.sql(
            f"MERGE INTO {table} t USING (SELECT 'x y' AS g, 20 AS id UNION ALL SELECT 'é', 9) s ON t.g = s.g "
            "WHEN MATCHED THEN UPDATE SET id = s.id WHEN NOT MATCHED THEN INSERT *"
        )
        expected = sorted(
            [("two words", 1), ("x y", 20), ("50%", 30), ("50%25", 4), ("a/b=ç", 6), (None, 7), ("é", 9)], key=repr
        )
        assert rows(spark.table(table)) == expected
        assert streamed(spark, table, tmp_path / how) == expected
        spark.sql(f"OPTIMIZE {table}")
        spark.sql(f"DELETE FROM {table} WHERE id = 4")
        expected.remove(("50%25", 4))
        assert rows(spark.table(table)) == expected
        assert streamed(spark, table, tmp_path / f"{how}_again") == expected

    def test_files_of_a_stream(self, spark: SparkSession, database: str, tmp_path: Path) -> None:
        table = f"{database}.t"
        make(spark, table, "g STRING, id INT", partition_by="g")
        source = tmp_path / "in"
        spark.createDataFrame([("two words", 1), ("two words", 2)], "g STRING, id INT").write.parquet(str(source))
        stream = spark.readStream.schema("g STRING, id INT").parquet(str(source))
        writer = stream.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c"))
        finish(writer.trigger(availableNow=True).toTable(table))
        assert counts(spark, f"UPDATE {table} SET id = 30 WHERE id = 2") == {"num_affected_rows": 1}
        assert rows(spark.table(table)) == [("two words", 1), ("two words", 30)]
        assert streamed(spark, table, tmp_path / "words") == [("two words", 1), ("two words", 30)]

    @pytest.mark.parametrize(
        ("kind", "literals", "expected"),
        [
            ("DECIMAL(5, 2)", ["-1.50", "-0.01", "NULL", "7"], [Decimal("-1.50"), Decimal("-0.01"), None, Decimal(7)]),
            (
                "TIMESTAMP",
                ["TIMESTAMP'2024-01-02 03:04:05.000006'", "TIMESTAMP'2024-01-02 00:00:00'", "NULL"],
                [at(2024, 1, 2, 3, 4, 5, 6), at(2024, 1, 2), None],
            ),
            ("TIMESTAMP_NTZ", ["TIMESTAMP_NTZ'2024-01-02 03:04:05'", "NULL"], [at(2024, 1, 2, 3, 4, 5), None]),
            ("DATE", ["DATE'2024-01-02'", "DATE'1900-12-31'", "NULL"], [date(2024, 1, 2), date(1900, 12, 31), None]),
            ("BOOLEAN", ["true", "NULL"], [True, None]),
            ("DOUBLE", ["1.5D", "0.0D", "-0.0D", "-1e20D", "NULL"], [1.5, 0.0, -0.0, -1e20, None]),
            ("STRING", ["'a b'", "'%20'", "''", "NULL", "'ü:é'"], ["a b", "%20", None, None, "ü:é"]),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_values_of_every_type(
        self, spark: SparkSession, database: str, tmp_path: Path, kind: str, literals: list[str], expected: list[Any]
    ) -> None:
        table = f"{database}.t"
        listed = ", ".join(f"({literal}, {place})" for place, literal in enumerate(literals))
        make(spark, table, f"p {kind}, id INT", listed, partition_by="p", more=FEED)
        spark.sql(f"UPDATE {table} SET id = id + 10")
        spark.sql(f"DELETE FROM {table} WHERE p = {literals[0]}")
        spark.sql(
            f"MERGE INTO {table} t USING (SELECT {literals[0]} AS p) s ON t.p = s.p "
            "WHEN MATCHED THEN UPDATE SET id = 100 WHEN NOT MATCHED THEN INSERT (p) VALUES (s.p)"
        )
        spark.sql(f"OPTIMIZE {table}")
        spark.sql(f"UPDATE {table} SET id = 0 WHERE id IS NULL")
        wanted = sorted(((value, place + 10 if place else 0) for place, value in enumerate(expected)), key=repr)
        assert rows(spark.table(table)) == wanted
        assert streamed(spark, table, tmp_path / "c") == wanted


class TestConditions:
    """Conditions and values mean what they mean in a query, whatever the table keeps or checks."""

    @pytest.mark.parametrize("more", ["", FEED])
    def test_the_alias(self, spark: SparkSession, database: str, more: str) -> None:
        table = f"{database}.events"
        make(
            spark,
            table,
            "Id INT, url STRING, events STRUCT<id: INT, url: STRING>",
            "(1, 'events.example.com', named_struct('id', 10, 'url', 'x')), "
            "(2, 'example.com', named_struct('id', 20, 'url', 'y'))",
            "(3, 'e.events.id', named_struct('id', 30, 'url', NULL))",
            more=more,
        )
        if not more:
            spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT Positive CHECK (id > 0 AND url <> 'events.url')")
        update = f"UPDATE {table} SET url = concat('events.', events.url) WHERE url = 'events.example.com'"
        assert counts(spark, update) == {"num_affected_rows": 1}
        assert rows(spark.table(table).select("id", "url"))[0] == (1, "events.events.example.com")
        assert counts(spark, f"DELETE FROM {table} AS e WHERE e.url = 'e.events.id' AND E.ID = 3") == {
            "num_affected_rows": 1
        }
        assert counts(spark, f"UPDATE {table} AS `a b` SET `a b`.url = `a b`.events.url WHERE `a b`.id = 2") == {
            "num_affected_rows": 1
        }
        assert counts(spark, f"UPDATE {table} SET {table}.url = 'z' WHERE {table}.id = 1") == {"num_affected_rows": 1}
        assert counts(spark, f"DELETE FROM {table} WHERE events.events.id = 20") == {"num_affected_rows": 1}
        assert rows(spark.table(table)) == [(1, "z", Row(id=10, url="x"))]
        with pytest.raises(AnalysisException, match="(?i)unresolved|cannot.*resolve|missing|field"):
            spark.sql(f"DELETE FROM {table} AS e WHERE events.nothing = 1").collect()

    @pytest.mark.parametrize("more", ["", FEED])
    def test_names_in_any_case(self, spark: SparkSession, database: str, more: str) -> None:
        table = f"{database}.Vendas_Dia"
        make(spark, table, "Id INT, Valor INT", "(1, 10), (2, 20), (3, 30)", more=more)
        spark.sql(f"CREATE TABLE {database}.Novas USING delta AS SELECT 3 AS id, 33 AS VALOR UNION ALL SELECT 4, 44")
        spark.sql(f"UPDATE {database}.VENDAS_DIA SET valor = VALOR + 1 WHERE vendas_dia.ID = 1")
        spark.sql(f"DELETE FROM {database}.vendas_dia WHERE ID = 2")
        spark.sql(
            f"MERGE INTO {database}.Vendas_Dia USING {database}.NOVAS ON Vendas_Dia.id = {database}.novas.id "
            "WHEN MATCHED THEN UPDATE SET VALOR = Novas.valor WHEN NOT MATCHED THEN INSERT *"
        )
        assert rows(spark.table(table)) == [(1, 11), (3, 33), (4, 44)]

    @pytest.mark.riacho_only
    def test_subqueries(self, spark: SparkSession, database: str) -> None:
        """Delta on Spark takes none in UPDATE, and few in DELETE."""
        table = f"{database}.Vendas"
        make(spark, table, "id INT, v INT", "(1, 10), (2, 20), (3, 30)")
        spark.sql(f"UPDATE {table} SET v = (SELECT max(v) FROM {table}) WHERE id IN (SELECT min(id) FROM {table})")
        assert rows(spark.table(table)) == [(1, 30), (2, 20), (3, 30)]
        spark.sql(f"DELETE FROM {table} AS t WHERE EXISTS (SELECT 1 FROM {table} AS o WHERE o.v = t.v AND o.id < t.id)")
        assert rows(spark.table(table)) == [(1, 30), (2, 20)]

    @pytest.mark.parametrize("more", ["", FEED])
    def test_functions_and_nulls_are_spark_s(self, spark: SparkSession, database: str, more: str) -> None:
        table = f"{database}.t"
        make(spark, table, "id INT, s STRING", "(1, 'ab'), (2, NULL), (3, 'it''s'), (4, 'x1')", more=more)
        assert counts(spark, f"UPDATE {table} SET s = initcap(s) WHERE s RLIKE '^a'") == {"num_affected_rows": 1}
        assert counts(spark, f"UPDATE {table} SET s = 'none' WHERE s IS NULL") == {"num_affected_rows": 1}
        assert counts(spark, f"DELETE FROM {table} WHERE NOT (s = NULL)") == {"num_affected_rows": 0}
        assert counts(spark, f"DELETE FROM {table} WHERE s = 'it''s'") == {"num_affected_rows": 1}
        assert counts(spark, rf"DELETE FROM {table} WHERE regexp_extract(s, '\\d', 0) = '1'") == {
            "num_affected_rows": 1
        }
        assert rows(spark.table(table)) == [(1, "Ab"), (2, "none")]

    @pytest.mark.parametrize("more", ["", FEED])
    def test_fields_and_types(self, spark: SparkSession, database: str, more: str) -> None:
        table = f"{database}.t"
        columns = "id INT, s STRING, d DATE, n STRUCT<x: INT, y: STRUCT<z: STRING, w: INT>>, l ARRAY<BIGINT>"
        first = "(1, 'a', NULL, named_struct('x', 1, 'y', named_struct('z', 'p', 'w', 2)), array(1))"
        make(spark, table, columns, first, "(2, NULL, NULL, NULL, NULL)", more=more)
        spark.sql(f"UPDATE {table} SET n.x = 9, n.y.z = concat(s, '!'), l = array(5, NULL)")
        spark.sql(f"UPDATE {table} AS q SET q.id = '7', q.s = 5, q.d = '2024-02-03' WHERE q.id = 1")
        assert rows(spark.table(table)) == [
            (2, None, None, Row(x=9, y=Row(z=None, w=None)), [5, None]),
            (7, "5", date(2024, 2, 3), Row(x=9, y=Row(z="a!", w=2)), [5, None]),
        ]
        with pytest.raises(AnalysisException, match="UNRESOLVED_COLUMN"):
            spark.sql(f"UPDATE {table} SET zz = 1")
        with pytest.raises(AnalysisException, match="DELTA_CONFLICT_SET_COLUMN"):
            spark.sql(f"UPDATE {table} SET s = '1', s = '2'")
        with pytest.raises(PySparkException, match="CAST_INVALID_INPUT"):
            spark.sql(f"UPDATE {table} SET id = 'abc' WHERE id = 7")
        assert spark.table(table).count() == 2

    def test_the_session_s_time_zone(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        make(
            spark,
            table,
            "ts TIMESTAMP, id INT, d DATE",
            "(TIMESTAMP'2024-03-10 04:30:15Z', 1, NULL)",
            partition_by="ts",
        )
        spark.conf.set("spark.sql.session.timeZone", "America/New_York")
        assert counts(spark, f"UPDATE {table} SET d = to_date(ts) WHERE hour(ts) = 23") == {"num_affected_rows": 1}
        spark.sql(
            f"MERGE INTO {table} t USING (SELECT TIMESTAMP'2024-03-09 23:30:15' AS ts) s ON t.ts = s.ts "
            "WHEN MATCHED THEN UPDATE SET id = day(t.ts) * 100 + hour(s.ts)"
        )
        assert rows(spark.table(table).select("id", "d")) == [(923, date(2024, 3, 9))]

    def test_constraints_hold(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        make(spark, table, "Id INT, v INT NOT NULL", "(1, 1)", more=FEED)
        with pytest.raises(PySparkException, match="DELTA_NEW_CHECK_CONSTRAINT_VIOLATION"):
            spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT pos CHECK (Id > 1)")
        spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT Pos CHECK (ID > 0)")
        with pytest.raises(PySparkException, match="DELTA_CONSTRAINT_ALREADY_EXISTS"):
            spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT pos CHECK (id > 0)")
        for row in ("(-1, 1)", "(NULL, 1)"):
            with pytest.raises(PySparkException, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
                spark.sql(f"INSERT INTO {table} VALUES {row}")
        for change in ("id = -1", "id = NULL"):
            with pytest.raises(PySparkException, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
                spark.sql(f"UPDATE {table} SET {change}")
        with pytest.raises(PySparkException, match="DELTA_NOT_NULL_CONSTRAINT_VIOLATED"):
            spark.sql(f"UPDATE {table} SET v = NULL")
        with pytest.raises(PySparkException, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
            spark.sql(
                f"MERGE INTO {table} t USING (SELECT -5 AS id, 1 AS v) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *"
            )
        assert rows(spark.table(table)) == [(1, 1)]


class TestFeed:
    def test_what_became_of_each_row(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        make(
            spark,
            table,
            "p STRING, id INT, v INT",
            "('a b', 1, 1), ('a b', 2, 2), ('c', 3, 3)",
            partition_by="p",
            more=FEED,
        )
        spark.sql(f"UPDATE {table} SET v = 20, p = 'd' WHERE id = 2")
        spark.sql(f"DELETE FROM {table} WHERE id = 1")
        spark.sql(
            f"MERGE INTO {table} t USING (SELECT * FROM VALUES ('c', 3, 30), ('e', 5, 50) AS v(p, id, v)) s "
            "ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT * "
            "WHEN NOT MATCHED BY SOURCE THEN DELETE"
        )
        spark.sql(f"DELETE FROM {table} WHERE p = 'e'")
        feed = spark.read.option("readChangeFeed", True).option("startingVersion", 2).table(table)
        found = rows(feed.select("_commit_version", "_change_type", "p", "id", "v"))
        assert found == sorted(
            [
                (2, "update_preimage", "a b", 2, 2),
                (2, "update_postimage", "d", 2, 20),
                (3, "delete", "a b", 1, 1),
                (4, "update_preimage", "c", 3, 3),
                (4, "update_postimage", "c", 3, 30),
                (4, "delete", "d", 2, 20),
                (4, "insert", "e", 5, 50),
                (5, "delete", "e", 5, 50),
            ],
            key=repr,
        )
        assert rows(spark.table(table)) == [("c", 3, 30)]


class TestMerge:
    @pytest.mark.parametrize("more", ["", FEED])
    def test_every_clause(self, spark: SparkSession, database: str, more: str) -> None:
        table = f"{database}.t"
        make(spark, table, "id INT, s STRING", "(1, 'a'), (2, 'b')", "(3, 'c'), (4, 'd'), (5, 'e')", more=more)
        answer = counts(
            spark,
            f"MERGE INTO {table} AS t USING (SELECT * FROM VALUES (1, 'x'), (2, 'drop'), (6, 'new'), (7, 'skip'), "
            "(NULL, 'null') AS v(id, s)) AS s ON t.id = s.id "
            "WHEN MATCHED AND s.s = 'drop' THEN DELETE WHEN MATCHED THEN UPDATE SET t.s = concat(t.s, s.s) "
            "WHEN NOT MATCHED AND s.s = 'skip' THEN INSERT (id) VALUES (-1) WHEN NOT MATCHED THEN INSERT * "
            "WHEN NOT MATCHED BY SOURCE AND t.id = 3 THEN UPDATE SET s = 'left' "
            "WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN DELETE",
        )
        assert answer == {
            "num_affected_rows": 7,
            "num_updated_rows": 2,
            "num_deleted_rows": 2,
            "num_inserted_rows": 3,
        }
        expected = [(-1, None), (1, "ax"), (3, "left"), (5, "e"), (6, "new"), (None, "null")]
        assert rows(spark.table(table)) == sorted(expected, key=repr)

    def test_several_source_rows_for_one(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        make(spark, table, "id INT, s STRING", "(1, 'a'), (2, 'b')")
        twice = "(SELECT * FROM VALUES (1, 'x'), (1, 'y') AS v(id, s)) s ON t.id = s.id"
        for clause in ("MATCHED", "MATCHED AND s.s = 'y'"):
            with pytest.raises(PySparkException, match="DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE"):
                spark.sql(f"MERGE INTO {table} t USING {twice} WHEN {clause} THEN UPDATE SET *")
        spark.sql(f"MERGE INTO {table} t USING {twice} WHEN MATCHED AND t.s = 'zz' THEN UPDATE SET *")
        assert rows(spark.table(table)) == [(1, "a"), (2, "b")]
        spark.sql(f"MERGE INTO {table} t USING {twice} WHEN NOT MATCHED THEN INSERT *")
        answer = counts(spark, f"MERGE INTO {table} t USING {twice} WHEN MATCHED THEN DELETE")
        assert answer["num_deleted_rows"] == 1
        assert rows(spark.table(table)) == [(2, "b")]

    @pytest.mark.parametrize("more", ["", FEED])
    def test_columns_that_the_target_lacks(self, spark: SparkSession, database: str, more: str) -> None:
        table = f"{database}.t"
        make(
            spark,
            table,
            "id INT, a STRING, n STRUCT<x: INT>",
            "(1, 'a', named_struct('x', 1)), (2, 'b', NULL)",
            more=more,
        )
        spark.sql(
            "CREATE OR REPLACE TEMPORARY VIEW src AS SELECT * FROM VALUES (1, 'A', struct(10, 'p'), true), "
            "(3, 'C', struct(30, 'q'), false) AS v(id, a, n, b)"
        )
        source = "(SELECT id, a, named_struct('x', n.col1, 'y', n.col2) AS n, b FROM src) s"
        stars = "ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        spark.sql(f"MERGE INTO {table} t USING (SELECT id, a, named_struct('x', 5) AS n, b FROM src) s {stars}")
        assert spark.table(table).columns == ["id", "a", "n"]
        spark.sql(f"MERGE WITH SCHEMA EVOLUTION INTO {table} t USING {source} {stars}")
        assert rows(spark.table(table)) == [
            (1, "A", Row(x=10, y="p"), True),
            (2, "b", None, None),
            (3, "C", Row(x=30, y="q"), False),
        ]
        spark.conf.set("spark.databricks.delta.schema.autoMerge.enabled", "true")
        try:
            spark.sql(
                f"MERGE INTO {table} t USING (SELECT 9 AS id, 'z' AS c) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *"
            )
        finally:
            spark.conf.unset("spark.databricks.delta.schema.autoMerge.enabled")
        assert spark.table(table).columns == ["id", "a", "n", "b", "c"]
        assert rows(spark.table(table))[-1] == (9, None, None, None, "z")
        with pytest.raises(AnalysisException, match="(?i)cannot resolve"):
            spark.sql(f"MERGE INTO {table} t USING (SELECT 1 AS id) s {stars}")

    def test_from_a_dataframe(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.t"
        make(spark, table, "id INT, s STRING", "(1, 'a'), (2, 'b'), (3, 'c')", more=FEED)
        source = spark.createDataFrame([(1, "x", 5), (4, "n", 6)], "id INT, s STRING, extra INT").alias("src")
        (
            source.mergeInto(table, F.expr("t.id = src.id"))
            .whenMatched(F.col("src.s") == "x")
            .update({"s": F.concat("t.s", "src.s")})
            .whenNotMatched()
            .insertAll()
            .whenNotMatchedBySource(F.col("t.id") == 3)
            .delete()
            .withSchemaEvolution()
            .merge()
        )
        assert rows(spark.table(table)) == [(1, "ax", None), (2, "b", None), (4, "n", 6)]


@pytest.mark.spark_bug("Delta's parser loses the arguments of every text, queries too")
def test_arguments(spark: SparkSession, database: str) -> None:
    table = f"{database}.t"
    make(spark, table, "id INT, s STRING, d DATE, m DECIMAL(5, 2), p DOUBLE")
    row = {"i": 1, "s": "it's :i ?", "d": date(2024, 1, 2), "m": Decimal("-1.50"), "p": 1e20}
    spark.sql(f"INSERT INTO {table} VALUES (:i, :s, :d, :m, :p)", args=row)
    spark.sql(f"INSERT INTO {table} SELECT ?, ':s', NULL, ?, ?", args=[2, Decimal("0.05"), -0.5])
    assert spark.table(table).where('s = "it\'s :i ?"').count() == 1
    spark.sql(f"UPDATE {table} SET s = :s WHERE id = :i AND d = :d", args={"i": 1, "s": "x'\\y", "d": date(2024, 1, 2)})
    spark.sql(f"DELETE FROM {table} WHERE id = ?", args=[2])
    merged = "USING (SELECT :i AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, s) VALUES (s.id, :s)"
    spark.sql(f"MERGE INTO {table} t {merged}", args={"i": 7, "s": "new"})
    assert rows(spark.table(table).drop("d")) == [(1, "x'\\y", Decimal("-1.50"), 1e20), (7, "new", None, None)]
    with pytest.raises(AnalysisException, match="UNBOUND_SQL_PARAMETER"):
        spark.sql(f"DELETE FROM {table} WHERE id = :nothing", args={"i": 1})


def test_dataframes_in_the_text(spark: SparkSession, database: str) -> None:
    table = f"{database}.t"
    make(spark, table, "id INT, s STRING", "(1, 'a')")
    source = spark.createDataFrame([(1, "one"), (7, "seven")], "id INT, s STRING")
    merged = "ON t.id = s.id WHEN MATCHED THEN UPDATE SET s = s.s WHEN NOT MATCHED THEN INSERT *"
    spark.sql(f"MERGE INTO {table} t USING {{df}} s {merged}", df=source)
    spark.sql(f"INSERT INTO {table} SELECT id + 1, s FROM {{df}} WHERE id > 1", df=source)
    assert rows(spark.table(table)) == [(1, "one"), (7, "seven"), (8, "seven")]
