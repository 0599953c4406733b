"""The confs that a run obeys, read once when it starts. `riacho.conf` has their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from riacho.conf import (
    CONCURRENT_FLOWS,
    CONTINUOUS,
    FLOW_RETRIES,
    INCREMENTAL_VIEWS,
    LONGEST_RETRY_WAIT,
    SHORTEST_RETRY_WAIT,
    TRIGGER_INTERVAL,
    GetConf,
)
from riacho.server.graph.schedule import Backoff
from riacho.server.streaming import trigger


@dataclass(frozen=True)
class PipelineSettings:
    """The settings of one run, read once from the session's confs."""

    max_retries: int
    backoff: Backoff
    max_concurrent_flows: int
    continuous: bool = False
    incremental_views: bool = True

    @classmethod
    def read(cls, get_conf: GetConf, graph_conf: Mapping[str, str] | None = None) -> PipelineSettings:
        """The settings that the session asks for; whether flows keep running is the graph's alone to say.

        Raises INVALID_CONF_VALUE.*.
        """
        return cls(
            max_retries=FLOW_RETRIES.read(get_conf),
            backoff=Backoff(
                shortest_ms=SHORTEST_RETRY_WAIT.read(get_conf), longest_ms=LONGEST_RETRY_WAIT.read(get_conf)
            ),
            max_concurrent_flows=max(1, CONCURRENT_FLOWS.read(get_conf)),
            continuous=CONTINUOUS.of(graph_conf or {}),
            incremental_views=INCREMENTAL_VIEWS.read(get_conf),
        )

    def retries(self, own: str | None) -> int:
        """How often a flow is tried again; `own`: the flow's own conf."""
        return self.max_retries if own is None else FLOW_RETRIES.parse(own)

    def from_changes(self, own: str | None) -> bool:
        """Whether a view may be kept up to date from changes; `own`: the flow's own conf."""
        return self.incremental_views if own is None else INCREMENTAL_VIEWS.parse(own)


def least_interval_ms(conf: Mapping[str, str], properties: Mapping[str, str]) -> int | None:
    """The least time between two batches or refreshes of a flow with this conf into a table with these properties.

    None: nobody said. Raises ParseError for text that is no interval, IllegalArgumentError for a negative one.
    """
    own = {key.lower(): value for key, value in properties.items()}
    given = own.get(TRIGGER_INTERVAL.key) or conf.get(TRIGGER_INTERVAL.key)
    return None if given is None else trigger.interval_ms(given)
