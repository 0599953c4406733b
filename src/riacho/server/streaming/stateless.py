"""The execution of a plan without state: each batch is the same plan over other inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from riacho.ids import BatchId
from riacho.protos import pb
from riacho.server.engine.base import EngineSession
from riacho.server.plan.context import Observation
from riacho.server.plan.rewrite import Template
from riacho.server.plan.rowwise import is_row_by_row
from riacho.server.plan.rules.batch_time import BatchTime
from riacho.server.streaming.execution import BatchInput, BatchOutput
from riacho.server.streaming.planning import PlannedStream


class StatelessExecution:
    """See `execution.Execution`. `zone`: the session's time zone."""

    watermark_delays_ms: Sequence[int] = ()

    def __init__(self, planned: PlannedStream, session: EngineSession, zone: str) -> None:
        self._template = planned.template
        self._session = session
        self._zone = zone
        self.row_by_row = is_row_by_row(planned.resolved)
        self._observations = [
            (each.name, Template(_aggregate(each), planned.context.metadata_leaves))
            for each in planned.context.observations
        ]

    def restore(self, batch_id: BatchId) -> None:
        """There is no state."""

    def run(self, batch: BatchInput) -> BatchOutput:
        time = BatchTime(batch.time_ms, self._zone)
        bound = _BoundParts(self._template, batch.parts, time)
        return BatchOutput(bound, observed=self._observe(batch, time) if self._observations else {})

    def committed(self, batch_id: BatchId) -> None:
        """There is no state."""

    def wants_no_data_batch(self, evict_ms: int) -> bool:  # noqa: ARG002 - there is nothing to clean up
        return False

    def close(self) -> None:
        """There is no state."""

    def _observe(self, batch: BatchInput, time: BatchTime) -> dict[str, list[Any]]:
        """The metrics of each `DataFrame.observe`, over this batch's rows."""
        leaves = dict(enumerate(batch.leaves))
        return {
            name: list(self._session.run(template.bind(leaves, time)).to_pylist()[0].values())
            for name, template in self._observations
        }


@dataclass(frozen=True)
class _BoundParts:
    """The plan over each part of a batch."""

    template: Template
    parts: Iterable[Sequence[pb.Relation]]
    time: BatchTime

    def __iter__(self) -> Iterator[pb.Relation]:
        return (self.template.bind(dict(enumerate(leaves)), self.time) for leaves in self.parts)


def _aggregate(observation: Observation) -> pb.Relation:
    relation = pb.Relation()
    relation.aggregate.input.CopyFrom(observation.input)
    relation.aggregate.group_type = pb.Aggregate.GROUP_TYPE_GROUPBY
    relation.aggregate.aggregate_expressions.extend(observation.metrics)
    return relation
