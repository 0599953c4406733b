"""The pieces of a SQL query, by the positions of its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from riacho.server.sql.tokens import Token, closing, tokenize


def outside(
    tokens: Sequence[Token], start: int, end: int, wanted: frozenset[str] | None = None, *, calls: bool = True
) -> Iterator[int]:
    """The positions outside brackets of the wanted words, or of all tokens. `calls`: also before a bracket.

    A word that is part of a name does not count, nor does the FROM of `IS DISTINCT FROM`.
    """
    at = start
    while at < end:
        token = tokens[at]
        if token.is_symbol("("):
            at = closing(tokens, at)
        elif wanted is None or (token.word in wanted and _is_keyword(tokens, at, calls)):
            yield at
        at += 1


def _is_keyword(tokens: Sequence[Token], at: int, calls: bool) -> bool:
    if at and tokens[at - 1].is_symbol("."):
        return False
    if at > 1 and tokens[at - 1].word == "DISTINCT" and tokens[at - 2].word in ("IS", "NOT"):
        return False
    return calls or at + 1 >= len(tokens) or not tokens[at + 1].is_symbol("(")


def items(tokens: Sequence[Token], start: int, end: int) -> list[tuple[int, int]]:
    """The items of a list, as (start, end), split at commas outside brackets; an empty list is one empty item."""
    found, depth, first = [], 0, start
    for at in range(start, end):
        token = tokens[at]
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth == 0 and token.is_symbol(","):
            found.append((first, at))
            first = at + 1
    return [*found, (first, end)]


class UnknownSqlError(Exception):
    """The text contains something that its reader does not know; the message says what."""


class Pieces:
    """Finds words, lists and names in a text, ignoring a semicolon at the end."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._tokens = tokenize(sql)
        while self._tokens and self._tokens[-1].is_symbol(";"):
            self._tokens.pop()

    @property
    def length(self) -> int:
        return len(self._tokens)

    def _outside(self, start: int, end: int, wanted: frozenset[str] | None, *, calls: bool = True) -> Iterator[int]:
        return outside(self._tokens, start, end, wanted, calls=calls)

    def _items(self, start: int, end: int) -> list[tuple[int, int]]:
        return items(self._tokens, start, end)

    def _names(self, at: int) -> tuple[list[str], int]:
        """The names in the brackets at `at`, and the position after the brackets."""
        behind = closing(self._tokens, at)
        return [self._name(start) for start, _ in self._items(at + 1, behind)], behind + 1

    def _name(self, at: int) -> str:
        name = self._tokens[at].name if at < self.length else None
        if name is None:
            raise UnknownSqlError(f"a name was expected at {self._text(at, at + 1)!r}")
        return name

    def _text(self, start: int, end: int) -> str:
        end = min(end, self.length)
        return self.sql[self._tokens[start].start : self._tokens[end - 1].end] if start < end else ""

    def _word(self, at: int) -> str:
        return self._tokens[at].word if 0 <= at < self.length else ""

    def _symbol(self, at: int, text: str) -> bool:
        return 0 <= at < self.length and self._tokens[at].is_symbol(text)
