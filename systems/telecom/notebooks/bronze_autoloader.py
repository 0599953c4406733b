# The bronze tables the way an Auto Loader notebook makes them: the same rows as the pipeline's, read with the same
# options, once each, also across restarts. Run it cell by cell, or whole:
#
#   SPARK_REMOTE=sc://localhost:15002 python systems/telecom/notebooks/bronze_autoloader.py

# %% Where things are
import os
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

system = Path(__file__).resolve().parent.parent
landing = os.environ.get("TELECOM_LANDING", str(system / "landing"))
state = os.environ.get("TELECOM_NOTEBOOK_STATE", "/tmp/riacho/telecom/notebook")  # schemas, checkpoints
database = os.environ.get("TELECOM_NOTEBOOK_DATABASE", "bronze")

spark = SparkSession.builder.getOrCreate()
spark.sql(f"CREATE DATABASE IF NOT EXISTS {database}")


# %% One table for each device type and status
def ingest(device: str, status: str) -> None:
    """Bring what is new in one folder into its table. A new column stops it; run it again: it is known now."""
    name = f"{device}_{status}".lower()
    query = (
        spark.readStream.format("cloudFiles")
        .option("cloudFiles.format", "parquet")
        .option("cloudFiles.inferColumnTypes", "true")
        .option("cloudFiles.schemaLocation", f"{state}/schemas/{name}")
        .option("cloudFiles.schemaEvolutionMode", "addNewColumns")
        .load(f"{landing}/{device}/{status}")
        .withColumn("rastreamento_source", F.input_file_name())
        .withColumn("source", F.lit(f"{device} {status}"))
        .withColumn("data_arquivo_ingestao", F.col("_metadata.file_modification_time"))
        .withColumn("status", F.lit(True))
        .writeStream.format("delta")
        .option("checkpointLocation", f"{state}/checkpoints/{name}")
        .option("mergeSchema", "true")
        .trigger(availableNow=True)
        .toTable(f"{database}.{name}")
    )
    query.awaitTermination()


# %% All four
for device in ("Celular", "Computador"):
    for status in ("Conectado", "Desconectado"):
        ingest(device, status)

# %% What is there now
for table in spark.catalog.listTables(database):
    print(f"{database}.{table.name}: {spark.table(f'{database}.{table.name}').count()} rows")
