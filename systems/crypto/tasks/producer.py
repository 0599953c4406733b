"""`send_to_kafka`: quotes into a topic, keyed by coin, in Avro with a registered schema; or into the embedded queue.

Nothing is sent before the schema is registered, and an incompatible one is refused. The producer is idempotent: Kafka
has each message once, even when an answer is lost. A record that does not fit the schema goes to the dead-letter topic
as JSON, with the reason in a header.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SCHEMA_FILE: Final = Path(__file__).parents[1] / "schemas" / "quote.avsc"
TOPIC: Final = "crypto.quotes"
DEAD_LETTERS: Final = "crypto.quotes.dlq"
COMPATIBILITY: Final = "BACKWARD"
FLUSH_LIMIT_S: Final = 120.0
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class NotSentError(RuntimeError):
    """Records that Kafka does not have. What was sent with them may be there; sending all again does no harm."""


@dataclass(frozen=True)
class Sent:
    """How many records are in the topic, and how many went to the dead letters."""

    sent: int
    dead_letters: int = 0


@dataclass(frozen=True)
class Kafka:
    """Where to send. `client`: settings of the Kafka client, such as a login."""

    bootstrap: str
    registry: str
    topic: str = TOPIC
    dead_letters: str = DEAD_LETTERS
    client: Mapping[str, str] | None = None

    @classmethod
    def of_environment(cls) -> Kafka:
        """KAFKA_BOOTSTRAP_SERVERS and SCHEMA_REGISTRY_URL. Raises KeyError."""
        return cls(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["SCHEMA_REGISTRY_URL"])


def send_to_kafka(quotes: Iterable[Mapping[str, Any]], kafka: Kafka | None = None) -> Sent:
    """Send quotes; returns when Kafka has them all. Raises NotSentError, `riacho.registry.client.RegistryError`."""
    from confluent_kafka import Producer

    kafka = kafka or Kafka.of_environment()
    encode = _encoder(kafka)
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 20,
            **(kafka.client or {}),
        }
    )
    failed: list[str] = []
    counts = {kafka.topic: 0, kafka.dead_letters: 0}

    def delivered(error: Any, message: Any) -> None:
        if error is not None:
            failed.append(str(error))
        else:
            counts[message.topic()] += 1

    for quote in quotes:
        reason = wrong(quote)
        if reason is None:
            _produce(producer, kafka.topic, str(quote["coin"]), encode(quote), delivered)
        else:
            letter = json.dumps(quote, default=str, ensure_ascii=False).encode()
            key = str(quote.get("coin") or "")
            _produce(producer, kafka.dead_letters, key, letter, delivered, [("reason", reason.encode())])
    left = producer.flush(FLUSH_LIMIT_S)
    if failed or left:
        told = failed[0] if failed else f"no answer within {FLUSH_LIMIT_S:.0f} s"
        raise NotSentError(f"{len(failed) + left} messages are not in Kafka at {kafka.bootstrap}: {told}")
    return Sent(counts[kafka.topic], counts[kafka.dead_letters])


def send_to_queue(quotes: Iterable[Mapping[str, Any]], url: str, endpoint: str = "quotes") -> Sent:
    """Send quotes to the embedded queue, which stands for Kafka: an ingest endpoint. Bad ones are set aside in silver.

    Raises `riacho.ingest.client.IngestRefusedError`.
    """
    from riacho.ingest.client import IngestClient

    with IngestClient(url) as client:
        return Sent(client.send(endpoint, quotes).accepted)


def wrong(quote: Mapping[str, Any]) -> str | None:
    """Why a record is not a quote; None if it is one."""
    for name in ("coin", "symbol", "name", "currency", "last_updated"):
        if not isinstance(quote.get(name), str) or not quote[name]:
            return f"{name} must be a text, not {quote.get(name)!r}"
    for name in ("price", "market_cap", "volume_24h"):
        value = quote.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            return f"{name} must be a number or null, not {value!r}"
    if not _TIME.fullmatch(quote["last_updated"]):
        return f"last_updated must be like 2026-11-29T15:25:32.973Z, not {quote['last_updated']!r}"
    return None


def _encoder(kafka: Kafka) -> Any:
    """What makes a message of a quote: Confluent's wire format. Registers the schema, unless it is not compatible."""
    import fastavro

    from riacho.registry.changes import changes, refused, register
    from riacho.registry.client import RegistryClient, RegistryError
    from riacho.registry.wanted import WantedSchema

    subject, text = f"{kafka.topic}-value", SCHEMA_FILE.read_text(encoding="utf-8")
    client = RegistryClient(kafka.registry)
    try:
        found = changes(client, [WantedSchema(subject, text, level=COMPATIBILITY)])
        if no := refused(found):
            raise RegistryError(f"The schema for {subject} is not compatible: {'; '.join(no[0].complaints)}")
        for _ in register(client, found):
            pass
        number = client.find(subject, text)
    finally:
        client.close()
    assert number is not None, f"{subject} was registered a moment ago"
    header, schema = b"\0" + number.to_bytes(4, "big"), fastavro.parse_schema(json.loads(text))

    def encode(quote: Mapping[str, Any]) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, quote)
        return header + out.getvalue()

    return encode


def _produce(
    producer: Any, topic: str, key: str, value: bytes, delivered: Any, headers: list[tuple[str, bytes]] | None = None
) -> None:
    """Hand a message to the client; wait while its queue is full."""
    while True:
        try:
            producer.produce(topic, value, key, on_delivery=delivered, headers=headers)
        except BufferError:
            producer.poll(0.5)
        else:
            producer.poll(0)
            return
