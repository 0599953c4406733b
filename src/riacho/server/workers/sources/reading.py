"""The rows of a reader: its partitions read side by side, their rows given in the order of the partitions.

Spark reads as many partitions at a time as it has cores, and gives their rows in the order of the partitions. A worker
that is ahead puts its rows aside: some in memory, the rest in a file.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Final

import pyarrow as pa

from riacho.errors import SparkGeneralError
from riacho.server.engine.stopping import Check, current_check
from riacho.server.workers.sources.failures import failed
from riacho.server.workers.sources.pool import WorkerPool
from riacho.server.workers.sources.worker import Blob, SourceWorker, UserCodeFailed

SIDE_BY_SIDE: Final = os.cpu_count() or 1
"""How many partitions are read, and tasks written, at a time."""
ASIDE_BYTES: Final = 32 << 20
"""How much a partition whose turn has not come keeps in memory."""


class PartitionReads:
    """Workers that read the partitions of one reader, for as long as it is read.

    `reader` is the user's, pickled; all rows have `schema`. `check_stop` may raise while something is waited for.
    """

    def __init__(self, reader: Blob, schema: pa.Schema, check_stop: Check | None = None) -> None:
        self._schema = schema
        self._running: dict[str, str] = {}
        self._pool = WorkerPool(check_stop or current_check(), lambda worker: worker.call("load_reader", [reader]))

    def rows(self, partitions: Sequence[Blob], running: Mapping[str, str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of these partitions. Raises PYTHON_EXCEPTION while they are read; then no more can be read.

        `running`: what tasks find in their `TaskContext` as local properties.
        """
        self._running = dict(running or {})
        try:
            if min(len(partitions), SIDE_BY_SIDE) <= 1:
                for partition in partitions:
                    yield from self._of_one(self._pool.worker(0), partition)
            else:
                yield from self._side_by_side(partitions)
        except UserCodeFailed as failure:
            raise failed(failure) from None

    def close(self) -> None:
        """End the workers. Idempotent."""
        self._pool.close()

    def _of_one(self, worker: SourceWorker, partition: Blob) -> Iterator[pa.RecordBatch]:
        for batch in worker.rows("read", [partition], running=self._running):
            yield fitted(batch, self._schema)

    def _side_by_side(self, partitions: Sequence[Blob]) -> Iterator[pa.RecordBatch]:
        workers = [self._pool.worker(index) for index in range(min(len(partitions), SIDE_BY_SIDE))]
        turns = _Turns(len(partitions))

        def work(worker: SourceWorker) -> None:
            try:
                while (index := turns.take()) is not None:
                    for batch in self._of_one(worker, partitions[index]):
                        turns.put(index, batch)
                    turns.end(index)
            except BaseException as error:  # noqa: BLE001 - raised where the rows are read
                turns.fail(error)

        threads = [threading.Thread(target=work, args=(worker,), name="riacho-source") for worker in workers]
        for thread in threads:
            thread.start()
        finished = False
        try:
            for index in range(len(partitions)):
                yield from turns.rows(index)
            finished = True
        finally:
            turns.fail(None)
            if not finished:
                self.close()
            for thread in threads:
                thread.join()
            turns.close()


class _Turns:
    """The rows of several partitions on their way from the workers' threads to whoever reads them in order."""

    def __init__(self, count: int) -> None:
        self._changed = threading.Condition()
        self._places = [_Waiting() for _ in range(count)]
        self._next = 0
        self._turn = 0
        self._ended = False
        self._error: BaseException | None = None

    def take(self) -> int | None:
        """The next partition to read, or None."""
        with self._changed:
            if self._ended or self._next == len(self._places):
                return None
            self._next += 1
            return self._next - 1

    def put(self, index: int, batch: pa.RecordBatch) -> None:
        """Rows of that partition; waits while those whose turn it is have not been taken. Raises _LeftError."""
        place = self._places[index]
        with self._changed:
            while self._turn == index and place.file is None and place.size > ASIDE_BYTES and not self._ended:
                self._changed.wait()
            if self._ended:
                raise _LeftError
            if place.file is None and (self._turn == index or place.size <= ASIDE_BYTES):
                place.batches.append(batch)
                place.size += batch.nbytes
                self._changed.notify_all()
                return
            if place.file is None:
                place.file = tempfile.TemporaryFile(prefix="riacho-source-")  # noqa: SIM115 - closed when it is read
                place.writer = pa.ipc.new_stream(place.file, batch.schema)
        assert place.writer is not None
        place.writer.write_batch(batch)

    def end(self, index: int) -> None:
        """That partition has no more rows."""
        place = self._places[index]
        if place.writer is not None:
            place.writer.close()
        with self._changed:
            place.done = True
            self._changed.notify_all()

    def fail(self, error: BaseException | None) -> None:
        """No more is read: because of an error, or because nobody wants it. Only the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
            self._changed.notify_all()

    def rows(self, index: int) -> Iterator[pa.RecordBatch]:
        """The rows of that partition; the ones before it have been read. Raises what a worker's thread raised."""
        place = self._places[index]
        with self._changed:
            self._turn = index
        while (batch := self._from_memory(place)) is not None:
            yield batch
        if place.file is not None:
            place.file.seek(0)
            with pa.ipc.open_stream(place.file) as reader:
                yield from reader
            place.file.close()

    def _from_memory(self, place: _Waiting) -> pa.RecordBatch | None:
        with self._changed:
            while not place.batches and not place.done and self._error is None:
                self._changed.wait()
            if self._error is not None:
                raise self._error
            if not place.batches:
                return None
            batch = place.batches.popleft()
            place.size -= batch.nbytes
            self._changed.notify_all()
            return batch

    def close(self) -> None:
        """Remove what was put aside."""
        for place in self._places:
            if place.file is not None:
                place.file.close()


class _Waiting:
    """What is there of one partition: rows in memory, and behind them those in a file."""

    def __init__(self) -> None:
        self.batches: deque[pa.RecordBatch] = deque()
        self.size = 0
        self.file: IO[bytes] | None = None
        self.writer: pa.RecordBatchStreamWriter | None = None
        self.done = False


class _LeftError(Exception):
    """Nobody reads the rows any more."""


def fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with exactly that schema. Raises SparkGeneralError for a null where the schema allows none."""
    for field, column in zip(schema, batch.columns, strict=True):
        if not field.nullable and column.null_count:
            raise SparkGeneralError(
                f"Value at index is null: column {field.name} of the data source is NOT NULL, but a row has none."
            )
    return shaped(batch, schema)


def shaped(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with exactly that schema, whose columns it has in that order."""
    if not schema:
        return batch.replace_schema_metadata(None)  # made of no columns, it would have no rows
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for field, column in zip(schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
