"""The steps of a micro-batch, in order, by name.

    PLANNED      the batch's end offsets are chosen
    LOGGED       offsets/N is written: batch N is this range and no other
    READ         the sources' rows are in the spool, of a large batch in parts the first of them
    RAN          the plan has run, new state (if any) is durable
    WRITTEN      the sink has committed the rows
    COMMITTED    commits/N is written

A process may die between any two of them. Before LOGGED the batch never was; from LOGGED to COMMITTED it runs again
with the same range, and the sink takes a batch it has for a repetition. Tests stop a query after each step by watching
them go by (`QueryObserver.after`).
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from riacho.ids import BatchId, QueryId


class BatchStep(Enum):
    PLANNED = "planned"
    LOGGED = "logged"
    READ = "read"
    RAN = "ran"
    WRITTEN = "written"
    COMMITTED = "committed"


class QueryObserver(Protocol):
    """Told of each step, on the query's own thread, before the next one begins."""

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        """`step` of `batch_id` is done. What this raises fails the query."""


class NobodyWatches:
    """The observer of everyday use."""

    def after(self, step: BatchStep, query_id: QueryId, batch_id: BatchId) -> None:
        """Nothing to do."""
