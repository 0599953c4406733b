"""Batch reads: a collection, or what stages make of it, as Arrow batches, ranges of `_id` side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, Filter, InputPartition
from pyspark.sql.types import StructType

from riacho.connectors.bad_records import BadRecords, Letters
from riacho.connectors.mongodb import client
from riacho.connectors.mongodb.options import MongoOptions
from riacho.connectors.mongodb.partitions import Stage, ranges
from riacho.errors import IllegalArgumentError

if TYPE_CHECKING:
    from pymongo.collection import Collection

BATCH_DOCUMENTS: Final = 20_000
"""So many documents are asked for at a time; a server stops at 16 MB."""


class MongoRange(InputPartition):
    """A part of a collection: `condition` for a `$match`, None for all of it."""

    def __init__(self, condition: Stage | None) -> None:
        super().__init__(condition)


class MongoReader(DataSourceReader):
    """Reads documents as rows of `schema`."""

    def __init__(self, options: MongoOptions, schema: StructType) -> None:
        self._options = options
        self._schema = schema
        self._matches: list[Stage] = []
        self._limit: int | None = None
        self._collection_name = options.collection("by batch queries")
        self._database = options.database
        self._pipeline = options.pipeline()
        DocumentRows(options, schema)  # what is wrong with the options is told before anything is read

    def pruneColumns(self, names: Sequence[str]) -> None:
        """Read only these columns."""
        fields = {field.name: field for field in self._schema.fields}
        self._schema = StructType([fields[name] for name in names])

    def pushFilters(self, filters: list[Filter]) -> Iterable[Filter]:
        """Leave out on the server what cannot pass the filters; all of them are still to be applied."""
        from riacho.connectors.mongodb import filters as of_server

        if mode_of(self._options) != "PERMISSIVE":
            self._matches = [stage for one in filters if (stage := of_server.match(one, self._schema)) is not None]
        return filters

    def pushLimit(self, rows: int) -> None:
        """So many rows will do; where documents that do not fit are left out, it is not known which."""
        if mode_of(self._options) != "DROPMALFORMED" and self._options.options.text("bad_data").lower() == "fail":
            self._limit = rows

    def partitions(self) -> Sequence[InputPartition]:
        with client.told(self._options.uri, self._what), client.connect(self._options.uri) as connection:
            collection = connection[self._database][self._collection_name]
            if self._limit is not None and self._limit <= BATCH_DOCUMENTS:
                return [MongoRange(None)]
            return [MongoRange(condition) for condition in ranges(collection, self._options, self._pipeline)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        rows = DocumentRows(self._options, self._schema)
        with (
            client.told(self._options.uri, self._what),
            client.connect(self._options.uri) as connection,
            rows.bad.collecting() as letters,
        ):
            collection = connection[self._database][self._collection_name]
            for raw in self._raw(collection, partition.value):
                yield from rows.of_raw(raw, letters)

    def _raw(self, collection: Collection[Any], condition: Stage | None) -> Iterator[bytes]:
        """The documents as the server sends them; without stages of the user's a plain query, which is quicker."""
        if self._pipeline:
            yield from raw_batches(collection, self._stages(condition), self._options)
            return
        matches = [*([condition] if condition is not None else []), *self._matches]
        with collection.find_raw_batches(
            {"$and": matches} if matches else {},
            projection=projected(self._options, self._schema),
            limit=0 if self._limit is None else max(self._limit, 1),
            batch_size=BATCH_DOCUMENTS,
            comment=self._options.comment,
        ) as cursor:
            yield from cursor

    @property
    def _what(self) -> str:
        return f"Reading {self._database}.{self._collection_name}"

    def _stages(self, condition: Stage | None) -> list[Stage]:
        stages: list[Stage] = [{"$match": condition}] if condition is not None else []
        stages += self._pipeline
        if self._matches:
            stages.append({"$match": {"$and": self._matches}})
        if self._limit is not None:
            stages.append({"$limit": max(self._limit, 1)})
        return [*stages, *projection(self._options, self._schema)]


def raw_batches(collection: Collection[Any], stages: list[Stage], options: MongoOptions) -> Iterator[bytes]:
    """What stages make of a collection, as the server sends it: documents one behind the other."""
    more: dict[str, Any] = {"allowDiskUse": options.options.flag("aggregation.allowDiskUse")}
    if options.comment is not None:
        more["comment"] = options.comment
    with collection.aggregate_raw_batches(stages, batchSize=BATCH_DOCUMENTS, **more) as cursor:
        yield from cursor


def projected(options: MongoOptions, schema: StructType, within: str = "") -> dict[str, int] | None:
    """The fields that the columns of a schema need, of documents or of those `within` them; with no columns, what
    counts rows. None for all: a dead letter is a whole document, a name with a dot is a path for the server, and some
    names cannot be said to it at all.
    """
    if options.options.text("bad_data").lower() != "dead_letter" and all(
        name and "." not in name and not name.startswith("$") for name in schema.names
    ):
        return {f"{within}.{name}" if within else name: 1 for name in schema.names} or {"_id": 1}
    return {within: 1} if within else None


def projection(options: MongoOptions, schema: StructType, within: str = "") -> list[Stage]:
    """The same as stages."""
    fields = projected(options, schema, within)
    return [] if fields is None else [{"$project": fields}]


def mode_of(options: MongoOptions) -> str:
    """What becomes of documents that do not fit. Raises IllegalArgumentError."""
    return options.choice("mode", "Parse mode", "FAILFAST", "PERMISSIVE", "DROPMALFORMED")


def corrupt_column(options: MongoOptions) -> str:
    """The column for documents that did not fit; "" for none, as in all modes but the permissive one."""
    return options.options.text("columnNameOfCorruptRecord") if mode_of(options) == "PERMISSIVE" else ""


class DocumentRows:
    """Documents as rows of a schema, and what becomes of those that do not fit."""

    def __init__(self, options: MongoOptions, schema: StructType) -> None:
        """Raises IllegalArgumentError."""
        from riacho.connectors.mongodb.convert import DROPMALFORMED, FAILFAST, Conversion

        source = f"{client.place(options.uri)}/{options.database}.{options.collections.shown}"
        extended = options.options.flag("outputExtendedJson")
        replay = {"outputExtendedJson": "true"} if extended else {}
        self.bad = BadRecords.of(options.options, options.given, format="mongodb", source=source, replay=replay)
        mode = mode_of(options)
        if self.bad.mode != "fail":
            if mode != FAILFAST:
                raise IllegalArgumentError(
                    f"Both mode = {mode} and bad_data = {self.bad.mode} say what becomes of documents that do not fit: "
                    "leave one of them out"
                )
            mode = DROPMALFORMED
        self._conversion = Conversion(schema, mode, corrupt_column(options), extended)

    def of_raw(self, raw: bytes, letters: Letters) -> Iterator[pa.RecordBatch]:
        """The rows of documents as the server sent them, one behind the other. Raises DocumentMisfitError."""
        from bson import decode_all

        from riacho.connectors.mongodb.convert import CODEC

        fast = self._conversion.fast
        batch = None if fast is None else fast.batch(raw)
        if batch is not None:
            yield batch
        else:
            yield from self.of(decode_all(raw, CODEC), letters)

    def of(self, documents: Sequence[dict[str, Any]], letters: Letters) -> Iterator[pa.RecordBatch]:
        """The rows of documents. Raises DocumentMisfitError."""
        from riacho.connectors.mongodb.text import EXTENDED, to_json

        batch = self._conversion.batch(documents)
        if self.bad.mode != "fail":
            for at, why in self._conversion.misfits.items():
                document = documents[at]
                letters.add(to_json(document, EXTENDED).encode(), to_json(document.get("_id"), EXTENDED), why)
        if batch.num_rows:
            yield batch
