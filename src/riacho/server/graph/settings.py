"""The confs that a run obeys, read once when it starts. `riacho.conf` has their defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from riacho.conf import SPARK_DEFAULTS
from riacho.errors import IllegalArgumentError
from riacho.server.graph.schedule import Backoff
from riacho.units import time_ms

MAX_RETRIES = "spark.sql.pipelines.maxFlowRetryAttempts"
MIN_RETRY_TIME = "spark.sql.pipelines.execution.watchdog.minRetryTime"
MAX_RETRY_TIME = "spark.sql.pipelines.execution.watchdog.maxRetryTime"
MAX_CONCURRENT_FLOWS = "spark.sql.pipelines.execution.maxConcurrentFlows"

GetConf = Callable[[str], str | None]


@dataclass(frozen=True)
class PipelineSettings:
    """The settings of one run, read once from the session's confs."""

    max_retries: int
    backoff: Backoff
    max_concurrent_flows: int

    @classmethod
    def read(cls, get_conf: GetConf) -> PipelineSettings:
        """The settings that the session asks for. Raises IllegalArgumentError for a value that is none."""

        def text(key: str) -> str:
            return get_conf(key) or SPARK_DEFAULTS[key]

        return cls(
            max_retries=_count(MAX_RETRIES, text(MAX_RETRIES)),
            backoff=Backoff(
                shortest_ms=_milliseconds(MIN_RETRY_TIME, text(MIN_RETRY_TIME)),
                longest_ms=_milliseconds(MAX_RETRY_TIME, text(MAX_RETRY_TIME)),
            ),
            max_concurrent_flows=max(1, _count(MAX_CONCURRENT_FLOWS, text(MAX_CONCURRENT_FLOWS))),
        )

    def retries(self, own: str | None) -> int:
        """How often a flow is tried again; `own`: the flow's own conf."""
        return self.max_retries if own is None else _count(MAX_RETRIES, own)


def _count(key: str, text: str) -> int:
    if not text.strip().isdigit():
        raise IllegalArgumentError(f"'{text}' in {key} is not a whole number of 0 or more.")
    return int(text)


def _milliseconds(key: str, text: str) -> int:
    """A time such as `5s` or `2min`; a bare number counts seconds."""
    found = time_ms(text, default_unit="s")
    if found is None:
        raise IllegalArgumentError(f"'{text}' in {key} is not a time. Write it like 5s, 500ms or 2min.")
    return found
