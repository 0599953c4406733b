"""How the values that are written to a table become of its columns' types (Spark: `spark.sql.storeAssignmentPolicy`).

An INSERT, by SQL or by the DataFrame API, casts: into a Delta table whatever a CAST takes, into a table that is files
only what is safe, text from anything for instance, but no number from text. A value that does not fit fails the write,
whatever `spark.sql.ansi.enabled` says. (A write to a Delta table by its path casts less: see `catalog.delta.fit`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from riacho import types
from riacho.conf import ANSI, STORE_ASSIGNMENT, GetConf
from riacho.errors import AnalysisError, ArithmeticFailure, SparkError
from riacho.protos import pb
from riacho.server.catalog.base import Table
from riacho.server.catalog.names import full
from riacho.server.delta import schema as schemas
from riacho.server.plan import build

_OVERFLOW = ("CAST_OVERFLOW", "NUMERIC_VALUE_OUT_OF_RANGE")


@dataclass(frozen=True)
class StoreAssignmentPolicy:
    """`name`: ANSI, LEGACY (a value that does not fit becomes null) or STRICT (nothing may be lost).

    `engine_raises`: whether the engine's CAST raises, as `spark.sql.ansi.enabled` has it do.
    """

    name: str = "ANSI"
    engine_raises: bool = True


def policy(get_conf: GetConf) -> StoreAssignmentPolicy:
    """The policy of a session."""
    return StoreAssignmentPolicy(STORE_ASSIGNMENT.read(get_conf), ANSI.read(get_conf))


@dataclass(frozen=True)
class Assigned:
    """A relation whose columns have a table's types, its columns, and `casts`: (column, from, to) of those changed."""

    relation: pb.Relation
    schema: pa.Schema
    casts: tuple[tuple[str, pa.DataType, pa.DataType], ...] = ()


def to_delta(
    relation: pb.Relation, data: pa.Schema, table: pa.Schema, session_policy: Callable[[], StoreAssignmentPolicy]
) -> Assigned:
    """`relation`, its columns cast to the types of the table's columns of their names; others are left as they are.

    What lies inside structs is left to `fit`. Raises DATATYPE_MISMATCH, and under STRICT CANNOT_UP_CAST_DATATYPE.
    """
    known = schemas.column_index(table)
    wanted = [known.get(field.name.lower(), field) for field in data]
    changed = [_differs(field.type, want.type) for field, want in zip(data, wanted, strict=True)]
    if not any(changed):
        return Assigned(relation, data)
    chosen = session_policy()
    columns, fields, casts = [], [], []
    for field, want, differs in zip(data, wanted, changed, strict=True):
        value = build.col(field.name)
        if differs:
            _require_castable(field, want, chosen)
            value = _cast(value, field.type, want.type, chosen)
            casts.append((want.name, field.type, want.type))
        columns.append(build.alias(value, field.name))
        fields.append(field.with_type(want.type) if differs else field)
    return Assigned(build.project(relation, columns), pa.schema(fields), tuple(casts))


def to_files(
    relation: pb.Relation, data: pa.Schema, table: Table, session_policy: Callable[[], StoreAssignmentPolicy]
) -> Assigned:
    """`relation` with exactly the table's columns, by name; those that it lacks are null.

    Raises INCOMPATIBLE_DATA_FOR_TABLE: CANNOT_SAFELY_CAST, EXTRA_COLUMNS; under STRICT also what is safe but for range.
    """
    given = schemas.column_index(data)
    extra = [field.name for field in data if field.name.lower() not in schemas.column_index(table.schema)]
    if extra:
        listed = ", ".join(f"`{name}`" for name in extra)
        raise _incompatible(table, "EXTRA_COLUMNS", f"Cannot write extra columns {listed}.", extraColumns=listed)
    if [(f.name, types.normalise(f.type)) for f in data] == [(f.name, types.normalise(f.type)) for f in table.schema]:
        return Assigned(relation, data)
    chosen = session_policy()
    columns, casts = [], []
    for want in table.schema:
        field = given.get(want.name.lower())
        value = build.null() if field is None else build.col(field.name)
        if field is None or not types.normalise(field.type).equals(types.normalise(want.type)):
            if field is not None:
                _require_safe(field, want, table, chosen)
                casts.append((want.name, field.type, want.type))
            source = pa.null() if field is None else field.type
            value = _cast(value, source, want.type, chosen)
        columns.append(build.alias(value, want.name))
    return Assigned(build.project(relation, columns), table.schema, tuple(casts))


@contextmanager
def naming_overflow(assigned: Assigned) -> Iterator[None]:
    """Say of which column a value was too large, where only one can be meant.

    Raises CAST_OVERFLOW_IN_TABLE_INSERT then, and everything else as it comes.
    """
    try:
        yield
    except SparkError as failure:
        numbers = [cast for cast in assigned.casts if _is_number(cast[1]) and _is_number(cast[2])]
        if not numbers or not (failure.condition or "").startswith(_OVERFLOW):
            raise
        if len(numbers) > 1:
            raise
        raise _overflow(*numbers[0]) from failure


def _differs(data: pa.DataType, table: pa.DataType) -> bool:
    """Whether a cast is due; not between structs, whose fields are matched by name elsewhere."""
    return not _has_struct(table) and not types.normalise(data).equals(types.normalise(table))


def _has_struct(arrow: pa.DataType) -> bool:
    if pa.types.is_list(arrow):
        return _has_struct(arrow.value_type)
    if pa.types.is_map(arrow):
        return _has_struct(arrow.key_type) or _has_struct(arrow.item_type)
    return bool(pa.types.is_struct(arrow))


def castable(data: pa.DataType, table: pa.DataType) -> bool:
    """Whether CAST takes a value of one type for another, with `spark.sql.ansi.enabled`. Source: `Cast.canAnsiCast`."""
    data, table = types.normalise(data), types.normalise(table)
    if data.equals(table) or pa.types.is_null(data) or pa.types.is_string(table):
        return True
    if pa.types.is_list(data) and pa.types.is_list(table):
        return castable(data.value_type, table.value_type)
    if pa.types.is_map(data) and pa.types.is_map(table):
        return castable(data.key_type, table.key_type) and castable(data.item_type, table.item_type)
    if pa.types.is_nested(data) or pa.types.is_nested(table):
        return False
    if pa.types.is_string(data):
        return True
    if _is_time(data) and _is_time(table):
        return True
    if pa.types.is_timestamp(data):
        return data.tz is not None and _is_number(table)
    if _is_number(data):
        return (
            _is_number(table) or pa.types.is_boolean(table) or (pa.types.is_timestamp(table) and table.tz is not None)
        )
    return bool(pa.types.is_boolean(data) and _is_number(table))


def _widens(data: pa.DataType, table: pa.DataType) -> bool:
    """Whether no value can be lost or change. Source: `UpCastRule`."""
    if pa.types.is_null(data) or (pa.types.is_string(table) and not pa.types.is_binary(data)):
        return True
    if pa.types.is_date(data):
        return bool(pa.types.is_timestamp(table))
    if not (_is_number(data) and _is_number(table)):
        return bool(_is_time(data) and _is_time(table) and not pa.types.is_date(table))
    digits, scale = _digits(data), _scale(data)
    if pa.types.is_decimal(table):
        return digits is not None and table.precision - table.scale >= digits - scale and table.scale >= scale
    if pa.types.is_floating(table):
        return not pa.types.is_decimal(data) and (not pa.types.is_floating(data) or table.bit_width >= data.bit_width)
    return bool(pa.types.is_integer(data) and table.bit_width >= data.bit_width)


def _digits(arrow: pa.DataType) -> int | None:
    if pa.types.is_decimal(arrow):
        return int(arrow.precision)
    return {8: 3, 16: 5, 32: 10, 64: 20}[arrow.bit_width] if pa.types.is_integer(arrow) else None


def _scale(arrow: pa.DataType) -> int:
    return int(arrow.scale) if pa.types.is_decimal(arrow) else 0


def _is_number(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow))


def _is_time(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_date(arrow) or pa.types.is_timestamp(arrow))


def _cast(
    value: pb.Expression, source: pa.DataType, target: pa.DataType, chosen: StoreAssignmentPolicy
) -> pb.Expression:
    cast = build.cast(value, target)
    if not pa.types.is_string(types.normalise(source)) or pa.types.is_string(target):
        return cast  # the engine raises for numbers, whatever its mode
    if chosen.name == "LEGACY":
        cast.cast.eval_mode = pb.Expression.Cast.EVAL_MODE_TRY
        return cast
    if chosen.engine_raises:
        return cast
    wrong = build.call("and", build.call("isnotnull", value), build.call("isnull", cast))
    shown = f'\' of the type "STRING" cannot be cast to "{_word(target)}" because it is malformed. SQLSTATE: 22018'
    raised = build.call(
        "raise_error", build.call("concat", build.text("[CAST_INVALID_INPUT] The value '"), value, build.text(shown))
    )
    return build.call("when", wrong, build.cast(raised, target), cast)


def _require_castable(field: pa.Field, want: pa.Field, chosen: StoreAssignmentPolicy) -> None:
    if chosen.name == "STRICT" and not _widens(types.normalise(field.type), types.normalise(want.type)):
        raise AnalysisError.of(
            "CANNOT_UP_CAST_DATATYPE",
            f'Cannot up cast {want.name} from "{_word(field.type)}" to "{_word(want.type)}". You can either add an '
            "explicit cast to the input data or choose a higher precision type of the field in the target object",
            sql_state="42846",
            expression=want.name,
            sourceType=f'"{_word(field.type)}"',
            targetType=f'"{_word(want.type)}"',
        )
    if castable(field.type, want.type):
        return
    source, target = f'"{_word(field.type)}"', f'"{_word(want.type)}"'
    instead = {
        (True, False): "UNIX_DATE",
        (False, True): "DATE_FROM_UNIX_DATE",
    }.get((pa.types.is_date(field.type), pa.types.is_date(want.type)))
    kind, hint = "CAST_WITHOUT_SUGGESTION", ""
    if instead is not None and (_is_number(field.type) or _is_number(want.type)):
        kind = "CAST_WITH_FUNC_SUGGESTION"
        hint = f" To convert values from {source} to {target}, you can use the functions `{instead}` instead."
    raise AnalysisError.of(
        f"DATATYPE_MISMATCH.{kind}",
        f'Cannot resolve "{want.name}" due to data type mismatch: cannot cast {source} to {target}.{hint}',
        sql_state="42K09",
        sqlExpr=f'"{want.name}"',
        srcType=source,
        targetType=target,
    )


def _require_safe(field: pa.Field, want: pa.Field, table: Table, chosen: StoreAssignmentPolicy) -> None:
    safe = schemas.castable(types.normalise(field.type), types.normalise(want.type))
    if chosen.name == "LEGACY":
        safe = safe or castable(field.type, want.type)
    if chosen.name == "STRICT":
        safe = _widens(types.normalise(field.type), types.normalise(want.type))
    if not safe:
        source, target = f'"{_word(field.type)}"', f'"{_word(want.type)}"'
        text = f"Cannot safely cast `{want.name}` {source} to {target}."
        raise _incompatible(
            table, "CANNOT_SAFELY_CAST", text, colName=f"`{want.name}`", srcType=source, targetType=target
        )


def _incompatible(table: Table, kind: str, text: str, **parameters: str) -> AnalysisError:
    return AnalysisError.of(
        f"INCOMPATIBLE_DATA_FOR_TABLE.{kind}",
        f"Cannot write incompatible data for the table {full(table.name)}: {text}",
        sql_state="KD000",
        tableName=full(table.name),
        **parameters,
    )


def _overflow(name: str, source: pa.DataType, target: pa.DataType) -> SparkError:
    return ArithmeticFailure.of(
        "CAST_OVERFLOW_IN_TABLE_INSERT",
        f'Fail to assign a value of "{_word(source)}" type to the "{_word(target)}" type column or variable `{name}` '
        "due to an overflow. Use `try_cast` on the input value to tolerate overflow and return NULL instead.",
        sql_state="22003",
        sourceType=f'"{_word(source)}"',
        targetType=f'"{_word(target)}"',
        columnName=f"`{name}`",
    )


def _word(arrow: pa.DataType) -> str:
    return types.type_to_ddl(types.normalise(arrow)).upper()
