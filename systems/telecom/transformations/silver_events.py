"""Silver, first step: each event is judged once, when it arrives.

`silver.valid_events` takes those that meet every rule, `silver.valid_events_quarantine` the others, with the rules that
they break, so the rows of the two are the rows of bronze. A dataset's function runs when the file is read: what it
calls, or takes its columns from, stands above it.
"""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from riacho import pipelines as dp

BRONZE = ("celular_conectado", "celular_desconectado", "computador_conectado", "computador_desconectado")
SPEEDS = "1, 5, 10, 15, 25, 35, 50, 100, 200, 400, 500, 1000"
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
CHANGE_FEED = {"delta.enableChangeDataFeed": "true"}

RULES = {
    "valid_ip": f"ip RLIKE '^{OCTET}([.]{OCTET}){{3}}$'",
    "known_speed": f"velocidade_de_conexao IN ({SPEEDS})",
    # Clocks differ a little.
    "not_in_the_future": "hora_conexao <= data_arquivo_ingestao + INTERVAL 1 MINUTE",
}
"""What a good event meets, by the name of the rule. A rule that cannot be decided, for a null, is broken."""

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
    data_arquivo_ingestao TIMESTAMP COMMENT 'When the file was last written',
    _rescued_data STRING COMMENT 'Values that did not fit the schema, as JSON'
"""


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
        F.col("_rescued_data"),
    ]


@dp.table(
    name="silver.valid_events",
    comment="Events that meet every rule, as they arrive; one that was sent twice is here twice",
    schema=EVENT,
    table_properties=CHANGE_FEED,
)
@dp.expect_all_or_quarantine(RULES)
def valid_events() -> DataFrame:
    """The events of all four bronze tables, typed."""
    streams = [spark.readStream.table(f"bronze.{name}").select(*event_columns()) for name in BRONZE]
    return reduce(lambda left, right: left.unionByName(right), streams)
