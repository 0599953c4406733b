from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from riacho.errors import IllegalArgumentError
from riacho.topics.plan import AddPartitions, CreateTopic, FoundTopic, Impossible, SetConfig, Unchanged, plan
from riacho.topics.wanted import WantedTopic, read, wanted

FILE = """
bootstrap: kafka:9092
client: {enable.ssl.certificate.verification: false}
defaults: {partitions: 6, replication: 3, retention: 7d, config: {cleanup.policy: delete}}
topics:
  orders:
    partitions: 12
    retention: forever
    config: {compression.type: zstd, unclean.leader.election.enable: true}
    dead-letter: true
  clicks:
    dead-letter: {name: bad-clicks, retention: 90d, partitions: 2}
  plain:
"""


def test_a_file_with_defaults_and_dead_letters() -> None:
    found = wanted(yaml.safe_load(FILE), "topics.yml")
    assert found.client == {"enable.ssl.certificate.verification": "false", "bootstrap.servers": "kafka:9092"}
    assert found.topics == (
        WantedTopic(
            "orders",
            12,
            3,
            {
                "cleanup.policy": "delete",
                "compression.type": "zstd",
                "unclean.leader.election.enable": "true",
                "retention.ms": "-1",
            },
        ),
        WantedTopic("orders.dlq", 1, 3, {"retention.ms": "604800000"}),
        WantedTopic("clicks", 6, 3, {"cleanup.policy": "delete", "retention.ms": "604800000"}),
        WantedTopic("bad-clicks", 2, 3, {"retention.ms": "7776000000"}),
        WantedTopic("plain", 6, 3, {"cleanup.policy": "delete", "retention.ms": "604800000"}),
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "topics.yml has no topics"),
        ({"topics": []}, "topics.yml has no topics"),
        ({"topic": {}}, "topics.yml has 'topic', which means nothing here. It may have bootstrap, client"),
        ({"topics": {"a": {"partition": 1}}}, "topics.yml: a has 'partition', which means nothing here"),
        ({"topics": {"a": {"partitions": 0}}}, "topics.yml: a: partitions must be a whole number, 1 or more, not 0"),
        ({"topics": {"a": {"replication": "3"}}}, "replication must be a whole number, 1 or more, not '3'"),
        ({"topics": {"a": {"retention": "soon"}}}, "retention 'soon' is not a time such as 7d"),
        ({"topics": {"a": {"retention": "7d", "config": {"retention.ms": 1}}}}, "both retention and retention.ms"),
        ({"topics": {"a": {"dead-letter": "b"}, "b": {}}}, "topics.yml has the topic b twice"),
        ({"topics": {"a": 3}}, "topics.yml: a must be a mapping, not 3"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(document: Any, message: str) -> None:
    with pytest.raises(IllegalArgumentError) as raised:
        wanted(document, "topics.yml")
    assert message in raised.value.message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(IllegalArgumentError, match="cannot be read: No such file"):
        read(tmp_path / "nope.yml")
    (tmp_path / "bad.yml").write_text("a: [")
    with pytest.raises(IllegalArgumentError, match="is not YAML"):
        read(tmp_path / "bad.yml")


def test_the_plan_has_what_differs_and_nothing_else() -> None:
    orders = WantedTopic("orders", 4, 2, {"retention.ms": "1", "cleanup.policy": "delete"})
    assert plan([orders], {}) == [CreateTopic(orders)]
    as_it_should_be = FoundTopic("orders", 4, 2, {"retention.ms": "1", "cleanup.policy": "delete", "other": "x"})
    assert plan([orders], {"orders": as_it_should_be}) == [Unchanged("orders")]
    assert plan([WantedTopic("orders")], {"orders": as_it_should_be}) == [Unchanged("orders")]
    small = FoundTopic("orders", 2, 2, {"retention.ms": "9", "cleanup.policy": "delete"})
    assert plan([orders], {"orders": small}) == [
        AddPartitions("orders", 2, 4),
        SetConfig("orders", {"retention.ms": "9"}, {"retention.ms": "1"}),
    ]
    impossible = plan([orders], {"orders": FoundTopic("orders", 9, 3, dict(orders.config))})
    assert [type(step) for step in impossible] == [Impossible, Impossible]
    assert "ask for 9 or more" in impossible[0].why  # type: ignore[union-attr]
    assert "its replication is 3, not 2" in impossible[1].why  # type: ignore[union-attr]
