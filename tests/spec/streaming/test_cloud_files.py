"""`cloudFiles`, as notebooks for Auto Loader use it: schemas are inferred, remembered and grown; nothing is lost.

Apache Spark has no such source, so these run on riacho only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from tests.spec.support import finish, ids, rows, write_json, write_text

pytestmark = pytest.mark.riacho_only


class Notebook:
    """The few lines that every such notebook has: read a landing folder, write a table, end when all is read."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.landing, self.schemas = folder / "landing", folder / "schemas"
        self.table, self.checkpoint = folder / "table", folder / "checkpoint"
        self.landing.mkdir()

    def read(self, form: str, **options: Any) -> DataFrame:
        reader = self.spark.readStream.format("cloudFiles").option("cloudFiles.format", form)
        reader = reader.option("cloudFiles.schemaLocation", str(self.schemas))
        for name, value in options.items():
            reader = reader.option(f"cloudFiles.{name}", value)
        return reader.load(str(self.landing))

    def run(self, frame: DataFrame) -> StreamingQuery:
        writer = frame.writeStream.format("delta").option("checkpointLocation", str(self.checkpoint))
        return finish(writer.option("mergeSchema", True).trigger(availableNow=True).start(str(self.table)))

    @property
    def result(self) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.table))

    def parquet(self, name: str, /, **columns: Any) -> Path:
        pq.write_table(pa.table(columns), self.landing / f"{name}.parquet")
        return self.landing / f"{name}.parquet"


@pytest.fixture
def notebook(spark: SparkSession, tmp_path: Path) -> Notebook:
    return Notebook(spark, tmp_path)


def rescued(frame: DataFrame) -> list[dict[str, Any]]:
    """What rescued data holds, without the path that it names."""
    found = [json.loads(row[0]) for row in frame.select("_rescued_data").collect() if row[0] is not None]
    for entry in found:
        assert entry.pop("_file_path").startswith("file:")
    return found


def test_the_schema_of_parquet_is_inferred_and_rescued_data_added(notebook: Notebook) -> None:
    notebook.parquet("1", id=pa.array([1], pa.int64()), name=["Ana"])
    stream = notebook.read("parquet")
    assert stream.isStreaming
    assert stream.schema.simpleString() == "struct<id:bigint,name:string,_rescued_data:string>"

    notebook.run(stream)
    assert rows(notebook.result) == [(1, "Ana", None)]


def test_columns_of_json_are_strings_unless_types_are_inferred(notebook: Notebook) -> None:
    write_json(notebook.landing / "1.json", [{"id": 1, "ok": True}])
    assert notebook.read("json").schema.simpleString() == "struct<id:string,ok:string,_rescued_data:string>"


def test_types_of_json_are_inferred_if_asked_for(notebook: Notebook) -> None:
    write_json(notebook.landing / "1.json", [{"id": 1, "ok": True, "at": {"city": "Recife"}}])
    stream = notebook.read("json", inferColumnTypes=True)
    wanted = "struct<at:struct<city:string>,id:bigint,ok:boolean,_rescued_data:string>"
    assert stream.schema.simpleString() == wanted
    notebook.run(stream)
    assert rows(notebook.result.select("id", "ok", "at.city")) == [(1, True, "Recife")]


def test_hints_overrule_what_is_inferred(notebook: Notebook) -> None:
    write_json(notebook.landing / "1.json", [{"id": 1, "price": "1.50"}])
    stream = notebook.read("json", inferColumnTypes=True, schemaHints="price DECIMAL(10,2), soon DATE")
    types = dict(stream.dtypes)
    assert (types["id"], types["price"], types["soon"]) == ("bigint", "decimal(10,2)", "date")


def test_hints_name_fields_inside(notebook: Notebook) -> None:
    lines = [{"who": {"id": 1, "dob": "2024-01-02"}, "at": [1, 2], "users": [{"id": 7}]}]
    write_json(notebook.landing / "1.json", lines)
    stream = notebook.read("json", schemaHints="who.dob DATE, at.element STRING, users.element.id INT")
    assert stream.schema.simpleString() == (
        "struct<at:array<string>,users:array<struct<id:int>>,who:struct<dob:date,id:string>,_rescued_data:string>"
    )
    notebook.run(stream)
    assert rows(notebook.result.selectExpr("year(who.dob)", "who.id", "at", "users[0].id + 1")) == [
        (2024, "1", ["1", "2"], 8)
    ]


def test_a_schema_can_be_given(notebook: Notebook) -> None:
    notebook.parquet("1", id=pa.array([1], pa.int64()), name=["Ana"])
    reader = notebook.spark.readStream.format("cloudFiles").option("cloudFiles.format", "parquet")
    stream = reader.schema("id BIGINT").load(str(notebook.landing))
    notebook.run(stream)
    assert rows(notebook.result) == [(1,)]


def test_the_schema_is_remembered(notebook: Notebook) -> None:
    notebook.parquet("1", id=pa.array([1], pa.int64()))
    notebook.run(notebook.read("parquet"))
    assert [path.name for path in sorted((notebook.schemas / "_schemas").iterdir())] == ["0"]

    notebook.parquet("1", id=["now a string"])
    assert dict(notebook.read("parquet").dtypes)["id"] == "bigint"


def test_a_place_for_the_schema_is_needed_to_infer_it(notebook: Notebook) -> None:
    notebook.parquet("1", id=[1])
    reader = notebook.spark.readStream.format("cloudFiles").option("cloudFiles.format", "parquet")
    with pytest.raises(PySparkException, match="cloudFiles.schemaLocation"):
        reader.load(str(notebook.landing)).columns  # noqa: B018


def test_an_empty_folder_has_no_schema_to_infer(notebook: Notebook) -> None:
    with pytest.raises(PySparkException, match="(?i)schema"):
        notebook.read("parquet").columns  # noqa: B018


@pytest.mark.parametrize("form", ["", "xlsx"])
def test_the_format_must_be_known(notebook: Notebook, form: str) -> None:
    with pytest.raises(PySparkException, match="cloudFiles.format"):
        notebook.read(form).columns  # noqa: B018


def test_an_unknown_option_is_refused(notebook: Notebook) -> None:
    notebook.parquet("1", id=[1])
    with pytest.raises(PySparkException, match="cloudFiles.schemaLocatoin"):
        notebook.read("parquet", schemaLocatoin="typo").columns  # noqa: B018


def test_a_new_column_stops_the_query_once_and_is_read_after_a_restart(notebook: Notebook) -> None:
    notebook.parquet("1", id=pa.array([1], pa.int64()))
    notebook.run(notebook.read("parquet"))
    notebook.parquet("2", id=pa.array([2], pa.int64()), name=["Bia"])

    with pytest.raises(StreamingQueryException, match="(?i)unknown.?field.*name"):
        notebook.run(notebook.read("parquet"))
    stream = notebook.read("parquet")
    assert stream.columns == ["id", "name", "_rescued_data"]
    notebook.run(stream)
    assert rows(notebook.result.select("id", "name", "_rescued_data")) == [(1, None, None), (2, "Bia", None)]
    assert [path.name for path in sorted((notebook.schemas / "_schemas").iterdir())] == ["0", "1"]


def test_new_columns_can_be_rescued_instead(notebook: Notebook) -> None:
    notebook.parquet("1", id=pa.array([1], pa.int64()))
    notebook.run(notebook.read("parquet", schemaEvolutionMode="rescue"))
    notebook.parquet("2", id=pa.array([2], pa.int64()), name=["Bia"])
    notebook.run(notebook.read("parquet", schemaEvolutionMode="rescue"))

    assert ids(notebook.result) == [1, 2]
    assert rescued(notebook.result) == [{"name": "Bia"}]


def test_new_columns_can_be_ignored(notebook: Notebook) -> None:
    notebook.parquet("1", id=pa.array([1], pa.int64()))
    notebook.run(notebook.read("parquet", schemaEvolutionMode="none"))
    notebook.parquet("2", id=pa.array([2], pa.int64()), name=["Bia"])
    notebook.run(notebook.read("parquet", schemaEvolutionMode="none"))
    assert ids(notebook.result) == [1, 2]


def test_new_columns_can_stop_the_query_for_good(notebook: Notebook) -> None:
    notebook.parquet("1", id=pa.array([1], pa.int64()))
    notebook.run(notebook.read("parquet", schemaEvolutionMode="failOnNewColumns"))
    notebook.parquet("2", id=pa.array([2], pa.int64()), name=["Bia"])
    for _ in range(2):
        with pytest.raises(StreamingQueryException, match="UNKNOWN_FIELD_EXCEPTION"):
            notebook.run(notebook.read("parquet", schemaEvolutionMode="failOnNewColumns"))
    assert ids(notebook.result) == [1]


def test_a_value_that_does_not_fit_is_rescued(notebook: Notebook) -> None:
    write_json(notebook.landing / "1.json", [{"id": 1, "name": "Ana"}])
    notebook.run(notebook.read("json", inferColumnTypes=True))
    write_json(notebook.landing / "2.json", [{"id": "two", "name": "Bia"}])
    notebook.run(notebook.read("json", inferColumnTypes=True))

    assert rows(notebook.result.select("id", "name")) == [(1, "Ana"), (None, "Bia")]
    assert rescued(notebook.result) == [{"id": "two"}]


def test_a_parquet_column_of_another_type_is_rescued(notebook: Notebook) -> None:
    notebook.parquet("1", id=pa.array([1], pa.int64()), name=["Ana"])
    notebook.run(notebook.read("parquet"))
    notebook.parquet("2", id=["two"], name=["Bia"])
    notebook.run(notebook.read("parquet"))

    assert rows(notebook.result.select("id", "name")) == [(1, "Ana"), (None, "Bia")]
    assert rescued(notebook.result) == [{"id": "two"}]


def test_the_column_for_rescued_data_can_have_another_name(notebook: Notebook) -> None:
    write_json(notebook.landing / "1.json", [{"id": 1}])
    assert notebook.read("json", rescuedDataColumn="lost").columns == ["id", "lost"]


def test_each_file_is_read_once_across_restarts(notebook: Notebook) -> None:
    notebook.parquet("1", id=[1])
    notebook.run(notebook.read("parquet"))
    notebook.run(notebook.read("parquet"))
    notebook.parquet("2", id=[2])
    notebook.run(notebook.read("parquet"))
    assert ids(notebook.result) == [1, 2]


def test_files_that_are_there_already_can_be_left_out(notebook: Notebook) -> None:
    notebook.parquet("1", id=[1])
    notebook.run(notebook.read("parquet", includeExistingFiles=False))
    notebook.parquet("2", id=[2])
    notebook.run(notebook.read("parquet", includeExistingFiles=False))
    assert ids(notebook.result) == [2]


def test_folders_within_are_read(notebook: Notebook) -> None:
    write_json(notebook.landing / "a" / "b" / "1.json", [{"id": 1}])
    notebook.run(notebook.read("json", inferColumnTypes=True))
    assert ids(notebook.result) == [1]


def test_the_number_of_files_in_a_batch_is_limited(notebook: Notebook) -> None:
    for number in range(3):
        notebook.parquet(str(number), id=[number])
    query = notebook.run(notebook.read("parquet", maxFilesPerTrigger=2))
    assert [report.numInputRows for report in query.recentProgress if report.numInputRows] == [2, 1]


def test_names_can_be_chosen(notebook: Notebook) -> None:
    write_json(notebook.landing / "1.json", [{"id": 1}])
    write_text(notebook.landing / "readme.txt", "not for us")
    reader = notebook.spark.readStream.format("cloudFiles").option("cloudFiles.format", "json")
    reader = reader.option("cloudFiles.schemaLocation", str(notebook.schemas)).option("pathGlobFilter", "*.json")
    notebook.run(reader.load(str(notebook.landing)))
    assert ids(notebook.result) == ["1"]


def test_the_first_notebook_of_the_readme(notebook: Notebook, database: str) -> None:
    file = notebook.parquet("1", Nome=["Ana"])
    stream = (
        notebook.read("parquet")
        .withColumn("rastreamento_source", F.input_file_name())
        .withColumn("data_arquivo_ingestao", F.col("_metadata.file_modification_time"))
    )
    writer = stream.writeStream.format("delta").option("checkpointLocation", str(notebook.checkpoint))
    finish(writer.trigger(availableNow=True).toTable(f"{database}.celular_conectado"))

    written = notebook.spark.table(f"{database}.celular_conectado")
    milliseconds = F.unix_millis("data_arquivo_ingestao")
    assert rows(written.select("Nome", "rastreamento_source", milliseconds)) == [
        ("Ana", f"file://{file}", file.stat().st_mtime_ns // 1_000_000)
    ]


def test_csv_has_a_header_where_the_schema_is_inferred(notebook: Notebook) -> None:
    write_text(notebook.landing / "1.csv", "id,name\n1,Ana\n")
    stream = notebook.read("csv", schemaEvolutionMode="addNewColumns").withColumnRenamed("name", "nome")
    assert stream.columns == ["id", "nome", "_rescued_data"]
    notebook.run(stream)
    assert rows(notebook.result) == [("1", "Ana", None)]
    reader = notebook.spark.readStream.format("cloudFiles").option("cloudFiles.format", "csv")
    given = reader.schema("a STRING, b STRING").load(str(notebook.landing))
    finish(given.writeStream.format("memory").queryName("given").trigger(availableNow=True).start())
    assert rows(notebook.spark.table("given")) == [("1", "Ana"), ("id", "name")]


def test_options_without_the_prefix_and_those_that_change_nothing(notebook: Notebook) -> None:
    write_json(notebook.landing / "1.json", [{"id": 1}])
    write_json(notebook.landing / "2.json", [{"id": 2}])
    reader = notebook.spark.readStream.format("cloudFiles").option("cloudFiles.format", "json")
    reader = reader.options(inferColumnTypes="true", schemaLocation=str(notebook.schemas), maxFilesPerTrigger=1)
    reader = reader.option("cloudFiles.useNotifications", "true").option("cloudFiles.backfillInterval", "1 day")
    query = notebook.run(reader.load(str(notebook.landing)))
    assert rows(notebook.result) == [(1, None), (2, None)]
    assert [report.numInputRows for report in query.recentProgress if report.numInputRows] == [1, 1]


@pytest.mark.parametrize("form", ["avro", "orc"])
def test_columns_of_files_with_types_are_inferred_grown_and_rescued(notebook: Notebook, form: str) -> None:
    def land(file: str, /, **columns: Any) -> None:
        path = notebook.landing / f"{file}.{form}"
        if form == "orc":
            orc.write_table(pa.table(columns), str(path))
            return
        kinds = {int: "long", str: "string"}
        fields = [{"name": name, "type": kinds[type(values[0])]} for name, values in columns.items()]
        records = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        with path.open("wb") as sink:
            fastavro.writer(sink, {"type": "record", "name": "top", "fields": fields}, records)

    land("1", id=[1, 2])
    stream = notebook.read(form)
    assert stream.schema.simpleString() == "struct<id:bigint,_rescued_data:string>"
    notebook.run(stream)
    land("2", id=["three"])
    (notebook.landing / f"3.{form}").write_bytes(b"damaged")
    query = notebook.run(notebook.read(form))
    assert [row[0] for row in rows(notebook.result)] == [1, 2, None]
    assert rescued(notebook.result) == [{"id": "three"}]
    assert query.lastProgress is not None
    assert query.lastProgress.sources[0].metrics["numFilesSetAside"] == "1"
    land("4", id=[4], name=["d"])
    with pytest.raises(StreamingQueryException, match="NEW_FIELDS_IN_FILE"):
        notebook.run(notebook.read(form))
    notebook.run(notebook.read(form))
    assert rows(notebook.result.where("id = 4").select("id", "name")) == [(4, "d")]


def test_whole_files_and_lines_need_no_schema(notebook: Notebook) -> None:
    (notebook.landing / "deep" / "k=1").mkdir(parents=True)
    (notebook.landing / "deep" / "k=1" / "a.bin").write_bytes(b"one\ntwo\n")
    for form, columns in (("binaryFile", ["path", "modificationTime", "length", "content"]), ("text", ["value"])):
        reader = notebook.spark.readStream.format("cloudFiles").option("cloudFiles.format", form)
        stream = reader.load(str(notebook.landing))
        assert stream.columns == [*columns, "k"]
        finish(stream.writeStream.format("memory").queryName(form).trigger(availableNow=True).start())
    assert rows(notebook.spark.table("binaryFile").select("length", "content", "k")) == [(8, b"one\ntwo\n", 1)]
    assert rows(notebook.spark.table("text").select("value")) == [("one",), ("two",)]
