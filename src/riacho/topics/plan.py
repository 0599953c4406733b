"""What has to be done so that topics are as they should be: decided first, done later (`broker`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from riacho.topics.wanted import WantedTopic


@dataclass(frozen=True)
class FoundTopic:
    """A topic as the broker has it. `config`: all its settings, those that the broker chose included."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CreateTopic:
    topic: WantedTopic

    @property
    def name(self) -> str:
        return self.topic.name


@dataclass(frozen=True)
class AddPartitions:
    name: str
    now: int
    wanted: int


@dataclass(frozen=True)
class SetConfig:
    """Settings with other values than now. `now`: those that there are; what is new is not in it."""

    name: str
    now: Mapping[str, str]
    wanted: Mapping[str, str]


@dataclass(frozen=True)
class Impossible:
    """What the file asks for and Kafka does not do. `why` also says what to do instead."""

    name: str
    why: str


@dataclass(frozen=True)
class Unchanged:
    name: str


TopicStep = CreateTopic | AddPartitions | SetConfig | Impossible | Unchanged


def plan(wanted: Iterable[WantedTopic], found: Mapping[str, FoundTopic]) -> list[TopicStep]:
    """The steps, in the order of the file. Topics that the file does not name stay as they are."""
    return [step for topic in wanted for step in _steps(topic, found.get(topic.name))]


def _steps(topic: WantedTopic, found: FoundTopic | None) -> Iterator[TopicStep]:
    if found is None:
        yield CreateTopic(topic)
        return
    steps = list(_changes(topic, found))
    yield from steps or [Unchanged(topic.name)]


def _changes(topic: WantedTopic, found: FoundTopic) -> Iterator[TopicStep]:
    if topic.partitions is not None and topic.partitions > found.partitions:
        yield AddPartitions(topic.name, found.partitions, topic.partitions)
    if topic.partitions is not None and topic.partitions < found.partitions:
        yield Impossible(
            topic.name,
            f"it has {found.partitions} partitions, and Kafka cannot take any away: ask for {found.partitions} or "
            "more, or make a new topic and copy the messages",
        )
    if topic.replication is not None and topic.replication != found.replication:
        yield Impossible(
            topic.name,
            f"its replication is {found.replication}, not {topic.replication}: change it with Kafka's own "
            "kafka-reassign-partitions, which says which broker gets which",
        )
    different = {key: value for key, value in topic.config.items() if found.config.get(key) != value}
    if different:
        now = {key: found.config[key] for key in different if key in found.config}
        yield SetConfig(topic.name, now, different)
