"""The execution of a plan without state: each batch is the same plan over other inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from riacho.ids import BatchId
from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.plan.rewrite import Template
from riacho.server.plan.rowwise import is_row_by_row
from riacho.server.plan.rules.batch_time import BatchTime
from riacho.server.streaming.execution import BatchInput, BatchOutput
from riacho.server.streaming.observed import Observations
from riacho.server.streaming.planning import PlannedStream


class StatelessExecution:
    """See `execution.Execution`. `zone`: the session's time zone."""

    watermark_delays_ms: Sequence[int] = ()

    def __init__(self, planned: PlannedStream, session: EngineSession, zone: str) -> None:
        self._template = planned.template
        self._zone = zone
        self.row_by_row = is_row_by_row(planned.resolved)
        self._observations = Observations(planned.context, session)

    def restore(self, batch_id: BatchId) -> None:
        """There is no state."""

    def run(self, batch: BatchInput) -> BatchOutput:
        time = BatchTime(batch.time_ms, self._zone)
        bound = _BoundParts(self._template, batch.parts, time)
        return BatchOutput(bound, observed=self._observations.of(lambda: batch.leaves, time))

    def committed(self, batch_id: BatchId) -> None:
        """There is no state."""

    def wants_no_data_batch(self, evict_ms: int) -> bool:  # noqa: ARG002 - there is nothing to clean up
        return False

    def close(self) -> None:
        """There is no state."""


@dataclass(frozen=True)
class _BoundParts:
    """The plan over each part of a batch."""

    template: Template
    parts: Iterable[Sequence[pb.Relation]]
    time: BatchTime

    def __iter__(self) -> Iterator[pb.Relation]:
        return (self.template.bind(dict(enumerate(leaves)), self.time) for leaves in self.parts)
