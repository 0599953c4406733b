"""The file that says which topics there should be.

bootstrap: localhost:9092            # or --broker
client: {security.protocol: SSL}     # settings of the Kafka client
defaults: {partitions: 6, replication: 3, retention: 7d}
topics:
  orders:
    partitions: 12
    retention: 30d
    config: {compression.type: zstd}
    dead-letter: true                # orders.dlq, with one partition
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from riacho import units
from riacho.errors import IllegalArgumentError
from riacho.yaml_files import document, mapping

RETENTION: Final = "retention.ms"
DEAD_LETTER: Final = ".dlq"
_TOP: Final = frozenset({"bootstrap", "client", "defaults", "topics"})
_DEFAULTS: Final = frozenset({"partitions", "replication", "retention", "config"})
_OF_TOPIC: Final = _DEFAULTS | {"dead-letter"}
_OF_DEAD_LETTER: Final = _DEFAULTS | {"name"}
_FOR_EVER: Final = frozenset({"forever", "-1"})


@dataclass(frozen=True)
class WantedTopic:
    """A topic as it should be. None: as the broker has it, or as it makes a new one."""

    name: str
    partitions: int | None = None
    replication: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WantedTopics:
    """What a file says. `client`: settings for the connection, `bootstrap` among them if the file has it."""

    topics: tuple[WantedTopic, ...]
    client: Mapping[str, str]


def read(path: Path) -> WantedTopics:
    """The file's content. Raises IllegalArgumentError that names what is wrong with it."""
    return wanted(document(path), str(path))


def wanted(given: Any, where: str) -> WantedTopics:
    """What a document says. `where`: what messages call it. Raises IllegalArgumentError."""
    top = mapping(given, where, _TOP)
    defaults = mapping(top.get("defaults"), f"{where}: defaults", _DEFAULTS)
    named = top.get("topics")
    if not isinstance(named, dict) or not named:
        raise IllegalArgumentError(f"{where} has no topics: list them under 'topics:'")
    topics = [topic for name, given in named.items() for topic in _topics(str(name), given, defaults, where)]
    names = [topic.name for topic in topics]
    for name in names:
        if names.count(name) > 1:
            raise IllegalArgumentError(f"{where} has the topic {name} twice")
    client = _texts(top.get("client"), f"{where}: client")
    if top.get("bootstrap"):
        client["bootstrap.servers"] = str(top["bootstrap"])
    return WantedTopics(tuple(topics), client)


def _topics(name: str, given: Any, defaults: Mapping[str, Any], where: str) -> Iterator[WantedTopic]:
    """A topic, and the one that takes its dead letters, if it has one."""
    place = f"{where}: {name}"
    own = mapping(given, place, _OF_TOPIC)
    yield _topic(name, own, defaults, place)
    letters = own.get("dead-letter")
    if letters is True:
        letters = {}
    if isinstance(letters, str):
        letters = {"name": letters}
    if letters is not None and letters is not False:
        given_letters = mapping(letters, f"{place}: dead-letter", _OF_DEAD_LETTER)
        other = str(given_letters.get("name") or name + DEAD_LETTER)
        # Its messages are few and are looked at by people: one partition keeps them in order.
        yield _topic(other, {"partitions": 1, **given_letters}, {**defaults, "config": None}, f"{where}: {other}")


def _topic(name: str, own: Mapping[str, Any], defaults: Mapping[str, Any], place: str) -> WantedTopic:
    config = {**_texts(defaults.get("config"), place), **_texts(own.get("config"), f"{place}: config")}
    retention = own.get("retention", defaults.get("retention"))
    if retention is not None:
        if RETENTION in config:
            raise IllegalArgumentError(f"{place} has both retention and {RETENTION}: leave one of them out")
        config[RETENTION] = _retention(str(retention), place)
    return WantedTopic(
        name,
        _count(own.get("partitions", defaults.get("partitions")), f"{place}: partitions"),
        _count(own.get("replication", defaults.get("replication")), f"{place}: replication"),
        config,
    )


def _retention(text: str, place: str) -> str:
    if text.lower() in _FOR_EVER:
        return "-1"
    found = units.time_ms(text)
    if found is None or found < 0:
        raise IllegalArgumentError(f"{place}: retention '{text}' is not a time such as 7d, 12h or 30min, nor 'forever'")
    return str(found)


def _count(given: Any, place: str) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise IllegalArgumentError(f"{place} must be a whole number, 1 or more, not {given!r}")
    return given


def _texts(given: Any, place: str) -> dict[str, str]:
    """Settings as Kafka takes them: texts, `true` and `false` in lower case."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise IllegalArgumentError(f"{place} must be a mapping, not {given!r}")
    return {str(key): str(value).lower() if isinstance(value, bool) else str(value) for key, value in given.items()}
