"""`append_flow`, which can also add the rows of a batch query once."""

from __future__ import annotations

from copy import copy
from typing import Any

from pyspark.pipelines.api import append_flow as _append_flow
from pyspark.pipelines.flow import QueryFunction
from pyspark.pipelines.graph_element_registry import (
    get_active_graph_element_registry,
    graph_element_registration_context,
)

from riacho.pipelines.datasets import Decorator, registering
from riacho.pipelines.locations import user_location
from riacho.pipelines.rules import Registered
from riacho.pipelines.tables import rules_of


def append_flow(
    *,
    target: str,
    name: str | None = None,
    spark_conf: dict[str, str] | None = None,
    once: bool = False,
) -> Decorator:
    """A decorator for a query function whose rows are added to `target`, a streaming table or sink.

    With `once` the function gives a batch query, such as a backfill. It runs once in the life of the flow's checkpoint:
    later runs leave it out (`IDLE`), and a full refresh of the target runs it again. That is riacho's own: Spark 4.2
    raises DEFINE_FLOW_ONCE_OPTION_NOT_SUPPORTED.
    """
    register = _append_flow(target=target, name=name, spark_conf=spark_conf)
    decorator = registering(register, name, user_location(), lambda: rules_of(target))
    return _once(decorator) if once else decorator


def _once(decorator: Decorator) -> Decorator:
    """`decorator`, over a registry that says of each flow that it is to run once."""

    def decorated(function: QueryFunction) -> Registered:
        registry: Any = copy(get_active_graph_element_registry())
        registry._client = _MarksOnce(registry._client)  # noqa: SLF001 - the client has no way of its own to say it
        with graph_element_registration_context(registry):
            return decorator(function)

    return decorated


class _MarksOnce:
    """A client of a server: the flows that go through it are to run once."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def execute_command(self, command: Any, *arguments: Any, **options: Any) -> Any:
        if command.pipeline_command.HasField("define_flow"):
            command.pipeline_command.define_flow.once = True
        return self._client.execute_command(command, *arguments, **options)
