"""The foreachBatch sink: the user's function gets each batch as a DataFrame of the client's session.

The function runs in a worker process that is an ordinary client of this server. It is given an id; the server keeps the
batch's relation under that id (`CachedRemoteRelation`) while the function runs, and only then. At least once: what the
function does with a repeated batch id is the user's business.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

from riacho.errors import PythonWorkerError
from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.streaming.sinks.base import SinkBatch, SinkContext
from riacho.server.workers.python_worker import PythonWorker, WorkerFailed

WORKER = "pyspark.sql.connect.streaming.worker.foreach_batch_worker"


@dataclass(frozen=True)
class ForeachBatchSink:
    """`function` is pickled by the client; `relations` is where the server looks cached relations of the session up."""

    function: bytes
    session_id: SessionId
    connect_url: str
    relations: MutableMapping[str, pb.Relation]
    name: str = "foreachBatch"

    def open(self, context: SinkContext) -> ForeachBatchWriter:
        return ForeachBatchWriter(self, context)


class ForeachBatchWriter:
    takes_parts = False
    description = "ForeachBatchSink"

    def __init__(self, sink: ForeachBatchSink, context: SinkContext) -> None:
        self._relations = sink.relations
        self._worker = PythonWorker(
            WORKER,
            connect_url=sink.connect_url,
            session_id=sink.session_id,
            function=sink.function,
            hidden="Streaming ForeachBatch worker ",
            check_stop=context.check_stop,
        )

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
        self._worker.stop()
