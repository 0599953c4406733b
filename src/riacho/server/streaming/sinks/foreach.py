"""The foreach sink: a function, or an object with `open`, `process` and `close`, gets each row of each batch.

It runs in a process of its own, which gets the rows as Arrow data. A batch is one partition, number 0, and its epoch is
the batch's number. At least once: a batch that was cut off, for instance because a process ended, is given again from
its beginning under the same numbers. Source: `org.apache.spark.sql.execution.streaming.sources.ForeachWriterTable`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from riacho import types
from riacho.errors import SparkGeneralError, python_exception
from riacho.protos import pb
from riacho.server.streaming.query_status import Stopped
from riacho.server.streaming.sinks.base import PlainSink, SinkBatch, SinkContext
from riacho.server.workers.foreach_worker import ForeachWorker
from riacho.server.workers.python_worker import WorkerFailed, check_version

WORKER_ATTEMPTS: Final = 4
"""So many processes may end over one batch (Spark: `spark.task.maxFailures` of a cluster)."""


class ForeachSink(PlainSink):
    """`function` is the client's."""

    name = "foreach"
    temporary_checkpoint = True

    def __init__(self, function: pb.PythonUDF) -> None:
        self._function = function
        self._worker: ForeachWorker | None = None

    def prepare(self) -> None:
        """Start the process. Raises STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE, also for another Python's function.

        A function that cannot be loaded fails the first batch, as in Spark.
        """
        check_version(self._function.python_ver)
        self.worker()

    def open(self, context: SinkContext) -> ForeachWriter:
        return ForeachWriter(self, context)

    def worker(self) -> ForeachWorker:
        """The running process, started if there is none."""
        if self._worker is None:
            self._worker = ForeachWorker(self._function.command)
        return self._worker

    def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()


class ForeachWriter:
    """See `streaming.sinks.base.SinkWriter`."""

    takes_parts = True
    description = "ForeachWriterTable[PythonForeachWriter]"

    def __init__(self, sink: ForeachSink, context: SinkContext) -> None:
        self._sink = sink
        self._context = context
        self._schema = types.to_json(context.schema)

    def add_batch(self, batch: SinkBatch) -> int:
        """Raises PYTHON_EXCEPTION for what the function raised, SparkGeneralError if its process ends every time."""
        cause: ConnectionError | None = None
        for attempt in range(WORKER_ATTEMPTS):
            try:
                return self._give(batch, attempt)
            except WorkerFailed as error:
                raise python_exception(str(error)) from None
            except ConnectionError as error:
                self._sink.close()
                cause = error
        raise SparkGeneralError(
            f"Python worker exited unexpectedly (crashed): {cause}. It did so {WORKER_ATTEMPTS} times over batch "
            f"{batch.batch_id}."
        )

    def stop(self) -> None:
        """The process is ended with the sink."""

    def _give(self, batch: SinkBatch, attempt: int) -> int:
        worker = self._sink.worker()
        worker.check_stop = self._context.check_stop
        worker.begin(self._partition(batch, attempt))
        rows = 0
        try:
            for relation in batch.relations:
                for given in self._context.session.stream(relation):
                    if not worker.send(given):
                        worker.finish()
                        raise AssertionError("unreachable")
                    rows += given.num_rows
            worker.finish()
        except (WorkerFailed, ConnectionError):
            raise
        except BaseException:
            # The function is told, so that it may close what it has; the batch's own error is the one to be heard of.
            with suppress(WorkerFailed, ConnectionError, Stopped):
                worker.cut_off()
            raise
        return rows

    def _partition(self, batch: SinkBatch, attempt: int) -> dict[str, object]:
        properties = {
            "streaming.sql.batchId": str(batch.batch_id),
            "sql.streaming.queryId": self._context.query_id,
            "spark.jobGroup.id": self._context.run_id,
        }
        return {"id": 0, "attempt": attempt, "schema": self._schema, "properties": properties}
