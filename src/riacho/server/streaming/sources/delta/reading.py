"""Read the files of a batch in order, the small ones ahead of their turn."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.server.streaming.sources.base import METADATA, METADATA_TYPE
from riacho.storage import Place

WHOLE_BYTES = 32 << 20
"""Files up to this size may be held whole; larger ones are streamed when their turn comes."""


@dataclass(frozen=True)
class FileRead:
    """A file of a batch and how to read its rows. `size`: bytes."""

    path: Place
    size: int
    read: Callable[[], Iterator[pa.RecordBatch]]

    def batches(self, *, with_metadata: bool) -> Iterator[pa.RecordBatch]:
        """The rows; `with_metadata` puts `_metadata` behind them."""
        if not with_metadata:
            yield from self.read()
            return
        value = self._metadata()
        for batch in self.read():
            columns = [pa.repeat(constant, batch.num_rows) for constant in value]
            column = pa.StructArray.from_arrays(columns, fields=list(METADATA_TYPE))
            yield batch.append_column(pa.field(METADATA, METADATA_TYPE, nullable=False), column)

    def _metadata(self) -> tuple[pa.Scalar, ...]:
        found = self.path.stat()
        return (
            pa.scalar(self.path.absolute().as_uri()),
            pa.scalar(self.path.name),
            pa.scalar(found.st_size, pa.int64()),
            pa.scalar(0, pa.int64()),
            pa.scalar(found.st_size, pa.int64()),
            pa.scalar(found.st_mtime_ns // 1000, types.TIMESTAMP),
        )


def filled(read: Callable[[], Iterator[pa.RecordBatch]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """What `read` gives as batches of `schema`: columns that it does not read are NULL."""
    for batch in read():
        if batch.num_columns == len(schema):
            yield batch
            continue
        found = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns = [found.get(field.name, pa.nulls(batch.num_rows, field.type)) for field in schema]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def read_ahead(
    reads: Sequence[FileRead], *, with_metadata: bool, workers: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of all files in order. While one file's are used, other threads (`workers`) decode the next."""
    if len(reads) <= 1:
        for read in reads:
            yield from read.batches(with_metadata=with_metadata)
        return
    workers = workers or os.cpu_count() or 1
    waiting: deque[tuple[FileRead, Future[list[pa.RecordBatch]] | None]] = deque()

    def decode(read: FileRead) -> list[pa.RecordBatch]:
        return list(read.batches(with_metadata=with_metadata))

    def take() -> Iterator[pa.RecordBatch]:
        read, future = waiting.popleft()
        return read.batches(with_metadata=with_metadata) if future is None else iter(future.result())

    with ThreadPoolExecutor(workers, thread_name_prefix="riacho-delta") as pool:
        try:
            for read in reads:
                waiting.append((read, pool.submit(decode, read) if read.size <= WHOLE_BYTES else None))
                if len(waiting) > workers:
                    yield from take()
            while waiting:
                yield from take()
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()
