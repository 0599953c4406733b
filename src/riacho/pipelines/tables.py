"""`create_streaming_table`, which can also give rules to all flows of the table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pyspark.pipelines import api
from pyspark.pipelines.graph_element_registry import get_active_graph_element_registry
from pyspark.sql.types import StructType

from riacho.pipelines.datasets import located
from riacho.pipelines.locations import user_location
from riacho.pipelines.plans import DROP, FAIL, QUARANTINE, WARN, Rule, graph_of

PROPERTY: Final = "riacho.expectations"
"""Tells riacho the rules of a table; stock Spark keeps it as it keeps any property."""

_create: Any = api.create_streaming_table
_rules: Final[dict[tuple[str, str], tuple[Rule, ...]]] = {}
"""The rules of tables, by graph and name, for flows of this package on stock Spark."""


def create_streaming_table(
    name: str,
    *,
    comment: str | None = None,
    table_properties: dict[str, str] | None = None,
    partition_cols: list[str] | None = None,
    cluster_by: list[str] | None = None,
    schema: StructType | str | None = None,
    format: str | None = None,
    expect_all: Mapping[str, str] | None = None,
    expect_all_or_drop: Mapping[str, str] | None = None,
    expect_all_or_quarantine: Mapping[str, str] | None = None,
    expect_all_or_fail: Mapping[str, str] | None = None,
) -> None:
    """A table for append flows and AUTO CDC: see `pyspark.pipelines.create_streaming_table`.

    The rules, SQL text by name, hold for all flows into the table; on stock Spark for those of `riacho.pipelines`.
    Raises TypeError for a condition that is no text, ValueError for a name twice.
    """
    given = {WARN: expect_all, DROP: expect_all_or_drop, QUARANTINE: expect_all_or_quarantine, FAIL: expect_all_or_fail}
    rules = [Rule(rule, action, text) for action, some in given.items() for rule, text in (some or {}).items()]
    for rule in rules:
        if not isinstance(rule.condition, str):
            raise TypeError(f"The condition of the expectation '{rule.name}' of {name} is SQL text.")
        if [other.name for other in rules].count(rule.name) > 1:
            raise ValueError(f"{name} has two expectations '{rule.name}': their names must differ.")
    properties = dict(table_properties or {})
    if rules:
        properties[PROPERTY] = json.dumps(
            [{"name": rule.name, "on_violation": rule.on_violation, "condition": rule.text} for rule in rules]
        )
        _rules[graph_of(get_active_graph_element_registry()), name] = tuple(rules)
    with located(user_location()):
        _create(
            name,
            comment=comment,
            table_properties=properties,
            partition_cols=partition_cols,
            cluster_by=cluster_by,
            schema=schema,
            format=format,
        )


def rules_of(target: str) -> tuple[Rule, ...]:
    """The rules that a table of the pipeline was made with."""
    return _rules.get((graph_of(get_active_graph_element_registry()), target), ())
