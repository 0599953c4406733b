"""Silver, the streaming half: each event is judged once, when it arrives, and goes to one of two tables.

`silver.valid_events` takes those that meet every rule, `silver.quarantine` the others with the first rule they break,
so the rows of the two are the rows of bronze. A dataset's function runs when the file is read: what it calls, or takes
its columns from, stands above it.
"""

from functools import reduce

from pyspark import pipelines as dp
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

BRONZE = ("celular_conectado", "celular_desconectado", "computador_conectado", "computador_desconectado")
SPEEDS = (1, 5, 10, 15, 25, 35, 50, 100, 200, 400, 500, 1000)
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
CHANGE_FEED = {"delta.enableChangeDataFeed": "true"}

EVENT = """
    nome STRING COMMENT 'Customer name',
    endereco STRING COMMENT 'Customer address',
    ip STRING COMMENT 'IPv4 address of the device',
    hora_conexao TIMESTAMP COMMENT 'When the event happened',
    dispositivo_de_acesso STRING COMMENT 'Celular (phone) or Computador (computer)',
    velocidade_de_conexao INT COMMENT 'Speed of the connection in Mbit/s',
    status_conexao STRING COMMENT 'Conectado (connected) or Desconectado (disconnected)',
    source STRING COMMENT 'Device type and status, as the landing folder names them',
    rastreamento_source STRING COMMENT 'Path of the file that the row came from',
    data_arquivo_ingestao TIMESTAMP COMMENT 'When the file was last written'
"""
EVENT_COLUMNS = [line.split()[0] for line in EVENT.strip().splitlines()]


def rules() -> dict[str, Column]:
    """What a good event meets, by the name of the rule. A rule that cannot be decided, for a null, is broken."""
    newest = F.col("data_arquivo_ingestao") + F.expr("INTERVAL 1 MINUTE")  # clocks differ a little
    return {
        "valid_ip": F.col("ip").rlike(rf"^{OCTET}(\.{OCTET}){{3}}$"),
        "known_speed": F.col("velocidade_de_conexao").isin(*SPEEDS),
        "not_in_the_future": F.col("hora_conexao") <= newest,
    }


def event_columns() -> list[Column]:
    """The columns of an event, from those of bronze. A speed that came as text was rescued, and is read from there."""
    rescued_speed = F.get_json_object("_rescued_data", "$.Velocidade_de_Conexao").try_cast("int")
    return [
        F.trim("Nome").alias("nome"),
        F.trim("Endereco").alias("endereco"),
        F.trim("Ip").alias("ip"),
        F.col("Hora_Conexao").alias("hora_conexao"),
        F.col("Dispositivo_de_Acesso").alias("dispositivo_de_acesso"),
        F.coalesce(F.col("Velocidade_de_Conexao"), rescued_speed).alias("velocidade_de_conexao"),
        F.col("Status_Conexao").alias("status_conexao"),
        F.col("source"),
        F.col("rastreamento_source"),
        F.col("data_arquivo_ingestao"),
    ]


@dp.temporary_view(
    name="judged_events", comment="The events of all four bronze tables, typed, with the rule they break"
)
def judged_events() -> DataFrame:
    bronze = reduce(
        lambda left, right: left.unionByName(right),
        [spark.readStream.table(f"bronze.{name}").select(*event_columns(), "_rescued_data") for name in BRONZE],
    )
    broken = [F.when(~F.coalesce(met, F.lit(False)), F.lit(name)) for name, met in rules().items()]
    return bronze.withColumn("broken_rule", F.coalesce(*broken))


@dp.table(
    name="silver.valid_events",
    comment="Events that meet every rule, as they arrive; one that was sent twice is here twice",
    schema=EVENT,
    table_properties=CHANGE_FEED,
)
def valid_events() -> DataFrame:
    events = spark.readStream.table("judged_events").where("broken_rule IS NULL")
    return events.select(*EVENT_COLUMNS)


@dp.table(
    name="silver.quarantine",
    comment="Events that break a rule: kept, countable, and out of every answer",
    schema=f"""{EVENT},
    _rescued_data STRING COMMENT 'Values that did not fit the schema, as JSON',
    broken_rule STRING COMMENT 'The first rule that the event breaks: valid_ip, known_speed, not_in_the_future'
    """,
    table_properties=CHANGE_FEED,
)
def quarantine() -> DataFrame:
    return spark.readStream.table("judged_events").where("broken_rule IS NOT NULL")
