"""Constant arguments of a function, whether a plan or SQL text has them."""

from __future__ import annotations

from itertools import pairwise

from riacho.protos import pb
from riacho.server.plan.literals import string_of
from riacho.server.sql.tokens import string_value, tokenize

Expression = pb.Expression


def is_null(argument: Expression) -> bool:
    """Whether it is the literal NULL."""
    if argument.HasField("expression_string"):
        return [token.word for token in tokenize(argument.expression_string.expression)] == ["NULL"]
    return argument.literal.HasField("null")


def options_of(argument: Expression) -> dict[str, str] | None:
    """`map('key', 'value', …)`, as it is written; None for anything else."""
    if argument.literal.HasField("map"):
        given = argument.literal.map
        return {key.string: value.string for key, value in zip(given.keys, given.values, strict=True)}
    if argument.HasField("unresolved_function") and argument.unresolved_function.function_name.lower() == "map":
        texts = list(map(string_of, argument.unresolved_function.arguments))
    elif argument.HasField("expression_string"):
        tokens = tokenize(argument.expression_string.expression)
        if [token.text.lower() for token in tokens[:2]] != ["map", "("] or not tokens[-1].is_symbol(")"):
            return None
        inside = tokens[2:-1]
        values, commas = inside[::2], inside[1::2]
        is_list = all(token.kind == "string" for token in values) and all(token.is_symbol(",") for token in commas)
        if not is_list or (inside and len(inside) % 2 == 0):
            return None
        texts = [string_value(token) for token in values]
    else:
        return None
    if len(texts) % 2 or any(text is None for text in texts):
        return None
    return {str(key): str(value) for key, value in list(pairwise(texts))[::2]}
