"""The Kafka source and its reader. Source: Spark's `KafkaMicroBatchStream`, `KafkaSourceInitialOffsetWriter`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from riacho.errors import IllegalArgumentError, IllegalStateError
from riacho.ids import Offset
from riacho.server.kafka import client, failures, offsets, options, ranges, rows
from riacho.server.kafka.client import KafkaClient
from riacho.server.kafka.failures import KafkaDataLoss
from riacho.server.kafka.groups import GroupOffsets
from riacho.server.kafka.offsets import Positions, TopicPartition
from riacho.server.kafka.options import AtOffsets, KafkaReadOptions
from riacho.server.kafka.ranges import Range
from riacho.server.kafka.reader import RangeReader
from riacho.server.streaming.checkpoint import write_new
from riacho.server.streaming.sources.base import ReadLimit, SourceContext, SourceData
from riacho.storage import Place

_log = logging.getLogger(__name__)

_HEAD: Final = "\0v1\n"
"""Before the offsets in `sources/<i>/0`; the zero is for Spark 2.1."""


@dataclass(frozen=True)
class KafkaSource:
    """Topics as a stream. `given`: the options, checked as far as Spark does before a query starts."""

    given: Mapping[str, str]
    schema: pa.Schema
    name: str = "kafka"
    has_metadata: bool = False

    @classmethod
    def of(cls, given: Mapping[str, str], declared: pa.Schema | None) -> KafkaSource:
        """`declared`: a schema that the user gave, which there may not be.

        Raises IllegalArgumentError, and AnalysisError if Kafka's client is not installed.
        """
        client.available()
        options.check(given, stream=True)
        if declared is not None:
            raise IllegalArgumentError(
                "requirement failed: Kafka source has a fixed schema and cannot be set with a custom one"
            )
        return cls(given, rows.schema(headers=options.includes_headers(given)))

    def open(self, context: SourceContext) -> KafkaReader:
        """Raises what is wrong with the values of options. No broker is asked yet."""
        return KafkaReader(KafkaReadOptions.of(self.given, stream=True), context, self.schema)


class KafkaReader:
    """See `sources.base.SourceReader`. One consumer for the whole run, which reads ahead."""

    def __init__(self, given: KafkaReadOptions, context: SourceContext, schema: pa.Schema) -> None:
        self.description = f"KafkaV2[{given.topics.shown}]"
        self._options = given
        self._context = context
        self._schema = schema
        self._client = KafkaClient(given, context.check_stop)
        self._reader = RangeReader(
            self._client,
            schema,
            fail_on_data_loss=given.fail_on_data_loss,
            poll_timeout_ms=given.poll_timeout_ms,
            unused=context.unused,
            check_stop=context.check_stop,
        )
        self._group = None if given.offsets_group is None else GroupOffsets(given.settings, given.offsets_group)
        self._available_now = False
        self._frozen: Positions | None = None
        self._latest: Positions | None = None
        self._last_trigger_ms = 0

    def prepare_available_now(self) -> None:
        self._available_now = True

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        begin = self._initial() if start is None else offsets.from_json(start)
        end = self._end(begin, limit)
        if not end:
            return start
        # Text of the same positions may differ if Spark wrote it.
        return start if start is not None and end == begin else Offset(offsets.to_json(end))

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        begin = self._initial() if start is None else offsets.from_json(start)
        last = offsets.from_json(end)
        self._check_frozen(last)
        found = self._ranges(begin, last)
        metrics = ranges.behind(last, self._latest) if self._latest is not None else {}
        return SourceData(self._schema, self._rows(found), metrics)

    def commit(self, end: Offset) -> None:
        """Nothing is kept of what is done."""

    def committed(self, end: Offset) -> None:
        """The batch that ends there is done: tell the group, if there is one."""
        if self._group is not None:
            self._group.commit(offsets.from_json(end))

    def latest(self) -> Offset | None:
        return Offset(offsets.to_json(self._latest)) if self._latest else None

    def stop(self) -> None:
        if self._group is not None:
            self._group.close()
        self._reader.close()
        self._client.close()

    def _rows(self, found: list[Range]) -> Iterator[pa.RecordBatch]:
        return self._reader.read(found)

    def _end(self, begin: Positions, limit: ReadLimit) -> Positions:
        """Where the next batch ends."""
        if self._frozen is None:
            self._latest = self._client.latest(self._client.partitions(), begin)
            if self._available_now:
                self._frozen = self._latest
        latest = self._latest = self._frozen or self._latest or {}
        if limit.everything:
            return latest
        if self._is_delayed(begin, latest):
            return begin
        most = self._options.max_offsets
        return latest if most is None else ranges.limited(most, self._with_new(begin, latest), latest)

    def _is_delayed(self, begin: Positions, latest: Positions) -> bool:
        """Whether there is too little for a batch, and it has not waited long enough."""
        least = self._options.min_offsets
        if least is None:
            return False
        now_ms = self._context.clock.now_ms()
        waited = now_ms - self._last_trigger_ms >= self._options.max_delay_ms
        if not waited and ranges.new_messages(begin, latest) < least:
            return True
        self._last_trigger_ms = now_ms
        return False

    def _with_new(self, begin: Positions, latest: Positions) -> Positions:
        """`begin` and where partitions begin that it does not know yet."""
        new = latest.keys() - begin.keys()
        return {**begin, **self._client.earliest(new)} if new else begin

    def _ranges(self, begin: Positions, end: Positions) -> list[Range]:
        """What is to be read. Reports what has been lost meanwhile."""
        new = end.keys() - begin.keys()
        starts = dict(begin)
        if new:
            there = self._client.earliest(new & set(self._client.partitions()))
            if gone := new - there.keys():
                self._report(failures.initial_offset_not_found(gone))
            for partition, first in sorted(there.items()):
                if first != 0:
                    self._report(failures.added_partition_lost_its_begin(partition, first))
            starts |= there
        if deleted := begin.keys() - end.keys():
            group_id_set = "group.id" in self._options.settings
            self._report(failures.partitions_deleted(deleted, group_id_set=group_id_set))
        found: list[Range] = []
        for partition, last in sorted(end.items()):
            if partition not in starts:
                continue
            first = starts[partition]
            if last < first:
                self._report(failures.offset_changed(partition, first, last))
            elif last > first:
                found.append(Range(partition, first, last))
        self._reader.keep_only(end)
        return found

    def _report(self, loss: KafkaDataLoss) -> None:
        """Raise it, or warn of it if the query may lose data."""
        if self._options.fail_on_data_loss:
            raise loss
        _log.warning("%s %s", loss.reason, failures.LOSS_IS_ALLOWED)

    def _check_frozen(self, end: Positions) -> None:
        """A run with availableNow has set itself an end: what is planned must be within it, and still there."""
        frozen = self._frozen
        if frozen is None:
            return
        if frozen.keys() != end.keys():
            raise failures.other_partitions_than_frozen(frozen, end)
        if any(end[partition] > frozen[partition] for partition in frozen):
            raise failures.end_after_frozen(frozen, end)
        latest = self._client.latest(self._client.partitions(), end)
        if not end.keys() <= latest.keys():
            raise failures.partitions_lost(latest, end)
        if any(last > latest[partition] for partition, last in end.items()):
            raise failures.end_after_latest(latest, end)

    def _initial(self) -> Positions:
        """Where the query started: as its log has it, or decided and logged now."""
        path = self._context.log_dir / "0"
        logged = _logged(path)
        if logged is not None:
            return logged
        partitions = self._client.partitions()
        limit = self._options.start
        if isinstance(limit, AtOffsets) and limit.positions.keys() != set(partitions):
            raise _not_all_given(limit.positions, partitions)
        positions = self._client.start(limit, partitions)
        write_new(path, _HEAD + offsets.to_json(positions))
        return positions


def _logged(path: Place) -> Positions | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    if not text.startswith(_HEAD):
        raise IllegalStateError(
            f"The log of where the Kafka source started, {path}, is damaged or of a newer version: it does not begin "
            "with v1."
        )
    return offsets.from_json(text.removeprefix(_HEAD))


def _not_all_given(given: Positions, assigned: list[TopicPartition]) -> IllegalStateError:
    """What a stream says of starting offsets that are of other partitions than there are."""
    return IllegalStateError(
        "assertion failed: If startingOffsets contains specific offsets, you must specify all TopicPartitions.\n"
        "Use -1 for latest, -2 for earliest, if you don't care.\n"
        f"Specified: {offsets.as_set(given)} Assigned: {offsets.as_set(assigned)}"
    )
