"""What columns are called: the names in an identifier, and the name that an expression gives to its column."""

from __future__ import annotations

import re

from riacho.protos import pb
from riacho.server.plan.text import column_name

_PART = re.compile(r"`(?:[^`]|``)*`|[^.`]+")


def parts_of(identifier: str) -> tuple[str, ...]:
    """The parts of an unparsed identifier such as ``a.`b c`.d``, without backticks."""
    parts = _PART.findall(identifier)
    return tuple(part[1:-1].replace("``", "`") if part.startswith("`") else part for part in parts)


def last_part(identifier: str) -> str:
    """The column that an unparsed identifier such as ``a.`b c` `` names, in lower case."""
    if identifier.endswith("`"):
        start = identifier.rfind("`", 0, -1)
        while start > 0 and identifier[start - 1] == "`":
            start = identifier.rfind("`", 0, start - 1)
        return identifier[start + 1 : -1].replace("``", "`").lower()
    return identifier.rsplit(".", 1)[-1].lower()


def output_name(expression: pb.Expression) -> str:
    """The name, in lower case, of the column that an expression makes in a projection."""
    match expression.WhichOneof("expr_type"):
        case "alias":
            return str(expression.alias.name[0]).lower()
        case "unresolved_attribute":
            return last_part(expression.unresolved_attribute.unparsed_identifier)
        case "unresolved_function" if expression.unresolved_function.function_name in {"window", "session_window"}:
            return str(expression.unresolved_function.function_name)
        case _:
            return column_name(expression).lower()
