"""Functions over the values of a list, by which rows of files, tables and streams are filtered and grouped."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tests.spec.support import files, finish, rows, write_json

TAGGED: list[dict[str, object]] = [
    {"id": 1, "tags": ["a", "b"], "name": "big river"},
    {"id": 2, "tags": ["c"], "name": "a"},
    {"id": 3},
]
SCHEMA = "id BIGINT, tags ARRAY<STRING>, name STRING"

CONDITIONS = {
    "exists(tags, t -> t = 'a')": [1],
    "forall(tags, t -> t > 'b' AND id > 1)": [2],
    "size(filter(tags, t -> t > 'a')) = 1": [1, 2],
    "transform(tags, (t, i) -> concat(t, i))[0] = 'a0'": [1],
    "aggregate(tags, '', (acc, t) -> acc || t, acc -> upper(acc)) = 'AB'": [1],
    "array_sort(tags, (x, y) -> CASE WHEN x > y THEN -1 ELSE 1 END)[0] = 'b'": [1],
    "initcap(name) = 'Big River'": [1],
    "EXISTS (SELECT 1) AND exists(tags, t -> t IN ('c'))": [2],
}


def kept(frame: DataFrame) -> dict[str, list[int]]:
    return {condition: [row[0] for row in rows(frame.where(condition).select("id"))] for condition in CONDITIONS}


def test_filters(spark: SparkSession, database: str, tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "0.json", TAGGED)
    of_files = spark.read.schema(SCHEMA).json(str(tmp_path / "in"))
    assert kept(of_files) == CONDITIONS
    of_files.write.format("delta").saveAsTable(f"{database}.tagged")
    table = spark.table(f"{database}.tagged")
    assert kept(table) == CONDITIONS
    with_a = table.withColumn("has", F.exists("tags", lambda t: t == "a"))
    assert rows(with_a.where("has").select("id", "has")) == [(1, True)]
    joined = table.alias("x").join(table.alias("y"), F.expr("x.id = y.id AND exists(x.tags, t -> t = y.name)"), "left")
    assert rows(joined.select("x.id", "y.name")) == [(1, None), (2, None), (3, None)]
    grouped = table.groupBy(F.size(F.filter("tags", lambda t: t > "a")).alias("n")).count()
    assert rows(grouped) == [(1, 2), (None, 1)]
    named = spark.sql(
        f"SELECT id, filter(tags, t -> t <> 'a') AS rest FROM {database}.tagged WHERE exists(tags, t -> id < 2)"
    )
    assert rows(named) == [(1, ["b"])]


def test_names_of_columns(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, ["a"])], "id BIGINT, tags ARRAY<STRING>")
    shown = frame.select(F.transform("tags", lambda t: F.concat(t, t)), F.exists("tags", lambda t: t == "a"))
    variable = "namedlambdavariable()"
    assert shown.columns == [
        f"transform(tags, lambdafunction(concat({variable}, {variable}), {variable}))",
        f"exists(tags, lambdafunction(({variable} = a), {variable}))",
    ]


def test_streams(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "in" / "0.json", TAGGED)
    stream = files(spark, tmp_path / "in", SCHEMA)
    name = f"q_{uuid4().hex[:8]}"
    chosen = stream.where(F.exists("tags", lambda t: t == "a")).select("id", F.initcap("name"))
    finish(chosen.writeStream.format("memory").queryName(name).trigger(availableNow=True).start())
    assert rows(spark.table(name)) == [(1, "Big River")]
    counted = stream.groupBy(F.exists("tags", lambda t: t == "a").alias("has")).count()
    writer = counted.writeStream.format("memory").queryName(f"{name}_n").outputMode("complete")
    finish(writer.trigger(availableNow=True).start())
    assert rows(spark.table(f"{name}_n")) == [(False, 1), (None, 1), (True, 1)]
