"""Silver, second step: each event once, with the server that its address belongs to."""

from pathlib import Path

from pyspark import pipelines as dp
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

CHANGE_FEED = {"delta.enableChangeDataFeed": "true"}
SENT = (
    "nome",
    "endereco",
    "ip",
    "hora_conexao",
    "dispositivo_de_acesso",
    "velocidade_de_conexao",
    "status_conexao",
)
"""What the device sent. Events that are equal in all of it are copies; which of them stays makes no answer differ."""


def number(octets: Column) -> Column:
    """An address as a number."""
    return sum((octets.getItem(i).cast("bigint") * 256 ** (3 - i) for i in range(4)), start=F.lit(0).cast("bigint"))


def read_servers() -> DataFrame:
    """The servers with their first and last address."""
    schema = "server STRING, place STRING, subnet STRING, capacity_mbps INT, capacity_devices INT"
    table = spark.read.schema(schema).option("header", "true").csv(str(Path("data/servers.csv").resolve()))
    octets = F.split("subnet", "[./]")
    size = F.pow(F.lit(2), F.lit(32) - octets.getItem(4).cast("int")).cast("bigint")
    placed = table.withColumn("first_address", number(octets))
    return placed.withColumn("last_address", F.col("first_address") + size - 1)


@dp.materialized_view(
    name="silver.servers",
    comment="The provider's servers and the addresses that are theirs, from data/servers.csv",
    schema="""
    server STRING COMMENT 'Name of the server',
    place STRING COMMENT 'Where it stands',
    subnet STRING COMMENT 'Its addresses, in CIDR notation',
    capacity_mbps INT COMMENT 'Bandwidth it can carry, in Mbit/s',
    capacity_devices INT COMMENT 'Devices it can hold',
    first_address BIGINT COMMENT 'First address of the subnet, as a number',
    last_address BIGINT COMMENT 'Last address of the subnet, as a number'
    """,
    table_properties=CHANGE_FEED,
)
def servers() -> DataFrame:
    return read_servers()


def each_once() -> DataFrame:
    """As a stream, which remembers for an hour what has come, by its own clock: so nothing comes too late for it."""
    valid = spark.readStream.table("silver.valid_events").withColumn("arrived_at", F.current_timestamp())
    return valid.withWatermark("arrived_at", "1 hour").dropDuplicatesWithinWatermark(list(SENT))


def each_once_of_all() -> DataFrame:
    """The same from all events together. Apache Spark 4.2 takes no watermark on a table of the same pipeline.

    What it is told by `withColumn`, or `drop`, it analyses while it reads this file: if the table is there already, it
    does not see that this flow is to wait for it. `select` does not have that fault.
    """
    copy = F.row_number().over(Window.partitionBy(*SENT).orderBy("data_arquivo_ingestao", "rastreamento_source"))
    return spark.read.table("silver.valid_events").select("*", copy.alias("copy")).where("copy = 1")


def events() -> DataFrame:
    """Where servers stand is read from the file, not from `silver.servers`: a stream does not wait for a view."""
    unique = each_once() if AS_A_STREAM else each_once_of_all()
    addressed = unique.select("*", number(F.split("ip", "[.]")).alias("address"))
    theirs = F.col("address").between(F.col("first_address"), F.col("last_address"))
    servers = F.broadcast(read_servers().select("server", "first_address", "last_address"))
    placed = addressed.join(servers, theirs, "left")
    return placed.select(*SENT, "server", "source", "rastreamento_source", "data_arquivo_ingestao")


AS_A_STREAM = spark.conf.get("telecom.deduplication") == "stream"
define = dp.table if AS_A_STREAM else dp.materialized_view
define(
    name="silver.events",
    comment="Valid events, each once, with the server of their address",
    schema="""
    nome STRING COMMENT 'Customer name',
    endereco STRING COMMENT 'Customer address',
    ip STRING COMMENT 'IPv4 address of the device',
    hora_conexao TIMESTAMP COMMENT 'When the event happened',
    dispositivo_de_acesso STRING COMMENT 'Celular (phone) or Computador (computer)',
    velocidade_de_conexao INT COMMENT 'Speed of the connection in Mbit/s',
    status_conexao STRING COMMENT 'Conectado (connected) or Desconectado (disconnected)',
    server STRING COMMENT 'Server that the address belongs to; null for an address of no server',
    source STRING COMMENT 'Device type and status, as the landing folder names them',
    rastreamento_source STRING COMMENT 'Path of the file that the row came from',
    data_arquivo_ingestao TIMESTAMP COMMENT 'When the file was last written'
    """,
    table_properties=CHANGE_FEED,
)(events)
