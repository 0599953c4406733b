"""A SQL definition file as statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from riacho.server.sql.errors import syntax_error
from riacho.server.sql.tokens import Token, tokenize


@dataclass(frozen=True)
class Statement:
    """One statement: its text from the first token on, its tokens (positioned relative to `text`), its line."""

    text: str
    tokens: Sequence[Token]
    line: int


def statements(text: str) -> Iterator[Statement]:
    """The statements of a file, in order, split at `;`; empty ones are skipped.

    Raises PARSE_SYNTAX_ERROR for a quote that is never closed.
    """
    pending: list[Token] = []
    for token in tokenize(text):
        if token.kind == "symbol" and token.text in ("'", '"', "`"):
            raise syntax_error(text, token)
        if not token.is_symbol(";"):
            pending.append(token)
        elif pending:
            yield _statement(text, pending)
            pending = []
    if pending:
        yield _statement(text, pending)


def _statement(text: str, tokens: Sequence[Token]) -> Statement:
    start, end = tokens[0].start, tokens[-1].end
    moved = [token._replace(start=token.start - start, end=token.end - start) for token in tokens]
    return Statement(text[start:end], moved, 1 + text.count("\n", 0, start))
