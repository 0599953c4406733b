"""Branches of different types, made to show the type they have in common.

The engine says that `CASE WHEN c THEN 0 ELSE x / y END` is an INT, after its first branch, and computes a DOUBLE: what
is stored in a table then loses its decimals. Its `coalesce` knows the common type, and never gets to a second argument
that is null:

    CASE WHEN c THEN 0 ELSE x / y END      CASE WHEN c THEN coalesce(0, if(false, x / y, NULL)) ELSE x / y END

Nothing of that is left when the rows are computed (the engine folds constants), so it costs nothing there.
"""

from __future__ import annotations

from collections.abc import Sequence

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.literals import integer_of, string_of

Expression = pb.Expression

_INT_LIMIT = 1 << 31
_LONGEST_HINT = 4096
"""Bytes of a branch that are worth saying twice: branches lie in branches, and would double with each."""


def typed_branches(values: Sequence[Expression]) -> Sequence[Expression] | None:
    """The values of the branches with the common type shown by the first; None where their types are plainly one."""
    first = next((at for at, value in enumerate(values) if not _is_null(value)), None)
    if first is None:
        return None
    if _is_typed(values[first]):
        return None
    others = [value for value in values[first + 1 :] if not _is_null(value) and value != values[first]]
    kinds = {_kind(value) for value in (values[first], *others)}
    if not others or "text" in kinds or kinds == {"int"}:
        return None
    shown = [value for value in _different(others) if value.ByteSize() <= _LONGEST_HINT]
    if not shown:
        return None
    hints = [build.call("if", build.boolean(False), value, build.null()) for value in shown]
    return [*values[:first], build.call("coalesce", values[first], *hints), *values[first + 1 :]]


def _different(values: Sequence[Expression]) -> list[Expression]:
    return list({value.SerializeToString(deterministic=True): value for value in values}.values())


def _is_typed(value: Expression) -> bool:
    """Whether a value has been through this before."""
    function = value.unresolved_function
    if function.function_name == "coalesce":
        last = function.arguments[-1].unresolved_function
        return last.function_name == "if" and not last.arguments[0].literal.boolean
    text = value.expression_string.expression
    return text.startswith("coalesce(") and text.endswith(", NULL))") and "if(false, " in text


def _is_null(value: Expression) -> bool:
    return value.literal.HasField("null") or value.expression_string.expression.strip().upper() == "NULL"


def _kind(value: Expression) -> str:
    """What a literal is; "text" stands for those that Spark puts beside nothing but their like."""
    if string_of(value) is not None or value.literal.HasField("boolean"):
        return "text"
    number = integer_of(value)
    return "int" if number is not None and abs(number) < _INT_LIMIT else "other"
