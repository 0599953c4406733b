"""Functions over the elements of a list: kept from being pushed down into the file reader.

    before                              after
    exists(tags, t -> t = 'x')          exists(if(rand() >= 0, tags, NULL), t -> t = 'x')

The engine pushes a filter down to the file reader and renames its columns, except those inside such a call, which then
fails with "no field named tags". An expression that is not deterministic is not pushed down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.literals import int_literal
from riacho.server.plan.notation import sql
from riacho.server.plan.walk import transform_expression
from riacho.server.sql.tokens import tokenize

Expression = pb.Expression
NAMES = frozenset({"aggregate", "array_sort", "exists", "filter", "forall", "map_filter", "reduce", "transform"})

_ALWAYS = build.call(">=", build.call("rand"), int_literal(0))
_TEXT = f"if({sql(_ALWAYS)}, "


def staying(name: str) -> Callable[[Sequence[Expression]], Expression | None]:
    """The table entry of a function."""

    def entry(arguments: Sequence[Expression]) -> Expression | None:
        if not any(map(_is_lambda, arguments[1:])) or _stays(arguments[0]):
            return None
        return build.call(name, build.call("if", _ALWAYS, arguments[0], build.null()), *arguments[1:])

    return entry


def bare(expression: Expression) -> Expression:
    """The expression without that: everything inside an aggregate function must be deterministic."""
    return transform_expression(expression, _bare)


def _bare(expression: Expression) -> Expression:
    function = expression.unresolved_function
    if function.function_name == "if" and function.arguments and function.arguments[0] == _ALWAYS:
        return function.arguments[1]
    return expression


def _stays(values: Expression) -> bool:
    """Whether a call with these values has already been rewritten here, or has them over a window of rows."""
    function = values.unresolved_function
    if function.function_name == "if" and function.arguments:
        return function.arguments[0] == _ALWAYS
    text = values.expression_string.expression
    return values.HasField("window") or text.startswith(_TEXT) or any(t.word == "OVER" for t in tokenize(text))


def _is_lambda(argument: Expression) -> bool:
    if argument.HasField("expression_string"):
        return any(token.text == "->" for token in tokenize(argument.expression_string.expression))
    return argument.HasField("lambda_function")
