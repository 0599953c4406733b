"""Makes branches of different types show the type they have in common.

The engine reports that `CASE WHEN c THEN 0 ELSE x / y END` is an INT, like its first branch, but computes a DOUBLE: a
table that stores the result then loses the decimals. Its `coalesce` does report the common type, and never evaluates a
second argument that is null:

    CASE WHEN c THEN 0 ELSE x / y END      CASE WHEN c THEN coalesce(0, if(false, x / y, NULL)) ELSE x / y END

The engine folds constants, so none of this remains when the rows are computed, and it costs nothing then.
"""

from __future__ import annotations

from collections.abc import Sequence

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.literals import integer_of, string_of

Expression = pb.Expression

_INT_LIMIT = 1 << 31
_LONGEST_HINT = 4096
"""The largest branch, in bytes, that is written twice: branches are nested, and each level would double the size."""


def typed_branches(values: Sequence[Expression]) -> Sequence[Expression] | None:
    """The branch values, the first showing the common type; None if all are plainly of one type."""
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
    """Whether a value has already been rewritten here."""
    function = value.unresolved_function
    if function.function_name == "coalesce":
        last = function.arguments[-1].unresolved_function
        return last.function_name == "if" and not last.arguments[0].literal.boolean
    text = value.expression_string.expression
    return text.startswith("coalesce(") and text.endswith(", NULL))") and "if(false, " in text


def _is_null(value: Expression) -> bool:
    return value.literal.HasField("null") or value.expression_string.expression.strip().upper() == "NULL"


def _kind(value: Expression) -> str:
    """The kind of a literal; "text" stands for those that Spark only combines with others of their kind."""
    if string_of(value) is not None or value.literal.HasField("boolean"):
        return "text"
    number = integer_of(value)
    return "int" if number is not None and abs(number) < _INT_LIMIT else "other"
