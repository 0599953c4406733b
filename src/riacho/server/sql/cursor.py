"""A position in the tokens of one statement, and the small pieces that statements are made of."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Literal

from riacho.errors import ParseError
from riacho.server.sql.errors import empty_statement, extra, missing, not_allowed, syntax_error
from riacho.server.sql.statements import Name
from riacho.server.sql.tokens import Token, TokenKind, closing, identifier, string_value, tokenize
from riacho.server.sql.words import QUERY_STARTS
from riacho.storage import place_of

Follower = Literal["", "name", "string", "bracket"]
"""What may follow a missing word: if it does, Spark recognises that only that word is missing."""


class Cursor:
    """Reads a statement from left to right. An unexpected token raises PARSE_SYNTAX_ERROR at that token."""

    def __init__(self, text: str, tokens: Sequence[Token] | None = None, at: int = 0) -> None:
        """`tokens`: those of `text`, if they are known already. `at`: the first one to read."""
        self.text = text
        self._tokens = tokenize(text) if tokens is None else tokens
        self._at = at
        self._end = len(self._tokens)
        while self._end and self._tokens[self._end - 1].is_symbol(";"):
            self._end -= 1

    @property
    def at(self) -> int:
        """The position of the token that comes next."""
        return self._at

    @property
    def token(self) -> Token | None:
        """The token that comes next."""
        return self.ahead(0)

    def ahead(self, count: int) -> Token | None:
        """The token that comes `count` tokens later."""
        at = self._at + count
        return self._tokens[at] if at < self._end else None

    @property
    def word(self) -> str:
        """The keyword that comes next, in upper case; empty if the next token is not a keyword."""
        return self.word_ahead(0)

    def word_ahead(self, count: int) -> str:
        """The keyword that comes `count` tokens later."""
        token = self.ahead(count)
        return "" if token is None else token.word

    @property
    def done(self) -> bool:
        return self._at >= self._end

    def at_kind(self, kind: TokenKind) -> bool:
        """Whether a token of this kind comes next."""
        return not self.done and self._tokens[self._at].kind == kind

    def accept(self, *words: str) -> bool:
        """Step over these keywords if all of them come next."""
        if any(self.word_ahead(count) != word for count, word in enumerate(words)):
            return False
        self._at += len(words)
        return True

    def accept_any(self, *words: str) -> str:
        """Step over one of these keywords and return it; empty if none comes next."""
        found = self.word
        if found not in words:
            return ""
        self._at += 1
        return found

    def expect(self, *words: str, then: Follower = "") -> None:
        """Step over these keywords. `then`: what follows the last one, if nothing else can take its place."""
        for word in words:
            if not self.accept(word):
                raise self.error(self._hint(word, then) if word == words[-1] else "")

    def _hint(self, word: str, then: Follower) -> str:
        token = self._here
        if token is None or not then:
            return ""
        if self.word_ahead(1) == word:
            return extra(token)
        follows = {"name": token.name is not None, "string": token.kind == "string", "bracket": token.is_symbol("(")}
        return missing(word) if follows[then] else ""

    def accept_symbol(self, symbol: str) -> bool:
        if not self.looking_at_symbol(symbol):
            return False
        self._at += 1
        return True

    def expect_symbol(self, symbol: str) -> None:
        if not self.accept_symbol(symbol):
            raise self.missing(symbol)

    def expect_end(self) -> None:
        token = self.token
        if token is not None:
            raise self.error(extra(token) if self.ahead(1) is None else "")

    def name(self) -> Name:
        """A dotted name."""
        parts, end = identifier(self._tokens, self._at)
        if not parts or self.done:
            raise self.error()
        self._at = end
        return parts

    def name_or_path(self) -> Name:
        """A dotted name, or the path of a Delta table as a string."""
        return ("delta", str(place_of(self.string()))) if self.at_kind("string") else self.name()

    def identifier(self) -> str:
        """A name with a single part."""
        token = self.token
        if token is None or token.name is None:
            raise self.error()
        self._at += 1
        return token.name

    def identifiers(self) -> tuple[str, ...]:
        """Names in brackets."""
        return tuple(part.name()[-1] for part in self.brackets())

    def string(self) -> str:
        """A string literal."""
        token = self.token
        if token is None or token.kind != "string":
            raise self.error()
        self._at += 1
        return string_value(token)

    def number(self) -> int:
        token = self.token
        if token is None or not token.text.isdigit():
            raise self.error()
        self._at += 1
        return int(token.text)

    def value(self) -> str:
        """A property's value: a string, number, word, or a negative number, as text."""
        if self.at_kind("string"):
            return self.string()
        sign = "-" if self.accept_symbol("-") else ""
        token = self.token
        if token is None or token.kind == "symbol":
            raise self.error()
        self._at += 1
        return sign + (token.name or token.text)

    def key(self) -> str:
        """A property's key: a string or a dotted name."""
        return self.string() if self.at_kind("string") else ".".join(self.name())

    def properties(self) -> dict[str, str]:
        """`('key' = 'value', …)`; the `=` may be left out."""
        found = self._key_values()
        without = [key for key, value in found.items() if value is None]
        if without:
            raise not_allowed(self.text, f"Values must be specified for key(s): [{','.join(without)}]")
        return {key: value or "" for key, value in found.items()}

    def options(self) -> dict[str, str]:
        """As `properties`, with Spark's different message for an option without a value."""
        found = self._key_values()
        for key, value in found.items():
            if value is None:
                raise not_allowed(self.text, f"A value must be specified for the key: {key}.")
        return {key: value or "" for key, value in found.items()}

    def _key_values(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for part in self.brackets():
            key = part.key()
            equals = part.accept_symbol("=") or part.accept_symbol("==")
            found[key] = None if part.done and not equals else part.value()
            part.expect_end()
        return found

    def brackets(self) -> list[Cursor]:
        """The content of brackets, split at its commas; empty brackets are a single part that is done."""
        return [self._part(start, end) for start, end in self._split_brackets()]

    def bracketed_text(self) -> str:
        """The text between brackets."""
        closed = self._closed()
        inside = self.text[self._tokens[self._at].end : self._tokens[closed].start]
        self._at = closed + 1
        return inside.strip()

    def rest(self) -> str:
        """The text from here to the end of the statement."""
        if self.done:
            raise self.error()
        text = self.text_ahead()
        self._at = self._end
        return text

    def text_ahead(self) -> str:
        """The text from here to the end, without moving past it; empty at the end."""
        return "" if self.done else self.text[self._tokens[self._at].start : self._tokens[self._end - 1].end]

    def query(self) -> str:
        """The rest, which must begin as a query does; the engine parses what follows."""
        start = self._at
        while self.accept_symbol("("):
            pass
        if self.word not in QUERY_STARTS:
            raise self.error()
        self._at = start
        return self.rest()

    def text_until(self, *words: str) -> str:
        """The text up to one of these keywords outside brackets and CASE … END, or to the end."""
        return self.text_until_symbol("", *words)

    def text_until_symbol(self, symbol: str, *words: str) -> str:
        """As `text_until`, and a symbol ends it too."""
        return self._text_until(lambda: self.looking_at_symbol(symbol) or self.word in words)

    def text_until_words(self, *phrases: tuple[str, ...]) -> str:
        """As `text_until`, up to several keywords in a row; one of them alone may be the name of a column."""
        return self._text_until(
            lambda: any(all(self.word_ahead(at) == word for at, word in enumerate(words)) for words in phrases)
        )

    def _text_until(self, ends: Callable[[], bool]) -> str:
        start = self._at
        cases = 0
        while not self.done:
            token = self._tokens[self._at]
            if token.is_symbol("("):
                self._at = min(closing(self._tokens, self._at), self._end - 1)
            elif token.word == "CASE":
                cases += 1
            elif token.word == "END" and cases:
                cases -= 1
            elif not cases and ends():
                break
            self._at += 1
        if start == self._at:
            raise self.error()
        return self.text[self._tokens[start].start : self._tokens[self._at - 1].end]

    def looking_at_symbol(self, symbol: str) -> bool:
        return not self.done and self._tokens[self._at].is_symbol(symbol)

    def bracket_holds(self, words: Container[str]) -> bool:
        """Whether the bracket that comes next begins with one of these keywords."""
        return self.word_ahead(1) in words

    def error(self, hint: str = "") -> ParseError:
        """PARSE_SYNTAX_ERROR at the next token, which may be the one that ends this part of the statement."""
        return syntax_error(self.text, self._here, hint)

    def missing(self, expected: str) -> ParseError:
        """The same, where only this word or symbol is missing."""
        return self.error("" if self._here is None else missing(expected))

    @property
    def _here(self) -> Token | None:
        """The token that comes next, possibly after this part; None at the end of the statement."""
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _closed(self) -> int:
        """The position where the bracket that must come next is closed."""
        if not self.looking_at_symbol("("):
            raise self.missing("(")
        found = closing(self._tokens, self._at)
        if found >= self._end:
            self._at = self._end
            raise self.error()
        return found

    def _split_brackets(self) -> list[tuple[int, int]]:
        end = self._closed()
        parts: list[tuple[int, int]] = []
        start = position = self._at + 1
        while position <= end:
            token = self._tokens[position]
            if position == end or token.is_symbol(","):
                parts.append((start, position))
                start = position + 1
            elif token.is_symbol("("):
                position = closing(self._tokens, position)
            elif token.is_symbol("<"):
                position = _closing_angle(self._tokens, position, end)
            position += 1
        self._at = end + 1
        return parts

    def _part(self, start: int, end: int) -> Cursor:
        part = Cursor(self.text, self._tokens)
        part._at, part._end = start, end
        return part


def dotted_name(text: str) -> Name:
    """The parts of a text that consists of a name alone. Raises PARSE_SYNTAX_ERROR, PARSE_EMPTY_STATEMENT."""
    if not text.strip():
        raise empty_statement(text)
    cursor = Cursor(text)
    parts = cursor.name()
    cursor.expect_end()
    return parts


def _closing_angle(tokens: Sequence[Token], at: int, end: int) -> int:
    """The position where the `<` of a type at `at` is closed; `at` itself if the `<` is a comparison."""
    depth = 0
    for position in range(at, end):
        text = tokens[position].text
        if text == "<":
            depth += 1
        elif text in {">", ">>"}:
            depth -= len(text)
            if depth <= 0:
                return position
    return at
