"""The columns of SELECT lists, so that a rewrite inside one does not change its name.

A column without an alias is named after its text, in Spark and in the engine. Where a rule changes that text, it gives
the column its old name as an alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from riacho.identifiers import quote
from riacho.server.plan.from_sql.expressions import read_expression
from riacho.server.plan.text import column_name
from riacho.server.sql.pieces import items, outside
from riacho.server.sql.select_lists import column_around, has_alias
from riacho.server.sql.tokens import Edit, has_word, splice, tokenize
from riacho.server.sql.words import BEHIND_SELECT, SET_OPERATIONS, words

_ENDS = BEHIND_SELECT | SET_OPERATIONS | {"LATERAL"}
_QUANTIFIERS = words("DISTINCT ALL")
_OPERATORS = words("AND OR NOT LIKE ILIKE RLIKE IN IS BETWEEN DIV CASE")
_OF_A_COLUMN = frozenset({".", "[", "]", "::"})
_CASTS = words("int bigint smallint tinyint double float decimal string boolean date timestamp binary")
_GENERATORS = words("explode explode_outer posexplode posexplode_outer inline inline_outer stack json_tuple")

Role = Literal["query", "column", "part"]
"""What a text is: a query, one column of a projection, or part of some other expression (whose name is not shown)."""


@dataclass(frozen=True, slots=True)
class Call:
    """A piece of SQL text that is to be replaced; `name` is what it looks like in the name of a column."""

    start: int
    end: int
    name: str


def name_columns(sql: str, calls: Sequence[Call], role: Role) -> list[Edit]:
    """The aliases to add to `sql` so that columns without one keep their name when `calls` are replaced."""
    if role == "part":
        return []
    tokens = tokenize(sql)
    columns: dict[tuple[int, int], list[Call]] = {}
    for call in calls:
        at = next(position for position, token in enumerate(tokens) if token.start == call.start)
        column = (0, len(tokens)) if role == "column" else column_around(tokens, at)
        if column and not has_alias(tokens[column[0] : column[1]]):
            columns.setdefault(column, []).append(call)
    aliases = []
    for (first, behind), inside in columns.items():
        start, end = tokens[first].start, tokens[behind - 1].end
        shown = _shown(sql[start:end], [Call(call.start - start, call.end - start, call.name) for call in inside])
        aliases.append(Edit(end, end, f" AS {quote(shown)}"))
    return aliases


def _shown(column: str, calls: Sequence[Call]) -> str:
    """The name of a column: as Spark makes it up if the text is understood, else the text itself."""
    stand_ins = {f"__riacho_call_{at}": call for at, call in enumerate(calls)}
    read = read_expression(splice(column, [Edit(call.start, call.end, name) for name, call in stand_ins.items()]))
    if read.HasField("expression_string") or has_word(column, ("INTERVAL",)):
        return splice(column, [Edit(call.start, call.end, call.name) for call in calls])
    shown = column_name(read)
    for name, call in stand_ins.items():
        shown = shown.replace(name, call.name)
    return shown


def unnamed_column(sql: str) -> str | None:
    """The first column of a query that has no name of its own, as Spark shows it; None if all have one.

    Looks at the query's own SELECT list, the first one of several that are put together.
    """
    tokens = tokenize(sql)
    start = next(outside(tokens, 0, len(tokens), words("SELECT")), None)
    if start is None:
        return None
    first = start + 1 + (start + 1 < len(tokens) and tokens[start + 1].word in _QUANTIFIERS)
    behind = next(outside(tokens, first, len(tokens), _ENDS), len(tokens))
    for begin, end in items(tokens, first, behind):
        item = [token for token in tokens[begin:end] if not token.is_symbol(";")]
        if item and not item[-1].is_symbol("*") and not has_alias(item):
            shown = _unnamed(sql[item[0].start : item[-1].end])
            if shown is not None:
                return shown
    return None


def _unnamed(text: str) -> str | None:
    """What Spark shows for an expression that it makes up a name for; a column, a part or a cast of one is none."""
    tokens = tokenize(text)
    of_a_column = all(token.kind != "symbol" or token.text in _OF_A_COLUMN for token in tokens)
    if of_a_column and not any(token.word in _OPERATORS for token in tokens):
        return None
    read = read_expression(text)
    function = read.unresolved_function
    inner = read.cast.expr if read.HasField("cast") else read
    if function.function_name.lower() in _CASTS and len(function.arguments) == 1:
        inner = function.arguments[0]
    if inner.WhichOneof("expr_type") in ("literal", "unresolved_attribute", "unresolved_extract_value"):
        return None
    if function.function_name.lower() in _GENERATORS:
        return None
    return text if read.HasField("expression_string") else column_name(read)
