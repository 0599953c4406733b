"""Sinks: flows into places outside the catalog, in every format, and what a full refresh does to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from pyspark.errors import PySparkNotImplementedError
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceStreamWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from riacho import pipelines as dp
from tests.spec.pipelines.support import Project
from tests.spec.support import files, write_json

COLUMNS = "id BIGINT, name STRING"
ONE, TWO, THREE = (1, "one"), (2, "two"), (3, "three")


@pytest.fixture
def into(spark: SparkSession, landing: Path) -> Callable[..., Callable[[], None]]:
    """A definition: a sink of a format, with a flow into it for each condition."""

    def make(form: str, options: Mapping[str, str] | None = None, **flows: str) -> Callable[[], None]:
        def define() -> None:
            dp.create_sink("outside", form, dict(options or {}))
            for name, condition in (flows or {"all_rows": "true"}).items():

                @dp.append_flow(target="outside", name=name)
                def flow(condition: str = condition) -> DataFrame:
                    return files(spark, landing, COLUMNS).where(condition)

        return define

    return make


def rows_at(spark: SparkSession, form: str, path: Path) -> list[tuple[object, ...]]:
    reader = spark.read if form.lower() in ("parquet", "orc", "delta") else spark.read.schema(COLUMNS)
    return sorted(tuple(row) for row in reader.format(form).load(str(path)).select("id", "name").collect())


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "orc", "avro", "delta", "DELTA"])
def test_every_format(
    spark: SparkSession, project: Project, into: Callable[..., Callable[[], None]], landing: Path, form: str
) -> None:
    out = landing.parent / "out"
    define = into(form, {"path": str(out)})
    for _ in range(2):
        assert project.run(define).completed
        assert rows_at(spark, form, out) == [ONE, TWO]
    write_json(landing / "1.json", [{"id": 3, "name": "three"}])
    assert project.run(define).completed
    assert rows_at(spark, form, out) == [ONE, TWO, THREE]
    assert project.checkpoints("outside") == ["all_rows"]
    assert project.checkpoints("outside", "all_rows") == ["0"]


def test_sinks_that_keep_nothing(project: Project, into: Callable[..., Callable[[], None]]) -> None:
    for form in ("noop", "console", "memory"):
        assert project.run(into(form, first="id = 1", second="id = 2"), full_refresh_all=True).completed
        assert project.checkpoints("outside") == ["first", "second"]


def test_text_has_one_column(spark: SparkSession, project: Project, landing: Path) -> None:
    out = landing.parent / "out"

    def define() -> None:
        dp.create_sink("outside", "text", {"path": str(out)})

        @dp.append_flow(target="outside")
        def names() -> DataFrame:
            return files(spark, landing, COLUMNS).select("name")

    assert project.run(define).completed
    assert sorted(row.value for row in spark.read.text(str(out)).collect()) == ["one", "two"]


def test_options_are_those_of_the_format(
    spark: SparkSession, project: Project, into: Callable[..., Callable[[], None]], landing: Path
) -> None:
    out = landing.parent / "out"
    assert project.run(into("csv", {"path": str(out), "SEP": "|", "header": "true"})).completed
    assert spark.read.csv(str(out), sep="|", header=True, inferSchema=True).count() == 2


@pytest.mark.parametrize(
    ("form", "options", "text"),
    [
        ("nosuch", {}, "DATA_SOURCE_NOT_FOUND"),
        ("rate", {}, "does not support streamed writing"),
        ("parquet", {}, "'path' is not specified"),
        ("delta", {}, "'path' is not specified"),
        ("foreachbatch", {}, "DATA_SOURCE_NOT_FOUND"),
    ],
)
def test_what_a_sink_cannot_be(
    project: Project, into: Callable[..., Callable[[], None]], form: str, options: dict[str, str], text: str
) -> None:
    conf = {"spark.sql.pipelines.maxFlowRetryAttempts": "0"}
    assert text in str(project.run(into(form, options), conf=conf).error)


def test_a_full_refresh_reads_again_and_leaves_what_is_there(
    spark: SparkSession, project: Project, into: Callable[..., Callable[[], None]], landing: Path
) -> None:
    out = landing.parent / "out"
    define = into("delta", {"path": str(out)})
    assert project.run(define).completed
    assert project.run(define, full_refresh_all=True).completed
    assert rows_at(spark, "delta", out) == [ONE, ONE, TWO, TWO]
    assert project.checkpoints("outside", "all_rows") == ["0", "1"]


@pytest.mark.riacho_only
def test_several_flows_into_the_same_files(
    spark: SparkSession, project: Project, into: Callable[..., Callable[[], None]], landing: Path
) -> None:
    """On Spark the second query's batches are taken for the first one's: it fails, or its rows are lost."""
    out = landing.parent / "out"
    define = into("parquet", {"path": str(out)}, first="id % 2 = 1", second="id % 2 = 0", third="id > 2")
    assert project.run(define).completed
    assert rows_at(spark, "parquet", out) == [ONE, TWO]
    for number in range(3, 15):  # past the first compaction of the log
        write_json(landing / f"{number}.json", [{"id": number, "name": "more"}])
        assert project.run(define).completed
    expected = sorted([ONE, TWO, *((n, "more") for n in range(3, 15) for _ in range(2))])
    assert rows_at(spark, "parquet", out) == expected


@pytest.mark.riacho_only
def test_a_full_refresh_of_files_loses_no_rows(
    spark: SparkSession, project: Project, into: Callable[..., Callable[[], None]], landing: Path
) -> None:
    """On Spark the first batch of the new checkpoint has a number that the files' log knows, and is left out."""
    out = landing.parent / "out"
    define = into("json", {"path": str(out)})
    assert project.run(define).completed
    write_json(landing / "1.json", [{"id": 3, "name": "three"}])
    assert project.run(define, full_refresh=["outside"]).completed
    assert rows_at(spark, "json", out) == [ONE, ONE, TWO, TWO, THREE]


@pytest.mark.riacho_only
def test_a_streaming_table_of_files_takes_all_its_flows(spark: SparkSession, project: Project, landing: Path) -> None:
    def define() -> None:
        dp.create_streaming_table("t", format="parquet")
        for name in ("first", "second"):

            @dp.append_flow(target="t", name=name)
            def flow() -> DataFrame:
                return files(spark, landing, COLUMNS)

    assert project.run(define).completed
    assert project.table("t") == [ONE, ONE, TWO, TWO]
    assert project.run(define, full_refresh=["t"]).completed
    assert project.table("t") == [ONE, ONE, TWO, TWO]


@pytest.mark.riacho_only
def test_a_sink_can_be_chosen(project: Project, into: Callable[..., Callable[[], None]], landing: Path) -> None:
    define = into("delta", {"path": str(landing.parent / "out")})
    view = "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a"
    outcome = project.run(define, view, refresh=["outside"])
    assert "has COMPLETED." in outcome.of("all_rows")
    assert outcome.of("m") == ["is EXCLUDED."]


@pytest.mark.spark_only
def test_spark_cannot_choose_a_sink(project: Project, into: Callable[..., Callable[[], None]], landing: Path) -> None:
    define = into("delta", {"path": str(landing.parent / "out")})
    assert project.run(define, refresh=["outside"]).of("all_rows") == ["is EXCLUDED."]


@pytest.mark.riacho_only
def test_a_table_by_its_name(
    spark: SparkSession, project: Project, into: Callable[..., Callable[[], None]], landing: Path
) -> None:
    for name in (f"{project.database}.made", "made_too"):
        define = into("delta", {"tableName": name}, **{name.replace(".", "_"): "true"})
        for _ in range(2):
            assert project.run(define).completed
    assert project.table("made") == project.table("made_too") == [ONE, TWO]
    both = into("delta", {"tableName": "x", "path": str(landing.parent / "out")})
    assert "has a path or a tableName" in str(project.run(both).error)


@pytest.mark.spark_only
def test_spark_has_paths_only(project: Project, into: Callable[..., Callable[[], None]]) -> None:
    assert "'path' is not specified" in str(project.run(into("delta", {"tableName": f"{project.database}.t"})).error)


def folder_source() -> type[DataSource]:
    """A data source that writes a JSON file for each task; a local class, which travels to the server whole."""

    class FolderWriter(DataSourceStreamWriter):
        def __init__(self, folder: str) -> None:
            self.folder = folder

        def write(self, iterator: Iterator[Row]) -> WriterCommitMessage:
            import json
            import uuid
            from pathlib import Path

            if rows := [row.asDict() for row in iterator]:
                (Path(self.folder) / f"{uuid.uuid4()}.json").write_text(json.dumps(rows))
            return WriterCommitMessage()

        def commit(self, messages: object, batchId: int) -> None:  # noqa: N803
            pass

    class Folder(DataSource):
        @classmethod
        def name(cls) -> str:
            return "sdp_folder"

        def streamWriter(self, schema: StructType, overwrite: bool) -> DataSourceStreamWriter:
            return FolderWriter(self.options["folder"])

    return Folder


def test_data_sources_in_python(
    spark: SparkSession, project: Project, into: Callable[..., Callable[[], None]], tmp_path: Path
) -> None:
    spark.dataSource.register(folder_source())
    out = tmp_path / "python"
    out.mkdir()
    for _ in range(2):
        # Spark also sends metrics of Python's own, which its client does not know and raises.
        assert "Run is COMPLETED." in project.run(into("sdp_folder", {"folder": str(out)})).events
    found = [row["id"] for file in out.glob("*.json") for row in json.loads(file.read_text())]
    assert sorted(found) == [1, 2]


@pytest.mark.riacho_only
def test_a_function_as_a_sink(spark: SparkSession, project: Project, landing: Path) -> None:
    out = str(landing.parent / "seen")

    def define() -> None:
        @dp.foreach_batch_sink
        def mine(df: DataFrame, batch_id: int) -> None:
            df.selectExpr("id", f"{batch_id} AS batch").write.format("delta").mode("append").save(out)

        @dp.foreach_batch_sink(name="other")
        def quiet(df: DataFrame, batch_id: int) -> None:
            assert df.count() >= 0 <= batch_id

        for target in ("mine", "other"):

            @dp.append_flow(target=target, name=f"to_{target}")
            def flow() -> DataFrame:
                return files(spark, landing, COLUMNS)

    for _ in range(2):
        outcome = project.run(define)
        assert outcome.completed
    assert project.checkpoints("mine", "to_mine") == ["0"]
    write_json(landing / "1.json", [{"id": 3, "name": "three"}])
    assert project.run(define).completed
    seen = spark.read.format("delta").load(out).collect()
    assert sorted(map(tuple, seen)) == [(1, 0), (2, 0), (3, 1)]


@pytest.mark.riacho_only
def test_a_function_that_fails_fails_its_flow(spark: SparkSession, project: Project, landing: Path) -> None:
    def define() -> None:
        @dp.foreach_batch_sink
        def broken(df: DataFrame, batch_id: int) -> None:
            raise ValueError(f"no batch {batch_id}, please")

        @dp.append_flow(target="broken")
        def flow() -> DataFrame:
            return files(spark, landing, COLUMNS)

    outcome = project.run(define, conf={"spark.sql.pipelines.maxFlowRetryAttempts": "0"})
    assert "no batch 0, please" in str(outcome.error)


@pytest.mark.spark_only
def test_spark_has_no_functions_as_sinks(project: Project) -> None:
    def define() -> None:
        @dp.foreach_batch_sink
        def mine(df: DataFrame, batch_id: int) -> None:
            pass

    error = project.run(define).error
    assert isinstance(error, PySparkNotImplementedError)
    assert "foreach_batch_sink 'mine'" in str(error)


def test_places_that_are_no_plain_words(
    spark: SparkSession, project: Project, into: Callable[..., Callable[[], None]], landing: Path
) -> None:
    out = landing.parent / "out 50% é"
    project.storage = landing.parent / "the storage 100% ü"
    define = into("json", {"path": str(out)})
    for _ in range(2):
        assert project.run(define).completed
        assert rows_at(spark, "json", out) == [ONE, TWO]
