"""Processes that kill themselves.

    python ingest_victim.py serve FOLDER PORT [STEP NUMBER]
    python ingest_victim.py stream FOLDER [server|engine STEP BATCH]

`serve`: an ingest server that keeps its logs in FOLDER/ingest and dies at the NUMBER-th time that a commit is at STEP.
`stream`: a riacho server with one query from the endpoint `orders` to FOLDER/table, some 100 events a batch, bad ones
to FOLDER/letters; it dies, or its engine, after a step of a batch. Exits with 0 when the query has ended.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from riacho.ids import new_uuid
from riacho.ingest.config import IngestConfig
from riacho.ingest.serve import IngestService
from riacho.protos import pb
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.trigger import AvailableNow
from tests.recovery.victim import Killer

LIMIT_S = 60.0
PER_BATCH = 100


def serve(folder: Path, port: str, *orders: str) -> None:
    numbers = count(1)

    def hook(step: str) -> None:
        if orders and step == orders[0] and next(numbers) == int(orders[1]):
            os.kill(os.getpid(), signal.SIGKILL)

    service = IngestService(folder / "ingest", IngestConfig({}, open=True), port=int(port), hook=hook)
    print(service.url, flush=True)
    service.run()


def leaf(folder: Path) -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    source = relation.read.data_source
    source.format = "ingest"
    source.schema = "id BIGINT, _offset BIGINT"
    source.options["endpoint"] = "orders"
    source.options["path"] = str(folder / "ingest")
    source.options["maxOffsetsPerTrigger"] = str(PER_BATCH)
    source.options["bad_data"] = "dead_letter"
    source.options["bad_data_path"] = str(folder / "letters")
    return relation


def stream(folder: Path, *orders: str) -> None:
    killer = Killer(*orders) if orders else None
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    request = StartRequest(
        relation=leaf(folder),
        trigger=AvailableNow(),
        format="delta",
        path=str(folder / "table"),
        options={"checkpointlocation": str(folder / "checkpoint")},
    )
    query = server.backend.start_query(new_uuid(), request)
    assert query.await_termination(LIMIT_S), "the query did not end in time"
    server.stop()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]), *sys.argv[3:])
    else:
        stream(Path(sys.argv[2]), *sys.argv[3:])
