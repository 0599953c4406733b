"""The topics of a Kafka cluster: what there is, and changing it. Needs the extra `kafka`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from riacho.errors import SparkGeneralError
from riacho.extras import require
from riacho.topics.plan import AddPartitions, CreateTopic, FoundTopic, SetConfig, TopicStep

LIMIT_S: Final = 20.0
"""How long the cluster may take to do one thing."""
REACH_S = 10.0
"""How long it may take to answer at all."""
_WHAT: Final = "`riacho topics`"


class TopicsError(SparkGeneralError):
    """The cluster could not be reached, or refused something."""


class Pending(Protocol):
    """What the client gives for something that it was asked to do."""

    def result(self, timeout: float | None = None) -> Any:
        """Wait for it. Raises what went wrong."""


class Broker:
    """A cluster at `settings["bootstrap.servers"]`. Raises TopicsError for whatever goes wrong there."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._kafka = require("confluent_kafka", "kafka", _WHAT)
        self._admin = require("confluent_kafka.admin", "kafka", _WHAT)
        self._address = settings.get("bootstrap.servers", "")
        limit_ms = int(LIMIT_S * 1000)
        quiet = {"log_level": 0, "socket.timeout.ms": limit_ms}
        try:
            self._client = self._admin.AdminClient({**quiet, **settings})
        except self._kafka.KafkaException as error:
            raise TopicsError(f"The Kafka client does not take these settings: {_told(error)}") from None

    def topics(self, names: Iterable[str]) -> dict[str, FoundTopic]:
        """Those of these topics that there are."""
        try:
            metadata = self._client.list_topics(timeout=REACH_S)
        except self._kafka.KafkaException as error:
            raise TopicsError(
                f"No Kafka broker answers at {self._address or '(no address)'}: {_told(error)}. Is the address right, "
                "and does it run?"
            ) from None
        there = [name for name in names if name in metadata.topics and metadata.topics[name].error is None]
        configs = self._configs(there)
        found = {}
        for name in there:
            partitions = metadata.topics[name].partitions
            replicas = min((len(partition.replicas) for partition in partitions.values()), default=0)
            found[name] = FoundTopic(name, len(partitions), replicas, configs[name])
        return found

    def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [self._admin.ConfigResource(self._admin.ResourceType.TOPIC, name) for name in names]
        asked = self._client.describe_configs(resources, request_timeout=LIMIT_S)
        return {
            resource.name: {key: entry.value for key, entry in self._wait(pending, resource.name).items()}
            for resource, pending in asked.items()
        }

    def do(self, step: TopicStep) -> None:
        """Do one step of a plan; steps that ask for nothing do nothing."""
        match step:
            case CreateTopic(topic):
                # -1: as many as the broker gives to a new topic.
                new = self._admin.NewTopic(
                    topic.name,
                    num_partitions=topic.partitions or -1,
                    replication_factor=topic.replication or -1,
                    config=dict(topic.config),
                )
                self._done(lambda: self._client.create_topics([new], operation_timeout=LIMIT_S), topic.name)
            case AddPartitions(name, _, wanted):
                more = self._admin.NewPartitions(name, wanted)
                self._done(lambda: self._client.create_partitions([more], operation_timeout=LIMIT_S), name)
            case SetConfig(name, _, wanted):
                operation = self._admin.AlterConfigOpType.SET
                entries = [
                    self._admin.ConfigEntry(key, value, incremental_operation=operation)
                    for key, value in wanted.items()
                ]
                resource = self._admin.ConfigResource(self._admin.ResourceType.TOPIC, name, incremental_configs=entries)
                self._done(lambda: self._client.incremental_alter_configs([resource]), name)
            case _:
                pass

    def _done(self, ask: Callable[[], Mapping[Any, Pending]], name: str) -> None:
        for pending in ask().values():
            self._wait(pending, name)

    def _wait(self, pending: Pending, name: str) -> Any:
        try:
            return pending.result(LIMIT_S * 2)
        except (self._kafka.KafkaException, TimeoutError) as error:
            raise TopicsError(f"Kafka refused what was asked of the topic {name}: {_told(error)}") from None


def _told(error: Exception) -> str:
    """What the client says, without its codes."""
    first = error.args[0] if error.args else None
    told = getattr(first, "str", None)
    return str(told()) if callable(told) else str(error) or type(error).__name__
