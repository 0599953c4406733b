"""How a query's plan turns the inputs of one batch into the rows for its sink.

The query loop knows offsets, logs and sinks; an `Execution` knows the plan. The stateless one puts the inputs in the
place of the plan's leaves. A stateful one also keeps state, versioned by batch: state version N is what batch N-1 left
behind, so running batch N reads version N and writes version N+1, and running it again does the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from riacho.ids import BatchId
from riacho.protos import pb
from riacho.server.streaming.observed import Observed


@dataclass(frozen=True)
class BatchInput:
    """What a batch is run on.

    `parts` are the batch's rows, one part after the other; in each, `[i]` reads the new rows of leaf i (in the order of
    `plan.facts.leaves`). A part can be read until the next one is asked for. There is one part, unless the execution is
    `row_by_row`. `late_ms` is the watermark that drops late rows (that of the batch before), `evict_ms` the one that
    closes windows and evicts state (this batch's `batchWatermarkMs`), `time_ms` the batch's timestamp: all in
    milliseconds since the epoch.
    """

    batch_id: BatchId
    parts: Iterable[Sequence[pb.Relation]]
    late_ms: int
    evict_ms: int
    time_ms: int

    @property
    def leaves(self) -> Sequence[pb.Relation]:
        """The only part."""
        (leaves,) = self.parts
        return leaves


@dataclass(frozen=True)
class EventTime:
    """What one watermark operator saw in a batch, nulls ignored: milliseconds since the epoch, and a count of rows."""

    max_ms: int
    min_ms: int
    avg_ms: int
    count: int


@dataclass(frozen=True)
class BatchOutput:
    """What a batch gave: `relations` read the rows for the sink, one after the other; see `sinks.base.SinkBatch`.

    `event_times[i]` belongs to the i-th watermark operator of the plan (None: it saw no row). `state` holds the
    `stateOperators` entries of progress, one per stateful operator, with Spark's keys. `observed`: the metrics of each
    `DataFrame.observe`, by its name.
    """

    relations: Iterable[pb.Relation]
    event_times: Sequence[EventTime | None] = ()
    state: Sequence[dict[str, Any]] = field(default_factory=list)
    observed: Mapping[str, Observed] = field(default_factory=dict)

    @property
    def relation(self) -> pb.Relation:
        """The only one."""
        (relation,) = self.relations
        return relation


class Execution(Protocol):
    """One query run's plan, prepared once. Called by the query's own thread only."""

    watermark_delays_ms: Sequence[int]
    """The delay of each watermark operator of the plan, in plan order; empty without watermarks."""
    row_by_row: bool
    """What it gives for a batch is what it gives for the batch's parts, one after the other, if there is one leaf."""

    def restore(self, batch_id: BatchId) -> None:
        """Be ready to run `batch_id`: load the state that batch `batch_id - 1` left (none for batch 0).

        Called once at start, and again after a batch failed half way. Raises SparkError if that state is missing or
        damaged and cannot be rebuilt.
        """

    def run(self, batch: BatchInput) -> BatchOutput:
        """Run one batch. The state it leaves is durable when this returns, as version `batch_id + 1`.

        Nothing is final yet: the sink has still to take the rows. May be called again for the same batch after
        `restore`. Raises SparkError, EngineLost.
        """

    def committed(self, batch_id: BatchId) -> None:
        """The sink has the rows of `batch_id` and its commit is logged; what older batches kept may be cleaned up."""

    def wants_no_data_batch(self, evict_ms: int) -> bool:
        """Whether a batch without input should run under this new eviction watermark (Spark: shouldRunAnotherBatch)."""

    def close(self) -> None:
        """The run is over. Called exactly once."""
