"""The same words of Kafka's client once a minute, without its names of itself."""

from __future__ import annotations

import logging

from riacho.server.kafka.client_log import SILENCE_S, Sparing


def said(filter_: Sparing, text: str) -> str | None:
    words = ("FAIL", "rdkafka#consumer-1", text)
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "%s [%s] %s", words, None)
    return record.getMessage() if filter_.filter(record) else None


def test_brokers_that_are_away_are_told_of_once_a_minute() -> None:
    now = 0.0
    sparing = Sparing(lambda: now)
    refused = "[thrd:a:9092/bootstrap]: a:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: Connection refused"
    assert said(sparing, f"{refused} (after 3ms in state CONNECT)") == (
        "Kafka's client: a:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: Connection refused"
    )
    assert said(sparing, f"{refused} (after 0ms in state CONNECT)") is None
    other = said(sparing, refused.replace("a:9092", "b:9093"))
    assert other is not None
    assert "b:9093" in other
    now = SILENCE_S
    assert said(sparing, refused) is not None


def test_many_different_texts_are_all_told() -> None:
    sparing = Sparing(lambda: 0.0)
    assert all(said(sparing, f"[thrd:main]: something {number}") for number in range(1000))
