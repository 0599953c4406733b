"""A stream reader by hand: batch by batch, as an engine would, without one."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.streaming.datasource import ReadAllAvailable
from pyspark.sql.types import StructType


class Tail:
    """A query on a data source. `at` is its checkpoint; `batches` are the rows of each batch so far."""

    def __init__(
        self, kind: type[DataSource], at: str | None = None, schema: StructType | None = None, **options: str
    ) -> None:
        source = kind(options)
        given: Any = source.schema() if schema is None else schema
        self.schema: StructType = given
        self.reader: Any = source.streamReader(given)
        self.at = json.dumps(self.reader.initialOffset()) if at is None else at
        self.batches: list[list[dict[str, Any]]] = []
        self.ranges: list[tuple[str, str]] = []

    def step(self, *, everything: bool = False, commit: bool = True) -> bool:
        """One batch, if there is one."""
        limit = ReadAllAvailable() if everything else self.reader.getDefaultReadLimit()
        end = json.dumps(self.reader.latestOffset(json.loads(self.at), limit))
        if end == self.at:
            return False
        self.batches.append(self.read(self.at, end))
        self.ranges.append((self.at, end))
        if commit:
            self.reader.commit(json.loads(end))
        self.at = end
        return True

    def read(self, start: str, end: str) -> list[dict[str, Any]]:
        """The rows of a range, by another reader, as an engine reads them."""
        rows: list[dict[str, Any]] = []
        for partition in self.reader.partitions(json.loads(start), json.loads(end)):
            other = pickle.loads(pickle.dumps(self.reader_copy()))
            for batch in other.read(partition):
                assert isinstance(batch, pa.RecordBatch)
                assert from_arrow_schema(batch.schema).simpleString() == self.schema.simpleString()
                rows += batch.to_pylist()
        return rows

    def reader_copy(self) -> Any:
        """The reader as a task has it: without what is open in this one."""
        self.reader.stop()
        return self.reader

    def take(self) -> list[dict[str, Any]]:
        """All that is there now, in batches."""
        first = len(self.batches)
        for _ in range(1000):
            if not self.step():
                break
        return [row for batch in self.batches[first:] for row in batch]
