"""The execution of a plan without state: each batch is the same plan over other inputs."""

from __future__ import annotations

from collections.abc import Sequence

from riacho.ids import BatchId
from riacho.plan.rewrite import Template
from riacho.streaming.execution import BatchInput, BatchOutput


class StatelessExecution:
    """See `execution.Execution`. `template` is the query's plan with all rules applied."""

    watermark_delays_ms: Sequence[int] = ()

    def __init__(self, template: Template) -> None:
        self._template = template

    def restore(self, batch_id: BatchId) -> None:
        """There is no state."""

    def run(self, batch: BatchInput) -> BatchOutput:
        return BatchOutput(self._template.bind(dict(enumerate(batch.leaves))))

    def committed(self, batch_id: BatchId) -> None:
        """There is no state."""

    def wants_no_data_batch(self, evict_ms: int) -> bool:  # noqa: ARG002
        return False

    def close(self) -> None:
        """There is no state."""
