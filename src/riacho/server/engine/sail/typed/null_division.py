"""Null divided by zero is null in Spark, which looks at the dividend first. The engine raises.

before  sum(v) / count(1)
after   sum(v) / if(isnotnull(sum(v)), count(1), NULL)
"""

from __future__ import annotations

from riacho.server.engine.sail.typed.values import Typed, Values
from riacho.server.plan import build
from riacho.server.plan.from_sql.expressions import read_expression
from riacho.server.sql.words import words

DIVISIONS = words("/ % mod div")
_LONGEST = 4096
"""The largest dividend, in bytes, that is written twice: dividends may be divisions, each doubling the size."""
_TEXT = "if(isnotnull("


def null_first(values: Values) -> Values:
    """Dividend and divisor, with the divisor null where the dividend is; unchanged where that makes no difference."""
    if len(values) != 2:
        return values
    dividend, divisor = values
    if _is_literal(divisor) or _is_guarded(divisor) or dividend.expression.ByteSize() > _LONGEST:
        return values
    known = build.call("isnotnull", dividend.unchecked)
    return dividend, Typed(build.call("if", known, divisor.expression, build.null()), divisor.type)


def _is_literal(value: Typed) -> bool:
    text = value.expression.expression_string.expression
    return value.expression.HasField("literal") or (text != "" and read_expression(text).HasField("literal"))


def _is_guarded(value: Typed) -> bool:
    """Whether this has been done already."""
    function = value.expression.unresolved_function
    if function.function_name == "if" and function.arguments:
        return function.arguments[0].unresolved_function.function_name == "isnotnull"
    return value.expression.expression_string.expression.startswith(_TEXT)
