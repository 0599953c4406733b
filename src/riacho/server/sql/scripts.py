"""A SQL definition file as statements, and errors that show where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from riacho.errors import ParseError
from riacho.server.sql.tokens import Token, tokenize


@dataclass(frozen=True)
class Statement:
    """One statement: its text from the first token on, its tokens (their places are those in `text`), its line."""

    text: str
    tokens: Sequence[Token]
    line: int

    def text_from(self, token: Token) -> str:
        """The source text from `token` to the end of the statement."""
        return self.text[token.start :]

    def error_at(self, token: Token | None, hint: str = "") -> ParseError:
        """PARSE_SYNTAX_ERROR at `token`; None stands for the end of the statement."""
        return syntax_error(self.text, token, hint)


def statements(text: str) -> Iterator[Statement]:
    """The statements of a file, in order, split at `;`; empty ones are left out.

    Raises PARSE_SYNTAX_ERROR for a quote that never ends.
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


def syntax_error(text: str, token: Token | None, hint: str = "") -> ParseError:
    """Spark's PARSE_SYNTAX_ERROR with the place underlined; `token` None stands for the end of `text`."""
    start = len(text) if token is None else token.start
    near = "end of input" if token is None else f"'{token.text}'"
    line = text.count("\n", 0, start) + 1
    column = start - (text.rfind("\n", 0, start) + 1)
    lines = text.splitlines() or [""]
    shown = "\n".join([*lines[:line], "-" * column + "^^^", *lines[line:]])
    return ParseError(
        f"\n[PARSE_SYNTAX_ERROR] Syntax error at or near {near}{hint}. SQLSTATE: 42601 (line {line}, pos {column})"
        f"\n\n== SQL ==\n{shown}\n",
        condition="PARSE_SYNTAX_ERROR",
        sql_state="42601",
        parameters={"error": near, "hint": hint},
    )
