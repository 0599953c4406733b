"""Rows as new files below a folder: one file, or one for each partition, no larger than asked.

The engine hands out rows while others are encoded and written: text is spelled by several threads, in order.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from riacho import types
from riacho.server.delta import partitions
from riacho.server.files.values import partition_text
from riacho.server.formats.write.files import FileWriterFormat, OpenFile
from riacho.storage import Place

ENCODED_ROWS: Final = 1 << 16
"""How many rows are encoded at a time."""
SPLIT_ROWS: Final = 1 << 20
"""How many rows are sorted into partitions at a time: more make more files."""
FILE_BYTES: Final = 1 << 30
"""How large a file grows before the next one is begun, about."""
_THREADS: Final = max(1, min(4, os.cpu_count() or 1))


@dataclass(frozen=True)
class WrittenFile:
    """A file that has been written whole: its size in bytes, when it was last modified (ms since the epoch).

    `values`: the texts of its partition columns.
    """

    path: Place
    rows: int
    size: int
    modified_ms: int
    values: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, rows: int, values: Mapping[str, str | None] | None = None) -> WrittenFile:
        """A file of a disk."""
        found = path.stat()
        return cls(path, rows, found.st_size, found.st_mtime_ns // 1_000_000, values or {})


@dataclass(frozen=True)
class RowFiles:
    """How rows become files. `form.open` makes each; `name` gives the beginning of its name, by the number of its task.

    `zone`: in which TIMESTAMPs of partition folders are shown. `whole`: a single file, however large.
    """

    form: FileWriterFormat
    partition_by: Sequence[str] = ()
    name: Callable[[int], str] = lambda task: f"part-{task:05d}"
    zone: str = "UTC"
    whole: bool = False

    def write(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path) -> list[WrittenFile]:
        """Write all rows, which have the columns `schema`, below `folder`, which is there.

        Rows without any leave one empty file, or none if there are partitions. Raises what `batches` raises and what
        the format refuses; then no file is left.
        """
        made: list[Path] = []
        try:
            fitting = (_fitted(batch, schema) for batch in batches if batch.num_rows)
            if self.partition_by:
                return list(self._partitioned(fitting, schema, folder, made))
            return list(self._plain(fitting, schema, folder, made))
        except BaseException:
            for path in made:
                path.unlink(missing_ok=True)
            raise

    def _plain(
        self, batches: Iterator[pa.RecordBatch], schema: pa.Schema, folder: Path, made: list[Path]
    ) -> Iterator[WrittenFile]:
        chunks = _sliced(_chunks(batches, ENCODED_ROWS), self.form.most_rows)
        numbers = count()
        parts = count()
        rest: pa.RecordBatch | None = next(chunks, None)
        first = True
        while first or rest is not None:
            first = False
            if self.form.most_rows:
                path = folder / f"{self.name(0)}-c{next(parts):03d}{self.form.extension}"
            else:
                path = folder / f"{self.name(next(numbers))}-c000{self.form.extension}"
            made.append(path)
            rows, rest = self._fill(path, schema, rest, chunks)
            yield WrittenFile.of(path, rows)

    def _fill(
        self, path: Path, schema: pa.Schema, first: pa.RecordBatch | None, chunks: Iterator[pa.RecordBatch]
    ) -> tuple[int, pa.RecordBatch | None]:
        """Write one file; the number of its rows, and the rows that come after it."""
        limit = self.form.most_rows
        rows = 0
        waiting: deque[Future[Any]] = deque()
        with _opened(self.form, path, schema) as file, ThreadPoolExecutor(_THREADS) as pool:
            chunk = first
            while chunk is not None:
                if (limit and rows + chunk.num_rows > limit) or (not self.whole and _is_full(path)):
                    break
                rows += chunk.num_rows
                waiting.append(pool.submit(file.encode, chunk))
                while len(waiting) > _THREADS + 1:
                    file.write(waiting.popleft().result())
                chunk = next(chunks, None)
            while waiting:
                file.write(waiting.popleft().result())
        return rows, chunk

    def _partitioned(
        self, batches: Iterator[pa.RecordBatch], schema: pa.Schema, folder: Path, made: list[Path]
    ) -> Iterator[WrittenFile]:
        body = pa.schema([f for f in schema if f.name not in self.partition_by])
        for task, chunk in enumerate(_chunks(batches, SPLIT_ROWS)):
            for values, part in self._split(pa.Table.from_batches([chunk])):
                below = folder / partitions.folder(values)
                below.mkdir(parents=True, exist_ok=True)
                for number, piece in enumerate(_pieces(part, self.form.most_rows)):
                    path = below / f"{self.name(task)}.c{number:03d}{self.form.extension}"
                    made.append(path)
                    with _opened(self.form, path, body) as file:
                        for encoded in _batches_of(piece, body):
                            file.write(file.encode(encoded))
                    yield WrittenFile.of(path, piece.num_rows, values)

    def _split(self, rows: pa.Table) -> list[tuple[dict[str, str | None], pa.Table]]:
        """The rows of each folder: NULL and empty text are two values and one folder."""
        text = partial(partition_text, zone=self.zone)
        parts: dict[str, tuple[dict[str, str | None], list[pa.Table]]] = {}
        for values, part in partitions.split(rows, self.partition_by, text):
            parts.setdefault(partitions.folder(values), (values, []))[1].append(part)
        return [(values, pa.concat_tables(tables)) for values, tables in parts.values()]


class _opened:  # noqa: N801 - a context manager that reads like a function
    """An open file that is closed at the end, come what may."""

    def __init__(self, form: FileWriterFormat, path: Path, schema: pa.Schema) -> None:
        self._file: OpenFile = form.open(path, schema)

    def __enter__(self) -> OpenFile:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _is_full(path: Path) -> bool:
    return path.stat().st_size > FILE_BYTES


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with just the types of `schema`."""
    if batch.schema.equals(schema):
        return batch
    columns = [
        column if column.type.equals(f.type) else _cast(column, f.type)
        for column, f in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(wanted) and column.type.unit != wanted.unit:
        return pc.cast(column, wanted, safe=False)
    return column.cast(wanted)


def _chunks(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at least so many, but for the last."""
    held: list[pa.RecordBatch] = []
    held_rows = 0
    for batch in batches:
        held.append(batch)
        held_rows += batch.num_rows
        if held_rows >= rows:
            yield _one(held)
            held, held_rows = [], 0
    if held:
        yield _one(held)


def _one(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _sliced(chunks: Iterator[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """The chunks cut so that so many rows, and twice as many, end with one; 0: as they are."""
    if not most:
        yield from chunks
        return
    room = most
    for chunk in chunks:
        at = 0
        while at < chunk.num_rows:
            piece = chunk.slice(at, min(room, chunk.num_rows - at))
            at += piece.num_rows
            room = room - piece.num_rows or most
            yield piece


def _pieces(table: pa.Table, most: int) -> Iterator[pa.Table]:
    step = most or table.num_rows
    for at in range(0, table.num_rows, step):
        yield table.slice(at, step)


def _batches_of(table: pa.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if not len(schema):  # all columns are partitions: rows of nothing
        yield pa.RecordBatch.from_struct_array(pa.array([{}] * table.num_rows, pa.struct([])))
        return
    for chunk in table.combine_chunks().to_batches(max_chunksize=ENCODED_ROWS):
        yield pa.RecordBatch.from_arrays(chunk.columns, schema=schema)


def written_schema(schema: pa.Schema) -> pa.Schema:
    """The columns as files have them: of Spark's types, with nothing but comments as metadata."""
    return types.normalise_schema(schema)
