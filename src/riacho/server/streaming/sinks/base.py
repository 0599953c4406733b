"""What a streaming sink promises: the mirror image of `sources/base.py`.

A `Sink` is configuration; a `SinkWriter` is the running object of one query run. A sink must take a batch id at or
below the last one it committed as a repetition and do nothing (exactly once), or say that it is at least once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from riacho.ids import BatchId, QueryId, RunId
from riacho.options import Option
from riacho.protos import pb
from riacho.server.engine.base import EngineSession, Spool
from riacho.storage import Place

QUERY_OPTIONS: Final = (
    Option("checkpointLocation", None, "the folder that keeps the query's progress"),
    Option("queryName", None, "the query's name"),
    Option("path", None, "where a sink that is files or a table lies"),
)
"""What a start takes from the options of every sink."""


class OutputMode(StrEnum):
    """Spark's output modes, by the names users give."""

    APPEND = "append"
    UPDATE = "update"
    COMPLETE = "complete"


@dataclass(frozen=True)
class SinkContext:
    """What a sink may use when it opens. `schema`: the columns that every batch will have."""

    query_id: QueryId
    run_id: RunId
    query_name: str | None
    schema: pa.Schema
    output_mode: OutputMode
    session: EngineSession
    scratch: Path
    """A folder for this run, on a disk with room; made by whoever needs it, removed after the run."""
    check_stop: Callable[[], None] = lambda: None
    """To be called now and then by a sink that waits for others; raises when somebody asked the query to stop."""
    spool: Spool | None = None
    """For rows that a sink hands to the engine; whoever puts some there removes them."""


@dataclass(frozen=True)
class SinkBatch:
    """One batch to be written: relations that the engine can run, whose rows together are the batch's.

    A sink chooses how it takes the rows: `session.run(relation)` for Arrow, `session.stream(relation)` batch by batch,
    `session.write_parquet(relation, …)` to let the engine write files. A relation gives the same rows each time it is
    run, but only until the next one is asked for; to go through all of them again is allowed, and costs as much.
    `source`: which part of the query's sources it is, as JSON.
    """

    batch_id: BatchId
    relations: Iterable[pb.Relation]
    schema: pa.Schema
    source: str | None = None

    @property
    def relation(self) -> pb.Relation:
        """The only one, for sinks that do not take parts."""
        (relation,) = self.relations
        return relation


class SinkWriter(Protocol):
    """A running sink. Called by one thread, the query's own."""

    description: str
    """As progress shows it, for example `DeltaSink[/warehouse/bronze.db/t]`."""
    takes_parts: bool
    """Whether a batch may have several relations; a large one then need not be held as a whole."""

    def add_batch(self, batch: SinkBatch) -> int | None:
        """Write and commit one batch; the number of rows written, or None where it is not known (Spark shows -1).

        After this returns the rows are durable. Raises SparkError; `EngineLost`, after which the batch is repeated.
        """

    def stop(self) -> None:
        """The run is over; close what is open. Called exactly once."""


class Sink(Protocol):
    """The configuration of a sink, made from a WriteStreamOperationStart command, for one query.

    A start goes through `check`, `prepare` and `announce` in that order; each may refuse it. Then the query's own
    thread calls `open`. Whatever became of it, `close` is called once at the end.
    """

    @property
    def name(self) -> str:
        """Short name of the format, for example `delta`."""

    @property
    def temporary_checkpoint(self) -> bool:
        """Whether a query that names no checkpoint may have a temporary one."""

    def check(self, mode: OutputMode, checkpoint: Place) -> None:
        """Refuse at the start what `open` would refuse. Nothing is changed. Raises SparkError."""

    def prepare(self) -> None:
        """Get ready what takes time and may fail, such as a process. Others see nothing of it. Raises SparkError."""

    def announce(self, schema: pa.Schema) -> None:
        """The query is accepted and about to run: show what is to be there before the first batch. Raises SparkError.

        Not earlier: a start that is refused must not take away what another query shows.
        """

    def open(self, context: SinkContext) -> SinkWriter:
        """Start writing for one query run. Raises SparkError, for instance for an output mode it does not take."""

    def close(self) -> None:
        """The query is over, or never began: end what `prepare` began and no writer has ended."""


class PlainSink:
    """A sink that takes every mode, and of which nobody sees anything before the first batch: what others build on."""

    temporary_checkpoint = False

    def check(self, mode: OutputMode, checkpoint: Place) -> None:
        """Every mode is fine."""

    def prepare(self) -> None:
        """There is nothing to get ready."""

    def announce(self, schema: pa.Schema) -> None:
        """There is nothing to show."""

    def close(self) -> None:
        """There is nothing to end."""
