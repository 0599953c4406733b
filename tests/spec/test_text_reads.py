"""Batch reads of CSV and JSON: what Spark's defaults and options make of the text."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.spec.support import rows

QUOTED = [(1, 'q"uo\\te', "a"), (2, "a,b", '"'), (3, "\\", '\\"'), (4, "a\\b", "\\\\"), (5, '"', '""'), (6, None, "#c")]
COLUMNS = "i INT, a STRING, b STRING"


def folder(path: Path, text: str) -> str:
    path.mkdir()
    (path / "part").write_text(text)
    return str(path)


def test_quotes_come_back_as_they_were_written(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame(QUOTED, COLUMNS)
    path = str(tmp_path / "csv")
    frame.write.option("header", True).csv(path)
    assert rows(spark.read.schema(COLUMNS).option("header", True).csv(path)) == QUOTED
    as_text = [(str(i), a, b) for i, a, b in QUOTED]
    assert rows(spark.read.csv(path, header=True)) == as_text
    assert rows(spark.read.csv(path, header=True, multiLine=True)) == as_text
    frame.write.partitionBy("i").csv(str(tmp_path / "parts"))
    assert rows(spark.sql(f"SELECT i, _c0, _c1 FROM csv.`{tmp_path}/parts`")) == QUOTED
    plain = folder(tmp_path / "plain", '"x \\"y\\" z";1\n"";2\n')
    assert rows(spark.read.csv(plain, sep=";")) == [('x "y" z', "1"), (None, "2")]
    assert rows(spark.read.csv(plain, sep=";", quote="'")) == [('""', "2"), ('"x \\"y\\" z"', "1")]
    doubled = folder(tmp_path / "doubled", '"x ""y"" z",1\n')
    assert rows(spark.read.csv(doubled, escape='"')) == [('x "y" z', "1")]


def test_options_of_csv(spark: SparkSession, tmp_path: Path) -> None:
    path = folder(tmp_path / "csv", "a,b,t\nNA,1,02/01/2024\n x ,bad,\nshort\nlong,4,,more\n")
    assert rows(spark.read.csv(path, header=True, nullValue="NA").select("a", "b")) == [
        (" x ", "bad"), ("long", "4"), ("short", None), (None, "1"),
    ]  # fmt: skip
    typed = spark.read.option("header", True).schema("a STRING, b INT, t DATE")
    assert rows(
        typed.csv(path, mode="DROPMALFORMED", dateFormat="dd/MM/yyyy").select("a", "b", F.col("t").cast("string"))
    ) == [("NA", 1, "2024-01-02")]
    broken = spark.read.schema("a STRING, b INT, t STRING, _corrupt_record STRING").csv(path, header=True)
    assert rows(broken) == [
        (" x ", None, None, " x ,bad,"),
        ("NA", 1, "02/01/2024", None),
        ("long", 4, None, "long,4,,more"),
        ("short", None, None, "short"),
    ]


def test_json_without_a_schema_has_its_columns_by_name(spark: SparkSession, tmp_path: Path) -> None:
    line = '{"b":1,"a":"x","B2":[{"z":1,"y":2}],"n":{"y":1.5,"x":[1,2]}}\n'
    path = folder(tmp_path / "json", line)
    expected = "struct<B2:array<struct<y:bigint,z:bigint>>,a:string,b:bigint,n:struct<x:array<bigint>,y:double>>"
    row = [([(2, 1)], "x", 1, ([1, 2], 1.5))]
    for frame in (spark.read.json(path), spark.sql(f"SELECT * FROM json.`{path}`"), spark.read.json(path + "/part")):
        assert frame.schema.simpleString() == expected
        assert rows(frame) == row
    folder(tmp_path / "parts", "")
    folder(tmp_path / "parts" / "p=7", line)
    (tmp_path / "parts" / "part").unlink()
    frame = spark.read.json(str(tmp_path / "parts"))
    assert frame.schema.simpleString() == expected[:-1] + ",p:int>"
    assert rows(frame) == [(*row[0], 7)]


def test_options_of_json(spark: SparkSession, tmp_path: Path) -> None:
    path = folder(tmp_path / "json", '{"b":1,"a":"x"}\n{"b":"bad","a":null}\n{bad\n{"a":3}\n')
    typed = spark.read.schema("a STRING, b INT")
    assert rows(typed.json(path, mode="DROPMALFORMED")) == [("3", None), ("x", 1)]
    assert rows(typed.json(path, mode="PERMISSIVE")) == [("3", None), ("x", 1), (None, None), (None, None)]
    broken = spark.read.schema("a STRING, b INT, _corrupt_record STRING").json(path)
    assert rows(broken) == [
        ("3", None, None), ("x", 1, None), (None, None, '{"b":"bad","a":null}'), (None, None, "{bad"),
    ]  # fmt: skip
    many = folder(tmp_path / "many", '[{"a": "x",\n "b": 1},\n {"a": "y"}]')
    assert rows(typed.json(many, multiLine=True)) == [("x", 1), ("y", None)]
    assert spark.read.json(many, multiLine=True).schema.simpleString() == "struct<a:string,b:bigint>"
