"""The decorators of `pyspark.pipelines` that define datasets; expectations may stand above them too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, overload

from pyspark.pipelines import api
from pyspark.pipelines.graph_element_registry import (
    get_active_graph_element_registry,
    graph_element_registration_context,
)
from pyspark.pipelines.source_code_location import SourceCodeLocation
from pyspark.sql.types import StructType

from riacho.pipelines.locations import user_location
from riacho.pipelines.plans import FORMATS, Rule, graph_of
from riacho.pipelines.rules import QueryFunction, Registered, rules_above, with_rules

_api: Any = api
"""Its overloads do not know all arguments."""

Decorator = Callable[[QueryFunction], Registered]


@overload
def table(query_function: QueryFunction) -> Registered: ...


@overload
def table(
    query_function: None = None,
    *,
    name: str | None = ...,
    comment: str | None = ...,
    spark_conf: dict[str, str] | None = ...,
    table_properties: dict[str, str] | None = ...,
    partition_cols: list[str] | None = ...,
    cluster_by: list[str] | None = ...,
    schema: StructType | str | None = ...,
    format: str | None = ...,
) -> Decorator: ...


def table(
    query_function: QueryFunction | None = None,
    *,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: dict[str, str] | None = None,
    table_properties: dict[str, str] | None = None,
    partition_cols: list[str] | None = None,
    cluster_by: list[str] | None = None,
    schema: StructType | str | None = None,
    format: str | None = None,
) -> Registered | Decorator:
    """A streaming table: see `pyspark.pipelines.table`."""
    made = _api.table(
        name=name,
        comment=comment,
        spark_conf=spark_conf,
        table_properties=table_properties,
        partition_cols=partition_cols,
        cluster_by=cluster_by,
        schema=schema,
        format=format,
    )
    return _decorated(made, query_function, name)


@overload
def materialized_view(query_function: QueryFunction) -> Registered: ...


@overload
def materialized_view(
    query_function: None = None,
    *,
    name: str | None = ...,
    comment: str | None = ...,
    spark_conf: dict[str, str] | None = ...,
    table_properties: dict[str, str] | None = ...,
    partition_cols: list[str] | None = ...,
    cluster_by: list[str] | None = ...,
    schema: StructType | str | None = ...,
    format: str | None = ...,
) -> Decorator: ...


def materialized_view(
    query_function: QueryFunction | None = None,
    *,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: dict[str, str] | None = None,
    table_properties: dict[str, str] | None = None,
    partition_cols: list[str] | None = None,
    cluster_by: list[str] | None = None,
    schema: StructType | str | None = None,
    format: str | None = None,
) -> Registered | Decorator:
    """A materialized view: see `pyspark.pipelines.materialized_view`."""
    made = _api.materialized_view(
        name=name,
        comment=comment,
        spark_conf=spark_conf,
        table_properties=table_properties,
        partition_cols=partition_cols,
        cluster_by=cluster_by,
        schema=schema,
        format=format,
    )
    return _decorated(made, query_function, name)


@overload
def temporary_view(query_function: QueryFunction) -> Registered: ...


@overload
def temporary_view(
    query_function: None = None,
    *,
    name: str | None = ...,
    comment: str | None = ...,
    spark_conf: dict[str, str] | None = ...,
) -> Decorator: ...


def temporary_view(
    query_function: QueryFunction | None = None,
    *,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: dict[str, str] | None = None,
) -> Registered | Decorator:
    """A temporary view: see `pyspark.pipelines.temporary_view`."""
    return _decorated(api.temporary_view(name=name, comment=comment, spark_conf=spark_conf), query_function, name)


def _decorated(
    register: Callable[[QueryFunction], None], query_function: QueryFunction | None, name: str | None
) -> Registered | Decorator:
    decorator = registering(register, name, user_location())
    return decorator if query_function is None else decorator(query_function)


def registering(
    register: Callable[[QueryFunction], None],
    name: str | None,
    location: SourceCodeLocation,
    of_target: Callable[[], tuple[Rule, ...]] = tuple,
) -> Decorator:
    """A decorator that registers a query function together with the expectations above and below it.

    `of_target`: those that its target has already.
    """

    def decorator(function: QueryFunction) -> Registered:
        above = rules_above(function)
        registered = Registered(name or function.__name__)
        checked = with_rules(function, (*of_target(), *(rule for each in above for rule in each.rules)))
        with located(location):
            register(checked)
        for each in above:
            each.used().taken_by = registered
        return registered

    return decorator


@contextmanager
def located(location: SourceCodeLocation) -> Iterator[None]:
    """Register what is defined meanwhile as defined there, and not in this package."""
    registry: Any = _Located(get_active_graph_element_registry(), location)
    with graph_element_registration_context(registry):
        yield


class _Located:
    """A registry that notes where the user's decorator stands."""

    def __init__(self, registry: Any, location: SourceCodeLocation) -> None:
        self._registry = registry
        self._location = location

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def register_output(self, output: Any) -> None:
        FORMATS.setdefault((graph_of(self), output.name), getattr(output, "format", None))
        self._registry.register_output(replace(output, source_code_location=self._location))

    def register_flow(self, flow: Any) -> None:
        self._registry.register_flow(replace(flow, source_code_location=self._location))
