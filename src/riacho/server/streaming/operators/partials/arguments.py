"""The constant arguments of aggregate functions, which Spark wants to know when it plans."""

from __future__ import annotations

from riacho.server.plan.build import Expression

_INTEGERS = ("byte", "short", "integer", "long")
_ARRAY_FUNCTIONS = ("array", "make_array")


def number(expression: Expression) -> float | None:
    """The value of a number written out; None for anything else."""
    match expression.WhichOneof("expr_type"):
        case "literal":
            kind = expression.literal.WhichOneof("literal_type")
            if kind in (*_INTEGERS, "float", "double"):
                return float(getattr(expression.literal, kind))
            return _parsed(expression.literal.decimal.value) if kind == "decimal" else None
        case "expression_string":
            return _parsed(expression.expression_string.expression)
        case "cast":
            return number(expression.cast.expr)
        case _:
            return None


def numbers(expression: Expression) -> list[float] | None:
    """The values of an array of numbers written out; None for anything else."""
    if expression.HasField("unresolved_function"):
        function = expression.unresolved_function
        items = list(function.arguments) if function.function_name.lower() in _ARRAY_FUNCTIONS else []
    else:
        items = [Expression(literal=element) for element in expression.literal.array.elements]
    found = [value for item in items if (value := number(item)) is not None]
    return found if found and len(found) == len(items) else None


def whole(expression: Expression) -> int | None:
    """The value of an integer written out; None for anything else."""
    value = number(expression)
    return int(value) if value is not None and value.is_integer() else None


def flag(expression: Expression) -> bool | None:
    """The value of a boolean written out; None for anything else."""
    literal = expression.literal
    return literal.boolean if expression.HasField("literal") and literal.HasField("boolean") else None


def _parsed(text: str) -> float | None:
    try:
        return float(text.rstrip("dDfFbB"))
    except ValueError:
        return None
