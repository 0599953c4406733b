"""What columns are called: the names in an identifier, and the name that an expression gives to its column."""

from __future__ import annotations

from riacho.identifiers import last_part
from riacho.protos import pb
from riacho.server.plan.text import column_name


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
