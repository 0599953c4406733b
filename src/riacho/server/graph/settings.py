"""The confs that a run obeys, read once when it starts. `riacho.conf` has their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from riacho.conf import CONCURRENT_FLOWS, FLOW_RETRIES, LONGEST_RETRY_WAIT, SHORTEST_RETRY_WAIT, GetConf
from riacho.server.graph.schedule import Backoff


@dataclass(frozen=True)
class PipelineSettings:
    """The settings of one run, read once from the session's confs."""

    max_retries: int
    backoff: Backoff
    max_concurrent_flows: int

    @classmethod
    def read(cls, get_conf: GetConf) -> PipelineSettings:
        """The settings that the session asks for. Raises INVALID_CONF_VALUE.*."""
        return cls(
            max_retries=FLOW_RETRIES.read(get_conf),
            backoff=Backoff(
                shortest_ms=SHORTEST_RETRY_WAIT.read(get_conf), longest_ms=LONGEST_RETRY_WAIT.read(get_conf)
            ),
            max_concurrent_flows=max(1, CONCURRENT_FLOWS.read(get_conf)),
        )

    def retries(self, own: str | None) -> int:
        """How often a flow is tried again; `own`: the flow's own conf."""
        return self.max_retries if own is None else FLOW_RETRIES.parse(own)
