"""Settings of Kafka's Java client, as programs give them after `kafka.`, translated for librdkafka.

Most have the same name there. The tables below say which have another one, which mean nothing here, and which riacho
refuses because leaving them out would change what the program does. A name that nobody knows is ignored with a
warning, as Kafka's own client does.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.server.kafka import failures, jaas

_log = logging.getLogger(__name__)

Client = TypeVar("Client")

_NAMES: Final[Mapping[str, str]] = {
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "max.request.size": "message.max.bytes",
    "compression.gzip.level": "compression.level",
    "compression.lz4.level": "compression.level",
    "compression.zstd.level": "compression.level",
    "sasl.oauthbearer.client.credentials.client.id": "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
}
"""Java's name, librdkafka's name."""

_OURS: Final = frozenset(
    {
        "buffer.memory", "default.api.timeout.ms", "max.block.ms", "partitioner.class", "partitioner.ignore.keys",
        "request.timeout.ms", "sasl.jaas.config", "ssl.endpoint.identification.algorithm", "ssl.keystore.location",
        "ssl.keystore.type", "ssl.truststore.location", "ssl.truststore.type", "ssl.truststore.password",
    }
)  # fmt: skip
"""Those that need more than a name."""

_MEANINGLESS: Final = frozenset(
    {
        "key.deserializer", "value.deserializer", "key.serializer", "value.serializer", "auto.commit.interval.ms",
        "auto.include.jmx.reporter", "enable.metrics.push", "exclude.internal.topics", "group.protocol",
        "max.poll.records", "metadata.max.idle.ms", "metadata.recovery.strategy", "metric.reporters",
        "metrics.num.samples", "metrics.recording.level", "metrics.sample.window.ms",
        "partition.assignment.strategy",
        "partitioner.adaptive.partitioning.enable", "partitioner.availability.timeout.ms",
        "security.providers", "ssl.enabled.protocols", "ssl.keymanager.algorithm", "ssl.protocol", "ssl.provider",
        "ssl.secure.random.implementation", "ssl.trustmanager.algorithm", "throw.on.fetch.stable.offset.unsupported",
        "group.remote.assignor", "socket.connection.setup.timeout.max.ms",
    }
)  # fmt: skip
"""Those that tune or name parts of the Java client; they change no result, and are left out."""

_REFUSED: Final[Mapping[str, str]] = {
    "interceptor.classes": "interceptors are Java code",
    "sasl.client.callback.handler.class": "callback handlers are Java code",
    "sasl.login.callback.handler.class": "callback handlers are Java code; "
    "for OAuth give sasl.oauthbearer.token.endpoint.url",
    "sasl.login.class": "login classes are Java code",
    "ssl.engine.factory.class": "engine factories are Java code",
    "config.providers": "give the values themselves",
}
_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9_+.-]+://)?(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\],]+):[0-9]{1,5}")
"""`host:port`, perhaps with a protocol before it; an address of IPv6 is in brackets."""
_MURMUR2: Final = "murmur2_random"
_PARTITIONERS: Final[Mapping[str, str]] = {
    "org.apache.kafka.clients.producer.internals.DefaultPartitioner": _MURMUR2,
    "org.apache.kafka.clients.producer.UniformStickyPartitioner": "random",
    "org.apache.kafka.clients.producer.RoundRobinPartitioner": "random",
}
_JAVA_DEFAULTS: Final[Mapping[str, str]] = {
    "reconnect.backoff.ms": "50",
    "reconnect.backoff.max.ms": "1000",
}
"""Where librdkafka waits for longer: with brokers that are back, a query is to go on at once."""
UNKNOWN_NAME: Final = "No such configuration property"
"""How librdkafka says that it has no setting of a name."""


def translated(given: Mapping[str, str]) -> dict[str, str]:
    """Librdkafka's settings. `given`: what programs set, without `kafka.`.

    Raises UnsupportedOperationError for what cannot be done without Java, IllegalArgumentError for values that mean
    nothing.
    """
    _check_addresses(given)
    settings: dict[str, str] = {}
    for name, value in given.items():
        if name in _REFUSED:
            raise UnsupportedOperationError(
                f"riacho cannot use the option kafka.{name}: {_REFUSED[name]}. Leave it out."
            )
        if name in _MEANINGLESS:
            _log.info("The option kafka.%s is about Kafka's Java client and changes nothing here", name)
        elif name not in _OURS:
            settings[_NAMES.get(name, name)] = value
    settings = {**_JAVA_DEFAULTS, **settings}
    for buffer in ("socket.receive.buffer.bytes", "socket.send.buffer.bytes"):
        if settings.get(buffer) == "-1":  # Java's way to say: what the system does
            settings[buffer] = "0"
    return {**settings, **_sasl(given), **_ssl(given)}


def consumer(given: Mapping[str, str], group_id: str) -> dict[str, str]:
    """The settings of a consumer that is told what to read, and reads ahead."""
    settings = translated(given)
    if "request.timeout.ms" in given:
        settings["socket.timeout.ms"] = given["request.timeout.ms"]
    return {
        "isolation.level": "read_uncommitted",  # Java's default, and not librdkafka's
        "fetch.queue.backoff.ms": "5",
        "fetch.wait.max.ms": "100",  # what waits behind a request for messages waits no longer
        "queued.min.messages": "100000",
        "group.id": group_id,
        **settings,
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
        "auto.offset.reset": "error",
        "enable.partition.eof": "true",
        "allow.auto.create.topics": "false",
    }


def producer(given: Mapping[str, str]) -> dict[str, str]:
    """The settings of a producer: idempotent unless told otherwise, and keys go where Java's producer sends them."""
    settings = translated(given)
    if "request.timeout.ms" in given:
        settings["request.timeout.ms"] = given["request.timeout.ms"]
    if "buffer.memory" in given:
        settings["queue.buffering.max.kbytes"] = str(max(_whole("buffer.memory", given) // 1024, 1))
    return {
        "enable.idempotence": "false" if _no_idempotence(given) else "true",
        "linger.ms": "5",
        "queue.buffering.max.messages": "500000",
        **settings,
        "partitioner": _partitioner(given),
    }


def timeout_s(given: Mapping[str, str], name: str, default_ms: int) -> float:
    """A setting that limits how long a call may take, in seconds. Raises IllegalArgumentError."""
    return (_whole(name, given) if name in given else default_ms) / 1000


def accepted(make: Callable[[dict[str, str]], Client], settings: Mapping[str, str]) -> Client:
    """What `make` makes of the settings, without those whose names librdkafka does not know; a warning tells of them.

    Raises IllegalArgumentError for a value that it does not take.
    """
    from confluent_kafka import KafkaException

    left = dict(settings)
    while True:
        try:
            return make(left)
        except KafkaException as error:
            said = failures.cause_of(error).str()
            name = next((each for each in left if f'"{each}"' in said), None)
            if UNKNOWN_NAME not in said or name is None:
                raise IllegalArgumentError(f"Kafka's client does not take its settings: {said}") from None
            _log.warning("Kafka's client does not know the setting kafka.%s; it is ignored", name)
            del left[name]


def _check_addresses(given: Mapping[str, str]) -> None:
    """Refuse addresses that are none at once: the client would look for such brokers until its time is over.

    Source: `org.apache.kafka.clients.ClientUtils.parseAndValidateAddresses`.
    """
    name = "bootstrap.servers"
    if name not in given:
        return
    addresses = [address for each in given[name].split(",") if (address := each.strip())]
    for address in addresses:
        if _ADDRESS.fullmatch(address) is None:
            raise IllegalArgumentError(f"Invalid url in {name}: {address}. It must be host:port")
    if not addresses:
        raise IllegalArgumentError(f"No bootstrap urls given in {name}. Give host:port, several with commas")


def _sasl(given: Mapping[str, str]) -> dict[str, str]:
    line = given.get("sasl.jaas.config")
    return {} if line is None else jaas.login(line)


def _ssl(given: Mapping[str, str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    algorithm = given.get("ssl.endpoint.identification.algorithm")
    if algorithm is not None:
        settings["ssl.endpoint.identification.algorithm"] = algorithm.strip().lower() or "none"
    trust = given.get("ssl.truststore.location")
    if trust is not None:
        _require_kind(given, "ssl.truststore", ("PEM",), trust)
        settings["ssl.ca.location"] = trust
    keys = given.get("ssl.keystore.location")
    if keys is not None:
        if _require_kind(given, "ssl.keystore", ("PEM", "PKCS12"), keys) == "PEM":
            settings |= {"ssl.certificate.location": keys, "ssl.key.location": keys}
        else:
            settings["ssl.keystore.location"] = keys
    return settings


def _require_kind(given: Mapping[str, str], store: str, kinds: tuple[str, ...], path: str) -> str:
    """The kind of a store of keys. Java's own format cannot be read without Java."""
    named = {".pem": "PEM", ".crt": "PEM", ".p12": "PKCS12", ".pfx": "PKCS12"}
    by_name = next((kind for ending, kind in named.items() if path.lower().endswith(ending)), "JKS")
    kind = given.get(f"{store}.type", by_name).upper()
    if kind not in kinds:
        raise UnsupportedOperationError(
            f"riacho cannot read kafka.{store}.location = {path!r}, which is of the type {kind}: give it as "
            f"{' or '.join(kinds)} and set kafka.{store}.type. `keytool -exportcert -rfc -keystore FILE -alias NAME` "
            "writes PEM."
        )
    return kind


def _partitioner(given: Mapping[str, str]) -> str:
    if given.get("partitioner.ignore.keys", "false").lower() == "true":
        return "random"
    name = given.get("partitioner.class")
    if name is None:
        return given.get("partitioner", _MURMUR2)
    found = _PARTITIONERS.get(name.removeprefix(jaas.SHADED))
    if found is None:
        raise UnsupportedOperationError(
            f"riacho cannot use kafka.partitioner.class = {name!r}: partitioners are Java code. Put the partition of "
            "each row in a column `partition`."
        )
    return found


def _no_idempotence(given: Mapping[str, str]) -> bool:
    """Whether other settings rule it out, as in Java: then it is off without a word."""
    if "enable.idempotence" in given:
        return given["enable.idempotence"].lower() == "false"
    at_once = "max.in.flight.requests.per.connection"
    if at_once in given and _whole(at_once, given) > 5:
        return True
    return given.get("acks", "all") not in ("all", "-1") or given.get("retries") == "0"


def _whole(name: str, given: Mapping[str, str]) -> int:
    try:
        return int(given[name])
    except ValueError:
        raise IllegalArgumentError(
            f"Invalid value {given[name]} for configuration {name}: Not a number of type INT"
        ) from None
