"""DataFrames written to Delta tables, by path and by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import rows


def people(spark: SparkSession, *values: tuple[Any, ...], schema: str = "id BIGINT, name STRING") -> DataFrame:
    return spark.createDataFrame(list(values), schema)


def load(spark: SparkSession, path: Path) -> DataFrame:
    return spark.read.format("delta").load(str(path))


class TestByPath:
    def test_modes(self, spark: SparkSession, tmp_path: Path) -> None:
        path = tmp_path / "t"
        one, two = people(spark, (1, "a")), people(spark, (2, "b"))
        one.write.format("delta").save(str(path))
        with pytest.raises(AnalysisException, match="DELTA_PATH_EXISTS"):
            two.write.format("delta").save(str(path))
        two.write.format("delta").mode("ignore").save(str(path))
        assert rows(load(spark, path)) == [(1, "a")]
        two.write.format("delta").mode("append").save(str(path))
        assert rows(load(spark, path)) == [(1, "a"), (2, "b")]
        two.write.format("delta").mode("overwrite").save(str(path))
        assert rows(load(spark, path)) == [(2, "b")]

    def test_a_table_can_be_overwritten_with_its_own_rows(self, spark: SparkSession, tmp_path: Path) -> None:
        path = tmp_path / "t"
        people(spark, (1, "a"), (2, "b")).write.format("delta").save(str(path))
        load(spark, path).where("id > 1").write.format("delta").mode("overwrite").save(str(path))
        assert rows(load(spark, path)) == [(2, "b")]

    def test_new_columns_must_be_asked_for(self, spark: SparkSession, tmp_path: Path) -> None:
        path = str(tmp_path / "t")
        people(spark, (1,), schema="id BIGINT").write.format("delta").save(path)
        more = people(spark, (2, "b"))
        with pytest.raises(AnalysisException, match="(?s)schema mismatch.*mergeSchema"):
            more.write.format("delta").mode("append").save(path)
        more.write.format("delta").mode("append").option("mergeSchema", True).save(path)
        assert rows(load(spark, tmp_path / "t")) == [(1, None), (2, "b")]

    def test_another_schema_must_be_asked_for(self, spark: SparkSession, tmp_path: Path) -> None:
        path = str(tmp_path / "t")
        people(spark, (1, "a")).write.format("delta").save(path)
        other = people(spark, ("x", [1]), schema="id STRING, n ARRAY<INT>")
        with pytest.raises(AnalysisException, match="Failed to merge fields 'id' and 'id'"):
            other.write.format("delta").mode("overwrite").save(path)
        other.write.format("delta").mode("overwrite").option("overwriteSchema", True).save(path)
        assert rows(load(spark, tmp_path / "t")) == [("x", [1])]

    def test_partitions(self, spark: SparkSession, tmp_path: Path) -> None:
        path = str(tmp_path / "t")
        frame = people(spark, (1, "a"), (2, "b"), (3, None))
        frame.write.format("delta").partitionBy("name").save(path)
        assert rows(load(spark, tmp_path / "t")) == [(1, "a"), (2, "b"), (3, None)]
        with pytest.raises(AnalysisException, match="(?i)partition"):
            frame.write.format("delta").mode("append").partitionBy("id").save(path)

    def test_only_the_partitions_with_new_rows(self, spark: SparkSession, tmp_path: Path) -> None:
        path = str(tmp_path / "t")
        people(spark, (1, "a"), (2, "b")).write.format("delta").partitionBy("name").save(path)
        writer = people(spark, (20, "b")).write.format("delta").mode("overwrite")
        writer.option("partitionOverwriteMode", "dynamic").save(path)
        assert rows(load(spark, tmp_path / "t")) == [(1, "a"), (20, "b")]

    def test_only_the_rows_of_a_condition(self, spark: SparkSession, tmp_path: Path) -> None:
        path = str(tmp_path / "t")
        people(spark, (1, "a"), (2, "b"), (3, "c")).write.format("delta").save(path)
        writer = people(spark, (9, "z")).write.format("delta").mode("overwrite")
        writer.option("replaceWhere", "id >= 2").save(path)
        assert rows(load(spark, tmp_path / "t")) == [(1, "a"), (9, "z")]
        with pytest.raises(PySparkException, match="DELTA_REPLACE_WHERE_MISMATCH"):
            people(spark, (0, "z")).write.format("delta").mode("overwrite").option("replaceWhere", "id >= 2").save(path)

    def test_a_numbered_write_is_done_once(self, spark: SparkSession, tmp_path: Path) -> None:
        path = str(tmp_path / "t")
        for number in (1, 1, 0, 2):
            writer = people(spark, (number, "a")).write.format("delta").mode("append")
            writer.option("txnAppId", "job").option("txnVersion", number).save(path)
        assert rows(load(spark, tmp_path / "t")) == [(1, "a"), (2, "a")]
        with pytest.raises(PySparkException, match="txnAppId"):
            people(spark, (3, "a")).write.format("delta").mode("append").option("txnVersion", 3).save(path)

    def test_properties_of_a_new_table(self, spark: SparkSession, tmp_path: Path) -> None:
        path = str(tmp_path / "t")
        people(spark, (1, "a")).write.format("delta").option("delta.enableChangeDataFeed", True).save(path)
        detail = spark.sql(f"DESCRIBE DETAIL delta.`{path}`").collect()[0]
        assert detail["properties"] == {"delta.enableChangeDataFeed": "true"}

    def test_older_versions_can_be_read(self, spark: SparkSession, tmp_path: Path) -> None:
        path = str(tmp_path / "t")
        for number in range(3):
            people(spark, (number, "a")).write.format("delta").mode("append").save(path)
        older = spark.read.format("delta").option("versionAsOf", 1).load(path)
        assert rows(older) == [(0, "a"), (1, "a")]


class TestByName:
    def test_a_table_is_made(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        people(spark, (1, "a")).write.format("delta").saveAsTable(table)
        assert rows(spark.table(table)) == [(1, "a")]
        with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
            people(spark, (2, "b")).write.format("delta").saveAsTable(table)

    def test_append_is_by_name(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        people(spark, (1, "a")).write.format("delta").saveAsTable(table)
        swapped = people(spark, ("b", 2), schema="name STRING, id BIGINT")
        swapped.write.format("delta").mode("append").saveAsTable(table)
        assert rows(spark.table(table)) == [(1, "a"), (2, "b")]

    def test_insert_into_is_by_position(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        people(spark, (1, "a")).write.format("delta").saveAsTable(table)
        people(spark, (2, "b"), schema="x BIGINT, y STRING").write.insertInto(table)
        assert rows(spark.table(table)) == [(1, "a"), (2, "b")]
        people(spark, (3, "c"), schema="x BIGINT, y STRING").write.insertInto(table, overwrite=True)
        assert rows(spark.table(table)) == [(3, "c")]
        with pytest.raises(AnalysisException, match="not enough data columns"):
            people(spark, (4,), schema="x BIGINT").write.insertInto(table)

    def test_overwrite(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        people(spark, (1, "a")).write.format("delta").saveAsTable(table)
        people(spark, (2, "b")).write.format("delta").mode("overwrite").saveAsTable(table)
        assert rows(spark.table(table)) == [(2, "b")]

    def test_at_a_path_of_its_own(self, spark: SparkSession, database: str, tmp_path: Path) -> None:
        table = f"{database}.people"
        people(spark, (1, "a")).write.format("delta").option("path", str(tmp_path / "t")).saveAsTable(table)
        people(spark, (2, "b")).write.format("delta").mode("append").saveAsTable(table)
        assert rows(load(spark, tmp_path / "t")) == [(1, "a"), (2, "b")]
        spark.sql(f"DROP TABLE {table}")
        assert rows(load(spark, tmp_path / "t")) == [(1, "a"), (2, "b")]

    def test_a_table_of_files(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        people(spark, (1, "a")).write.format("parquet").saveAsTable(table)
        people(spark, (2, "b")).write.format("parquet").mode("append").saveAsTable(table)
        assert rows(spark.table(table)) == [(1, "a"), (2, "b")]


class TestWriteTo:
    def test_create_and_append(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_NOT_FOUND"):
            people(spark, (1, "a")).writeTo(table).append()
        people(spark, (1, "a")).writeTo(table).using("delta").tableProperty("x", "1").partitionedBy("name").create()
        people(spark, (2, "b")).writeTo(table).append()
        assert rows(spark.table(table)) == [(1, "a"), (2, "b")]
        assert spark.sql(f"DESCRIBE DETAIL {table}").collect()[0]["partitionColumns"] == ["name"]
        with pytest.raises(AnalysisException, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
            people(spark, (3, "c")).writeTo(table).using("delta").create()

    def test_replace(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        people(spark, (1, "a")).writeTo(table).using("delta").createOrReplace()
        other = people(spark, ("x",), schema="other STRING")
        other.writeTo(table).using("delta").createOrReplace()
        assert rows(spark.table(table)) == [("x",)]
        people(spark, (2, "b")).writeTo(table).using("delta").replace()
        assert rows(spark.table(table)) == [(2, "b")]

    def test_overwrite_what_a_condition_holds_for(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        people(spark, (1, "a"), (2, "b"), (3, "c")).writeTo(table).using("delta").create()
        people(spark, (20, "z")).writeTo(table).overwrite((F.col("id") > 1) & (F.col("id") != F.lit(3)))
        assert rows(spark.table(table)) == [(1, "a"), (20, "z"), (3, "c")]

    def test_overwrite_by_a_text_with_marks_in_it(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        names = ["it's", "a\\b", "a\b", 'a"b', "n\\n", "n\n"]
        for name in names:
            people(spark, *enumerate(names)).writeTo(table).using("delta").createOrReplace()
            people(spark, (9, name)).writeTo(table).overwrite(F.col("name") == name)
            left = [(number, each) for number, each in enumerate(names) if each != name]
            assert sorted(rows(spark.table(table))) == [*left, (9, name)]

    def test_overwrite_partitions(self, spark: SparkSession, database: str) -> None:
        table = f"{database}.people"
        people(spark, (1, "a"), (2, "b")).writeTo(table).using("delta").partitionedBy("name").create()
        people(spark, (20, "b")).writeTo(table).overwritePartitions()
        assert rows(spark.table(table)) == [(1, "a"), (20, "b")]


def test_numbers_that_json_does_not_have(spark: SparkSession, database: str) -> None:
    spark.sql(f"CREATE TABLE {database}.t (a DOUBLE, b STRUCT<c: FLOAT>) USING delta")
    for value in ("-Infinity", "Infinity", "NaN"):
        spark.sql(f"INSERT INTO {database}.t SELECT double('{value}'), named_struct('c', CAST('{value}' AS FLOAT))")
    assert spark.sql(f"SELECT count(*) FROM {database}.t WHERE a < 0").head() == (1,)
    spark.sql(f"UPDATE {database}.t SET a = 1 WHERE a > 5")
    rows = spark.sql(f"SELECT a, b.c FROM {database}.t").collect()
    assert sorted(map(str, map(tuple, rows))) == ["(-inf, -inf)", "(1.0, inf)", "(1.0, nan)"]
