"""Files as a stream: which are read, in which order, and with which schema."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException, PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.support import batches, files, finish, log_files, next_ms, rows, write_json, write_text


def read(spark: SparkSession, stream: DataFrame, name: str = "seen") -> list[tuple[object, ...]]:
    """Everything a stream gives now, through a memory sink."""
    run(stream, name)
    return rows(spark.table(name))


def run(stream: DataFrame, name: str = "seen") -> StreamingQuery:
    return finish(stream.writeStream.format("memory").queryName(name).trigger(availableNow=True).start())


def test_json(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "1.json", [{"id": 1, "name": "Ana", "tags": ["a", "b"], "at": {"city": "Recife"}}])
    schema = "id INT, name STRING, tags ARRAY<STRING>, at STRUCT<city: STRING>, missing DOUBLE"
    assert read(spark, files(spark, tmp_path, schema)) == [(1, "Ana", ["a", "b"], ("Recife",), None)]


def test_headers_in_quotes_and_byte_order_marks(spark: SparkSession, tmp_path: Path) -> None:
    mark, header = b"\xef\xbb\xbf", b'"id","name"\n'
    texts: dict[str, bytes] = {
        "1": mark + header + b'"1","A"\n',
        "2": mark + header.replace(b"\n", b"\r\n") + b'2,"B, b"\r\n"3",C\r\n',
        "3": header + b'4,"D"\n',
        "4": mark + b'id,name\n"5","E"\n',
        "5": mark,
        "6": mark + header,
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    expected = [("1", "A"), ("2", "B, b"), ("3", "C"), ("4", "D"), ("5", "E")]
    for options in ({}, {"multiLine": True}, {"enforceSchema": False}, {"inferSchema": True}):
        stream = files(spark, tmp_path, "id STRING, name STRING", "csv", header=True, **options)
        assert read(spark, stream) == expected


def test_byte_order_marks_in_json_and_text(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b'\xef\xbb\xbf{"id": 1}\n{"id": 2}\n')
    (tmp_path / "2").write_bytes(b"\xef\xbb\xbf")
    assert read(spark, files(spark, tmp_path, "id INT")) == [(1,), (2,)]
    assert read(spark, files(spark, tmp_path, "value STRING", "text")) == [('{"id": 1}',), ('{"id": 2}',)]
    whole = files(spark, tmp_path, "value STRING", "text", wholetext=True)
    assert read(spark, whole) == [("\ufeff",), ('\ufeff{"id": 1}\n{"id": 2}\n',)]


def test_csv_with_a_header(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.csv", "id,name\n1,Ana\n2,\n")
    stream = files(spark, tmp_path, "id INT, name STRING", "csv", header=True)
    assert read(spark, stream) == [(1, "Ana"), (2, None)]


def test_csv_with_another_separator_and_quotes(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.csv", '1;"semi;colon"\n2;plain\n')
    stream = files(spark, tmp_path, "id INT, name STRING", "csv", sep=";")
    assert read(spark, stream) == [(1, "semi;colon"), (2, "plain")]


def test_parquet_by_column_name(spark: SparkSession, tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["Ana"], "id": pa.array([1], pa.int64()), "extra": [0]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"id": pa.array([2], pa.int64())}), tmp_path / "2.parquet")
    stream = files(spark, tmp_path, "id BIGINT, name STRING", "parquet")
    assert read(spark, stream) == [(1, "Ana"), (2, None)]


def test_text_has_a_schema_of_its_own(spark: SparkSession, tmp_path: Path) -> None:
    write_text(tmp_path / "1.txt", "one\ntwo\n")
    stream = spark.readStream.text(str(tmp_path))
    assert stream.schema.simpleString() == "struct<value:string>"
    assert read(spark, stream) == [("one",), ("two",)]


def test_compressed_files_are_read_by_their_ending(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "1.json.gz").write_bytes(gzip.compress(b'{"id":1}\n'))
    write_json(tmp_path / "2.json", [{"id": 2}])
    assert read(spark, files(spark, tmp_path)) == [(1,), (2,)]


def test_a_schema_is_required(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "1.json", [{"id": 1}])
    with pytest.raises((AnalysisException, IllegalArgumentException), match="Schema must be specified"):
        spark.readStream.json(str(tmp_path)).isStreaming  # noqa: B018


def test_a_schema_is_inferred_if_the_session_says_so(spark: SparkSession, tmp_path: Path) -> None:
    spark.conf.set("spark.sql.streaming.schemaInference", "true")
    write_json(tmp_path / "1.json", [{"id": 1, "name": "Ana"}])
    stream = spark.readStream.json(str(tmp_path))
    assert stream.schema.simpleString() == "struct<id:bigint,name:string>"
    assert read(spark, stream) == [(1, "Ana")]


def test_every_column_is_nullable_whatever_the_schema_says(spark: SparkSession, tmp_path: Path) -> None:
    stream = files(spark, tmp_path, "id BIGINT NOT NULL")
    assert [field.nullable for field in stream.schema] == [True]


def test_a_folder_that_does_not_exist_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        run(files(spark, tmp_path / "nowhere"))


def test_hidden_files_are_not_read(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "1.json", [{"id": 1}])
    write_json(tmp_path / "_2.json", [{"id": 2}])
    write_json(tmp_path / ".3.json", [{"id": 3}])
    assert read(spark, files(spark, tmp_path)) == [(1,)]


def test_a_glob_chooses_folders(spark: SparkSession, tmp_path: Path) -> None:
    for number, folder in enumerate(("a1", "a2", "b1")):
        write_json(tmp_path / folder / "f.json", [{"id": number}])
    assert read(spark, files(spark, tmp_path / "a*")) == [(0,), (1,)]


def test_path_glob_filter_chooses_files(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "1.json", [{"id": 1}])
    write_text(tmp_path / "2.txt", "not for us")
    assert read(spark, files(spark, tmp_path, pathGlobFilter="*.json")) == [(1,)]


def test_folders_within_are_read_if_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "1.json", [{"id": 1}])
    write_json(tmp_path / "deep" / "er" / "2.json", [{"id": 2}])
    assert read(spark, files(spark, tmp_path, recursiveFileLookup=True)) == [(1,), (2,)]


def test_partition_folders_are_columns(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "day=2024-01-01" / "kind=x" / "1.json", [{"id": 1}])
    write_json(tmp_path / "day=2024-01-02" / "kind=y%20z" / "2.json", [{"id": 2}])
    stream = files(spark, tmp_path, "id BIGINT, day DATE, kind STRING").selectExpr("id", "string(day)", "kind")
    assert read(spark, stream) == [(1, "2024-01-01", "x"), (2, "2024-01-02", "y z")]


def test_a_partition_folder_that_appears_later_is_read(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "landing" / "kind=x" / "1.json", [{"id": 1}])
    stream = files(spark, tmp_path / "landing", "id BIGINT, kind STRING")
    query = stream.writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()
    write_json(tmp_path / "landing" / "kind=y" / "2.json", [{"id": 2}])
    query.processAllAvailable()
    assert rows(spark.table("seen")) == [(1, "x"), (2, "y")]


def test_a_partition_without_a_value_is_null(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "kind=__HIVE_DEFAULT_PARTITION__" / "1.json", [{"id": 1}])
    write_json(tmp_path / "kind=x" / "2.json", [{"id": 2}])
    assert read(spark, files(spark, tmp_path, "id BIGINT, kind STRING")) == [(1, None), (2, "x")]


def land(folder: Path, count: int) -> None:
    for number in range(count):
        write_json(folder / f"{number}.json", [{"id": number}])


def test_max_files_per_trigger(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path, 5)
    assert batches(run(files(spark, tmp_path, maxFilesPerTrigger=2))) == [2, 2, 1]


def test_max_bytes_per_trigger_takes_one_file_at_least(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path, 3)
    assert batches(run(files(spark, tmp_path, maxBytesPerTrigger=1))) == [1, 1, 1]


def test_max_bytes_per_trigger_counts_the_size_of_files(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path, 4)
    size = (tmp_path / "0.json").stat().st_size
    assert batches(run(files(spark, tmp_path, maxBytesPerTrigger=2 * size))) == [2, 2]


def test_only_one_of_the_two_limits_may_be_given(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path, 1)
    with pytest.raises(PySparkException, match="maxBytesPerTrigger"):
        run(files(spark, tmp_path, maxFilesPerTrigger=1, maxBytesPerTrigger=1))


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_limit_must_be_a_positive_number(spark: SparkSession, tmp_path: Path, value: str) -> None:
    land(tmp_path, 1)
    with pytest.raises((IllegalArgumentException, StreamingQueryException), match=f"'{value}'.*maxFilesPerTrigger"):
        run(files(spark, tmp_path, maxFilesPerTrigger=value))


def order_of_batches(stream: DataFrame, checkpoint: Path) -> list[str]:
    """The names of the files in the order they were taken, as the checkpoint tells it."""
    writer = stream.writeStream.format("noop").option("checkpointLocation", str(checkpoint))
    finish(writer.trigger(availableNow=True).start())
    log = checkpoint / "sources" / "0"
    entries = [json.loads((log / name).read_text().split("\n")[1]) for name in log_files(log)]
    return [Path(entry["path"]).name for entry in entries]


def test_files_are_read_in_the_order_they_were_written(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path / "landing", 3)
    os.utime(tmp_path / "landing" / "0.json", ns=(next_ms() * 1_000_000,) * 2)
    stream = files(spark, tmp_path / "landing", maxFilesPerTrigger=1)
    assert order_of_batches(stream, tmp_path / "c") == ["1.json", "2.json", "0.json"]


def test_latest_first_turns_the_order_round(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path / "landing", 3)
    stream = files(spark, tmp_path / "landing", maxFilesPerTrigger=1, latestFirst=True)
    assert order_of_batches(stream, tmp_path / "c") == ["2.json", "1.json", "0.json"]


def test_files_with_the_same_name_are_one_if_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "f.json", [{"id": 1}])
    stream = files(spark, tmp_path / "*", fileNameOnly=True)
    query = stream.writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()
    write_json(tmp_path / "b" / "f.json", [{"id": 2}])
    query.processAllAvailable()
    assert rows(spark.table("seen")) == [(1,)]


def test_an_old_file_that_turns_up_late_is_not_read(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path, 1)
    query = files(spark, tmp_path, maxFileAge="1h").writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()
    write_json(tmp_path / ".late", [{"id": 9}])
    two_hours_ago = (tmp_path / "0.json").stat().st_mtime_ns - 2 * 3600 * 10**9
    os.utime(tmp_path / ".late", ns=(two_hours_ago, two_hours_ago))
    (tmp_path / ".late").rename(tmp_path / "late.json")
    write_json(tmp_path / "1.json", [{"id": 1}])
    query.processAllAvailable()
    assert rows(spark.table("seen")) == [(0,), (1,)]


def test_clean_source_deletes_what_was_read(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path / "landing", 2)
    stream = files(spark, tmp_path / "landing", maxFilesPerTrigger=1, cleanSource="delete")
    query = stream.writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()
    land_more = write_json(tmp_path / "landing" / "2.json", [{"id": 2}])
    query.processAllAvailable()
    query.stop()

    assert rows(spark.table("seen")) == [(0,), (1,), (2,)]
    assert {p.name for p in (tmp_path / "landing").iterdir()} <= {"1.json", land_more.name}


def test_clean_source_archives_under_the_whole_path(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path / "landing", 1)
    options = {"cleanSource": "archive", "sourceArchiveDir": str(tmp_path / "archive")}
    query = files(spark, tmp_path / "landing", **options).writeStream.format("memory").queryName("seen").start()
    query.processAllAvailable()
    write_json(tmp_path / "landing" / "1.json", [{"id": 1}])
    query.processAllAvailable()
    query.stop()

    archived = Path(f"{tmp_path / 'archive'}{tmp_path / 'landing' / '0.json'}")
    assert archived.read_text() == '{"id": 0}\n'
    assert not (tmp_path / "landing" / "0.json").exists()


def test_an_archive_needs_a_folder(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path, 1)
    with pytest.raises((IllegalArgumentException, StreamingQueryException), match="sourceArchiveDir"):
        run(files(spark, tmp_path, cleanSource="archive"))


def test_clean_source_has_three_values(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path, 1)
    with pytest.raises((IllegalArgumentException, StreamingQueryException), match="clean source option .*burn"):
        run(files(spark, tmp_path, cleanSource="burn"))


def test_archived_files_must_not_be_source_files_again(spark: SparkSession, tmp_path: Path) -> None:
    land(tmp_path / "in" / "day", 1)
    unsound = {
        "in/*": ["in/other", "in/other/deeper", ""],
        "in/day": ["in/day", "in/day/archive", "in"],
    }
    for path, archives in unsound.items():
        for archive in archives:
            stream = files(spark, tmp_path / path, cleanSource="archive", sourceArchiveDir=str(tmp_path / archive))
            with pytest.raises((IllegalArgumentException, StreamingQueryException), match="can possibly match"):
                run(stream)


@pytest.mark.parametrize("threads", ["0", "2"])
def test_clean_source_keeps_the_last_batch_and_the_folders(spark: SparkSession, tmp_path: Path, threads: str) -> None:
    spark.conf.set("spark.sql.streaming.fileSource.cleaner.numThreads", threads)
    land(tmp_path / "in" / "k=x", 3)
    options = {"cleanSource": "ARCHIVE", "sourceArchiveDir": f"file://{tmp_path}/kept", "maxFilesPerTrigger": "1"}
    run(files(spark, tmp_path / "in", "id BIGINT, k STRING", **options))
    assert rows(spark.table("seen")) == [(0, "x"), (1, "x"), (2, "x")]
    assert [path.name for path in (tmp_path / "in" / "k=x").glob("*.json")] == ["2.json"]
    kept = Path(f"{tmp_path}/kept{tmp_path}/in/k=x")
    assert sorted(path.name for path in kept.glob("*.json")) == ["0.json", "1.json"]
