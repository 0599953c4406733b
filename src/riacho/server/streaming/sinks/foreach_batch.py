"""The foreachBatch sink: the user's function gets each batch as a DataFrame of the client's session.

The function runs in a worker process that is an ordinary client of this server. It is given an id; the server keeps the
batch's relation under that id (`CachedRemoteRelation`) while the function runs, and only then. At least once: what the
function does with a repeated batch id is the user's business.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from riacho.errors import PythonWorkerError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.streaming.sinks.base import PlainSink, SinkBatch, SinkContext
from riacho.server.workers.python_worker import PythonWorker, WorkerFailed, check_version

WORKER = "pyspark.sql.connect.streaming.worker.foreach_batch_worker"


class ForeachBatchSink(PlainSink):
    """`function` is the client's; `relations` is where the server looks cached relations of the session up."""

    name = "foreachBatch"
    temporary_checkpoint = True

    def __init__(
        self,
        function: pb.PythonUDF,
        session_id: SessionId,
        connect_url: str,
        relations: MutableMapping[str, pb.Relation],
    ) -> None:
        self._function = function
        self._session_id = session_id
        self._connect_url = connect_url
        self._relations = relations
        self._worker: PythonWorker | None = None

    def prepare(self) -> None:
        """Start the worker and let it load the function: one that cannot be loaded refuses the start.

        Raises STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE.
        """
        check_version(self._function.python_ver)
        self._worker = PythonWorker(
            WORKER,
            connect_url=self._connect_url,
            session_id=self._session_id,
            function=self._function.command,
            hidden="Streaming ForeachBatch worker ",
        )

    def open(self, context: SinkContext) -> ForeachBatchWriter:
        if self._worker is None:
            self.prepare()
        assert self._worker is not None
        self._worker.check_stop = context.check_stop
        return ForeachBatchWriter(self._worker, self._relations)

    def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop()


class ForeachBatchWriter:
    takes_parts = False
    description = "ForeachBatchSink"

    def __init__(self, worker: PythonWorker, relations: MutableMapping[str, pb.Relation]) -> None:
        self._worker = worker
        self._relations = relations

    def add_batch(self, batch: SinkBatch) -> None:
        """Raises PythonWorkerError if the function fails."""
        relation_id = new_uuid()
        self._relations[relation_id] = batch.relation
        try:
            self._worker.call(relation_id, batch.batch_id)
        except (WorkerFailed, ConnectionError) as error:
            raise PythonWorkerError.of(
                "FOREACH_BATCH_USER_FUNCTION_ERROR",
                f"An error occurred in the user provided function in foreach batch sink. Reason: {error}",
                sql_state="39000",
                reason=str(error),
            ) from None
        finally:
            del self._relations[relation_id]

    def stop(self) -> None:
        """The worker is ended with the sink."""
