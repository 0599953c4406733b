"""Null divided by zero is null in Spark, which looks at the dividend first. The engine raises.

before  sum(v) / count(1)
after   sum(v) / if(isnotnull(sum(v)), count(1), NULL)
"""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.walk import transform_expression

_DIVISIONS = frozenset({"/", "%", "mod"})
_LONGEST = 4096
"""Bytes of a dividend that are worth saying twice: dividends are divisions themselves, and would double with each."""


def null_by_zero(expression: pb.Expression) -> pb.Expression:
    """A copy of `expression` with all its divisions by something other than a literal giving null for null."""
    return transform_expression(expression, _null_first)


def _null_first(expression: pb.Expression) -> pb.Expression:
    function = expression.unresolved_function
    if function.function_name.lower() not in _DIVISIONS or len(function.arguments) != 2:
        return expression
    dividend, divisor = function.arguments
    if divisor.HasField("literal") or dividend.ByteSize() > _LONGEST:
        return expression
    guarded = build.call("if", build.call("isnotnull", dividend), divisor, build.null())
    return build.call(function.function_name, dividend, guarded)
