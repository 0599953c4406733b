"""A writer and its tasks: rows spread over them, then commit, or abort if anything went wrong.

Spark runs a task for each partition of what is written. riacho has no partitions: it takes as many tasks as the plan
asks for in its end (`repartition(3)`), else one, and more, side by side, if there is more than one batch of rows.
Sources: `WriteToDataSourceV2Exec`, `PythonBatchWriterFactory`, `PythonStreamingWrite`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import Final, Protocol

import pyarrow as pa

from riacho import types
from riacho.errors import SparkError
from riacho.protos import pb
from riacho.server.engine.stopping import Check, current_check
from riacho.server.workers.sources.failures import failed
from riacho.server.workers.sources.pool import WorkerPool
from riacho.server.workers.sources.reading import SIDE_BY_SIDE, shaped
from riacho.server.workers.sources.worker import Blob, SourceWorker, UserCodeFailed
from riacho.zones import Zone

FINISH_LIMIT_S: Final = 10.0
"""How long a commit, or an abort, may go on after somebody asked to stop."""
MOST_TASKS: Final = 64

Message = bytearray | None
"""What a task tells the commit, pickled; None for one that failed."""


@dataclass(frozen=True)
class Tasks:
    """How many tasks a plan is written with: that many, or no more than `most`."""

    count: int | None = None
    most: int = SIDE_BY_SIDE

    def no_more_than(self, most: int | None) -> Tasks:
        """The same with that limit, if there is one."""
        if most is None:
            return self
        return Tasks(None if self.count is None else min(self.count, most), min(self.most, most))

    @classmethod
    def of(cls, relation: pb.Relation) -> tuple[Tasks, pb.Relation]:
        """What the end of a plan asks for, and the plan without it."""
        if relation.WhichOneof("rel_type") != "repartition":
            return cls(), relation
        asked = min(relation.repartition.num_partitions, MOST_TASKS)
        tasks = cls(count=asked) if relation.repartition.shuffle else cls(most=min(asked, SIDE_BY_SIDE))
        return tasks, relation.repartition.input


class Finish(Protocol):
    """Commits, or aborts, what tasks wrote. Raises SparkError."""

    def __call__(self, messages: list[Message], *, abort: bool) -> None:
        """One message for each task."""


class WriterTasks:
    """Workers that run the tasks of a writer, for as long as it is written to.

    `schema`: the columns of the rows, whose TIMESTAMPs Arrow writers get in `zone`, the session's.
    """

    def __init__(self, schema: pa.Schema, zone: Zone, check_stop: Check | None = None) -> None:
        self._schema = types.schema_in_zone(schema, zone.text)
        self._pool = WorkerPool(check_stop or current_check())

    def write(self, writer: Blob, batches: Iterable[pa.RecordBatch], tasks: Tasks, finish: Finish) -> int:
        """Write rows and commit them; how many. `writer`: pickled.

        Whatever fails, what the tasks wrote is aborted, and the failure raised: PYTHON_EXCEPTION for a task's.
        """
        job = _WriteJob(writer, self._schema, self._pool.worker, tasks)
        try:
            try:
                job.write(batches)
            except UserCodeFailed as failure:
                raise failed(failure) from None
            finish(job.messages, abort=False)
        except BaseException as error:
            broken = not job.is_done
            if broken:
                self.close()
            abort(finish, job.messages, error)
            raise
        return job.rows

    def close(self) -> None:
        """End the workers. Idempotent."""
        self._pool.close()


def abort(finish: Finish, messages: list[Message], cause: BaseException) -> None:
    """Abort after `cause`, which is what the user hears of whatever becomes of this."""
    try:
        finish(messages, abort=True)
    except (SparkError, TimeoutError) as error:
        cause.add_note(f"To abort the write failed as well: {error}")


class _WriteJob:
    """The tasks of one write. `messages` has one entry for each that was begun."""

    def __init__(self, writer: Blob, schema: pa.Schema, worker: Callable[[int], SourceWorker], tasks: Tasks) -> None:
        self._writer = writer
        self._schema = schema
        self._worker = worker
        self._tasks = tasks
        self._begun: list[SourceWorker] = []
        self.messages: list[Message] = []
        self.rows = 0
        self.is_done = False

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Raises UserCodeFailed, and what `batches` raises."""
        while len(self._begun) < (self._tasks.count or 1):
            self._begin()
        turns: Iterator[int] = cycle(range(self._tasks.count or self._tasks.most))
        for batch in batches:
            if not batch.num_rows:
                continue
            self.rows += batch.num_rows
            fit = shaped(batch, self._schema)
            if self._tasks.count is None:
                self._put(next(turns), fit)
                continue
            for task, part in enumerate(_parts(fit, self._tasks.count)):
                self._put(task, part)
        self._end()
        self.is_done = True

    def _begin(self) -> None:
        worker = self._worker(len(self._begun))
        self.messages.append(None)
        self._begun.append(worker)
        worker.open_write(self._writer)

    def _put(self, task: int, batch: pa.RecordBatch) -> None:
        if task == len(self._begun):
            self._begin()
        self._begun[task].put(batch)

    def _end(self) -> None:
        """Get the messages of all tasks, also of those behind one that failed. Raises the first failure."""
        failure: UserCodeFailed | None = None
        for worker in self._begun:
            worker.end_write()
        for task, worker in enumerate(self._begun):
            try:
                self.messages[task] = worker.message()
            except UserCodeFailed as error:
                failure = failure or error
        if failure is not None:
            raise failure


def _parts(batch: pa.RecordBatch, count: int) -> Iterator[pa.RecordBatch]:
    """That many parts of a batch, of equal size as far as that goes; none is empty."""
    bounds = [batch.num_rows * part // count for part in range(count + 1)]
    for start, end in pairwise(bounds):
        if end > start:
            yield batch.slice(start, end - start)


@contextmanager
def unhurried(worker: SourceWorker) -> Iterator[None]:
    """Let a worker finish what must not be cut off: a request to stop counts only after FINISH_LIMIT_S."""
    check = worker.check_stop
    asked_s: float | None = None

    def patient() -> None:
        nonlocal asked_s
        try:
            check()
        except BaseException:
            now_s = time.monotonic()
            asked_s = now_s if asked_s is None else asked_s
            if now_s - asked_s > FINISH_LIMIT_S:
                raise

    worker.check_stop = patient
    try:
        yield
    finally:
        worker.check_stop = check
