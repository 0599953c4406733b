"""Spark SQL text as tokens, so that a rewrite can change a few words and leave the rest as the user wrote it.

Printing SQL from a parsed tree would lose whatever the printer does not know; splicing cannot. Lexical rules:
`SqlBaseLexer.g4` of Apache Spark (strings in either quote with backslash escapes, doubled quotes, raw strings,
backticks, nested comments).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

TokenKind = Literal["word", "quoted", "string", "number", "symbol"]

_TOKEN = re.compile(
    r"""
      (?P<space>   \s+ | --[^\n]* )
    | (?P<comment> /\* )
    | (?P<string>  [rR]'[^']*' | [rR]"[^"]*" | '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" )
    | (?P<quoted>  `(?:[^`]|``)*` )
    | (?P<number>  \d+\.?\d*(?:[eE][+-]?\d+)?[a-zA-Z]*(?![\w]) | \.\d+(?:[eE][+-]?\d+)?[a-zA-Z]* )
    | (?P<word>    \w+ )
    | (?P<symbol>  \|> | -> | => | :: | <=> | <> | [<>!=]= | \|\| | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


class Token(NamedTuple):
    """A piece of SQL text. `start` and `end` are its position: `sql[start:end] == text`.

    `word`: the upper-case text of a bare word, for comparison with keywords; otherwise an empty string.
    """

    kind: TokenKind
    text: str
    word: str
    start: int
    end: int

    @property
    def name(self) -> str | None:
        """The identifier that this token may be, without backticks; None for strings, numbers and symbols."""
        if self.kind == "word":
            return self.text
        return self.text[1:-1].replace("``", "`") if self.kind == "quoted" else None

    def is_symbol(self, text: str) -> bool:
        return self.kind == "symbol" and self.text == text


_ESCAPE = re.compile(
    r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})|(.))|''|\"\"",
    re.DOTALL,
)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a", "%": "\\%", "_": "\\_"}


def string_value(token: Token) -> str:
    """The value of a string literal: without its quotes, with escapes resolved."""
    if token.text[0] in "rR":
        return token.text[2:-1]
    quote = token.text[0]

    def change(match: re.Match[str]) -> str:
        short, long, octal, other = match.groups()
        if other is not None:
            return _ESCAPED.get(other, other)
        if short or long:
            return chr(int(short or long, 16))
        if octal:
            return chr(int(octal, 8))
        return quote if match[0] == quote * 2 else match[0]

    return _ESCAPE.sub(change, token.text[1:-1])


def string_literal(value: str) -> str:
    """The string literal for `value`."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def tokenize(sql: str) -> list[Token]:
    """The tokens of `sql` in order, without blanks and comments. Never fails: an odd character is a symbol."""
    tokens: list[Token] = []
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None:  # impossible: `.` matches whatever is left
            break
        kind = match.lastgroup
        position = match.end()
        if kind == "comment":
            position = _comment_end(sql, position)
        elif kind != "space":
            text = match.group()
            word = text.upper() if kind == "word" else ""
            tokens.append(Token(kind, text, word, match.start(), position))  # type: ignore[arg-type]
    return tokens


def _comment_end(sql: str, position: int) -> int:
    """The end of the comment whose opening mark ends at `position`; comments nest."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, position)
        if edge is None:
            return len(sql)
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position


def has_word(sql: str, wanted: Iterable[str]) -> bool:
    """Whether one of these keywords occurs in `sql`, outside strings, comments and names in backticks."""
    upper = sql.upper()
    likely = {word for word in wanted if word in upper}
    return bool(likely) and any(token.word in likely for token in tokenize(sql))


def identifier(tokens: Sequence[Token], at: int) -> tuple[tuple[str, ...], int]:
    """The dotted name that starts at token `at`, and the position of the token after it; ((), at) if there is none."""
    parts: list[str] = []
    position = at
    while position < len(tokens) and (name := tokens[position].name) is not None:
        parts.append(name)
        position += 1
        if not (
            position + 1 < len(tokens) and tokens[position].is_symbol(".") and tokens[position + 1].name is not None
        ):
            break
        position += 1
    return tuple(parts), position


def closing(tokens: Sequence[Token], at: int) -> int:
    """The position of the bracket that closes the one at token `at`; len(tokens) if none does."""
    depth = 0
    for position in range(at, len(tokens)):
        if tokens[position].is_symbol("("):
            depth += 1
        elif tokens[position].is_symbol(")"):
            depth -= 1
            if depth == 0:
                return position
    return len(tokens)


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in place of what is between `start` and `end`."""

    start: int
    end: int
    text: str


def splice(sql: str, edits: Sequence[Edit]) -> str:
    """`sql` with all edits made; they must not overlap."""
    pieces: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda e: e.start):
        pieces += [sql[position : edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, sql[position:]])


def split_statements(sql: str) -> list[str]:
    """The statements of a script, split at `;` outside quotes, comments and brackets; empty ones are skipped."""
    statements: list[str] = []
    start = 0
    for token in [*tokenize(sql), Token("symbol", ";", "", len(sql), len(sql))]:
        if token.is_symbol(";"):
            text = sql[start : token.start].strip()
            if tokenize(text):
                statements.append(text)
            start = token.end
    return statements


def parse_identifier(text: str) -> tuple[str, ...]:
    """The parts of a name such as ``cat.`my db`.t``, as `unparsed_identifier` fields carry it. () if it is none."""
    tokens = tokenize(text)
    parts, end = identifier(tokens, 0)
    return parts if end == len(tokens) else ()
