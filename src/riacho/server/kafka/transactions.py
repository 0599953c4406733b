"""Batches as transactions: what a `read_committed` reader sees of each batch, it sees once.

The number of the batch is committed in the same transaction, as the offset of a consumer group that only the query has.
So a batch that was committed just before a crash is recognised when it comes again. Starting anew fences whoever still
writes under the same name, and aborts what he left open.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import pyarrow as pa

from riacho.errors import SparkGeneralError
from riacho.ids import BatchId, QueryId
from riacho.server.kafka import failures, settings
from riacho.server.kafka.client import API_TIMEOUT_MS, NO_ANSWER, SLICE_S, CheckStop, client_error, close_behind
from riacho.server.kafka.client_log import CLIENT_LOG
from riacho.server.kafka.failures import KafkaClientError
from riacho.server.kafka.writer import KafkaWriteOptions, MessageWriter

_log = logging.getLogger(__name__)

TIMEOUT_MS: Final = "300000"
"""After that the broker aborts a transaction that is still open, unless the query says otherwise."""


MARK_TIMEOUT_S: Final = 5.0
ABORT_TIMEOUT_S: Final = 10.0
ATTEMPTS: Final = 3
"""For a batch, if its transaction cannot be finished."""


class UnfinishedTransaction(KafkaClientError):  # noqa: N818 - what it is
    """A transaction that neither failed for good nor was committed; a new producer may do it."""


class BatchTransactions:
    """Writes batches of one query. Raises KafkaClientError if the brokers do not let it begin."""

    def __init__(
        self, given: KafkaWriteOptions, schema: pa.Schema, query_id: QueryId, check_stop: CheckStop = lambda: None
    ) -> None:
        from confluent_kafka import Consumer

        self._given = given.with_setting("transaction.timeout.ms", TIMEOUT_MS)
        self._schema = schema
        self._check_stop = check_stop
        self._timeout_s = settings.timeout_s(given.settings, "max.block.ms", API_TIMEOUT_MS)
        self._group = f"riacho-batches-{query_id}"
        self._name = given.settings.get("transactional.id", f"riacho-{query_id}")
        member = settings.consumer({**given.connection(), "group.id": self._group}, self._group)
        self._member = settings.accepted(lambda chosen: Consumer(chosen, logger=CLIENT_LOG), member)
        self._done = BatchId(-1)
        self._begin_anew()

    def write(self, batch_id: BatchId, rows: Callable[[], Iterable[pa.RecordBatch]]) -> int | None:
        """Write a batch; how many rows, or None for one that is there already. `rows` is called for each attempt.

        Raises KafkaClientError; then nothing of the batch is seen.
        """
        for attempt in range(1, ATTEMPTS + 1):
            self._producer.poll(0)
            if self._writer.disturbed:
                # Such a client may look for a group's coordinator where it is no more, and wait for ever.
                self._writer.close()
                self._begin_anew()
            if batch_id <= self._done:
                return None
            try:
                count = self._transaction(batch_id, rows())
            except UnfinishedTransaction as failure:
                if attempt == ATTEMPTS:
                    raise
                _log.warning("The transaction of batch %d is begun anew: %s", batch_id, failure.message)
                self._writer.close()
                self._begin_anew()
                continue
            self._done = batch_id
            return count
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Leave a batch that is not committed to be aborted."""
        self._writer.close()
        close_behind(self._member)

    def _begin_anew(self) -> None:
        """A new producer; the transaction of one before it is finished or aborted."""
        self._writer = MessageWriter(self._given, self._schema, self._check_stop, self._name)
        self._producer = self._writer.producer
        self._repeated(lambda: self._producer.init_transactions(SLICE_S))
        self._done = self._last_batch()

    def _transaction(self, batch_id: BatchId, batches: Iterable[pa.RecordBatch]) -> int:
        self._producer.begin_transaction()
        try:
            rows = self._writer.write(batches)
            self._writer.flush()
            if anchor := self._writer.written_to:
                self._mark(anchor, batch_id)
                self._repeated(lambda: self._producer.commit_transaction(SLICE_S))
            else:
                self._abort()
        except UnfinishedTransaction:
            raise  # the next one aborts it
        except BaseException:
            self._abort()
            raise
        return rows

    def _mark(self, topic: str, batch_id: BatchId) -> None:
        """Have the number of the batch be committed with it."""
        from confluent_kafka import TopicPartition

        marked = [TopicPartition(topic, 0, int(batch_id))]
        group = self._member.consumer_group_metadata()
        producer = self._producer
        self._repeated(lambda: self._in_time(lambda: producer.send_offsets_to_transaction(marked, group)))

    def _in_time(self, call: Callable[[], object]) -> None:
        """A call that does not keep to its limit itself. One that is late is left alone, with its producer.

        Raises what it raises, UnfinishedTransaction if it is late.
        """
        outcome: list[BaseException | None] = []

        def run() -> None:
            try:
                call()
                outcome.append(None)
            except BaseException as error:  # noqa: BLE001 - it is raised below
                outcome.append(error)

        thread = threading.Thread(target=run, name="riacho-kafka-mark", daemon=True)
        thread.start()
        thread.join(MARK_TIMEOUT_S)
        if not outcome:
            raise UnfinishedTransaction(f"The group's coordinator did not answer in {MARK_TIMEOUT_S:.0f} s")
        if outcome[0] is not None:
            raise outcome[0]

    def _abort(self) -> None:
        """Have nothing of the batch be seen. What cannot be aborted now, the next start aborts."""
        from confluent_kafka import KafkaException

        try:
            self._repeated(lambda: self._producer.abort_transaction(SLICE_S), timeout_s=ABORT_TIMEOUT_S, stops=False)
        except (KafkaException, SparkGeneralError) as error:
            _log.warning("A transaction could not be aborted: %s", error)

    def _last_batch(self) -> BatchId:
        """The last batch that was committed, whichever topic it went to; -1 if there is none."""
        from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
        from confluent_kafka.admin import AdminClient

        admin = settings.accepted(AdminClient, settings.translated(self._given.connection()))
        asked = [ConsumerGroupTopicPartitions(self._group)]
        deadline = time.monotonic() + self._timeout_s
        while True:
            self._check_stop()
            try:
                (future,) = admin.list_consumer_group_offsets(
                    asked, require_stable=True, request_timeout=SLICE_S * 5
                ).values()
                found = future.result(SLICE_S * 10)
                return BatchId(max((each.offset for each in found.topic_partitions or []), default=-1))
            except KafkaException as error:
                cause = failures.cause_of(error)
                if not (cause.retriable() or cause.name() in (*NO_ANSWER, *_COMING)) or time.monotonic() >= deadline:
                    raise client_error(error) from None
                time.sleep(0.1)

    def _repeated(self, call: Callable[[], object], *, timeout_s: float | None = None, stops: bool = True) -> None:
        """Call again and again, as the client wants it, until it is done or the time is over.

        Raises UnfinishedTransaction if another attempt may help, else KafkaClientError.
        """
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while True:
            if stops:
                self._check_stop()
            try:
                call()
                return
            except KafkaException as error:
                cause = failures.cause_of(error)
                self._writer.raise_error()
                passing = cause.retriable() or cause.name() in NO_ANSWER
                if cause.fatal() or not (passing or cause.txn_requires_abort()):
                    raise client_error(error) from None
                if cause.txn_requires_abort() or time.monotonic() >= deadline:
                    raise UnfinishedTransaction(client_error(error).message) from None


_COMING: Final = (
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "UNSTABLE_OFFSET_COMMIT",
)
"""What a broker says of a group that it will know soon."""
