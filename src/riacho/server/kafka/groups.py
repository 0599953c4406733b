"""Offsets of finished batches, committed to a consumer group, so that tools which watch lag see the query.

Nothing depends on them: a query goes on where its checkpoint says. So a commit is sent and not waited for, and one that
fails is only warned of.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from riacho.server.kafka import failures, settings
from riacho.server.kafka.client import close_behind
from riacho.server.kafka.client_log import CLIENT_LOG
from riacho.server.kafka.offsets import Positions

_log = logging.getLogger(__name__)


class GroupOffsets:
    """Commits to one group. It never joins it, so it takes no partition from anybody."""

    def __init__(self, given: Mapping[str, str], group: str) -> None:
        from confluent_kafka import Consumer

        named = settings.consumer({**given, "group.id": group}, group)
        self._consumer = settings.accepted(lambda chosen: Consumer(chosen, logger=CLIENT_LOG), named)

    def commit(self, positions: Positions) -> None:
        """Send the offsets; the broker has them soon."""
        from confluent_kafka import KafkaException
        from confluent_kafka import TopicPartition as ClientPartition

        named = [ClientPartition(each.topic, each.number, offset) for each, offset in positions.items()]
        try:
            self._consumer.commit(offsets=named, asynchronous=True)
        except KafkaException as error:
            _log.warning(
                "The offsets of a batch could not be committed to the group: %s", failures.cause_of(error).str()
            )

    def close(self) -> None:
        """Let go of the connection, once the last commit is through."""
        close_behind(self._consumer)
