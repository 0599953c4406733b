"""A server with one query from MongoDB to Delta, or from Delta to MongoDB, that may be killed at a step of a batch.

    python mongo_victim.py FOLDER URI DATABASE in|out [server|engine|workers STEP BATCH]

`in`: the changes of the collection `source`, about ROWS a batch, into FOLDER/table. `out`: FOLDER/table, whose rows
have no `_id`, a commit a batch, into the collection `copy`. Exits with 0 when the query has ended without a failure, 1
with one; a killed server does not exit at all.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from riacho.errors import SparkError
from riacho.ids import BatchId, QueryId, new_uuid
from riacho.protos import pb
from riacho.server.connect.backend import Backend
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.trigger import AvailableNow
from riacho.server.workers.sources import fork_server

LIMIT_S = 60.0
ROWS = 20


class MongoKiller:
    """Kills the server, the engine or all workers once, after a step of a batch."""

    def __init__(self, victim: str, step: str, batch: str) -> None:
        self.backend: Backend | None = None
        self._victim = victim
        self._when = (step, int(batch))
        self._armed = True

    def after(self, step: BatchStep, _query: QueryId, batch_id: BatchId) -> None:
        if not self._armed or (step.value, batch_id) != self._when:
            return
        self._armed = False
        if self._victim == "server":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._victim == "workers":
            fork_server.kill_all()
        else:
            assert self.backend is not None
            os.kill(self.backend.engine_pid, signal.SIGKILL)


def request(folder: Path, uri: str, database: str, way: str) -> StartRequest:
    mongo = {"connection.uri": uri, "database": database}
    relation = pb.Relation()
    relation.read.is_streaming = True
    source = relation.read.data_source
    if way == "in":
        source.format = "mongodb"
        source.schema = "_id INT, v STRING"
        more = {
            "collection": "source",
            "change.stream.publish.full.document.only": "true",
            "change.stream.startup.mode": "timestamp",
            "change.stream.startup.mode.timestamp.start.at.operation.time": "0",
            "change.stream.micro.batch.max.rows": str(ROWS),
        }
        source.options.update({**mongo, **more})
    else:
        source.format = "delta"
        source.paths.append(str(folder / "table"))
        source.options["maxFilesPerTrigger"] = "1"
    return StartRequest(
        relation=relation,
        trigger=AvailableNow(),
        format="delta" if way == "in" else "mongodb",
        path=str(folder / "table") if way == "in" else "",
        options={
            "checkpointlocation": str(folder / "checkpoint"),
            **({} if way == "in" else {**mongo, "collection": "copy"}),
        },
    )


def main(folder: Path, uri: str, database: str, way: str, *orders: str) -> int:
    killer = MongoKiller(*orders) if orders else None
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    query = server.backend.start_query(new_uuid(), request(folder, uri, database, way))
    try:
        assert query.await_termination(LIMIT_S), "the query did not end in time"
    except SparkError as error:
        print(error, flush=True)
        return 1
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
