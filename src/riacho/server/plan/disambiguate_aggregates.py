"""Aggregates that the engine would give one name, told apart.

The engine names an aggregate after what it is of and leaves casts out of the name, implied ones as well. Two aggregates
of one name in one aggregation are an error. But an argument may have a name of its own:

    sum(v), sum(CAST(v AS DOUBLE))      sum(v), sum(CAST(v AS DOUBLE) AS _argument0)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from riacho.identifiers import last_part
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.from_sql.grouping import AGGREGATES
from riacho.server.plan.walk import expressions
from riacho.server.sql.tokens import tokenize

Function = pb.Expression.UnresolvedFunction


def disambiguate_aggregates(aggregates: Sequence[pb.Expression]) -> None:
    """Name, in place, the arguments of functions that occur several times over the same columns.

    `aggregates`: all of one aggregation; text in them is only looked into where it is an argument.
    """
    alike: dict[object, list[Function]] = defaultdict(list)
    for function in _functions(aggregates):
        read = frozenset(name for argument in function.arguments for name in _columns(argument))
        alike[function.function_name.lower(), function.is_distinct, read].append(function)
    names: dict[bytes, str] = {}
    for functions in alike.values():
        if len({_bytes(function) for function in functions}) == 1:
            continue
        for argument in (argument for function in functions for argument in function.arguments):
            if not argument.HasField("unresolved_attribute") and _columns(argument):
                name = names.setdefault(_bytes(argument), f"_argument{len(names)}")
                argument.CopyFrom(build.alias(argument, name))


def _functions(aggregates: Sequence[pb.Expression]) -> list[Function]:
    nodes = [node for expression in aggregates for node in (expression, *expressions(expression))]
    functions = [node.unresolved_function for node in nodes if node.HasField("unresolved_function")]
    return [function for function in functions if function.function_name.lower() in AGGREGATES]


def _columns(argument: pb.Expression) -> set[str]:
    """The columns that an argument mentions; text that is not understood counts as one if it has any name in it."""
    found = set()
    for node in (argument, *expressions(argument)):
        text = node.expression_string.expression
        if node.HasField("unresolved_attribute"):
            found.add(last_part(node.unresolved_attribute.unparsed_identifier))
        elif (read := structured(node)) is not node and not read.HasField("expression_string"):
            found |= _columns(read)
        elif any(token.name is not None for token in tokenize(text)):
            found.add(text)
    return found


def _bytes(message: Function | pb.Expression) -> bytes:
    return message.SerializeToString(deterministic=True)
