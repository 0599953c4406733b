"""Damaged files, another type, a new column: nothing is lost, all is accounted for, the stream goes on.

Auto Loader's work, so these run on riacho. Five rounds of four files land. Of the phones' connects, the second has a
column more, the third carries its speeds as text, the fourth ends in the middle; all other files are sound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from riacho.testing.servers import Server, riacho_server
from riacho.testing.systems import Row, connected, ordered
from systems.telecom.generator.source import SCHEMA, Damage, LandedFile, TelecomOptions, TelecomSource
from systems.telecom.tests.conftest import telecom

EXTRA, CHANGED, TRUNCATED = 4, 8, 12
DAMAGE = ((EXTRA, Damage.EXTRA_COLUMN), (CHANGED, Damage.CHANGED_TYPE), (TRUNCATED, Damage.TRUNCATED))
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
BRONZE = ("celular_conectado", "celular_desconectado", "computador_conectado", "computador_desconectado")
SOURCE_COLUMNS = [name for name in SCHEMA.names if name != "Velocidade_de_Conexao"]

pytestmark = pytest.mark.riacho_only


class Landing:
    """A landing zone that fills when it is told to, with the damage above; and one without damage, to compare."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "landing"
        self.files: list[LandedFile] = []
        self._sound = folder / "sound"
        self._sources = [
            (self.folder, TelecomSource(TelecomOptions(damage=DAMAGE), START)),
            (self._sound, TelecomSource(TelecomOptions(), START)),
        ]

    def land(self, *batches: int) -> None:
        for batch in batches:
            landed, _ = (source.write_batch(folder, batch) for folder, source in self._sources)
            self.files.append(landed)

    def sound_rows(self, *batches: int) -> list[Row]:
        """What stood in the files of these batches before they were damaged, speeds last."""
        names = [*SOURCE_COLUMNS, "Velocidade_de_Conexao"]
        paths = [self._sound / self.files[batch].path.relative_to(self.folder) for batch in batches]
        return ordered(
            [tuple(row[name] for name in names) for path in paths for row in pq.read_table(path).to_pylist()]
        )


@pytest.fixture
def riacho(server: Server, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own: the databases of the other tests stay as they are."""
    with riacho_server(tmp_path / "server") as own:
        yield own


@pytest.fixture
def spark(riacho: Server) -> Iterator[SparkSession]:
    with connected(riacho) as session:
        yield session


def bronze_rows(spark: SparkSession, *tables: str) -> list[Row]:
    """Rows of bronze in the columns of the source, the speed last: as text where it was rescued as text."""
    speed = "coalesce(Velocidade_de_Conexao, CAST(get_json_object(_rescued_data, '$.Velocidade_de_Conexao') AS INT))"
    found = [spark.table(f"bronze.{table}").selectExpr(*SOURCE_COLUMNS, f"{speed} AS speed") for table in tables]
    return ordered([tuple(row.values()) for frame in found for row in frame.toArrow().to_pylist()])


def test_the_pipeline_loses_nothing_and_goes_on(riacho: Server, spark: SparkSession, tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    system = telecom(tmp_path / "system", riacho, landing.folder)
    system.set_up(spark)

    landing.land(*range(4))
    system.update()
    landing.land(*range(4, 16))
    system.update()
    landing.land(*range(16, 20))
    system.update()

    readable = [batch for batch in range(20) if batch != TRUNCATED]
    assert bronze_rows(spark, *BRONZE) == landing.sound_rows(*readable)
    assert files_in(spark, "celular_conectado") == {
        landing.files[batch].path.name: landing.files[batch].rows for batch in readable if batch % 4 == 0
    }
    # The truncated file alone is missing; the server reported it, and the flow's checkpoint keeps account of it.
    assert f"Set aside the file {landing.files[TRUNCATED].path.as_uri()}" in riacho.log.read_text()
    accounts = (tmp_path / "system" / "storage" / "_checkpoints").glob("**/sources/*/bad/*")
    assert [json.loads(account.read_text())["path"] for account in accounts] == [landing.files[TRUNCATED].path.as_uri()]
    # What silver makes of it: every row is judged, and speeds that came as text are speeds again.
    judged = spark.table("silver.valid_events").count() + spark.table("silver.valid_events_quarantine").count()
    assert judged == sum(landing.files[batch].rows for batch in readable)
    from_text = spark.table("silver.valid_events").where(f"rastreamento_source LIKE '%{name(landing, CHANGED)}'")
    assert from_text.count() > 70
    assert from_text.where("velocidade_de_conexao IS NULL").count() == 0


def test_damage_is_kept_where_it_can_be_looked_at(riacho: Server, spark: SparkSession, tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    landing.land(*range(16))
    system = telecom(tmp_path / "system", riacho, landing.folder)
    system.set_up(spark)
    system.update()

    table = spark.table("bronze.celular_conectado")
    changed = table.where(f"rastreamento_source LIKE '%{name(landing, CHANGED)}'")
    others = table.where(f"rastreamento_source NOT LIKE '%{name(landing, CHANGED)}'")
    assert changed.where("Velocidade_de_Conexao IS NULL AND _rescued_data IS NOT NULL").count() == changed.count() == 80
    assert others.where("_rescued_data IS NOT NULL").count() == 0
    rescued = json.loads(changed.select("_rescued_data").collect()[0][0])
    assert set(rescued) == {"Velocidade_de_Conexao", "_file_path"}
    assert rescued["_file_path"].endswith(name(landing, CHANGED))
    latency = table.groupBy("rastreamento_source").agg({"Latencia_ms": "count"}).collect()
    assert {Path(path).name: count for path, count in latency if count} == {name(landing, EXTRA): 80}


def test_a_running_stream_goes_on(spark: SparkSession, tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    landing.land(0, 1, 2, 3)
    spark.sql("CREATE DATABASE IF NOT EXISTS bronze")

    query = start(spark, landing, tmp_path)
    query.processAllAvailable()
    landing.land(EXTRA)
    # Auto Loader notes a new column and stops the query; the query started again knows it.
    with pytest.raises(StreamingQueryException, match="Latencia_ms"):
        query.processAllAvailable()
    query = start(spark, landing, tmp_path)
    query.processAllAvailable()
    for batch in (CHANGED, TRUNCATED, 16):
        landing.land(*range(len(landing.files), batch + 1))
        query.processAllAvailable()

    assert query.isActive
    query.stop()
    readable = [0, EXTRA, CHANGED, 16]
    assert bronze_rows(spark, "celular_conectado") == landing.sound_rows(*readable)
    assert set_aside(query) == [name(landing, TRUNCATED)]


def start(spark: SparkSession, landing: Landing, folder: Path) -> StreamingQuery:
    """Read the phones' connects for as long as the query runs."""
    return (
        spark.readStream.format("cloudFiles")
        .option("cloudFiles.format", "parquet")
        .option("cloudFiles.schemaLocation", str(folder / "schemas"))
        .load(f"{landing.folder}/Celular/Conectado")
        .writeStream.format("delta")
        .option("checkpointLocation", str(folder / "checkpoint"))
        .option("mergeSchema", "true")
        .trigger(processingTime="100 milliseconds")
        .toTable("bronze.celular_conectado")
    )


def set_aside(query: StreamingQuery) -> list[str]:
    """The names of the files that the query could not read, as its progress tells them."""
    metrics = [source.metrics for report in query.recentProgress for source in report.sources]
    told = [json.loads(each["filesSetAside"]) for each in metrics if "filesSetAside" in each]
    assert sum(int(each.get("numFilesSetAside", 0)) for each in metrics) == sum(map(len, told))
    return [Path(file["path"]).name for files in told for file in files]


def name(landing: Landing, batch: int) -> str:
    return landing.files[batch].path.name


def files_in(spark: SparkSession, table: str) -> dict[str, int]:
    """The files that a bronze table's rows came from, with the number of rows of each."""
    counts = spark.table(f"bronze.{table}").groupBy("rastreamento_source").count().collect()
    return {Path(path).name: count for path, count in counts}
