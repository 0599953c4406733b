"""The execution of a plan without state: each batch is the same plan over other inputs."""

from __future__ import annotations

from collections.abc import Sequence

from riacho.ids import BatchId
from riacho.plan.rewrite import Template
from riacho.plan.rules.batch_time import BatchTime
from riacho.streaming.execution import BatchInput, BatchOutput


class StatelessExecution:
    """See `execution.Execution`. `template`: the plan with all rules applied; `zone`: the session's time zone."""

    watermark_delays_ms: Sequence[int] = ()

    def __init__(self, template: Template, zone: str) -> None:
        self._template = template
        self._zone = zone

    def restore(self, batch_id: BatchId) -> None:
        """There is no state."""

    def run(self, batch: BatchInput) -> BatchOutput:
        time = BatchTime(batch.time_ms, self._zone)
        return BatchOutput(self._template.bind(dict(enumerate(batch.leaves)), time))

    def committed(self, batch_id: BatchId) -> None:
        """There is no state."""

    def wants_no_data_batch(self, evict_ms: int) -> bool:  # noqa: ARG002
        return False

    def close(self) -> None:
        """There is no state."""
