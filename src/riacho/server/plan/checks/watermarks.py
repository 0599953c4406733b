"""Which columns may carry a watermark. Source: `EventTimeWatermark` and `Analyzer`."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.failures import unresolved_column
from riacho.server.plan.text import outline
from riacho.server.plan.walk import walk
from riacho.server.sql.cursor import dotted_name


def check_watermarks(relation: pb.Relation, schema_of: Callable[[pb.Relation], pa.Schema]) -> None:
    """Raises AnalysisError if a watermark of a streaming plan is not on a top-level column of timestamps.

    `schema_of`: the columns of a relation.
    """
    for node in walk(relation):
        if node.WhichOneof("rel_type") == "with_watermark" and is_streaming(node):
            _check(node, schema_of(node.with_watermark.input))


def _check(node: pb.Relation, schema: pa.Schema) -> None:
    parts = dotted_name(node.with_watermark.event_time)
    name = parts[-1]
    column = next((field for field in schema if field.name.lower() == name.lower()), None)
    nested = next((field for field in schema if field.name.lower() == parts[0].lower()), None) if parts[1:] else None
    if column is None and nested is not None and pa.types.is_struct(nested.type):
        raise AnalysisError.of(
            "EVENT_TIME_MUST_BE_TOP_LEVEL_COLUMN",
            f"The event time in withWatermark must be a top-level column, but '{node.with_watermark.event_time}' is a "
            "nested field. To use it, alias it to a top-level column in a select before withWatermark.",
            sql_state="42K09",
            eventExpr=node.with_watermark.event_time,
        )
    if column is None:
        raise unresolved_column(name, schema.names)
    if not _carries_time(column.type):
        kind = types.type_to_ddl(column.type)
        raise AnalysisError(
            f'[EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE] The event time `{column.name}` has the invalid type "{kind}", but '
            f'expected "TIMESTAMP". SQLSTATE: 42K09;\n{outline(node)}\n',
            condition="EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE",
            sql_state="42K09",
            parameters={"eventName": f"`{column.name}`", "eventType": f'"{kind}"'},
        )


def _carries_time(kind: pa.DataType) -> bool:
    """Timestamps, and windows by their end."""
    if pa.types.is_struct(kind):
        return any(field.name == "end" and pa.types.is_timestamp(field.type) for field in kind)
    return bool(pa.types.is_timestamp(kind))
