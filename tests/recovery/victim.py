"""A server with one query from JSON files to a Delta table, that may be killed at one step of one batch.

    python victim.py FOLDER [server|engine STEP BATCH]

FOLDER/landing is read one file a batch; FOLDER/table and FOLDER/checkpoint are written. Exits with 0 when the query
has ended; a killed server does not exit at all.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from riacho.ids import BatchId, QueryId, new_uuid
from riacho.protos import pb
from riacho.server.backend import Backend
from riacho.server.server import RiachoServer
from riacho.server.start import StartRequest
from riacho.streaming.batch import Step
from riacho.streaming.trigger import AvailableNow

LIMIT_S = 60.0


class Killer:
    """Kills the server, or the engine's process once, after a step of a batch."""

    def __init__(self, victim: str, step: str, batch: str) -> None:
        self.backend: Backend | None = None
        self._victim = victim
        self._step = Step(step)
        self._batch = int(batch)
        self._armed = True

    def after(self, step: Step, query_id: QueryId, batch_id: BatchId) -> None:
        if not self._armed or step is not self._step or batch_id != self._batch:
            return
        self._armed = False
        if self._victim == "server":
            os.kill(os.getpid(), signal.SIGKILL)
        assert self.backend is not None
        os.kill(self.backend.engine_pid, signal.SIGKILL)


def leaf(landing: Path) -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    source = relation.read.data_source
    source.format = "json"
    source.schema = "id BIGINT, text STRING"
    source.paths.append(str(landing))
    source.options["maxFilesPerTrigger"] = "1"
    return relation


def main(folder: Path, *orders: str) -> None:
    killer = Killer(*orders) if orders else None
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    query = server.backend.start_query(
        new_uuid(),
        StartRequest(
            relation=leaf(folder / "landing"),
            trigger=AvailableNow(),
            format="delta",
            path=str(folder / "table"),
            options={"checkpointlocation": str(folder / "checkpoint")},
        ),
    )
    assert query.await_termination(LIMIT_S), "the query did not end in time"
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
