"""A server with one query from a topic to a Delta table or to another topic, that may be killed at a step of a batch.

    python victim.py FOLDER BOOTSTRAP SOURCE SINK [server|engine STEP BATCH]

SINK is a topic, written exactly once, or `delta`: then FOLDER/table. Each batch takes about ROWS messages. Exits with 0
when the query has ended; a killed server does not exit at all.
"""

from __future__ import annotations

import sys
from pathlib import Path

from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.trigger import AvailableNow
from tests.recovery.victim import Killer

LIMIT_S = 60.0
ROWS = 20


def leaf(bootstrap: str, topic: str) -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    source = relation.read.data_source
    source.format = "kafka"
    source.options["kafka.bootstrap.servers"] = bootstrap
    source.options["subscribe"] = topic
    source.options["startingOffsets"] = "earliest"
    source.options["maxOffsetsPerTrigger"] = str(ROWS)
    return relation


def main(folder: Path, bootstrap: str, source: str, sink: str, *orders: str) -> None:
    killer = Killer(*orders) if orders else None
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    options = {"checkpointlocation": str(folder / "checkpoint")}
    if sink != "delta":
        options |= {"kafka.bootstrap.servers": bootstrap, "topic": sink, "riacho.exactlyonce": "true"}
    relation = pb.Relation()
    relation.drop.input.CopyFrom(leaf(bootstrap, source))
    relation.drop.column_names.extend(["topic", "partition"])
    query = server.backend.start_query(
        new_uuid(),
        StartRequest(
            relation=relation,
            trigger=AvailableNow(),
            format="delta" if sink == "delta" else "kafka",
            path=str(folder / "table") if sink == "delta" else "",
            options=options,
        ),
    )
    assert query.await_termination(LIMIT_S), "the query did not end in time"
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
