"""The columns of SELECT lists, so that a rewrite inside one does not change its name.

A column without an alias is named after its text, in Spark and in the engine. Where a rule changes that text, it gives
the column its old name as an alias.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from riacho.identifiers import quote
from riacho.server.plan.from_sql.expressions import read_expression
from riacho.server.plan.text import column_name
from riacho.server.sql.tokens import Edit, Token, splice, tokenize
from riacho.server.sql.words import words

_QUANTIFIERS = words("DISTINCT ALL")
_CLAUSES = words("FROM WHERE GROUP HAVING ORDER SORT CLUSTER DISTRIBUTE LIMIT OFFSET WINDOW ON JOIN VALUES SET USING")
_LAST_WORDS = words("END NULL TRUE FALSE")
_UNITS = words("SECOND SECONDS MINUTE MINUTES HOUR HOURS DAY DAYS WEEK WEEKS MONTH MONTHS YEAR YEARS")
"""What an interval may end in; elsewhere they are names like others."""
_OPERATORS = words("AND OR NOT LIKE ILIKE RLIKE IN IS BETWEEN DIV WHEN THEN ELSE CASE ESCAPE FROM DISTINCT")
_INTERVAL = re.compile(r"\binterval\b", re.IGNORECASE)
_ENDS = _CLAUSES | words("UNION EXCEPT INTERSECT MINUS LATERAL QUALIFY")


def has_alias(tokens: Sequence[Token]) -> bool:
    """Whether the tokens of an expression end in `AS name`, or just in a name behind a complete expression."""
    if len(tokens) < 2 or tokens[-1].name is None:
        return False
    before, last = tokens[-2:]
    if before.word == "AS":
        return True
    if last.word in _LAST_WORDS or (last.word in _UNITS and any(token.word == "INTERVAL" for token in tokens)):
        return False
    return before.is_symbol(")") or (before.kind != "symbol" and before.word not in _OPERATORS)


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
        column = (0, len(tokens)) if role == "column" else _column_around(tokens, at)
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
    if read.HasField("expression_string") or _INTERVAL.search(column) is not None:
        return splice(column, [Edit(call.start, call.end, call.name) for call in calls])
    shown = column_name(read)
    for name, call in stand_ins.items():
        shown = shown.replace(name, call.name)
    return shown


def _column_around(tokens: Sequence[Token], at: int) -> tuple[int, int] | None:
    """The SELECT column that token `at` stands in: its first token and the one behind it; None if in no such column."""
    first, depth, position = None, 0, at - 1
    while position >= 0:
        token = tokens[position]
        if token.is_symbol(")"):
            depth += 1
        elif token.is_symbol("("):
            if depth == 0:
                first = None  # the commas passed were those of a call
            else:
                depth -= 1
        elif depth == 0 and token.is_symbol(","):
            first = position + 1 if first is None else first
        elif depth == 0 and _opens_columns(tokens, position):
            return (position + 1 if first is None else first), _column_end(tokens, at)
        elif depth == 0 and token.word in _CLAUSES:
            return None
        position -= 1
    return None


def _opens_columns(tokens: Sequence[Token], at: int) -> bool:
    """Whether a SELECT list begins behind token `at`: at SELECT and its DISTINCT, not at that of `count(DISTINCT`."""
    if tokens[at].word in _QUANTIFIERS:
        return at > 0 and tokens[at - 1].word == "SELECT"
    return tokens[at].word == "SELECT"


def _column_end(tokens: Sequence[Token], at: int) -> int:
    """The position behind the column that token `at` stands in."""
    # How many brackets of the column are open at `at` is not known here, so the end is the first place that cannot be
    # inside the column: a comma or clause with no bracket open since then, after all that were open have been closed.
    opened = _open_brackets(tokens, at)
    depth = opened
    for position in range(at, len(tokens)):
        token = tokens[position]
        if token.is_symbol("("):
            depth += 1
        elif token.is_symbol(")"):
            if depth == 0:
                return position
            depth -= 1
        elif depth == 0 and (token.is_symbol(",") or token.is_symbol(";") or token.word in _ENDS):
            return position
    return len(tokens)


def _open_brackets(tokens: Sequence[Token], at: int) -> int:
    """How many brackets are open at `at` that were opened after the SELECT around it."""
    depth = 0
    for position in range(at - 1, -1, -1):
        if tokens[position].is_symbol(")"):
            depth -= 1
        elif tokens[position].is_symbol("("):
            depth += 1
        elif depth >= 0 and _opens_columns(tokens, position):
            return depth
    return 0
