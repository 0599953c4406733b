"""SELECT lists: the column that a token belongs to, and whether it has an alias."""

from __future__ import annotations

from collections.abc import Sequence

from riacho.server.sql.interval_literals import UNITS
from riacho.server.sql.tokens import Token
from riacho.server.sql.words import BEHIND_SELECT, SET_OPERATIONS, words

_QUANTIFIERS = words("DISTINCT ALL")
_CLAUSES = BEHIND_SELECT | words("ON JOIN VALUES SET USING")
_LAST_WORDS = words("END NULL TRUE FALSE")
_OPERATORS = words("AND OR NOT LIKE ILIKE RLIKE IN IS BETWEEN DIV WHEN THEN ELSE CASE ESCAPE FROM DISTINCT")
_ENDS = _CLAUSES | SET_OPERATIONS | {"LATERAL"}


def has_alias(tokens: Sequence[Token]) -> bool:
    """Whether the tokens of an expression end in `AS name`, or in just a name after a complete expression."""
    if len(tokens) < 2 or tokens[-1].name is None:
        return False
    before, last = tokens[-2:]
    if before.word == "AS":
        return True
    if last.word in _LAST_WORDS or (last.word in UNITS and any(token.word == "INTERVAL" for token in tokens)):
        return False
    return before.is_symbol(")") or (before.kind != "symbol" and before.word not in _OPERATORS)


def column_around(tokens: Sequence[Token], at: int) -> tuple[int, int] | None:
    """The SELECT column that token `at` belongs to: its first token and the one after it; None if there is none."""
    first, depth, position = None, 0, at - 1
    while position >= 0:
        token = tokens[position]
        if token.is_symbol(")"):
            depth += 1
        elif token.is_symbol("("):
            if depth == 0:
                first = None  # the commas so far were those of a call
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
    """Whether a SELECT list begins after token `at`: SELECT or its DISTINCT, but not that of `count(DISTINCT`."""
    if tokens[at].word in _QUANTIFIERS:
        return at > 0 and tokens[at - 1].word == "SELECT"
    return tokens[at].word == "SELECT"


def _column_end(tokens: Sequence[Token], at: int) -> int:
    """The position after the column that token `at` belongs to."""
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
