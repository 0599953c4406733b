"""Settings of Kafka's Java client, as librdkafka has them."""

from __future__ import annotations

import pytest

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.server.kafka import settings
from riacho.server.kafka.jaas import login

PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p;\\"=\'";'
OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


@pytest.mark.parametrize("text", ["b:9092", " a:1 , b.c-d:9092,", "PLAINTEXT://b:9092", "[::1]:9092", "10.0.0.1:9092"])
def test_addresses(text: str) -> None:
    assert settings.translated({"bootstrap.servers": text})["bootstrap.servers"] == text


@pytest.mark.parametrize("text", ["127.0.0.1", "a:1,b:x", "b:9092/x", "::1:9092x", ""])
def test_what_is_no_address_is_refused_at_once(text: str) -> None:
    with pytest.raises(IllegalArgumentError, match=r"bootstrap\.servers"):
        settings.translated({"bootstrap.servers": text})


@pytest.mark.parametrize("prefix", ["", "kafkashaded."])
def test_a_login_of_a_hosted_broker(prefix: str) -> None:
    given = {
        "bootstrap.servers": "b:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.jaas.config": prefix + PLAIN,
        "ssl.endpoint.identification.algorithm": "https",
    }
    found = settings.translated(given)
    assert {name: found[name] for name in found if not name.startswith("reconnect")} == {
        "bootstrap.servers": "b:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "p;\"='",
        "ssl.endpoint.identification.algorithm": "https",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "org.apache.kafka.common.security.scram.ScramLoginModule required\n  username='u u'\n  password='p' ;",
            {"sasl.username": "u u", "sasl.password": "p"},
        ),
        (
            f'{OAUTH} required clientId="i" clientSecret="s" scope="a b";',
            {
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.client.id": "i",
                "sasl.oauthbearer.client.secret": "s",
                "sasl.oauthbearer.scope": "a b",
            },
        ),
        (
            'com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true keyTab="/k" principal="p@R";',
            {"sasl.kerberos.keytab": "/k", "sasl.kerberos.principal": "p@R"},
        ),
    ],
)
def test_other_logins(line: str, expected: dict[str, str]) -> None:
    assert login(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "PlainLoginModule",
        "com.example.Login required;",
        'org.apache.kafka.common.security.plain.PlainLoginModule required username="secret-user";',
        'org.apache.kafka.common.security.plain.PlainLoginModule required password="secret-word',
    ],
)
def test_a_login_that_is_none_and_its_password_is_not_told(line: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        login(line)
    assert "secret" not in str(caught.value)


def test_names_and_values_that_differ() -> None:
    given = {
        "fetch.max.wait.ms": "7",
        "receive.buffer.bytes": "-1",
        "ssl.endpoint.identification.algorithm": "",
        "ssl.truststore.location": "/ca.pem",
        "ssl.keystore.location": "/key.p12",
        "ssl.keystore.password": "p",
        "max.poll.records": "5",
        "isolation.level": "read_committed",
    }
    found = settings.consumer(given, "g")
    assert found["fetch.wait.max.ms"] == "7"
    assert found["socket.receive.buffer.bytes"] == "0"
    assert found["ssl.endpoint.identification.algorithm"] == "none"
    assert found["ssl.ca.location"] == "/ca.pem"
    assert (found["ssl.keystore.location"], found["ssl.keystore.password"]) == ("/key.p12", "p")
    assert found["isolation.level"] == "read_committed"
    assert not found.keys() & {"max.poll.records", "fetch.max.wait.ms", "ssl.truststore.location"}
    assert settings.consumer({}, "g")["isolation.level"] == "read_uncommitted", "as in Java"
    pem = settings.translated({"ssl.keystore.location": "/both", "ssl.keystore.type": "pem"})
    assert (pem["ssl.certificate.location"], pem["ssl.key.location"]) == ("/both", "/both")


def test_producers_are_idempotent_unless_other_settings_rule_it_out() -> None:
    def idempotent(**given: str) -> str:
        return settings.producer({name.replace("_", "."): value for name, value in given.items()})["enable.idempotence"]

    assert idempotent() == "true"
    assert idempotent(acks="-1", retries="3") == "true"
    assert idempotent(acks="1") == idempotent(retries="0") == idempotent(enable_idempotence="false") == "false"
    assert idempotent(max_in_flight_requests_per_connection="6") == "false"
    found = settings.producer({"buffer.memory": "2048", "max.request.size": "9"})
    assert (found["queue.buffering.max.kbytes"], found["message.max.bytes"]) == ("2", "9")
    assert found["partitioner"] == "murmur2_random", "keys go where Java's producer sends them"
    assert settings.producer({"partitioner.ignore.keys": "true"})["partitioner"] == "random"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("interceptor.classes", "com.example.I"),
        ("sasl.login.callback.handler.class", "com.example.H"),
        ("partitioner.class", "com.example.P"),
        ("ssl.truststore.location", "/trust.jks"),
        ("ssl.keystore.location", "/key.jks"),
    ],
)
def test_what_only_java_can_do_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=name.replace(".", r"\.")):
        settings.producer({name: value})


def test_a_number_that_is_none() -> None:
    with pytest.raises(IllegalArgumentError, match="Invalid value x for configuration buffer.memory"):
        settings.producer({"buffer.memory": "x"})


def test_the_client_drops_names_it_does_not_know_and_refuses_values(caplog: pytest.LogCaptureFixture) -> None:
    from confluent_kafka import Consumer

    given = settings.consumer({"bootstrap.servers": "127.0.0.1:1", "nobody.knows": "1"}, "g")
    settings.accepted(lambda found: Consumer(found, logger=settings._log), given).close()
    assert "does not know the setting kafka.nobody.knows" in caplog.text
    with pytest.raises(IllegalArgumentError, match="does not take its settings"):
        settings.accepted(Consumer, settings.consumer({"isolation.level": "bad"}, "g"))
