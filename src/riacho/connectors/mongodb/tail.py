"""A stream of what is new in a collection, where the server has no change streams: by `_id`, which grows.

It sees a document once its `_id` is greater than those before. It does not see updates, deletes, and documents whose
`_id` is smaller than one that was read: those of a client whose clock is behind, or that were inserted later than
others with greater ids. A batch is a range of ids; read again, it has the same documents, unless they were changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql.types import StructType

from riacho.connectors.mongodb import client, positions
from riacho.connectors.mongodb.options import MongoOptions
from riacho.connectors.mongodb.partitions import kind_of
from riacho.connectors.mongodb.positions import Position
from riacho.connectors.mongodb.reader import DocumentRows, projection, raw_batches

if TYPE_CHECKING:
    from pymongo.collection import Collection


class Tail:
    """`documents`: rows are documents; else they are the events of their inserts."""

    def __init__(self, options: MongoOptions, schema: StructType, *, documents: bool) -> None:
        self._options = options
        self._schema = schema
        self._documents = documents

    def end(self, start: Position, most: int | None) -> Position:
        """Where a batch that begins at `start` ends. Raises IllegalArgumentError for more than one collection."""
        with client.connect(self._options.uri) as connection:
            collection = self._collection(connection)
            low = _low(start)
            if start.get("from") == positions.LATEST:
                return {"after": _greatest(collection)}
            found = list(
                collection.aggregate([*_above(low), {"$sort": {"_id": 1}}, {"$skip": most - 1}, {"$limit": 1}, _ID])
                if most
                else ()
            )
            high = positions.text(found[0]["_id"]) if found else _greatest(collection)
            if high is None or (low is not None and not list(collection.aggregate([*_above(low), {"$limit": 1}, _ID]))):
                return start
            return {"after": high}

    def rows(self, start: Position, end: Position) -> Iterator[pa.RecordBatch]:
        """The rows of a batch."""
        if start.get("from") == positions.LATEST or end["after"] is None:
            return
        low, high = _low(start), positions.value(end["after"])
        rows = DocumentRows(self._options, self._schema)
        with client.connect(self._options.uri) as connection, rows.bad.collecting() as letters:
            collection = self._collection(connection)
            stages = [*_between(low, high), {"$sort": {"_id": 1}}, *self._as_events(collection)]
            stages += [*self._options.pipeline(), *projection(self._options, self._schema)]
            for raw in raw_batches(collection, stages, self._options):
                yield from rows.of_raw(raw, letters)

    def _collection(self, connection: Any) -> Collection[Any]:
        name = self._options.collection("by a stream of a server without change streams")
        collection: Collection[Any] = connection[self._options.database][name]
        return collection

    def _as_events(self, collection: Collection[Any]) -> list[dict[str, Any]]:
        if self._documents:
            return []
        place = {"db": {"$literal": collection.database.name}, "coll": {"$literal": collection.name}}
        event = {
            "_id": "$_id",
            "operationType": "insert",
            "fullDocument": "$$ROOT",
            "documentKey": {"_id": "$_id"},
            "ns": place,
        }
        return [{"$replaceWith": event}]


_ID = {"$project": {"_id": 1}}


def _low(start: Position) -> Any:
    """The `_id` behind which a batch begins; None for the beginning."""
    if "after" in start:
        return None if start["after"] is None else positions.value(start["after"])
    at = positions.time_of(start)
    if at is None or not at.time:
        return None
    from bson import ObjectId

    return ObjectId.from_datetime(datetime.fromtimestamp(at.time, UTC))


def _greatest(collection: Collection[Any]) -> str | None:
    found = next(iter(collection.find({}, {"_id": 1}).sort("_id", -1).limit(1)), None)
    return None if found is None else positions.text(found["_id"])


def _above(low: Any) -> list[dict[str, Any]]:
    return [] if low is None else [{"$match": {"$expr": {"$gt": ["$_id", {"$literal": low}]}}}]


def _between(low: Any, high: Any) -> list[dict[str, Any]]:
    """The documents of a range. Within one kind of ids the plain comparison is exact, and uses the index."""
    if low is not None and kind_of(low) == kind_of(high):
        return [{"$match": {"_id": {"$gt": low, "$lte": high}}}]
    return [*_above(low), {"$match": {"$expr": {"$lte": ["$_id", {"$literal": high}]}}}]
