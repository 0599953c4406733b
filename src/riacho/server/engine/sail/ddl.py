"""The comments in a DDL text, `a INT COMMENT 'what it is', b STRING`: Sail's parser takes them and forgets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_TOKEN = re.compile(
    r"""
      (?P<string>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*")
    | (?P<name>`(?:[^`]|``)*`)
    | (?P<word>\w+)
    | (?P<open>[(<])
    | (?P<close>[)>])
    | (?P<comma>,)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def column_comments(text: str) -> list[str | None]:
    """The comment, or None, of each top-level column of `text`, a DDL text that the engine has accepted."""
    return [_comment(column) for column in _columns(text)]


def _columns(text: str) -> Iterator[list[tuple[str, str]]]:
    """The kind and text of the tokens of each column, what stands inside parentheses and angle brackets left out."""
    depth = 0
    column: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        depth += (kind == "open") - (kind == "close")
        if depth == 0 and kind == "comma":
            yield column
            column = []
        elif depth == 0 and kind != "close":
            column.append((kind, match[0]))
    if column:
        yield column


def _comment(column: list[tuple[str, str]]) -> str | None:
    """The text behind the word COMMENT. A column may be called `comment` itself, so its first token does not count."""
    for (kind, word), (next_kind, literal) in pairwise(column[1:]):
        if kind == "word" and word.upper() == "COMMENT" and next_kind == "string":
            return _unquote(literal)
    return None


def _unquote(literal: str) -> str:
    """What a string literal means: a doubled quote is one, a backslash makes the next character special or plain."""
    quote, inner = literal[0], literal[1:-1]
    return re.sub(
        rf"\\(.)|{quote}{quote}",
        lambda match: quote if match[1] is None else _ESCAPES.get(match[1], match[1]),
        inner,
        flags=re.DOTALL,
    )
