"""Bronze: what landed, as it landed. One streaming table for each device type and status.

Nothing is lost or changed: a value that does not fit its column is kept in `_rescued_data`, a new column becomes a
column, and a file that cannot be read is set aside and reported. What we add says where each row came from.
"""

from pathlib import Path

from pyspark import pipelines as dp
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

SOURCES = (
    ("Celular", "Conectado"),
    ("Celular", "Desconectado"),
    ("Computador", "Conectado"),
    ("Computador", "Desconectado"),
)

COMMENTS = {
    "Nome": "Customer name",
    "Endereco": "Customer address",
    "Ip": "Private IPv4 address",
    "Hora_Conexao": "When the event happened",
    "Dispositivo_de_Acesso": "Celular (phone) or Computador (computer)",
    "Velocidade_de_Conexao": "Speed of the connection in Mbit/s",
    "Status_Conexao": "Conectado (connected) or Desconectado (disconnected)",
    "_rescued_data": "Values that did not fit the schema, as JSON, with the file they came from",
}


def read_landing(folder: str) -> DataFrame:
    """The files below `folder` as they land, with `_rescued_data` after the columns of the source."""
    path = f"{Path(spark.conf.get('telecom.landing')).resolve()}/{folder}"
    if spark.conf.get("telecom.landing.format") == "parquet":  # stock Spark has no Auto Loader
        schema = (
            "Nome STRING, Endereco STRING, Ip STRING, Hora_Conexao TIMESTAMP, Dispositivo_de_Acesso STRING, "
            "Velocidade_de_Conexao INT, Status_Conexao STRING"
        )
        return spark.readStream.schema(schema).parquet(path).withColumn("_rescued_data", F.lit(None).cast("string"))
    return (
        spark.readStream.format("cloudFiles")
        .option("cloudFiles.format", "parquet")
        .option("cloudFiles.inferColumnTypes", "true")
        .option("cloudFiles.schemaLocation", f"{Path(spark.conf.get('telecom.schemas')).resolve()}/{folder}")
        .option("cloudFiles.schemaEvolutionMode", "addNewColumns")
        .load(path)
    )


def tracked(landed: DataFrame, source: str) -> DataFrame:
    """`landed` with the columns that say where each row came from, and a comment on every column we know."""
    tracking: dict[str, tuple[Column, str]] = {
        "rastreamento_source": (F.input_file_name(), "Path of the file that the row came from"),
        "source": (F.lit(source), "Device type and status, as the folder names them"),
        "data_arquivo_ingestao": (F.col("_metadata.file_modification_time"), "When the file was last written"),
        "status": (F.lit(True), "True: the row was ingested"),
    }
    for name, (value, comment) in tracking.items():
        landed = landed.withColumn(name, value).withMetadata(name, {"comment": comment})
    for name, comment in COMMENTS.items():
        landed = landed.withMetadata(name, {"comment": comment})
    return landed


def define(device: str, status: str) -> None:
    """Define the bronze table of one device type and status."""

    @dp.table(
        name=f"bronze.{device}_{status}".lower(),
        comment=f"Events of {device} {status}, as they landed",
        table_properties={"delta.enableChangeDataFeed": "true"},
    )
    def bronze() -> DataFrame:
        return tracked(read_landing(f"{device}/{status}"), source=f"{device} {status}")


for device, status in SOURCES:
    define(device, status)
