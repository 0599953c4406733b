"""Silver, the reference table: which server an address belongs to."""

from pathlib import Path

from pyspark import pipelines as dp
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


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
    table_properties={"delta.enableChangeDataFeed": "true"},
)
def servers() -> DataFrame:
    schema = "server STRING, place STRING, subnet STRING, capacity_mbps INT, capacity_devices INT"
    table = spark.read.schema(schema).option("header", "true").csv(str(Path("data/servers.csv").resolve()))
    octets = [F.split("subnet", "[./]").getItem(i).cast("bigint") for i in range(5)]
    first = octets[0] * 2**24 + octets[1] * 2**16 + octets[2] * 2**8 + octets[3]
    size = F.pow(F.lit(2), F.lit(32) - octets[4]).cast("bigint")
    return table.withColumn("first_address", first).withColumn("last_address", F.col("first_address") + size - 1)
