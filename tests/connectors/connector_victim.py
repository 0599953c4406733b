"""A server with one query from a connector to a Delta table, that may be killed at a step of a batch, or its workers.

    python connector_victim.py FOLDER FORMAT OPTIONS SCHEMA [server|workers STEP BATCH]

OPTIONS is JSON, SCHEMA is DDL or empty. FOLDER/table and FOLDER/checkpoint are written. Exits with 0 when the query has
ended without a failure, 1 with one; a killed server does not exit at all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from riacho.errors import SparkError
from riacho.ids import new_uuid
from riacho.protos import pb
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.trigger import AvailableNow
from tests.recovery.source_victim import Killer

LIMIT_S = 60.0


def main(folder: Path, form: str, options: str, schema: str, *orders: str) -> None:
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(Killer(*orders) if orders else None)
    relation = pb.Relation()
    relation.read.is_streaming = True
    relation.read.data_source.format = form
    if schema:
        relation.read.data_source.schema = schema
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
