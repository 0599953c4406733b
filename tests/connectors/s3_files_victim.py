"""A server with one query whose source, sink and checkpoint are in a bucket, that may be killed at a step of a batch.

    python s3_files_victim.py FOLDER BUCKET SINK [server|engine STEP BATCH]

SINK is `parquet`, `delta`, or `counts`: how often each value came, kept as state, in complete mode into Delta. The
environment has the endpoint and the keys. Each batch takes one file. Exits with 0 when the query has ended; a killed
server does not exit at all.
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


def leaf(bucket: str) -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    source = relation.read.data_source
    source.format = "json"
    source.schema = "id BIGINT, v STRING"
    source.options["path"] = f"{bucket}/in"
    source.options["maxFilesPerTrigger"] = "1"
    return relation


def counts(rows: pb.Relation) -> pb.Relation:
    aggregate = pb.Aggregate(input=rows, group_type=pb.Aggregate.GROUP_TYPE_GROUPBY)
    aggregate.grouping_expressions.add().unresolved_attribute.unparsed_identifier = "v"
    count = aggregate.aggregate_expressions.add().alias
    count.name.append("n")
    count.expr.unresolved_function.function_name = "count"
    count.expr.unresolved_function.arguments.add().unresolved_attribute.unparsed_identifier = "id"
    return pb.Relation(aggregate=aggregate)


def main(folder: Path, bucket: str, sink: str, *orders: str) -> None:
    killer = Killer(*orders) if orders else None
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    rows = leaf(bucket)
    query = server.backend.start_query(
        new_uuid(),
        StartRequest(
            relation=counts(rows) if sink == "counts" else rows,
            trigger=AvailableNow(),
            output_mode="complete" if sink == "counts" else "append",
            format="parquet" if sink == "parquet" else "delta",
            path=f"{bucket}/out",
            options={"checkpointlocation": f"{bucket}/checkpoint"},
        ),
    )
    assert query.await_termination(LIMIT_S), "the query did not end in time"
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
