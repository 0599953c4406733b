"""XML files, as a batch and as a stream. How documents become rows is compared with Spark case by case in
`tests/unit/server/formats/oracle/xml_cases.py`; these tests go the whole way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import finish, rows, until, write_text

SCHEMA = "_id INT, title STRING, tag ARRAY<STRING>, price STRUCT<_VALUE: DOUBLE, _cur: STRING>, _corrupt_record STRING"
FIRST = (
    '<?xml version="1.0"?><!DOCTYPE books><books xmlns:n="u"><book id="1"><title>One &amp; all</title><tag>a</tag>'
    '<tag>b</tag><price cur="EUR">1.50</price><n:x/></book>\n<book id="2"><price>2</price></book></books>'
)
SECOND = '<books><book id="3"><title>é</title></book><book><title>cut'


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    write_text(tmp_path / "in" / "k=1" / "1.xml", FIRST)
    write_text(tmp_path / "in" / "k=2" / "2.xml", SECOND)
    return tmp_path / "in"


def stream(spark: SparkSession, landing: Path, schema: str = SCHEMA, **options: Any) -> DataFrame:
    reader = spark.readStream.format("xml").option("rowTag", "book").schema(schema)
    return reader.options(**options).load(str(landing))


def run(frame: DataFrame, name: str = "seen") -> list[tuple[Any, ...]]:
    finish(frame.writeStream.format("memory").queryName(name).trigger(availableNow=True).start())
    return rows(frame.sparkSession.table(name))


def plain(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted([tuple(tuple(v) if hasattr(v, "asDict") else v for v in row) for row in found], key=repr)


def test_elements_are_rows_and_mistakes_are_kept(spark: SparkSession, landing: Path) -> None:
    expected = plain(
        [
            (1, "One & all", ["a", "b"], (1.5, "EUR"), None, 1),
            (2, None, None, (2.0, None), None, 1),
            (3, "é", None, None, None, 2),
            (None, None, None, None, SECOND, 2),
        ]
    )
    streamed = stream(spark, landing)
    assert streamed.columns == ["_id", "title", "tag", "price", "_corrupt_record", "k"]
    assert plain(run(streamed)) == expected
    assert plain(rows(spark.read.schema(SCHEMA).xml(str(landing), rowTag="book"))) == expected
    assert run(streamed.select("title", "_metadata.file_name"), "names") == sorted(
        [("One & all", "1.xml"), (None, "1.xml"), ("é", "2.xml"), (None, "2.xml")], key=repr
    )
    assert run(stream(spark, landing, "title STRING", mode="DROPMALFORMED").select("title"), "dropped") == sorted(
        [("One & all",), (None,), ("é",)], key=repr
    )
    query = stream(spark, landing, mode="FAILFAST").writeStream.format("memory").queryName("fast").start()
    with pytest.raises(PySparkException, match="FAILED_READ_FILE"):
        until(query, lambda: False)


def test_the_schema_is_inferred(spark: SparkSession, landing: Path) -> None:
    inferred = spark.read.format("xml").option("rowTag", "book").load(str(landing / "k=1"))
    assert inferred.schema.simpleString() == (
        "struct<_id:bigint,n:x:string,price:struct<_VALUE:double,_cur:string>,tag:array<string>,title:string>"
    )
    assert inferred.where("_id = 2").count() == 1
    spark.conf.set("spark.sql.streaming.schemaInference", "true")
    streamed = spark.readStream.format("xml").option("rowTag", "book").load(str(landing / "k=1"))
    assert streamed.schema == inferred.schema
    assert run(streamed.select("_id")) == [(1,), (2,)]


def test_times_without_a_zone_are_in_the_sessions(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "in" / "1.xml", "<x><book><t>2024-03-10T04:30:15</t><d>2024-03-10</d></book></x>")
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    query = "SELECT CAST(t AS STRING) t, hour(t) h, CAST(d AS STRING) d FROM {frame}"
    frame = spark.read.schema("t TIMESTAMP, d DATE").xml(str(tmp_path / "in"), rowTag="book")
    assert rows(spark.sql(query, frame=frame)) == [("2024-03-10 04:30:15", 4, "2024-03-10")]
    assert run(stream(spark, tmp_path / "in", "t TIMESTAMP, d DATE").selectExpr("hour(t)", "CAST(d AS STRING)")) == [
        (4, "2024-03-10")
    ]


def test_entities_are_not_resolved(spark: SparkSession, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    head = f"<!DOCTYPE x [<!ENTITY e SYSTEM 'file://{secret}'><!ENTITY i 'inner'>]>"
    text = head + "<x><book><title>&e;</title></book><book><title>&i;</title></book><book><title>3</title></book></x>"
    write_text(tmp_path / "in" / "1.xml", text)
    found = run(stream(spark, tmp_path / "in", "title STRING, _corrupt_record STRING"))
    assert found == sorted([(None, text), (None, text), ("3", None)], key=repr)


def test_a_row_needs_a_name(spark: SparkSession, landing: Path) -> None:
    with pytest.raises(AnalysisException, match="XML_ROW_TAG_MISSING"):
        spark.read.format("xml").schema("title STRING").load(str(landing)).collect()


def test_tables_of_files_keep_their_options_in_streams(spark: SparkSession, database: str, landing: Path) -> None:
    options = "USING xml OPTIONS (rowTag 'book')"
    spark.sql(f"CREATE TABLE {database}.x (_id INT, title STRING) {options} LOCATION '{landing}/k=1'")
    assert rows(spark.table(f"{database}.x")) == run(spark.readStream.table(f"{database}.x"), "x")
    assert rows(spark.table(f"{database}.x")) == sorted([(1, "One & all"), (2, None)], key=repr)
    write_text(landing / "csv" / "1.csv", "id;name\n1;Ana\n")
    options = "USING csv OPTIONS (header 'true', sep ';')"
    spark.sql(f"CREATE TABLE {database}.c (id INT, name STRING) {options} LOCATION '{landing}/csv'")
    assert run(spark.readStream.table(f"{database}.c"), "c") == [(1, "Ana")]
    spark.sql(f"CREATE TABLE {database}.i {options} LOCATION '{landing}/csv'")
    assert run(spark.readStream.table(f"{database}.i"), "i") == [("1", "Ana")]
    spark.sql(f"CREATE TABLE {database}.b USING binaryFile LOCATION '{landing}/k=2'")
    assert rows(spark.table(f"{database}.b").select("length")) == [(len(SECOND.encode()),)]
    with pytest.raises(AnalysisException, match="XML_ROW_TAG_MISSING"):
        spark.sql(f"SELECT * FROM xml.`{landing}/k=1`").collect()
