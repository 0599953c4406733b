"""A server with one query from one Python data source to another, or to Delta, killed where it is told to be.

    python source_victim.py FOLDER full|simple delta|files [server|workers STEP BATCH]

The source gives ROWS numbers a batch, BATCHES times, and looks for no more. `files` writes a file for each task and
moves them to FOLDER/committed at the commit, under the number of the batch. FOLDER/crash may name a place in the user's
code and a victim, as in "write server": whoever comes there first removes the file and kills the server, or itself
("self"). Exits with 0 when the query has ended without a failure, 1 with one; a killed server does not exit at all.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pyspark.serializers import CloudPickleSerializer
from pyspark.sql.datasource import (
    DataSource,
    DataSourceStreamReader,
    DataSourceStreamWriter,
    InputPartition,
    SimpleDataSourceStreamReader,
    WriterCommitMessage,
)
from pyspark.sql.streaming.datasource import SupportsTriggerAvailableNow

from riacho.errors import SparkError
from riacho.ids import BatchId, QueryId, new_uuid
from riacho.protos import pb
from riacho.server.connect.backend import Backend
from riacho.server.connect.server import RiachoServer
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.trigger import AvailableNow
from riacho.server.workers.sources import fork_server, registered

LIMIT_S = 60.0
ROWS = 40
BATCHES = 3


def pass_by(folder: str, place: str) -> None:
    """Die here, or kill the server, if that is what FOLDER/crash says. What comes after must not be seen."""
    order = Path(folder) / "crash"
    for victim in ("self", "server"):
        if order.exists() and order.read_text() == f"{place} {victim}":
            order.unlink()
            pid = os.getpid() if victim == "self" else int((Path(folder) / "server.pid").read_text())
            os.kill(pid, signal.SIGKILL)
            time.sleep(5)
            (Path(folder) / "late").touch()


class Full(DataSourceStreamReader, SupportsTriggerAvailableNow):
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def initialOffset(self) -> dict[str, int]:
        return {"at": 0}

    def prepareForTriggerAvailableNow(self) -> None:
        pass_by(self.folder, "prepare")

    def latestOffset(self, start: dict[str, int], limit: Any) -> dict[str, int]:
        if start["at"]:
            pass_by(self.folder, "latest")
        return {"at": min(start["at"] + ROWS, ROWS * BATCHES)}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[InputPartition]:
        if start["at"]:
            pass_by(self.folder, "partitions")
        middle = (start["at"] + end["at"]) // 2
        return [InputPartition((start["at"], middle)), InputPartition((middle, end["at"]))]

    def read(self, partition: InputPartition) -> Iterator[tuple[int]]:
        start, end = partition.value
        for number in range(start, end):
            if number == ROWS + 5:
                pass_by(self.folder, "read")
            yield (number,)

    def commit(self, end: dict[str, int]) -> None:
        pass_by(self.folder, "commit offset")


class Simple(SimpleDataSourceStreamReader, SupportsTriggerAvailableNow):
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def initialOffset(self) -> dict[str, int]:
        return {"at": 0}

    def prepareForTriggerAvailableNow(self) -> None:
        pass_by(self.folder, "prepare")

    def read(self, start: dict[str, int]) -> tuple[Iterator[Any], dict[str, int]]:
        if start["at"]:
            pass_by(self.folder, "read")
        end = min(start["at"] + ROWS, ROWS * BATCHES)
        return iter([(number,) for number in range(start["at"], end)]), {"at": end}

    def readBetweenOffsets(self, start: dict[str, int], end: dict[str, int]) -> Iterator[Any]:
        return iter([(number,) for number in range(start["at"], end["at"])])


@dataclass
class Wrote(WriterCommitMessage):
    file: str


class Files(DataSourceStreamWriter):
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, iterator: Iterator[Any]) -> Wrote:
        rows = [row.n for row in iterator]
        file = Path(self.folder) / f"{uuid4()}.json"
        file.write_text(json.dumps(rows))
        if ROWS in rows:
            pass_by(self.folder, "write")
        return Wrote(str(file))

    def commit(self, messages: list[Any], batchId: int) -> None:  # noqa: N803
        if batchId == 1:
            pass_by(self.folder, "commit")
        for number, message in enumerate(messages):
            target = Path(self.folder) / "committed" / f"{batchId}-{number}.json"
            Path(message.file).replace(target)
        if batchId == 1:
            pass_by(self.folder, "committed")

    def abort(self, messages: list[Any], batchId: int) -> None:  # noqa: N803
        for message in messages:
            if message is not None:
                Path(message.file).unlink(missing_ok=True)


class Numbers(DataSource):
    @classmethod
    def name(cls) -> str:
        return "numbers"

    def schema(self) -> str:
        return "n long"

    def streamReader(self, schema: Any) -> Any:
        return Full(self.options["folder"]) if self.options["kind"] == "full" else super().streamReader(schema)

    def simpleStreamReader(self, schema: Any) -> Any:
        return Simple(self.options["folder"])

    def streamWriter(self, schema: Any, overwrite: bool) -> Any:
        return Files(self.options["folder"])


class Killer:
    """Kills the server, or all workers once, after a step of a batch."""

    def __init__(self, victim: str, step: str, batch: str) -> None:
        self._victim, self._step, self._batch = victim, BatchStep(step), int(batch)

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        if (step, batch_id) != (self._step, self._batch):
            return
        if self._victim == "server":
            os.kill(os.getpid(), signal.SIGKILL)
        fork_server.kill_all()


def know_the_source(backend: Backend, session_id: str) -> None:
    session = backend._services.sessions.get("", session_id)
    command = pb.CommonInlineUserDefinedDataSource(name="numbers")
    command.python_data_source.command = CloudPickleSerializer().dumps(Numbers)  # type: ignore[no-untyped-call]
    registered.register(session.engine, command)


def leaf(folder: Path, kind: str) -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    relation.read.data_source.format = "numbers"
    relation.read.data_source.options.update({"folder": str(folder), "kind": kind})
    return relation


def main(folder: Path, kind: str, sink: str, *orders: str) -> None:
    (folder / "committed").mkdir(exist_ok=True)
    (folder / "server.pid").write_text(str(os.getpid()))
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(Killer(*orders) if orders else None)
    session_id = new_uuid()
    know_the_source(server.backend, session_id)
    files: Final = {"folder": str(folder), "kind": kind, "checkpointlocation": str(folder / "checkpoint")}
    query = server.backend.start_query(
        session_id,
        StartRequest(
            relation=leaf(folder, kind),
            trigger=AvailableNow(),
            format="delta" if sink == "delta" else "numbers",
            path=str(folder / "table") if sink == "delta" else "",
            options={"checkpointlocation": str(folder / "checkpoint")} if sink == "delta" else files,
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
