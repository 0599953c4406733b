"""A server with one query from PostgreSQL to a Delta table, that may be killed at a step of a batch.

    python postgres_victim.py FOLDER FORMAT OPTIONS [server|engine|workers|command STEP BATCH [COMMAND]]

OPTIONS are JSON. FOLDER/table is written until there is nothing more to read. `command` runs a shell command instead of
a kill. Exits with 0 when the query has ended, 1 when it has failed; a killed server does not exit at all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
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


class Killer:
    """Does what it is told after a step of a batch, once."""

    def __init__(self, victim: str, step: str, batch: str, command: str = "") -> None:
        self.backend: Backend | None = None
        self._victim, self._step, self._batch, self._command = victim, BatchStep(step), int(batch), command

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        if (step, batch_id) != (self._step, self._batch):
            return
        self._batch = -1
        match self._victim:
            case "server":
                os.kill(os.getpid(), signal.SIGKILL)
            case "workers":
                fork_server.kill_all()
            case "command":
                subprocess.run(self._command, shell=True, check=True, timeout=LIMIT_S)
            case _:
                assert self.backend is not None
                os.kill(self.backend.engine_pid, signal.SIGKILL)


def main(folder: Path, format: str, options: str, *orders: str) -> None:
    killer = Killer(*orders) if orders else None
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    relation = pb.Relation()
    relation.read.is_streaming = True
    relation.read.data_source.format = format
    relation.read.data_source.options.update(json.loads(options))
    query = server.backend.start_query(
        new_uuid(),
        StartRequest(
            relation=relation,
            trigger=AvailableNow(),
            format="delta",
            path=str(folder / "table"),
            options={"checkpointlocation": str(folder / "checkpoint")},
        ),
    )
    try:
        assert query.await_termination(LIMIT_S), "the query did not end in time"
    except SparkError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    finally:
        server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
