"""The stream reader: which batch comes next, and its rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxBytes, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

from riacho.connectors.postgres import catalog
from riacho.connectors.postgres.client import KeptConnection, connection, literal, patiently
from riacho.connectors.postgres.pace import IdlePace
from riacho.connectors.postgres_cdc import offsets, slots, snapshot
from riacho.connectors.postgres_cdc.log_reader import LogReader
from riacho.connectors.postgres_cdc.offsets import NEW, SLOT, LogPosition, SnapshotPosition
from riacho.connectors.postgres_cdc.publications import Following, following, publish
from riacho.connectors.postgres_cdc.settings import CdcSettings
from riacho.connectors.postgres_cdc.shape import ChangeShape
from riacho.connectors.postgres_cdc.snapshot import SnapshotReader
from riacho.errors import IllegalStateError, SparkError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_TASKS: Final = 4
"""As many tasks read a batch of the snapshot, if it is of several tables or partitions."""
_ALL_ROWS: Final = 1 << 62


class ChangeReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """See `offsets` for the way of a stream. Nothing is connected until it is asked."""

    def __init__(self, settings: CdcSettings, schema: StructType, *, own_schema: bool) -> None:
        self._settings = settings
        self._schema = schema
        self._own_schema = own_schema
        self._connection = KeptConnection(settings.address)
        self._until: int | None = None
        self._quiet: int | None = None
        self._end: int | None = None
        self._pace = IdlePace()

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        return dict(NEW)

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802 - Spark's name
        return ReadMaxBytes(self._settings.bytes_per_batch)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        """What is committed later than now is not read."""
        self._until = self._connection.asked("find the end of the log", slots.flushed)

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802 - Spark's name
        everything = isinstance(limit, ReadAllAvailable)
        self._pace.before()
        end = self._connection.asked(
            "find the next changes", lambda reader: self._next(reader, start, everything=everything)
        )
        self._pace.after(found=end != start)
        return end

    def reportLatestOffset(self) -> dict[str, Any] | None:  # noqa: N802 - Spark's name
        return None if self._end is None else LogPosition(self._end).json()

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> list[InputPartition]:
        begin, until = offsets.read(start), offsets.read(end)
        if isinstance(until, SnapshotPosition):
            count = len(snapshot.chunks(begin if isinstance(begin, SnapshotPosition) else None, until))
            tasks = min(count, _TASKS)
            # What travels is made of plain values: not everywhere where it is read are riacho's classes installed.
            return [InputPartition({"start": start, "end": end, "task": task, "of": tasks}) for task in range(tasks)]
        if begin is None or until is None or begin.lsn >= until.lsn:
            return []
        return [InputPartition({"start": start, "end": end, "task": 0, "of": 1})]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        value: Any = partition.value
        begin, until = offsets.read(value["start"]), offsets.read(value["end"])
        shape = ChangeShape(self._schema, self._settings.prefix)
        if isinstance(until, SnapshotPosition):
            chunks = snapshot.chunks(begin if isinstance(begin, SnapshotPosition) else None, until)
            found = patiently(self._settings.address, "read the catalog", self._following)
            tables = {table.full_name: table for table in found.tables}
            reader = SnapshotReader(
                self._settings.address, shape, until, tables, found.filters, self._settings.bad_records
            )
            for chunk in chunks[value["task"] :: value["of"]]:
                yield from reader.rows(chunk)
        elif begin is not None and until is not None:
            yield from LogReader(self._settings, shape, self._own_schema).rows(begin.lsn, until.lsn)

    def commit(self, end: dict[str, Any]) -> None:
        """Move the slot on. If that fails now, the next batch does it."""
        done = offsets.read(end)
        if isinstance(done, LogPosition):
            try:
                self._connection.asked(
                    "move the slot on", lambda reader: slots.advance(reader, self._settings.slot, done.lsn)
                )
            except SparkError as error:
                _log.warning("The replication slot %s stays where it is for now: %s", self._settings.slot, error)

    def stop(self) -> None:
        self._connection.close()

    def _following(self) -> Following:
        with connection(self._settings.address) as reader:
            return following(reader, self._settings)

    def _next(self, reader: Any, start: Mapping[str, Any], *, everything: bool) -> dict[str, Any]:
        if start == NEW and (early := self._first(reader, everything=everything)) is not None:
            return early
        at = offsets.read(start)
        if at is None:
            at = self._new_snapshot(reader)
        if isinstance(at, SnapshotPosition):
            if not at.is_done:
                tables = {table.full_name: table for table in following(reader, self._settings).tables}
                rows = _ALL_ROWS if everything else self._settings.snapshot_rows
                return snapshot.next_stop(reader, at, tables, rows).json()
            if self._settings.snapshot_mode == "only":
                return dict(start) if offsets.read(start) is not None else at.json()
            if offsets.read(start) is None:  # There are no rows at all, and now the checkpoint knows the slot.
                return at.json()
        return self._next_changes(reader, start, at.lsn, everything=everything)

    def _first(self, reader: Any, *, everything: bool) -> dict[str, Any] | None:
        """Where a stream goes that knows nothing yet; None to make the slot at once."""
        settings = self._settings
        if settings.snapshot_mode == "only":
            return None
        found = slots.state(reader, settings.slot)
        if settings.snapshot_mode == "never":
            publish(reader, settings, self._known(following(reader, settings)))
            if found is None:
                return LogPosition(self._create().lsn).json()
            return LogPosition(found.confirmed).json()
        if found is not None:
            raise IllegalStateError(
                f"The replication slot {settings.slot} is there already, and this stream is new: it may be another's. "
                "Give the stream a slot of its own (option `slot`); or, if it is left over, drop it with "
                f"pg_drop_replication_slot({literal(settings.slot)}); or go on from it, without a snapshot, with "
                "snapshotMode = never"
            )
        return None if everything else dict(SLOT)

    def _known(self, found: Following) -> Following:
        """Raises AnalysisError if the schema of a new stream has columns that no table has."""
        catalog.check_names(ChangeShape(self._schema, self._settings.prefix).columns, found.tables)
        return found

    def _create(self) -> slots.NewSlot:
        self._may_create()
        return slots.create(self._settings.address, self._settings.slot)

    def _may_create(self) -> None:
        if not self._settings.creates_slot:
            raise IllegalStateError(
                f"There is no replication slot {self._settings.slot}, and createSlot is false: SELECT "
                f"pg_create_logical_replication_slot({literal(self._settings.slot)}, 'pgoutput'), "
                "and snapshotMode = never to begin there"
            )

    def _new_snapshot(self, reader: Any) -> SnapshotPosition:
        """Make the slot, and note what its snapshot has. Partitions are looked for twice: one that is made between the
        two has file 0, which no table has, so all of its rows are read.
        """
        found = self._known(following(reader, self._settings))
        if self._settings.snapshot_mode == "only":
            now = slots.flushed(reader)
            (taken,) = reader.execute("SELECT (extract(epoch FROM now()) * 1000000)::bigint").fetchone()
            return SnapshotPosition(None, now, now, taken, catalog.parts(reader, found.tables))
        self._may_create()
        publish(reader, self._settings, found)
        slots.drop(reader, self._settings.slot)
        files = {part.sql: part.file for part in catalog.parts(reader, found.tables)}
        made = self._create()
        parts = [
            catalog.TablePart(part.table, part.schema, part.name, files.get(part.sql, 0))
            for part in catalog.parts(reader, found.tables)
        ]
        return SnapshotPosition(made.visible, made.lsn, made.low, made.taken_us, parts)

    def _next_changes(self, reader: Any, start: Mapping[str, Any], lsn: int, *, everything: bool) -> dict[str, Any]:
        settings = self._settings
        end = self._end = slots.flushed(reader)
        if self._until is not None:
            end = min(end, self._until)
        if end <= lsn or end == self._quiet:
            return dict(start)
        slots.checked(reader, settings.slot, lsn)
        slots.advance(reader, settings.slot, lsn)
        first = slots.next_end(reader, settings.slot, settings.publication)
        if first is None or first > end:
            self._quiet = end
            return LogPosition(end).json() if end - lsn >= settings.heartbeat_bytes else dict(start)
        return LogPosition(end if everything else min(end, max(first, lsn + settings.bytes_per_batch))).json()
