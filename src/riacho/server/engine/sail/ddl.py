"""The comments in a DDL text, `a INT COMMENT 'what it is', b STRING`: Sail's parser accepts them and drops them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from riacho.server.sql.tokens import Token, string_value, tokenize


def column_comments(text: str) -> list[str | None]:
    """The comment, or None, of each top-level column of `text`, which is DDL that the engine has accepted."""
    return [_comment(column) for column in _columns(text)]


def _columns(text: str) -> Iterator[list[Token]]:
    """The tokens of each column, without those inside parentheses and angle brackets."""
    depth = 0
    column: list[Token] = []
    for token in tokenize(text):
        step = token.text in ("(", "<"), token.text in (")", ">")
        depth += step[0] - step[1]
        if depth == 0 and token.is_symbol(","):
            yield column
            column = []
        elif depth == 0 and not step[1]:
            column.append(token)
    if column:
        yield column


def _comment(column: list[Token]) -> str | None:
    """The text behind the word COMMENT. A column may be called `comment` itself, so its first token does not count."""
    for token, following in pairwise(column[1:]):
        if token.word == "COMMENT" and following.kind == "string":
            return string_value(following)
    return None
