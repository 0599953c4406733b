"""A server with one query from a Delta table in a bucket to another, that may be killed at a step of a batch.

    python s3_victim.py FOLDER ENDPOINT SOURCE SINK CHECKPOINT [server|engine STEP BATCH]

Each batch reads one file. Exits with 0 when the query has ended; a killed server does not exit at all.
"""

from __future__ import annotations

import sys
from pathlib import Path

from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.trigger import AvailableNow
from riacho.storage import serve_with
from riacho.testing.s3 import spark_settings
from tests.recovery.victim import Killer

LIMIT_S = 60.0


def leaf(place: str) -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    source = relation.read.data_source
    source.format = "delta"
    source.paths.append(place)
    source.options["maxFilesPerTrigger"] = "1"
    return relation


def main(folder: Path, endpoint: str, source: str, sink: str, checkpoint: str, *orders: str) -> None:
    serve_with(spark_settings(endpoint))
    killer = Killer(*orders) if orders else None
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    request = StartRequest(
        relation=leaf(source),
        trigger=AvailableNow(),
        format="delta",
        path=sink,
        options={"checkpointlocation": checkpoint},
    )
    query = server.backend.start_query(new_uuid(), request)
    assert query.await_termination(LIMIT_S), "the query did not end in time"
    if query.failure is not None:
        raise query.failure
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
