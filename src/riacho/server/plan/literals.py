"""Literals among the arguments of a function, whether the plan or SQL text has them."""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.sql.tokens import string_value, tokenize

Expression = pb.Expression


def string_of(expression: Expression) -> str | None:
    """The string that `expression` is a literal of."""
    if expression.literal.HasField("string"):
        return expression.literal.string
    if not expression.HasField("expression_string"):
        return None
    tokens = tokenize(expression.expression_string.expression)
    return string_value(tokens[0]) if len(tokens) == 1 and tokens[0].kind == "string" else None


def integer_of(expression: Expression) -> int | None:
    """The whole number that `expression` is a literal of."""
    kind = expression.literal.WhichOneof("literal_type")
    return getattr(expression.literal, kind) if kind in ("byte", "short", "integer", "long") else None


def int_literal(value: int) -> Expression:
    """A literal of the type INT, which keeps what it is added to an INT."""
    return Expression(literal=Expression.Literal(integer=value))
