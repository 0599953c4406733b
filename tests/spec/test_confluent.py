"""Messages in Confluent's wire format, read and written by `riacho.functions` on any server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from riacho.errors import IllegalArgumentError
from riacho.functions import from_confluent, to_confluent
from riacho.registry.client import RegistryClient, RegistryError
from riacho.testing.registry import MemoryRegistry
from tests.spec.support import finish, rows

FIRST = '{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"gone","type":"string"}]}'
SECOND = json.dumps(
    {
        "type": "record",
        "name": "Order",
        "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": None}],
    }
)
JSON = '{"type":"object","properties":{"id":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}}}}'


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def client(registry: MemoryRegistry) -> RegistryClient:
    return RegistryClient("http://memory", transport=registry.transport())


def messages(spark: SparkSession, client: RegistryClient) -> DataFrame:
    """Two orders of each version of the schema, and a null."""
    client.register("orders-value", FIRST)
    old = spark.range(2).select(
        to_confluent(F.struct("id", F.lit("x").alias("gone")), client, "orders-value").alias("v")
    )
    client.register("orders-value", SECOND)
    written = F.struct(F.col("id"), F.concat(F.lit("n"), "id").alias("note"))
    new = spark.range(2, 4).select(to_confluent(written, client, topic="orders").alias("v"))
    return old.union(new).union(spark.sql("SELECT CAST(NULL AS BINARY) AS v"))


def test_each_message_is_read_with_the_schema_that_wrote_it(
    spark: SparkSession, client: RegistryClient, registry: MemoryRegistry
) -> None:
    frame = messages(spark, client)
    framed = rows(frame.select(F.hex("v")))
    assert framed == [
        ("0000000001000278",),
        ("0000000001020278",),
        ("00000000020402046E32",),
        ("00000000020602046E33",),
        (None,),
    ]
    registry.requests.clear()
    newest = frame.select(from_confluent("v", client, "orders-value").alias("o"))
    assert len(registry.requests) == 4, "the registry is asked when the column is made, once for each version"
    assert newest.schema["o"].dataType.simpleString() == "struct<id:bigint,note:string>"
    assert rows(newest.select("o.*")) == [(0, None), (1, None), (2, "n2"), (3, "n3"), (None, None)]
    assert len(registry.requests) == 4
    chosen = '{"type":"record","name":"Order","fields":[{"name":"id","type":"double"}]}'
    assert rows(frame.select(from_confluent("v", client, topic="orders", schema=chosen).alias("o")).select("o.*")) == [
        (0.0,), (1.0,), (2.0,), (3.0,), (None,),
    ]  # fmt: skip


def test_messages_that_are_not_as_they_should_be(spark: SparkSession, client: RegistryClient) -> None:
    messages(spark, client)
    for wrong in ("0000000009020278", "7B7D", "", "00000000010402"):
        frame = spark.sql(f"SELECT X'{wrong}' AS v")
        with pytest.raises(PySparkException):
            frame.select(from_confluent("v", client, "orders-value")).collect()
        permissive = from_confluent("v", client, "orders-value", options={"mode": "PERMISSIVE"}).alias("o")
        assert rows(frame.select(permissive).select("o.*")) == [(None, None)]
    late = spark.sql("SELECT X'00000000090200' AS v").select(from_confluent("v", client, "orders-value"))
    with pytest.raises(
        PySparkException, match="Its first bytes are 0000000009. If the schema is newer, start the query again"
    ):
        late.collect()


def test_json_schema(spark: SparkSession, client: RegistryClient) -> None:
    number = client.register("clicks-value", JSON, "JSON")
    frame = spark.range(2).select(F.struct("id", F.array(F.lit("a")).alias("tags")).alias("s"))
    written = frame.select(to_confluent("s", client, "clicks-value").alias("v"))
    assert rows(written)[0] == (b"\0" + number.to_bytes(4, "big") + b'{"id":0,"tags":["a"]}',)
    read = written.select(from_confluent("v", client, "clicks-value").alias("c"))
    assert read.schema["c"].dataType.simpleString() == "struct<id:bigint,tags:array<string>>"
    assert rows(read.select("c.*")) == [(0, ["a"]), (1, ["a"])]
    bare = spark.sql("SELECT CAST('{}' AS BINARY) AS v").select(from_confluent("v", client, "clicks-value"))
    with pytest.raises(PySparkException, match="its first byte is not 0, but 7B"):
        bare.collect()


def test_a_stream_of_messages(spark: SparkSession, client: RegistryClient, tmp_path: Path) -> None:
    messages(spark, client).write.parquet(str(tmp_path / "in"))
    stream = spark.readStream.schema("v BINARY").parquet(str(tmp_path / "in"))
    orders = stream.select(from_confluent("v", client, "orders-value").alias("o")).where("o IS NOT NULL")
    again = orders.select("o.*", to_confluent("o", client, "orders-value").alias("v"))
    finish(again.writeStream.format("memory").queryName("confluent").trigger(availableNow=True).start())
    found = rows(spark.table("confluent"))
    assert [row[:2] for row in found] == [(0, None), (1, None), (2, "n2"), (3, "n3")]
    assert found[2][2] == bytes.fromhex("00000000020402046E32")


def test_what_the_registry_does_not_have(client: RegistryClient) -> None:
    with pytest.raises(RegistryError, match="Subject 'nope' not found"):
        from_confluent("v", client, "nope")
    with pytest.raises(RegistryError, match="does not have the schema that was given"):
        to_confluent("v", client, "orders-value", schema=FIRST)
    to_confluent(F.lit(1), client, "orders-value", schema='"int"', register=True)
    assert client.versions("orders-value") == [1]
    with pytest.raises(IllegalArgumentError, match="Give either the subject, or the topic"):
        from_confluent("v", client)
