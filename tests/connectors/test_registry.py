"""Confluent's wire format with a real registry, through a real broker, on riacho and on Spark."""

from __future__ import annotations

import io
import json
from pathlib import Path

import fastavro
import pytest
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from riacho.functions import from_confluent, to_confluent
from riacho.registry.client import Reference, RegistryClient, RegistryError
from riacho.testing.registry_server import SchemaRegistryServer
from riacho.testing.servers import Server
from tests.connectors.topics import Kafka
from tests.spec.support import finish, rows, said

FIRST = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}
SECOND = {**FIRST, "fields": [*FIRST["fields"], {"name": "note", "type": ["null", "string"], "default": None}]}
MUST = {**FIRST, "fields": [*FIRST["fields"], {"name": "must", "type": "string"}]}
CLICK = {"type": "object", "properties": {"id": {"type": "integer"}}}


def framed(number: int, schema: object, value: object) -> bytes:
    """A message as other clients write it."""
    out = io.BytesIO(b"\0" + number.to_bytes(4, "big"))
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)  # type: ignore[arg-type]
    return out.getvalue()


def test_the_registry_does_what_its_client_says(registry: RegistryClient, subject: str) -> None:
    assert registry.versions(subject) == []
    assert registry.latest(subject) is None
    number = registry.register(subject, json.dumps(FIRST))
    assert registry.register(subject, json.dumps(FIRST)) == number
    assert registry.find(subject, json.dumps(FIRST)) == number
    assert registry.find(subject, json.dumps(SECOND)) is None
    assert json.loads(registry.by_id(number).text) == FIRST
    assert subject in registry.subjects()
    registry.set_level(subject, "BACKWARD")
    assert registry.level(subject) == "BACKWARD"
    assert registry.complaints(subject, json.dumps(MUST))
    assert registry.complaints(subject, json.dumps(SECOND)) == []
    with pytest.raises(RegistryError) as refused:
        registry.register(subject, json.dumps(MUST))
    assert refused.value.status == 409
    other = registry.register(subject, json.dumps(SECOND))
    assert registry.versions(subject) == [1, 2]
    assert registry.version(subject).id == other != number
    clicks = f"clicks-{subject}"
    registry.register(clicks, json.dumps(CLICK), "JSON")
    assert registry.version(clicks).kind == "JSON"
    outer = {"type": "record", "name": "Box", "fields": [{"name": "order", "type": "Order"}]}
    registry.register(f"box-{subject}", json.dumps(outer), references=[Reference("Order", subject, 2)])
    assert registry.version(f"box-{subject}").references == (Reference("Order", subject, 2),)


def test_messages_of_other_clients_through_kafka_and_back(
    spark: SparkSession, kafka: Kafka, registry: RegistryClient, subject: str, tmp_path: Path
) -> None:
    topic = kafka.topic(1, name=subject.removesuffix("-value"))
    first = registry.register(subject, json.dumps(FIRST))
    second = registry.register(subject, json.dumps(SECOND))
    kafka.produce(topic, [])
    messages = [framed(first, FIRST, {"id": 1}), framed(second, SECOND, {"id": 2, "note": "n"})]
    produce(kafka, topic, messages)
    source = {"kafka.bootstrap.servers": kafka.bootstrap, "subscribe": topic, "startingOffsets": "earliest"}
    stream = spark.readStream.format("kafka").options(**source).load()
    orders = stream.select(from_confluent("value", registry, topic=topic).alias("o")).select("o.*")

    def run() -> None:
        writer = orders.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "checkpoint"))
        finish(writer.trigger(availableNow=True).start(str(tmp_path / "table")))

    run()
    table = spark.read.format("delta").load(str(tmp_path / "table"))
    assert rows(table) == [(1, None), (2, "n")]

    written = table.select(to_confluent(F.struct("*"), registry, subject).alias("value"))
    assert rows(written.where("id = 2")) == [(messages[1],)]

    third = {**FIRST, "fields": [*SECOND["fields"], {"name": "size", "type": "int", "default": 0}]}
    newest = registry.register(subject, json.dumps(third))
    produce(kafka, topic, [framed(newest, third, {"id": 3, "note": None, "size": 7})])
    with pytest.raises(StreamingQueryException) as stopped:
        run()  # it was made before there was such a schema
    assert "start the query again" in said(stopped.value)
    orders = stream.select(from_confluent("value", registry, topic=topic, version=2).alias("o")).select("o.*")
    run()
    assert rows(spark.read.format("delta").load(str(tmp_path / "table"))) == [(1, None), (2, "n"), (3, None)]


def test_schemas_that_are_registered_while_a_query_runs(
    spark: SparkSession, server: Server, registry: RegistryClient, subject: str
) -> None:
    first = registry.register(subject, json.dumps(FIRST))
    known = framed(first, FIRST, {"id": 1})
    reading = from_confluent("v", registry, subject, late="fetch").alias("o")
    permissive = from_confluent("v", registry, subject, late="fetch", options={"mode": "PERMISSIVE"}).alias("o")
    second = registry.register(subject, json.dumps(SECOND))
    late = [framed(second, SECOND, {"id": n, "note": "n"}) for n in (2, 3)]

    def messages(*given: bytes) -> DataFrame:
        return spark.createDataFrame([(message,) for message in (*given, None)], "v BINARY")

    assert rows(messages(known, known).select(reading).select("o.*")) == [(1,), (1,), (None,)]
    if server.name != "riacho":
        with pytest.raises(PySparkException, match="Start the query again"):
            messages(known, *late).select(reading).collect()
        return
    assert rows(messages(known, *late).select(reading).select("o.*")) == [(1,), (2,), (3,), (None,)]
    unknown = b"\0\xff\xff\xff\xf0\2"
    assert rows(messages(known, late[0], unknown, b"{}").select(permissive).select("o.*")) == [
        (1,), (2,), *[(None,)] * 3,
    ]  # fmt: skip
    for wrong in (unknown, b"{}"):
        with pytest.raises(PySparkException):
            messages(known, wrong).select(reading).collect()


def produce(kafka: Kafka, topic: str, messages: list[bytes]) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for message in messages:
        producer.produce(topic, message)
    assert producer.flush(30) == 0


def test_a_registry_that_is_stopped_and_comes_back(registry_home: Path, tmp_path: Path) -> None:
    server = SchemaRegistryServer(registry_home, tmp_path)
    waits: list[float] = []
    client = RegistryClient(server.url, sleep=waits.append)
    with pytest.raises(RegistryError, match="cannot be reached"):
        client.subjects()
    assert waits == [0.2, 0.5, 1.0, 2.0]
    with server:
        number = client.register("orders-value", json.dumps(FIRST))
        assert client.by_id(number).kind == "AVRO"
    assert json.loads(client.by_id(number).text) == FIRST, "what was fetched once is kept"
    with pytest.raises(RegistryError, match="cannot be reached"):
        client.version("orders-value")
