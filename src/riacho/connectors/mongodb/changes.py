"""Streams: what changes in collections, by MongoDB's change streams, or by `tail` where a server has none.

A batch is what lies between two positions in the server's log. Where it ends is found by going through the events
without their documents; it ends between two times of the log, so that a batch that is read again, from the token at its
start to the time at its end, has the same events. One partition reads it, in the order of events.
Sources: `com.mongodb.spark.sql.connector.read.{MongoMicroBatchStream,MongoMicroBatchPartitionReader}`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

from riacho.connectors.mongodb import client, positions
from riacho.connectors.mongodb.options import MongoOptions
from riacho.connectors.mongodb.positions import Position
from riacho.connectors.mongodb.reader import DocumentRows, mode_of, projection
from riacho.connectors.mongodb.tail import Tail
from riacho.errors import IllegalArgumentError, SparkGeneralError

if TYPE_CHECKING:
    from bson import Timestamp
    from pymongo import MongoClient
    from pymongo.change_stream import ChangeStream

_log = logging.getLogger(__name__)

POLL_MS: Final = 20
"""How long a server waits for another event before it says that there is none."""
REACH_S: Final = 60.0
"""How long a batch may take to reach an end that was there before."""
IDLE_S: Final = 600.0
"""After so long without an event the position goes on all the same, so that the server's log keeps it."""
BATCH_EVENTS: Final = 5_000
_NO_STREAMS: Final = (40573, 20, 59)
"""A server of its own, one that does not know the stage, or does not have the command."""
_LOST: Final = (286, 280, 260, 136)
_OF_EVENTS: Final = frozenset(
    {"operationType", "fullDocument", "fullDocumentBeforeChange", "documentKey", "ns", "to", "updateDescription",
     "clusterTime", "wallTime", "txnNumber", "lsid", "collectionUUID", "splitEvent"}
)  # fmt: skip
_FULL: Final = ("default", "updateLookup", "whenAvailable", "required")
_BEFORE: Final = ("default", "off", "whenAvailable", "required")


class Between(InputPartition):
    """The events of a batch."""

    def __init__(self, start: Position, end: Position) -> None:
        super().__init__((start, end))


class MongoStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads changes as rows of `schema`: events, or with `change.stream.publish.full.document.only` documents."""

    def __init__(self, options: MongoOptions, schema: StructType) -> None:
        given = options.options
        self._options = options
        self._schema = schema
        self._documents = given.flag("change.stream.publish.full.document.only")
        if not self._documents and not _OF_EVENTS & set(schema.names):
            raise IllegalArgumentError(
                "Mongo micro batch streams require a schema to be explicitly defined, unless using publish full "
                "document only. The schema has none of an event's fields besides _id: give one of "
                f"{', '.join(sorted(_OF_EVENTS))}, or set change.stream.publish.full.document.only to true"
            )
        self._full = options.choice("change.stream.lookup.full.document", "Full Document", *_FULL)
        self._before = options.choice("change.stream.lookup.full.document.before.change", "Full Document", *_BEFORE)
        mode = options.choice("change.stream.startup.mode", "Startup mode", "latest", "timestamp")
        at = given.text("change.stream.startup.mode.timestamp.start.at.operation.time")
        self._initial = positions.initial(mode, at)
        given.positive("change.stream.micro.batch.max.partition.count")
        self._most = given.positive("change.stream.micro.batch.max.rows")
        self._collections, self._database = options.collections, options.database
        self._pipeline = options.pipeline()
        mode_of(options)
        self._tail = Tail(options, schema, documents=self._documents)
        self._is_tail: bool | None = None
        self._until: Timestamp | None = None
        self._scan: EventScan | None = None

    def initialOffset(self) -> Position:
        return self._initial

    def getDefaultReadLimit(self) -> ReadLimit:
        return ReadAllAvailable() if self._most is None else ReadMaxRows(self._most)

    def prepareForTriggerAvailableNow(self) -> None:
        with self._told(), client.connect(self._options.uri) as connection:
            self._until = client.again(lambda: _now(connection, self._database))

    def latestOffset(self, start: Position, limit: ReadLimit) -> Position:
        most = limit.max_rows if isinstance(limit, ReadMaxRows) else None
        with self._told():
            return client.again(lambda: self._end(start, most))

    def _end(self, start: Position, most: int | None) -> Position:
        if self._tails(start):
            return self._tail.end(start, most)
        if self._scan is None:
            self._scan = EventScan(client.connect(self._options.uri), self._options, self._stages_of_all())
        try:
            return self._scan.end(start, most, self._until)
        except BaseException:
            self.stop()
            raise

    def partitions(self, start: Position, end: Position) -> Sequence[InputPartition]:
        return [Between(start, end)] if start != end else []

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        start, end = partition.value
        with self._told():
            if "after" in end:
                yield from self._tail.rows(start, end)
            elif start.get("from") != positions.LATEST and not end.get("idle"):
                yield from self._rows(start, end)

    def commit(self, end: Position) -> None:
        """The server keeps its log as long as it likes; nothing is to be told to it."""

    def stop(self) -> None:
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.close()

    def _tails(self, start: Position) -> bool:
        """Whether the server has no change streams. Raises SparkGeneralError if it had, or has them only now."""
        if self._is_tail is None:
            with client.connect(self._options.uri) as connection:
                self._is_tail = not has_changes(connection, self._database, self._collections.single)
            if self._is_tail:
                _log.warning(
                    "%s has no change streams (it is no replica set): the stream of %s.%s follows its _id instead. It "
                    "sees documents whose _id is greater than all before; not updates, deletes and smaller ids",
                    client.place(self._options.uri), self._database, self._collections.shown,
                )  # fmt: skip
        if ("token" in start and self._is_tail) or ("after" in start and not self._is_tail):
            had, has = ("had", "has none") if self._is_tail else ("had no", "has them")
            raise SparkGeneralError(
                f"The query's checkpoint was made when {client.place(self._options.uri)} {had} change streams, and now "
                f"it {has}: begin with a new checkpoint"
            )
        return self._is_tail

    def _rows(self, start: Position, end: Position) -> Iterator[pa.RecordBatch]:
        from riacho.connectors.mongodb.convert import CODEC

        rows = DocumentRows(self._options, self._schema)
        last = positions.value(end["token"])
        with client.connect(self._options.uri) as connection:
            target = watched(connection, self._database, self._collections.single, CODEC)
            stages = [*self._until_stage(end), *self._stages_of_all(), *self._stages_of_rows()]
            lookups = {} if self._full == "default" else {"full_document": self._full}
            if self._documents:
                lookups["full_document"] = "updateLookup"
            if self._before != "default":
                lookups["full_document_before_change"] = self._before
            with (
                target.watch(
                    stages,
                    max_await_time_ms=POLL_MS,
                    comment=self._options.comment,
                    **lookups,
                    **positions.start_of(start),
                ) as stream,
                rows.bad.collecting() as letters,
            ):
                until = positions.time_of(end)
                for events in _batches(stream, last, until, comes=not self._pipeline):
                    documents = [event.get("fullDocument") for event in events] if self._documents else events
                    yield from rows.of([document for document in documents if document is not None], letters)

    def _until_stage(self, end: Position) -> list[dict[str, Any]]:
        at = positions.time_of(end)
        return [] if at is None else [{"$match": {"clusterTime": {"$lte": at}}}]

    def _stages_of_all(self) -> list[dict[str, Any]]:
        """The events of the collections, if they are not one."""
        if self._collections.single is not None:
            return []
        names = self._collections.names
        mine = {"ns.coll": {"$in": list(names)}} if names else {"ns.coll": {"$exists": True}}
        return [{"$match": {"$or": [mine, {"operationType": "invalidate"}]}}]

    def _stages_of_rows(self) -> list[dict[str, Any]]:
        """The user's stages, which see documents only where documents are asked for, and the columns.

        Without the user's, all events come: the last one of a batch is known when it is seen.
        """
        of_documents = self._documents and self._pipeline
        stages: list[dict[str, Any]] = [{"$match": {"fullDocument": {"$exists": True}}}] if of_documents else []
        within = "fullDocument" if self._documents else ""
        return [*stages, *self._pipeline, *projection(self._options, self._schema, within)]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """As `client.told`, and the way out where the log has lost the position."""
        from pymongo.errors import OperationFailure

        what = f"Reading the changes of {self._database}.{self._collections.shown}"
        with client.told(self._options.uri, what):
            try:
                yield
            except OperationFailure as error:
                if error.code not in _LOST:
                    raise
                if "modified by the pipeline" in str(error):
                    raise IllegalArgumentError(
                        f"{what} failed: aggregation.pipeline takes away or changes _id, by which events are found "
                        "again: leave it as it is"
                    ) from None
                raise SparkGeneralError(
                    f"{what} cannot go on where it stopped: the server's log (oplog) no longer has that position "
                    f"({(error.details or {}).get('errmsg', error)}; MongoDB's error {error.code}). What happened "
                    "since cannot be had from it any more. Read the collection once in a batch, and begin a new "
                    "checkpoint from a time before that (change.stream.startup.mode = timestamp); a larger oplog "
                    "prevents it"
                ) from None


class EventScan:
    """Goes through events to find where batches end. It remembers where it is, for the next batch begins there."""

    def __init__(self, connection: MongoClient[Any], options: MongoOptions, stages: list[dict[str, Any]]) -> None:
        self._connection = connection
        self._database = options.database
        self._single = options.collections.single
        self._stages = [*stages, {"$project": {"_id": 1, "clusterTime": 1, "operationType": 1}}]
        self._stream: ChangeStream[Any] | None = None
        self._at: Position | None = None
        self._next: dict[str, Any] | None = None
        self._moved_s = time.monotonic()

    def end(self, start: Position, most: int | None, until: Timestamp | None) -> Position:
        """Where a batch that begins at `start` ends: after about `most` events, or with the last that there is now."""
        stream = self._opened(start)
        if start.get("from") == positions.LATEST:
            return self._moved(self._here(stream))
        now = _now(self._connection, self._database)
        last, count = start, 0
        while True:
            event = self._next or stream.try_next()
            self._next = None
            if event is None:
                break
            at = event.get("clusterTime")
            apart = at is None or at != positions.time_of(last)
            if apart and (
                (most is not None and count >= most) or _is_after(at, until) or (count and _is_after(at, now))
            ):
                self._next = event
                break
            last, count = positions.behind(event["_id"], at), count + 1
            if not stream.alive:
                self._close_stream()
                break
        if last != start:
            return self._moved(last)
        if self._next is None and time.monotonic() - self._moved_s > IDLE_S and stream.resume_token is not None:
            return self._moved({"token": positions.text(stream.resume_token), "idle": True})
        return start

    def close(self) -> None:
        """Let go of the server."""
        self._close_stream()
        self._connection.close()

    def _opened(self, start: Position) -> ChangeStream[Any]:
        if self._stream is not None and self._stream.alive and self._at == start:
            return self._stream
        self._close_stream()
        target = watched(self._connection, self._database, self._single, None)
        self._stream = target.watch(self._stages, max_await_time_ms=POLL_MS, **positions.start_of(start))
        self._at = start
        return self._stream

    def _here(self, stream: ChangeStream[Any]) -> Position:
        """The position of a stream that was just opened."""
        token = stream.resume_token
        now = _now(self._connection, self._database)
        if token is not None:
            return positions.behind(token, now)
        if now is None:
            raise SparkGeneralError("The server tells neither a position nor a time to begin at")
        return {"from": positions.TIME, "t": now.time, "i": now.inc + 1}

    def _moved(self, to: Position) -> Position:
        self._at, self._moved_s = to, time.monotonic()
        return to

    def _close_stream(self) -> None:
        stream, self._stream, self._next, self._at = self._stream, None, None, None
        if stream is not None:
            stream.close()


def has_changes(connection: MongoClient[Any], database: str, single: str | None) -> bool:
    """Whether a server has change streams. Raises what the driver raises."""
    from pymongo.errors import OperationFailure

    try:
        with watched(connection, database, single, None).watch(max_await_time_ms=POLL_MS):
            return True
    except OperationFailure as error:
        if error.code in _NO_STREAMS or "replica set" in str(error):
            return False
        raise


def watched(connection: MongoClient[Any], database: str, single: str | None, codec: Any) -> Any:
    """What is watched: a collection, or a database for several."""
    found = connection.get_database(database, codec_options=codec)
    return found if single is None else found[single]


def _batches(
    stream: ChangeStream[Any], last: Any, until: Timestamp | None, *, comes: bool
) -> Iterator[list[dict[str, Any]]]:
    """The events of a stream up to one that was seen before. Raises SparkGeneralError if it does not come to it.

    `comes`: whether that one cannot have been left out by stages.
    """
    events: list[dict[str, Any]] = []
    deadline = time.monotonic() + REACH_S
    while True:
        event = stream.try_next()
        if event is None:
            here = positions.time_of_token(stream.resume_token)
            # A server whose tokens tell no time has come to the end of its log, and what is looked for is in it.
            if not comes and (here is None or until is None or here >= until):
                break
            if time.monotonic() > deadline:
                raise SparkGeneralError(f"The change stream has not come to {until} again within {REACH_S:.0f} s")
            continue
        deadline = time.monotonic() + REACH_S
        events.append(event)
        if len(events) >= BATCH_EVENTS:
            yield events
            events = []
        if event["_id"] == last or not stream.alive:
            break
    if events:
        yield events


def _now(connection: MongoClient[Any], database: str) -> Timestamp | None:
    """The time of the server's log; None if it does not tell."""
    found: Timestamp | None = connection[database].command("ping").get("operationTime")
    return found


def _is_after(at: Timestamp | None, until: Timestamp | None) -> bool:
    return at is not None and until is not None and at > until
