"""A broker that asks for a login, as hosted ones do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from riacho.testing.kafka import KafkaBroker
from tests.spec.support import finish

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SETTINGS = {
    "listener.security.protocol.map": "PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.plaintext.plain.sasl.jaas.config": (
        f'{PLAIN} required username="admin" password="a" user_admin="a" user_reader="let me in";'
    ),
}

pytestmark = pytest.mark.riacho_only  # Spark's own client is Java's, and not in question


@pytest.fixture(scope="module")
def guarded(broker_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    with KafkaBroker(broker_home, tmp_path_factory.mktemp("guarded"), SETTINGS) as broker:
        yield broker


def login(broker: KafkaBroker, password: str, prefix: str = "") -> dict[str, Any]:
    return {
        "kafka.bootstrap.servers": broker.bootstrap,
        "kafka.security.protocol": "SASL_PLAINTEXT",
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": f'{prefix}{PLAIN} required username="reader" password="{password}";',
    }


def test_a_login_as_programs_write_it(spark: SparkSession, guarded: KafkaBroker, tmp_path: Path) -> None:
    options = login(guarded, "let me in", "kafkashaded.")
    spark.sql("SELECT 'a' AS value").write.format("kafka").options(**options).option("topic", "guarded").save()
    messages = spark.readStream.format("kafka").options(**options).option("subscribe", "guarded")
    values = messages.option("startingOffsets", "earliest").load().selectExpr("CAST(value AS STRING) AS value")
    back = values.writeStream.format("kafka").options(**options).option("topic", "copy")
    back = back.option("riacho.exactlyOnce", "true").option("checkpointLocation", str(tmp_path))
    finish(back.trigger(availableNow=True).start())
    copied = spark.read.format("kafka").options(**options).option("subscribe", "copy").load()
    assert [bytes(row.value) for row in copied.collect()] == [b"a"]


def test_a_login_that_is_refused_is_told_at_once(spark: SparkSession, guarded: KafkaBroker) -> None:
    options = {**login(guarded, "wrong"), "fetchOffset.numRetries": "1"}
    with pytest.raises(PySparkException, match="SaslAuthenticationException") as caught:
        spark.read.format("kafka").options(**options).option("subscribe", "guarded").load().collect()
    assert "wrong" not in str(caught.value)
