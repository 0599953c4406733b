"""Gold, what Python says better than SQL: the moment that the answers refer to, and a table fed by changes alone."""

from pyspark import pipelines as dp
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

CHANGE_FEED = {"delta.enableChangeDataFeed": "true"}


@dp.materialized_view(
    name="gold.clock",
    comment="The moment that all answers refer to, one row",
    schema="as_of TIMESTAMP COMMENT 'Now, as far as the answers know'",
    table_properties=CHANGE_FEED,
)
def clock() -> DataFrame:
    """`telecom.now` says which: `event`, so that a run can be repeated exactly; `wall`; or a timestamp."""
    now = spark.conf.get("telecom.now")
    if now == "event":
        return spark.table("silver.events").agg(F.max("hora_conexao").alias("as_of"))
    moment = F.current_timestamp() if now == "wall" else F.lit(now).cast("timestamp")
    return spark.range(1).select(moment.alias("as_of"))


@dp.temporary_view(name="events_so_far")
def events_so_far() -> DataFrame:
    """The events up to the clock. It is not asked where it is known: so counts can go on from counts."""
    events, now = spark.table("silver.events"), spark.conf.get("telecom.now")
    if now == "event":
        return events  # The clock is the newest of them.
    if now == "wall":
        return events.join(spark.table("gold.clock"), F.col("hora_conexao") <= F.col("as_of"), "left_semi")
    return events.where(F.col("hora_conexao") <= F.lit(now).cast("timestamp"))


@dp.temporary_view(name="open_connections")
def open_connections() -> DataFrame:
    """The connections that are open at the clock; at the newest event these are the ones that nothing has closed."""
    connections = spark.table("silver.connections")
    if spark.conf.get("telecom.now") == "event":
        return connections.where("disconnected_at IS NULL")
    at_the_clock = F.expr("connected_at <= as_of AND (disconnected_at IS NULL OR disconnected_at > as_of)")
    return connections.join(spark.table("gold.clock"), at_the_clock, "left_semi")


@dp.table(
    name="gold.high_connections",
    comment="Connect events of at least 400 Mbit/s as they arrive, read from the change feed of silver",
    schema="""
    nome STRING COMMENT 'Customer name',
    endereco STRING COMMENT 'Customer address',
    ip STRING COMMENT 'IPv4 address of the device',
    dispositivo_de_acesso STRING COMMENT 'Celular (phone) or Computador (computer)',
    velocidade_de_conexao INT COMMENT 'Speed of the connection in Mbit/s',
    hora_conexao TIMESTAMP COMMENT 'When the device connected'
    """,
    table_properties=CHANGE_FEED,
)
def high_connections() -> DataFrame:
    """Read only what is new since the last update: `silver.valid_events` only grows, so every change is a new row."""
    changes = spark.readStream.option("readChangeFeed", "true").table("silver.valid_events")
    return changes.where("status_conexao = 'Conectado' AND velocidade_de_conexao >= 400").select(
        "nome", "endereco", "ip", "dispositivo_de_acesso", "velocidade_de_conexao", "hora_conexao"
    )
