"""What reads in batches the rows that the engine cannot read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from riacho.protos import pb
from riacho.server.batch.wanted import Wanted
from riacho.server.engine.base import EngineSession


@dataclass(frozen=True)
class RowsRead:
    """Rows on their way: all `batches` have `schema`, whose columns are those of the source, or fewer.

    `done`: numbers of the filters that all of them meet.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    done: frozenset[int] = frozenset()


class BatchSource(Protocol):
    """The configuration of a batch read, made from a `Read` of its format; nothing is open."""

    @property
    def schema(self) -> pa.Schema:
        """The columns that the read gives."""

    def read(self, wanted: Wanted) -> RowsRead:
        """The rows as they are now, lazily, at least those that are wanted. Raises SparkError, at once or meanwhile."""


MakeBatchSource = Callable[[pb.Read.DataSource, EngineSession], BatchSource]
"""Makes the source of a read of its format. Raises SparkError for what is wrong with the read."""
