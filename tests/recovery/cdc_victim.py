"""A server that runs an AUTO CDC flow over files of events, one file a batch, and may be killed on the way.

    python cdc_victim.py FOLDER SCD_TYPE [step STEP BATCH | commit TABLE BATCH before|behind]
    python cdc_victim.py FOLDER snapshots [version TABLE VERSION before|behind]

FOLDER/events has the files; the target is FOLDER/warehouse/t. TABLE is `t` or its auxiliary table `aux`; VERSION is one
of its Delta log. With `snapshots` each file is one, and the flow follows them. Exits with 0 when the flow has ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from unittest import mock

from pyspark.sql import DataFrame, SparkSession

from riacho import pipelines as dp
from riacho.ids import BatchId, QueryId
from riacho.server.connect.server import RiachoServer
from riacho.server.delta.log import DeltaLog
from riacho.server.streaming.batch import BatchStep
from tests.spec.pipelines.support import Project

SCHEMA = "id BIGINT, seq BIGINT, op STRING, v STRING"


class Killer:
    """Kills the server after a step of a batch."""

    def __init__(self, step: str, batch: str) -> None:
        self._step = step
        self._batch = int(batch)

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        if (step.value, batch_id) == (self._step, self._batch):
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at_commit(table: str, batch: int, when: str, *, is_version: bool = False) -> None:
    """Kill this process before or behind the commit of that batch, or of that version, to a table."""
    put = DeltaLog.put
    name = "t" if table == "t" else "__spark_autocdc_aux_state_t"

    def watched(log: DeltaLog, version: int, content: bytes) -> bool:
        actions = [json.loads(line) for line in content.splitlines()]
        numbers = [version] if is_version else [action.get("txn", {}).get("version") for action in actions]
        due = log.table.name == name and batch in numbers
        if due and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        made = put(log, version, content)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    mock.patch.object(DeltaLog, "put", watched).start()


def pipeline(spark: SparkSession, events: Path, scd_type: int) -> None:
    @dp.temporary_view
    def feed() -> DataFrame:
        return spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(str(events))

    dp.create_streaming_table("t")
    dp.create_auto_cdc_flow(
        target="t",
        source="feed",
        keys=["id"],
        sequence_by="seq",
        apply_as_deletes="op = 'D'",
        except_column_list=["op", "seq"],
        stored_as_scd_type=1 if scd_type == 1 else 2,
    )


def following(spark: SparkSession, events: Path) -> None:
    def next_file(last: int | None) -> tuple[DataFrame, int] | None:
        number = 0 if last is None else last + 1
        file = events / f"{number}.json"
        return (spark.read.schema("id BIGINT, v STRING").json(str(file)), number) if file.exists() else None

    dp.create_streaming_table("t")
    dp.create_auto_cdc_from_snapshot_flow("t", next_file, ["id"], stored_as_scd_type=2)


def main(folder: Path, kind: str, *orders: str) -> None:
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(Killer(*orders[1:]) if orders[:1] == ("step",) else None)
    if orders[:1] == ("commit",):
        kill_at_commit(orders[1], int(orders[2]), orders[3])
    elif orders[:1] == ("version",):
        kill_at_commit(orders[1], int(orders[2]), orders[3], is_version=True)
    spark = SparkSession.builder.remote(server.url).create()
    events = folder / "events"
    outcome = Project(spark, "default", folder / "storage").run(
        lambda: following(spark, events) if kind == "snapshots" else pipeline(spark, events, int(kind))
    )
    assert outcome.completed, outcome
    spark.stop()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *sys.argv[3:])
