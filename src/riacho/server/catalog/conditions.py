"""Expressions of `df.writeTo` as SQL text: partition columns, and the condition of an overwrite."""

from __future__ import annotations

from riacho.errors import UnsupportedOperationError
from riacho.identifiers import column_parts, quoted
from riacho.protos import pb
from riacho.server.sql.tokens import string_literal

_COMPARISONS = {"==": "=", "=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "!=": "!=", "and": "AND", "or": "OR"}


def column_name(expression: pb.Expression) -> str:
    """The column that a table is partitioned by. Raises UnsupportedOperationError for a function of one."""
    if expression.WhichOneof("expr_type") != "unresolved_attribute":
        raise UnsupportedOperationError(
            "Delta tables are partitioned by columns, not by functions of them. Add a column with the function's "
            "value, and partition by it."
        )
    return column_parts(expression.unresolved_attribute.unparsed_identifier)[-1]


def condition_text(expression: pb.Expression) -> str | None:
    """SQL text of an overwrite's condition; None if it holds for all rows. Raises UnsupportedOperationError."""
    if expression.literal.boolean:
        return None
    return _sql(expression)


def _sql(expression: pb.Expression) -> str:
    match expression.WhichOneof("expr_type"):
        case "expression_string":
            return str(expression.expression_string.expression)
        case "unresolved_attribute":
            return quoted(column_parts(expression.unresolved_attribute.unparsed_identifier)[-1:])
        case "literal":
            kind = expression.literal.WhichOneof("literal_type")
            value = getattr(expression.literal, kind or "")
            if kind == "string":
                return string_literal(value)
            if kind in {"byte", "short", "integer", "long", "float", "double", "boolean"}:
                return str(value)
        case "unresolved_function":
            call = expression.unresolved_function
            operator = _COMPARISONS.get(call.function_name.lower())
            operands = [_sql(argument) for argument in call.arguments]
            if operator and len(operands) == 2:
                return f"({operands[0]} {operator} {operands[1]})"
            if call.function_name.lower() in {"not", "!"} and len(operands) == 1:
                return f"(NOT {operands[0]})"
    raise UnsupportedOperationError(
        "This condition of overwrite() is not supported by riacho. Compare columns with numbers or strings, joined by "
        "AND and OR, or write it as text: overwrite(expr('…'))."
    )
