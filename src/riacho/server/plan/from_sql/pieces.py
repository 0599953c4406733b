"""The pieces of a SQL query, by the positions of its tokens."""

from __future__ import annotations

from collections.abc import Iterator

from riacho.server.sql.tokens import closing, tokenize


class UnknownSqlError(Exception):
    """The text has something that its reader does not know; its message says what."""


class Pieces:
    """Finds words, lists and names in a text, of which a semicolon at the end is no part."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._tokens = tokenize(sql)
        while self._tokens and self._tokens[-1].is_symbol(";"):
            self._tokens.pop()

    @property
    def length(self) -> int:
        return len(self._tokens)

    def _outside(self, start: int, end: int, wanted: frozenset[str] | None, *, calls: bool = True) -> Iterator[int]:
        """The positions outside brackets of the wanted words, or of all tokens. `calls`: also before a bracket."""
        at = start
        while at < end:
            token = self._tokens[at]
            if token.is_symbol("("):
                at = closing(self._tokens, at)
            elif wanted is None or self._is_keyword(at, wanted, calls):
                yield at
            at += 1

    def _is_keyword(self, at: int, wanted: frozenset[str], calls: bool) -> bool:
        """Whether one of the wanted words stands at `at`, and not as part of a name or, without `calls`, as a call."""
        is_part = at > 0 and self._symbol(at - 1, ".")
        return self._word(at) in wanted and not is_part and (calls or not self._symbol(at + 1, "("))

    def _items(self, start: int, end: int) -> list[tuple[int, int]]:
        """The items of a list, as (start, end)."""
        commas = [at for at in self._outside(start, end, None) if self._symbol(at, ",")]
        return list(zip([start, *(at + 1 for at in commas)], [*commas, end], strict=True))

    def _names(self, at: int) -> tuple[list[str], int]:
        """The names in the brackets at `at`, and the position behind them."""
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
