"""The rows of a list of files, in the order of the list, decoded by several threads ahead of the reader.

Each file's batches get the columns that do not stand in the file: partition values and `_metadata`. Few files are
decoded ahead at a time, so that memory is bounded by files, not by the batch.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import pyarrow as pa

from riacho.server.formats.base import file_url
from riacho.server.streaming.sources.base import METADATA, METADATA_TYPE
from riacho.server.streaming.sources.listing import FileStatus
from riacho.server.streaming.sources.partitions import partition_values, typed_value
from riacho.storage import carried, is_object
from riacho.types import TIMESTAMP

Decode: TypeAlias = Callable[[FileStatus], Iterator[pa.RecordBatch]]
"""Gives the rows of one file, in order; called from several threads."""

_WAITING: Final = 16
_SMALL_BYTES: Final = 4 << 20
"""So many files of an object store are decoded at a time if none is larger than this."""
_STREAMED_BYTES: Final = 64 << 20
"""A file larger than this is not decoded ahead as a whole, but batch by batch when it is its turn."""


@dataclass(frozen=True)
class Layout:
    """What the rows of a source look like.

    `schema`: the data columns. `partitions`: the names of those whose values stand in the path, below `base` (None:
    paths mean nothing). `unused`: those that are left NULL. With `with_metadata`, `_metadata` follows. `zone`: that
    of times in paths.
    """

    schema: pa.Schema
    base: str | None = None
    partitions: frozenset[str] = frozenset()
    unused: frozenset[str] = frozenset()
    with_metadata: bool = False
    zone: str = "UTC"

    def for_files(self, files: Sequence[FileStatus]) -> Layout:
        """This layout with the partition columns that the paths of these files show."""
        if self.base is None:
            return self
        keys = {key.lower() for file in files for key in partition_values(file.path, self.base)}
        return replace(self, partitions=frozenset(name for name in self.schema.names if name.lower() in keys))

    @property
    def in_files(self) -> pa.Schema:
        """The columns that files have, be they used or not."""
        return pa.schema([field for field in self.schema if field.name not in self.partitions])

    @property
    def full(self) -> pa.Schema:
        """The columns to give."""
        fields = (
            [*self.schema, pa.field(METADATA, METADATA_TYPE, nullable=False)] if self.with_metadata else self.schema
        )
        return pa.schema(list(fields))


def threads_per_file(files: Sequence[FileStatus]) -> int:
    """By how many threads `scan` is best helped with each of these files."""
    cores = os.cpu_count() or 1
    if any(file.size > _STREAMED_BYTES for file in files):
        return cores
    return max(1, cores // max(1, len(files)))


def _threads(files: Sequence[FileStatus]) -> int:
    """How many files to decode at a time: of small ones in an object store more, as most of the time is waiting."""
    cores = os.cpu_count() or 1
    waits = is_object(files[0].path) and max(file.size for file in files) <= _SMALL_BYTES
    return max(cores, _WAITING) if waits else cores


def scan(files: Sequence[FileStatus], layout: Layout, decode: Decode) -> Iterator[pa.RecordBatch]:
    """The rows of `files`, each decoded by `decode`. An error of a file is raised where its rows would stand."""
    if len(files) <= 1:
        for file in files:
            yield from complete(decode(file), file, layout)
        return
    ahead = _threads(files) + 1
    decode_all = carried(lambda file: list(decode(file)))
    waiting: deque[tuple[FileStatus, Future[list[pa.RecordBatch]] | None]] = deque()
    with ThreadPoolExecutor(max_workers=ahead - 1, thread_name_prefix="riacho-decode") as pool:
        try:
            for file in files:
                small = file.size <= _STREAMED_BYTES
                waiting.append((file, pool.submit(decode_all, file) if small else None))
                if len(waiting) >= ahead:
                    yield from _next(waiting, layout, decode)
            while waiting:
                yield from _next(waiting, layout, decode)
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()


def _next(
    waiting: deque[tuple[FileStatus, Future[list[pa.RecordBatch]] | None]],
    layout: Layout,
    decode: Decode,
) -> Iterator[pa.RecordBatch]:
    file, future = waiting.popleft()
    yield from complete(iter(future.result()) if future is not None else decode(file), file, layout)


def complete(batches: Iterator[pa.RecordBatch], file: FileStatus, layout: Layout) -> Iterator[pa.RecordBatch]:
    """Decoded batches of one file with the columns that do not stand in the file. Raises INVALID_PARTITION_VALUE."""
    if not layout.partitions and not layout.unused and not layout.with_metadata:
        yield from batches
        return
    found = {key.lower(): text for key, text in partition_values(file.path, layout.base or "").items()}
    constants = {
        name: typed_value(found.get(name.lower()), layout.schema.field(name).type, name, layout.zone)
        for name in layout.partitions - layout.unused
    }

    def column(field: pa.Field, batch: pa.RecordBatch) -> pa.Array:
        if field.name in layout.unused:
            return pa.nulls(batch.num_rows, field.type)
        if field.name in constants:
            return pa.repeat(constants[field.name], batch.num_rows)
        return batch.column(field.name)

    for batch in batches:
        columns = [column(field, batch) for field in layout.schema]
        if layout.with_metadata:
            columns.append(metadata_column(file, batch.num_rows))
        yield pa.record_batch(columns, schema=layout.full)


def metadata_column(file: FileStatus, rows: int) -> pa.StructArray:
    """`_metadata` of `rows` rows of one file. Files are never split, so a block is the whole file."""
    url = file_url(file.path)
    constants = (
        # Spark writes one slash here, and three in `input_file_name()`.
        pa.scalar(url.replace("file://", "file:", 1)),
        pa.scalar(url.rsplit("/", 1)[1]),
        pa.scalar(file.size, pa.int64()),
        pa.scalar(0, pa.int64()),
        pa.scalar(file.size, pa.int64()),
        pa.scalar(file.modified_ms * 1000, TIMESTAMP),
    )
    return pa.StructArray.from_arrays([pa.repeat(value, rows) for value in constants], fields=list(METADATA_TYPE))
