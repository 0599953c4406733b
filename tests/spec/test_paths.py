"""Paths: which files a batch read of one reads, and all the ways in which one may be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.spec.support import finish, rows


def write(folder: Path, texts: dict[str, str]) -> str:
    """Files with these texts, by path below the folder, whose path is given back."""
    for name, text in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(folder)


def values(frame: DataFrame) -> list[object]:
    return sorted(row[0] for row in frame.collect())


def failure(read: Callable[[], object]) -> tuple[str | None, str]:
    """The class and the message of the error that reading raises."""
    with pytest.raises(PySparkException) as raised:
        read()
    return raised.value.getCondition(), str(raised.value)


def test_a_folder_is_read_and_not_those_below_it(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "a.txt": "a\n",
            "deeper/b.txt": "b\n",
            "deeper/more/c.txt": "c\n",
            "_x": "x\n",
            ".y": "y\n",
            "_h/z.txt": "z\n",
        },
    )
    assert values(spark.read.text(folder)) == values(spark.read.text(folder + "/")) == ["a"]
    assert values(spark.read.option("recursiveFileLookup", True).text(folder)) == ["a", "b", "c"]
    assert values(spark.read.text([folder, folder + "/deeper"])) == ["a", "b"]
    assert values(spark.read.text([folder + "/a.txt"] * 2)) == ["a", "a"]
    assert values(spark.read.text(folder + "/*")) == ["a", "b", "z"]
    assert values(spark.read.text(folder + "/*.txt")) == ["a"]
    assert values(spark.read.text(folder + "/{a,deeper/b}.txt")) == ["a", "b"]
    assert values(spark.read.text(folder + "/_x")) == []
    assert values(spark.read.text(folder + "/_h")) == ["z"]
    assert values(spark.sql(f"SELECT * FROM text.`{folder}`")) == ["a"]
    assert values(spark.sql(f"SELECT t.value FROM TEXT.`file:{folder}` AS t WHERE t.value < 'b'")) == ["a"]
    assert values(spark.table(f"text.`{folder}`")) == ["a"]
    assert spark.read.text(folder).inputFiles() == [f"file://{folder}/a.txt"]


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_so_it_is_in_every_format(spark: SparkSession, tmp_path: Path, format: str) -> None:
    for name, number in (("t", 1), ("t/deeper", 2)):
        spark.range(number, number + 1).coalesce(1).write.mode("append").format(format).save(str(tmp_path / name))
    folder = str(tmp_path / "t")
    assert [str(value) for value in values(spark.read.format(format).load(folder))] == ["1"]
    assert values(spark.read.schema("id BIGINT").format(format).load(folder)) == [1]


def test_partition_folders_are_columns(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, {"p=1/a.txt": "a\n", "p=2/b.txt": "b\n", "p=2/deeper/c.txt": "c\n"})
    both = [("a", 1), ("b", 2), ("c", 2)]
    assert rows(spark.read.text(folder)) == both
    assert rows(spark.read.schema("p BIGINT, value STRING").text(folder)) == both
    assert rows(spark.read.text(folder).where("p = 2")) == both[1:]
    assert rows(spark.read.option("basePath", folder).text(folder + "/*")) == both
    assert rows(spark.read.option("basePath", folder).text(folder + "/p=1/a.txt")) == both[:1]
    assert rows(spark.read.text(folder + "/*")) == [("a",), ("b",)]
    assert rows(spark.read.option("recursiveFileLookup", True).text(folder)) == [("a",), ("b",), ("c",)]
    assert rows(spark.sql(f"SELECT value, p + 1 FROM text.`{folder}` WHERE p > 1")) == [("b", 3), ("c", 3)]
    _, message = failure(lambda: spark.read.option("basePath", folder + "/p=1").text(folder + "/p=2").collect())
    assert "Wrong basePath" in message


def test_types_of_partition_columns(spark: SparkSession, tmp_path: Path) -> None:
    texts = {
        f"b={b}/d={d}/s={s}/n={n}/a.txt": "x\n"
        for b, d, s, n in [
            ("1", "2024-01-31", "two%20words", "1.5"),
            ("3000000000", "2024-02-01", "__HIVE_DEFAULT_PARTITION__", "2"),
        ]
    }
    frame = spark.read.text(write(tmp_path, texts))
    assert frame.schema.simpleString() == "struct<value:string,b:bigint,d:date,s:string,n:double>"
    assert [(b, str(d), s, n) for _, b, d, s, n in rows(frame)] == [
        (1, "2024-01-31", "two words", 1.5),
        (3000000000, "2024-02-01", None, 2.0),
    ]  # fmt: skip
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
    assert spark.read.text(str(tmp_path)).schema.simpleString() == (
        "struct<value:string,b:string,d:string,s:string,n:string>"
    )


def test_files_beside_partition_folders_do_not_count(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.json": '{"id":1}\n', "p=x/b.json": '{"id":2}\n', "p=y/c.json": '{"id":3,"v":1}\n'})
    assert rows(spark.read.json(folder)) == [(2, None, "x"), (3, 1, "y")]
    assert rows(spark.read.schema("id INT, p STRING").json(folder)) == [(2, "x"), (3, "y")]
    write(tmp_path, {"deeper/d.json": '{"id":4}\n'})
    assert failure(lambda: spark.read.json(folder).collect())[0] == "CONFLICTING_DIRECTORY_STRUCTURES"
    other = write(tmp_path / "other", {"x=1/a.txt": "a\n", "y=1/b.txt": "b\n"})
    assert failure(lambda: spark.read.text(other).collect())[0] == "CONFLICTING_PARTITION_COLUMN_NAMES"


def test_files_are_chosen_by_name_and_time(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.txt": "a\n", "b.log": "b\n"})
    os.utime(tmp_path / "a.txt", (1_700_000_000, 1_700_000_000))  # 2023-11-14T22:13:20
    assert values(spark.read.option("pathGlobFilter", "*.log").text(folder)) == ["b"]
    assert values(spark.read.option("modifiedBefore", "2023-11-14T22:13:21").text(folder)) == ["a"]
    assert values(spark.read.option("modifiedAfter", "2023-11-14T22:13:20").text(folder)) == ["b"]
    assert values(spark.read.options(modifiedAfter="2023-11-14T23:13:19", timeZone="+01:00").text(folder)) == ["a", "b"]


def test_what_is_not_there_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.txt": "a\n"})
    (tmp_path / "empty").mkdir()
    missing = folder + "/Nope"
    for attempt in (
        lambda: spark.read.text(missing).collect(),
        lambda: spark.read.text(missing).schema,
        lambda: spark.read.text([folder, missing]).collect(),
        lambda: spark.read.schema("id INT").json(missing).collect(),
        lambda: spark.sql(f"SELECT * FROM parquet.`{missing}`").collect(),
    ):
        assert failure(attempt) == (
            "PATH_NOT_FOUND",
            f"[PATH_NOT_FOUND] Path does not exist: file:{missing}. SQLSTATE: 42K03",
        )
    assert failure(lambda: spark.read.csv(folder + "/*.no").collect())[0] == "PATH_NOT_FOUND"
    assert failure(lambda: spark.read.format("delta").load(missing).collect())[0] == "PATH_NOT_FOUND"
    assert failure(lambda: spark.read.format("delta").load(folder).collect())[0] == "DELTA_TABLE_NOT_FOUND"
    assert failure(lambda: spark.sql(f"SELECT * FROM delta.`{missing}`").collect())[0] == "PATH_NOT_FOUND"
    assert failure(lambda: spark.read.json(folder + "/empty").collect())[0] == "UNABLE_TO_INFER_SCHEMA"
    assert rows(spark.read.schema("id INT").json(folder + "/empty")) == rows(spark.read.text(folder + "/empty")) == []
    assert failure(lambda: spark.range(1).write.json(folder))[0] == "PATH_ALREADY_EXISTS"


def test_a_table_of_files_is_its_folder(spark: SparkSession, database: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.json": '{"id":1}\n', "deeper/b.json": '{"id":2}\n'})
    spark.sql(f"CREATE TABLE {database}.flat (id INT) USING json LOCATION '{folder}'")
    spark.sql(f"CREATE TABLE {database}.named (id INT) USING json OPTIONS (path 'file:{folder}')")
    assert values(spark.table(f"{database}.flat")) == values(spark.table(f"{database}.named")) == [1]
    query = f"SELECT flat.id, n.id FROM {database}.flat JOIN {database}.named n ON flat.id = n.id"
    assert rows(spark.sql(query)) == [(1, 1)]
    spark.sql(f"CREATE TABLE {database}.parts (id INT, p INT) USING json PARTITIONED BY (p)")
    spark.sql(f"INSERT INTO {database}.parts VALUES (1, 1), (2, 2)")
    assert rows(spark.sql(f"SELECT * FROM {database}.parts WHERE p = 2")) == [(2, 2)]
    assert spark.table(f"{database}.parts").schema.simpleString() == "struct<id:int,p:int>"


def test_statements_read_paths(spark: SparkSession, database: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a.json": '{"id":1}\n', "deeper/b.json": '{"id":2}\n'})
    spark.sql(f"CREATE VIEW {database}.v AS SELECT * FROM json.`file:{folder}`")
    spark.sql(f"CREATE TEMPORARY VIEW files USING json OPTIONS (path 'file:{folder}')")
    spark.sql(f"CREATE TEMPORARY VIEW typed (id SMALLINT) USING json OPTIONS (path '{folder}')")
    spark.sql(f"CREATE TABLE {database}.t USING delta AS SELECT * FROM json.`{folder}`")
    spark.sql(f"INSERT INTO {database}.t SELECT id + 10 FROM {database}.v")
    assert values(spark.table(f"{database}.t")) == [1, 11]
    assert values(spark.table(f"{database}.v")) == values(spark.table("files")) == values(spark.table("typed")) == [1]
    assert spark.table("typed").schema.simpleString() == "struct<id:smallint>"
    spark.sql(f"INSERT OVERWRITE DIRECTORY 'file:{tmp_path}/out' USING json SELECT id FROM {database}.t")
    assert values(spark.read.json(f"{tmp_path}/out")) == [1, 11]


@pytest.mark.parametrize("prefix", ["", "file:", "file://"])
def test_a_path_is_plain_or_a_uri(spark: SparkSession, database: str, tmp_path: Path, prefix: str) -> None:
    odd = tmp_path / "meus dados" / "a%20ção"
    path = f"{prefix}{odd}"
    spark.range(1).write.json(path + "/json")
    spark.range(2).write.format("parquet").option("path", path + "/parquet").save()
    spark.range(3).write.format("delta").save(path + "/delta")
    assert sorted(os.listdir(odd)) == ["delta", "json", "parquet"]  # noqa: PTH208
    assert values(spark.read.json(path + "/json")) == [0]
    assert values(spark.read.format("json").option("path", path + "/json").load()) == [0]
    assert values(spark.sql(f"SELECT * FROM parquet.`{path}/parquet`")) == [0, 1]
    assert values(spark.read.format("delta").load(path + "/delta")) == [0, 1, 2]
    assert values(spark.sql(f"SELECT * FROM delta.`{path}/delta`")) == [0, 1, 2]
    spark.sql(f"INSERT INTO delta.`{path}/delta` VALUES (9)")
    spark.sql(f"CREATE TABLE {database}.there USING delta LOCATION '{path}/delta'")
    assert values(spark.table(f"{database}.there")) == [0, 1, 2, 9]
    stream = spark.readStream.schema("id INT").json(path + "/json").writeStream.format("delta")
    options = {"checkpointLocation": path + "/checkpoint"}
    finish(stream.options(**options).trigger(availableNow=True).start(path + "/stream"))
    again = spark.readStream.format("delta").load(path + "/stream").writeStream.format("delta")
    options = {"checkpointLocation": path + "/checkpoint2", "path": path + "/stream2"}
    finish(again.options(**options).trigger(availableNow=True).start())
    assert values(spark.read.format("delta").load(f"{odd}/stream2")) == [0]
    assert (odd / "checkpoint2" / "commits" / "0").exists()


def test_a_path_elsewhere_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(1)
    for attempt in (
        lambda: spark.read.json("foo:/x").collect(),
        lambda: spark.read.format("delta").load("foo:/x").collect(),
        lambda: frame.write.json("foo:/x"),
        lambda: frame.write.format("delta").save("foo:/x"),
    ):
        assert 'No FileSystem for scheme "foo"' in failure(attempt)[1]
    failure(lambda: spark.sql("SELECT * FROM text.`foo:/x`").collect())
    assert "Relative path in absolute URI" in failure(lambda: spark.read.text("file:x/y").collect())[1]
    assert "Wrong FS" in failure(lambda: spark.read.text("file://localhost/x").collect())[1]
    assert "empty string" in failure(lambda: spark.read.text("").collect())[1]
    with pytest.raises(AnalysisException, match="'path' or 'paths' option set"):
        spark.read.option("path", str(tmp_path)).text(str(tmp_path)).collect()


def test_times_in_folder_names_are_inferred_in_one_form_only(spark: SparkSession, tmp_path: Path) -> None:
    forms = {
        "2024-01-02": "date",
        "2024-1-2": "string",
        "2024-01-02 03:04:05": "timestamp",
        "2024-01-02 03:04:05.6": "timestamp",
        "2024-01-02 03:04:05.678": "string",
        "2024-01-02 03:04": "string",
        "2024-01-02T03:04:05": "string",
    }
    found = {}
    for at, text in enumerate(forms):
        folder = write(tmp_path / str(at), {f"t={text.replace(':', '%3A')}/a.json": '{"a":1}'})
        found[text] = spark.read.schema("a INT").json(folder).schema["t"].dataType.simpleString()
    assert found == forms
