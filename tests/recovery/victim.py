"""A server with one query from JSON files to a Delta table, that may be killed at one step of one batch.

    python victim.py FOLDER [server|engine STEP BATCH]
    python victim.py FOLDER server|engine part NUMBER
    python victim.py --foreach FOLDER …
    python victim.py --files FOLDER … [server|engine filed NUMBER]
    python victim.py --checked FOLDER … [server|engine quarantined NUMBER]

FOLDER/landing is read one file a batch, in the second form all at once and each file a part of the batch;
FOLDER/table and FOLDER/checkpoint are written, with `--foreach` lines of FOLDER/seen.txt instead of the table, with
`--files` JSON files instead of a Delta table; "filed" is between a batch's files and their entry in the log. With
`--checked` rows with an id that 3 divides go to FOLDER/quarantine, those that 5 divides are dropped, and what was
counted in each batch is a line of FOLDER/counts.txt; "quarantined" is between the two commits of a batch. Exits
with 0 when the query has ended; a killed server does not exit at all. "worker" is the process of a foreach function.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from pyspark.serializers import CloudPickleSerializer
from pyspark.sql import Row
from pyspark.sql.streaming.readwriter import DataStreamWriter

from riacho.ids import BatchId, QueryId, new_uuid
from riacho.protos import pb
from riacho.server.connect.backend import Backend
from riacho.server.connect.server import RiachoServer
from riacho.server.engine.spool import FolderSpool
from riacho.server.files.rows import RowFiles, WrittenFile
from riacho.server.graph.expectations import from_text
from riacho.server.streaming import parts
from riacho.server.streaming.batch import BatchStep
from riacho.server.streaming.progress import Progress
from riacho.server.streaming.quality import Checks, Violation
from riacho.server.streaming.query_status import Listener
from riacho.server.streaming.request import StartRequest
from riacho.server.streaming.sinks.checked import CheckedWriter
from riacho.server.streaming.trigger import AvailableNow
from riacho.server.workers import python_worker

LIMIT_S = 60.0


class Killer:
    """Kills the server, or the engine's process once, after a step of a batch or a part of one."""

    def __init__(self, victim: str, when: str, number: str) -> None:
        self.backend: Backend | None = None
        self._victim = victim
        self._when = when
        self._number = int(number)
        self._armed = True

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        self._pass(step.value, batch_id)

    def after_part(self, number: int) -> None:
        self._pass("part", number)

    def after_files(self, number: int) -> None:
        self._pass("filed", number)

    def _pass(self, when: str, number: int) -> None:
        if not self._armed or (when, number) != (self._when, self._number):
            return
        self._armed = False
        if self._victim == "server":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._victim == "worker":
            python_worker.kill_all()
            return
        assert self.backend is not None
        os.kill(self.backend.engine_pid, signal.SIGKILL)


def cut_into_parts(killer: Killer) -> None:
    """Have each batch of rows be a part, and the killer told of each that the engine is done with."""
    mock.patch.multiple(parts, FIRST_BYTES=1, LARGEST_BYTES=1).start()
    done = count()
    remove = FolderSpool.remove

    def watched(spool: FolderSpool, relation: pb.Relation) -> None:
        remove(spool, relation)
        killer.after_part(next(done))

    mock.patch.object(FolderSpool, "remove", watched).start()


def watch_files(killer: Killer) -> None:
    """Have the killer told of each batch whose files are there and in no log yet."""
    done = count()
    write = RowFiles.write

    def watched(self: RowFiles, *given: Any) -> list[WrittenFile]:
        files = write(self, *given)
        killer.after_files(next(done))
        return files

    mock.patch.object(RowFiles, "write", watched).start()


def watch_quarantine(killer: Killer) -> None:
    """Have the killer told of each batch whose quarantined rows are committed, and the others not yet."""
    done = count()
    put_aside = CheckedWriter._put_aside

    def watched(self: CheckedWriter, *given: Any) -> None:
        put_aside(self, *given)
        killer._pass("quarantined", next(done))

    mock.patch.object(CheckedWriter, "_put_aside", watched).start()


def rules(folder: Path) -> Checks:
    """What rows are to keep, with `--checked`."""
    return Checks(
        "flow",
        "table",
        (
            from_text("threes", "id % 3 != 0", Violation.QUARANTINE),
            from_text("fives", "id % 5 != 0", Violation.DROP),
            from_text("sevens", "id % 7 != 0", Violation.WARN),
        ),
        folder / "quarantine",
    )


def note_counts(folder: Path) -> Listener:
    """Writes what was counted in each batch to a file."""

    def on_batch(progress: Progress) -> None:
        counts = {count.name: count.failed for count in progress.expectations}
        assert progress.quality is not None
        rows = progress.quality.rows
        told = {"batch": progress.batch_id, "in": rows.rows_in, "out": rows.out, **counts}
        with (folder / "counts.txt").open("a") as file:
            file.write(json.dumps(told) + "\n")

    return Listener(on_batch=on_batch)


def leaf(landing: Path, files_per_batch: int) -> pb.Relation:
    relation = pb.Relation()
    relation.read.is_streaming = True
    source = relation.read.data_source
    source.format = "json"
    source.schema = "id BIGINT, text STRING"
    source.paths.append(str(landing))
    source.options["maxFilesPerTrigger"] = str(files_per_batch)
    return relation


def note(seen: Path) -> pb.PythonUDF:
    """A foreach writer that says in a file what it is called for."""

    class Writer:
        def say(self, text: str) -> None:
            with open(path, "a") as file:  # noqa: PTH123 - goes to another process as it stands
                file.write(text + "\n")

        def open(self, partition_id: int, epoch_id: int) -> bool:
            self.say(f"open {epoch_id}")
            return True

        def process(self, row: Row) -> None:
            self.say(str(row.id))

        def close(self, error: Exception | None) -> None:
            self.say(f"close {type(error).__name__}")

    path = str(seen)
    command = (DataStreamWriter._construct_foreach_function(Writer()), None, None, None)
    return pb.PythonUDF(command=CloudPickleSerializer().dumps(command))  # type: ignore[no-untyped-call]


def main(folder: Path, *orders: str, sink: str = "delta") -> None:
    foreach = sink == "foreach"
    killer = Killer(*orders) if orders else None
    in_parts = killer is not None and "part" in orders
    if killer is not None and in_parts:
        cut_into_parts(killer)
    if killer is not None and "filed" in orders:
        watch_files(killer)
    if killer is not None and "quarantined" in orders:
        watch_quarantine(killer)
    server = RiachoServer(folder / "warehouse", port=0)
    server.start(killer)
    if killer is not None:
        killer.backend = server.backend
    checked = sink == "checked"
    query = server.backend.start_query(
        new_uuid(),
        StartRequest(
            relation=leaf(folder / "landing", 1000 if in_parts else 1),
            trigger=AvailableNow(),
            format="" if foreach else "delta" if checked else sink,
            path="" if foreach else str(folder / "table"),
            foreach=note(folder / "seen.txt") if foreach else None,
            options={"checkpointlocation": str(folder / "checkpoint")},
            checks=rules(folder) if checked else None,
        ),
        note_counts(folder) if checked else None,
    )
    assert query.await_termination(LIMIT_S), "the query did not end in time"
    server.stop()


if __name__ == "__main__":
    given = [order for order in sys.argv[1:] if not order.startswith("--")]
    sinks = {"--foreach": "foreach", "--files": "json", "--checked": "checked"}
    main(Path(given[0]), *given[1:], sink=next((sinks[order] for order in sys.argv if order in sinks), "delta"))
