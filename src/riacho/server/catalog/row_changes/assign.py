"""The new values of rows: assignments as the columns of a projection, and what the engine gives as the table's types.

A value becomes the column's type as a CAST makes it one (Spark: `castIfNeeded`); structs by the names of their fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.identifiers import quote_if_needed
from riacho.protos import pb
from riacho.server.catalog.row_changes.scope import Assignment, TableScope
from riacho.server.delta import schema as schemas
from riacho.server.plan import build
from riacho.server.plan.failures import unresolved_column

_DEFAULT = "CURRENT_DEFAULT"


def resolve(
    assignments: Sequence[Assignment], scope: TableScope, schema: pa.Schema
) -> dict[tuple[str, ...], Assignment]:
    """Assignments by the column, or the field of one, that they set, in the schema's own case.

    Raises UNRESOLVED_COLUMN.WITH_SUGGESTION, DELTA_CONFLICT_SET_COLUMN.
    """
    known = frozenset(schemas.column_index(schema))
    found: dict[tuple[str, ...], Assignment] = {}
    for assignment in assignments:
        path = _existing(scope.strip(assignment.column, known), schema)
        taken = next((other for other in found if other[: len(path)] == path or path[: len(other)] == other), None)
        if taken is not None:
            names = ", ".join(quote_if_needed(".".join(each)) for each in (taken, path))
            raise AnalysisError.of(
                "DELTA_CONFLICT_SET_COLUMN",
                f"There is a conflict from these SET columns: [{names}].",
                sql_state="42701",
                columnList=f"[{names}]",
            )
        found[path] = assignment
    return found


def _existing(path: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
    fields: Sequence[pa.Field] = list(schema)
    names = []
    for part in path:
        field = next((field for field in fields if field.name.lower() == part.lower()), None)
        if field is None:
            raise unresolved_column(".".join(path), schema.names)
        names.append(field.name)
        fields = list(field.type) if pa.types.is_struct(field.type) else []
    return tuple(names)


def values(
    schema: pa.Schema,
    assigned: Mapping[tuple[str, ...], Assignment],
    current: Callable[[pa.Field], pb.Expression],
    defaults: Mapping[str, pb.Expression],
) -> list[pb.Expression]:
    """One expression per column: what is assigned to it, or else what `current` says."""
    return [
        build.alias(_value(field, assigned, current(field), (field.name,), defaults), field.name) for field in schema
    ]


def _value(
    field: pa.Field,
    assigned: Mapping[tuple[str, ...], Assignment],
    current: pb.Expression,
    path: tuple[str, ...],
    defaults: Mapping[str, pb.Expression],
) -> pb.Expression:
    if path in assigned:
        value = assigned[path].value
        if value is None:
            value = defaults.get(field.name, build.null()) if len(path) == 1 else build.null()
        # What is nested is put in place by its fields' names, once it is there: a cast goes by their order.
        return value if pa.types.is_nested(field.type) else build.cast(value, field.type)
    if not any(each[: len(path)] == path for each in assigned):
        return current
    parts: list[pb.Expression] = []
    for child in field.type:
        inner = build.field_of(current, child.name)
        parts += [build.text(child.name), _value(child, assigned, inner, (*path, child.name), defaults)]
    return build.call("named_struct", *parts)


def defaults_of(schema_json: str) -> dict[str, pb.Expression]:
    """The columns that have a DEFAULT, with it."""
    found = {f["name"]: f.get("metadata", {}).get(_DEFAULT) for f in json.loads(schema_json)["fields"]}
    return {
        name: pb.Expression(expression_string=pb.Expression.ExpressionString(expression=text))
        for name, text in found.items()
        if text is not None
    }
