"""`DataFrame.observe`: a name belongs to one set of metrics."""

from __future__ import annotations

from collections.abc import Iterable

from riacho.errors import AnalysisError
from riacho.server.plan.context import Observation


def check_observations(observations: Iterable[Observation]) -> None:
    """Raises DUPLICATED_METRICS_NAME for two that have one name and watch different things."""
    seen: dict[str, tuple[bytes, ...]] = {}
    for each in observations:
        metrics = tuple(metric.SerializeToString(deterministic=True) for metric in each.metrics)
        if seen.setdefault(each.name, metrics) != metrics:
            raise AnalysisError.of(
                "DUPLICATED_METRICS_NAME",
                f"The metric name is not unique: {each.name}. The same name cannot be used for metrics with different "
                "results.\nHowever multiple instances of metrics with with same result and name are allowed (e.g. "
                "self-joins).",
                sql_state="42710",
                metricName=each.name,
            )
