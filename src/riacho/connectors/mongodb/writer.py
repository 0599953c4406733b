"""Writes in batches and streams: rows as inserts, replacements or updates, so many at a time.

A document is known by its id fields. A row that lacks one is inserted, whatever the operation is, as the connector does
it. A stream that is cut off writes its last batch again: replacements and updates by id come to the same; what is
inserted is given an `_id` made of the query, the batch and the row, so that it is there only once.
Sources: `com.mongodb.spark.sql.connector.write.{MongoDataWriter,MongoBatchWrite,MongoStreamingWrite}`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql.datasource import DataSourceArrowWriter, DataSourceStreamArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from riacho.connectors.mongodb import client
from riacho.connectors.mongodb.options import MongoOptions
from riacho.errors import IllegalArgumentError, SparkGeneralError

if TYPE_CHECKING:
    from bson import ObjectId
    from pymongo.collection import Collection
    from pymongo.write_concern import WriteConcern

_log = logging.getLogger(__name__)

INSERT: Final = "insert"
REPLACE: Final = "replace"
UPDATE: Final = "update"
AT_A_TIME: Final = 4096
"""So many rows lie in memory as documents."""
_DUPLICATE: Final = 11000
_ID: Final = "_id"


@dataclass(frozen=True)
class MongoWrite:
    """What a write does, from its options."""

    options: MongoOptions
    database: str
    collection: str
    operation: str
    id_fields: tuple[str, ...]
    upsert: bool
    ordered: bool
    batch_size: int
    convert_json: str
    ignore_nulls: bool
    ignore_duplicates: bool
    truncate: str

    @classmethod
    def of(cls, options: MongoOptions) -> MongoWrite:
        """Raises IllegalArgumentError."""
        given = options.options
        operation = options.choice("operationType", "Write Operation Type", INSERT, REPLACE, UPDATE)
        convert = given.text("convertJson")
        legacy = {"true": "any", "object_or_array_only": "objectOrArrayOnly"}.get(convert.lower())
        if legacy is None:
            legacy = options.choice("convertJson", "Convert Json Type", "any", "objectOrArrayOnly", "false")
        ordered = given.flag("ordered")
        ignore_duplicates = given.flag("ignoreDuplicatesOnInsert")
        if ignore_duplicates and (ordered or operation != INSERT):
            _log.warning("The MongoDB sink ignores ignoreDuplicatesOnInsert, which needs inserts that are not ordered")
            ignore_duplicates = False
        write_concern(options)
        return cls(
            options,
            options.database,
            options.collection("when writing"),
            operation,
            tuple(name.strip() for name in given.text("idFieldList").split(",")),
            given.flag("upsertDocument"),
            ordered,
            given.positive("maxBatchSize") or 1,
            legacy,
            given.flag("ignoreNullValues"),
            ignore_duplicates,
            options.choice("truncateMode", "Truncate Mode", "drop", "truncate"),
        )

    @property
    def what(self) -> str:
        return f"Writing to {self.database}.{self.collection}"

    def empty(self) -> None:
        """Take away what is there, as the overwrite mode has it."""
        with client.told(self.options.uri, self.what), client.connect(self.options.uri) as connection:
            collection = connection[self.database][self.collection]
            if self.truncate == "drop":
                collection.drop()
            else:
                collection.delete_many({})


def write_concern(options: MongoOptions) -> WriteConcern | None:
    """The write concern, None for that of the connection string. Raises IllegalArgumentError."""
    from pymongo.write_concern import WriteConcern

    given = options.options
    settings: dict[str, Any] = {}
    w = given.maybe("writeConcern.w")
    if w is not None:
        settings["w"] = int(w) if w.lstrip("-").isdigit() else w
    if given.is_given("writeConcern.journal"):
        settings["j"] = given.flag("writeConcern.journal")
    if given.is_given("writeConcern.wTimeoutMS"):
        settings["wtimeout"] = given.number("writeConcern.wTimeoutMS")
    try:
        return WriteConcern(**settings) if settings else None
    except Exception as error:  # noqa: BLE001 - one for each way in which settings can contradict each other
        raise IllegalArgumentError(f"Invalid write concern configuration: {error}") from None


class MongoTask:
    """The write of one task: documents become operations, and operations are sent."""

    def __init__(self, write: MongoWrite, ids: BatchIds | None = None) -> None:
        self._write = write
        self._ids = ids

    def run(self, batches: Iterator[pa.RecordBatch]) -> int:
        """Write all rows; how many. Raises SparkGeneralError and RowMisfitError."""
        write, uri = self._write, self._write.options.uri
        rows = 0
        with client.told(uri, write.what), client.connect(uri) as connection:
            collection: Collection[Any] = connection[write.database].get_collection(
                write.collection, write_concern=write_concern(write.options)
            )
            waiting: list[Any] = []
            for batch in batches:
                rows += batch.num_rows
                for documents in self._documents(batch):
                    waiting += map(self._operation, documents)
                    while len(waiting) >= write.batch_size:
                        self._send(collection, waiting[: write.batch_size])
                        del waiting[: write.batch_size]
            if waiting:
                self._send(collection, waiting)
        return rows

    def _documents(self, batch: pa.RecordBatch) -> Iterator[list[dict[str, Any]]]:
        """The documents of a batch, some at a time."""
        from riacho.connectors.mongodb.documents import DocumentMaker, RowMisfitError

        write = self._write
        dollar = next((name for name in batch.schema.names if name.startswith("$")), None)
        if dollar is not None:
            raise RowMisfitError(
                f"The column {dollar!r} cannot be a field: names that begin with '$' are MongoDB's operators"
            )
        maker = DocumentMaker(batch.schema, write.convert_json, ignore_nulls=write.ignore_nulls)
        for start in range(0, batch.num_rows, AT_A_TIME):
            yield maker.documents(batch.slice(start, AT_A_TIME))

    def _operation(self, document: dict[str, Any]) -> Any:
        from pymongo import InsertOne, ReplaceOne, UpdateOne

        write = self._write
        known = all(name in document for name in write.id_fields)
        if write.operation == INSERT or not known:
            if self._ids is not None and _ID not in document:
                document = {_ID: self._ids.of(document), **document}
            return InsertOne(document)
        key = {name: document[name] for name in write.id_fields}
        if write.operation == REPLACE:
            return ReplaceOne(key, document, upsert=write.upsert)
        changes = {name: value for name, value in document.items() if name not in key}
        return UpdateOne(key, {"$set": changes}, upsert=write.upsert)

    def _send(self, collection: Collection[Any], operations: list[Any]) -> None:
        from pymongo.errors import BulkWriteError

        todo = operations
        while todo:
            try:
                collection.bulk_write(todo, ordered=self._write.ordered, comment=self._write.options.comment)
            except BulkWriteError as error:
                todo = self._after(collection, todo, dict(error.details or {}))
            else:
                return

    def _after(self, collection: Collection[Any], operations: list[Any], details: dict[str, Any]) -> list[Any]:
        """What is still to be done after some operations were refused. Raises SparkGeneralError."""
        errors: Sequence[dict[str, Any]] = details.get("writeErrors", ())
        refused = [error for error in errors if not self._is_there(collection, error)]
        unconfirmed: Sequence[dict[str, Any]] = details.get("writeConcernErrors") or ()
        if refused or unconfirmed or not errors:
            first = (refused or unconfirmed or [{}])[0]
            raise SparkGeneralError(
                f"{self._write.what} failed: {first.get('errmsg', details)} (MongoDB's error {first.get('code')}); "
                f"{len(refused) or 1} of {len(operations)} documents of a batch were refused"
            )
        return operations[errors[0]["index"] + 1 :] if self._write.ordered else []

    def _is_there(self, collection: Collection[Any], error: dict[str, Any]) -> bool:
        """Whether a document was refused because it is there already, and that is as it should be."""
        if error.get("code") != _DUPLICATE:
            return False
        if self._write.ignore_duplicates:
            return True
        if self._ids is None:
            return False
        document = error.get("op") or {}
        found = collection.find_one({_ID: document.get(_ID)}) if _ID in document else None
        return found is not None and (found == document or _stored(found) == _stored(document))


def _stored(document: dict[str, Any]) -> bytes:
    """A document as a server keeps it: `_id` comes first. Of bytes, unlike of values, NaN is the same as NaN."""
    from bson import encode

    return encode({_ID: document[_ID], **document})


class BatchIds:
    """The `_id`s of one batch of a stream: the same rows get the same ones, in whichever order they come."""

    def __init__(self, query: str, batch: int) -> None:
        self._start = f"{query}/{batch}/".encode()
        self._seen: dict[bytes, int] = {}

    def of(self, document: dict[str, Any]) -> ObjectId:
        """That of a document; equal documents of a batch get different ones."""
        from bson import ObjectId, encode

        content = hashlib.blake2b(self._start + encode(document), digest_size=16).digest()
        count = self._seen.get(content, 0)
        self._seen[content] = count + 1
        return ObjectId(hashlib.blake2b(content + count.to_bytes(8, "big"), digest_size=12).digest())


class MongoCommit(WriterCommitMessage):
    """What a task tells: how many rows it wrote."""

    def __init__(self, rows: int) -> None:
        self.rows = rows


class MongoWriter(DataSourceArrowWriter):
    """Writes the rows of a batch query."""

    def __init__(self, write: MongoWrite) -> None:
        self._write = write

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        return MongoCommit(MongoTask(self._write).run(iterator))

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Each task has written what it had; nothing is left to do."""

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """What tasks wrote stays, as with the connector."""


class MongoStreamWriter(DataSourceStreamArrowWriter):
    """Writes the batches of a stream. All rows of a batch go through one task, so that equal rows can be counted."""

    most_tasks = 1

    def __init__(self, write: MongoWrite, schema: StructType, *, overwrite: bool) -> None:
        self._write = write
        self._overwrite = overwrite
        self._schema = schema
        self._batch: tuple[str, int] | None = None

    def forBatch(self, query: str, batch: int) -> None:
        """Which batch is written; called before its tasks begin."""
        self._batch = (query, batch)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        if self._overwrite:
            self._write.empty()
        ids = None if self._batch is None else BatchIds(*self._batch)
        return MongoCommit(MongoTask(self._write, ids).run(iterator))

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """Each task has written what it had; nothing is left to do."""

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:
        """What tasks wrote stays; the batch comes again."""
