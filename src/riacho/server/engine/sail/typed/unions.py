"""UNION, EXCEPT and INTERSECT: both sides are converted to their common types. Source: `WidenSetOperationTypes`.

    before                         after
    Union                          Union
      Read t (a: INT)                Project CAST(a AS BIGINT) AS a
      Read u (a: BIGINT)               Read t (a: INT)
                                     Read u (a: BIGINT)

The engine has its own rules for these types, and reports only those of the first side.
"""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.engine.sail.typed import coercion
from riacho.server.plan import build
from riacho.server.plan.walk import replace


def widened(node: pb.SetOperation, left: pa.Schema, right: pa.Schema) -> pa.Schema | None:
    """Cast the columns of both sides in place; returns the resulting columns, None if they cannot be determined.

    Raises INCOMPATIBLE_COLUMN_TYPE.
    """
    other = _columns_of_right(node, left, right)
    if other is None or _has_twice(left) or _has_twice(right):
        return None
    kinds: dict[str, pa.DataType] = {}
    matching: dict[str, pa.DataType] = {}
    for place, (field, name) in enumerate(zip(left, other, strict=True)):
        found = field.type if name is None else _common(field.type, right.field(name).type)
        if found is None:
            _refuse(node, place, field.type, right.field(name or "").type)
            return None  # the engine reports what is wrong
        kinds[field.name] = found
        if name is not None:
            matching[name] = found
    _cast(node.left_input, left, kinds)
    _cast(node.right_input, right, matching)
    return None if node.by_name else pa.schema(list(kinds.items()))


def _columns_of_right(node: pb.SetOperation, left: pa.Schema, right: pa.Schema) -> list[str | None] | None:
    """The right side's column for each of the left's, None where it has none; None if the sides do not match."""
    if not node.by_name:
        return list(right.names) if len(left) == len(right) else None
    known = {name.lower(): name for name in right.names}
    found = [known.get(name.lower()) for name in left.names]
    return found if node.allow_missing_columns or None not in found else None


def _has_twice(schema: pa.Schema) -> bool:
    return len({name.lower() for name in schema.names}) < len(schema)


def _cast(side: pb.Relation, schema: pa.Schema, kinds: dict[str, pa.DataType]) -> None:
    """The side, with its columns cast to these types where they differ."""
    if all(kinds.get(field.name, field.type) == field.type for field in schema):
        return
    columns = []
    for field in schema:
        column, kind = build.col(field.name), kinds.get(field.name, field.type)
        columns.append(column if kind == field.type else build.alias(build.cast(column, kind), field.name))
    replace(side, build.project(side, columns))


def _common(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The common type of both, also for structs and maps, which only set operations widen."""
    if pa.types.is_struct(first) and pa.types.is_struct(second):
        if [field.name.lower() for field in first] != [field.name.lower() for field in second]:
            return None
        kinds = [_common(mine.type, other.type) for mine, other in zip(first, second, strict=True)]
        return None if None in kinds else pa.struct(list(zip((field.name for field in first), kinds, strict=True)))
    if pa.types.is_map(first) and pa.types.is_map(second):
        key, item = _common(first.key_type, second.key_type), _common(first.item_type, second.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if pa.types.is_list(first) and pa.types.is_list(second):
        element = _common(first.value_type, second.value_type)
        return None if element is None else pa.list_(pa.field("element", element))
    return coercion.common(first, second)


def _family(kind: pa.DataType) -> str:
    """The family of a type, which has no common type with the other families; "" where that is less clear."""
    if coercion.is_numeric(kind):
        return "number"
    return "time" if coercion.is_time(kind) else "truth" if pa.types.is_boolean(kind) else ""


_ORDINALS = ("first", "second", "third")


def _refuse(node: pb.SetOperation, place: int, first: pa.DataType, second: pa.DataType) -> None:
    """Raises INCOMPATIBLE_COLUMN_TYPE for types that clearly have no common type. `place`: the column's."""
    if not (_family(first) and _family(second)):
        return
    operator = pb.SetOperation.SetOpType.Name(node.set_op_type).removeprefix("SET_OP_TYPE_")
    column = _ORDINALS[place] if place < len(_ORDINALS) else f"{place + 1}th"
    kinds = [f'"{types.type_to_ddl(kind)}"' for kind in (second, first)]
    raise AnalysisError.of(
        "INCOMPATIBLE_COLUMN_TYPE",
        f"{operator} can only be performed on tables with compatible column types. The {column} column of the second "
        f"table is {kinds[0]} type which is not compatible with {kinds[1]} at the same column of the first table..",
        sql_state="42825",
        operator=operator,
        columnOrdinalNumber=column,
        tableOrdinalNumber="second",
        dataType1=kinds[0],
        dataType2=kinds[1],
        hint="",
    )
