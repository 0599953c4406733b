"""A place in the tokens of one statement, and the small pieces that statements are made of."""

from __future__ import annotations

from riacho.errors import ParseError
from riacho.paths import local_path
from riacho.server.sql.statements import Name
from riacho.server.sql.tokens import Token, closing, identifier, string_value, tokenize


class Cursor:
    """Reads a statement from left to right. What does not fit raises PARSE_SYNTAX_ERROR at the token that does not."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokenize(text)
        while self._tokens and self._tokens[-1].is_symbol(";"):
            self._tokens.pop()
        self._at = 0

    @property
    def word(self) -> str:
        """The keyword that comes next, in upper case; empty if something else does."""
        return "" if self.done else self._tokens[self._at].word

    @property
    def done(self) -> bool:
        return self._at >= len(self._tokens)

    def accept(self, *words: str) -> bool:
        """Step over these keywords if they come next, all of them."""
        ahead = self._tokens[self._at : self._at + len(words)]
        if [token.word for token in ahead] != list(words):
            return False
        self._at += len(words)
        return True

    def accept_any(self, *words: str) -> str:
        """Step over one of these keywords; which one, or empty if none comes next."""
        found = self.word
        if found not in words:
            return ""
        self._at += 1
        return found

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise self.error(f"expected {' '.join(words)}")

    def accept_symbol(self, symbol: str) -> bool:
        if self.done or not self._tokens[self._at].is_symbol(symbol):
            return False
        self._at += 1
        return True

    def expect_symbol(self, symbol: str) -> None:
        if not self.accept_symbol(symbol):
            raise self.error(f"expected '{symbol}'")

    def expect_end(self) -> None:
        if not self.done:
            raise self.error("expected the end of the statement")

    def name(self) -> Name:
        """A dotted name."""
        parts, end = identifier(self._tokens, self._at)
        if not parts:
            raise self.error("expected a name")
        self._at = end
        return parts

    def name_or_path(self) -> Name:
        """A dotted name, or the path of a Delta table as a string."""
        if self.done or self._tokens[self._at].kind != "string":
            return self.name()
        return ("delta", str(local_path(self.string())))

    def identifier(self) -> str:
        """A name of one part."""
        found = None if self.done else self._tokens[self._at].name
        if found is None:
            raise self.error("expected a name")
        self._at += 1
        return found

    def identifiers(self) -> tuple[str, ...]:
        """Names in brackets."""
        return tuple(part.name()[-1] for part in self.brackets())

    def string(self) -> str:
        """A string literal."""
        if self.done or self._tokens[self._at].kind != "string":
            raise self.error("expected a string")
        self._at += 1
        return string_value(self._tokens[self._at - 1])

    def number(self) -> int:
        if self.done or not self._tokens[self._at].text.isdigit():
            raise self.error("expected a number")
        self._at += 1
        return int(self._tokens[self._at - 1].text)

    def value(self) -> str:
        """A property's value: a string, number, word, or a negative number, as text."""
        if not self.done and self._tokens[self._at].kind == "string":
            return self.string()
        sign = "-" if self.accept_symbol("-") else ""
        if self.done or self._tokens[self._at].kind == "symbol":
            raise self.error("expected a value")
        self._at += 1
        return sign + self._tokens[self._at - 1].text

    def key(self) -> str:
        """A property's key: a string or a dotted name."""
        if not self.done and self._tokens[self._at].kind == "string":
            return self.string()
        return ".".join(self.name())

    def properties(self) -> dict[str, str]:
        """`('key' = 'value', …)`; the `=` may be left out, and so may the value."""
        found: dict[str, str] = {}
        for part in self.brackets():
            key = part.key()
            part.accept_symbol("=") or part.accept_symbol("==")
            found[key] = "" if part.done else part.value()
            part.expect_end()
        return found

    def brackets(self) -> list[Cursor]:
        """What stands between brackets, split at its commas."""
        return [self._part(start, end) for start, end in self._split_brackets()]

    def bracketed_text(self) -> str:
        """The text between brackets."""
        if self.done or not self._tokens[self._at].is_symbol("("):
            raise self.error("expected '('")
        end = closing(self._tokens, self._at)
        if end >= len(self._tokens):
            raise self.error("this bracket is never closed")
        inside = self.text[self._tokens[self._at].end : self._tokens[end].start]
        self._at = end + 1
        return inside.strip()

    def rest(self) -> str:
        """The text from here to the end of the statement."""
        if self.done:
            raise self.error("expected a query")
        text = self.text[self._tokens[self._at].start : self._tokens[-1].end]
        self._at = len(self._tokens)
        return text

    def text_until(self, *words: str) -> str:
        """The text up to one of these keywords outside brackets and CASE … END, or to the end."""
        return self.text_until_symbol("", *words)

    def text_until_symbol(self, symbol: str, *words: str) -> str:
        """As `text_until`, and a symbol ends it too."""
        start = self._at
        cases = 0
        while not self.done:
            token = self._tokens[self._at]
            if token.is_symbol("("):
                self._at = min(closing(self._tokens, self._at), len(self._tokens) - 1)
            elif token.word == "CASE":
                cases += 1
            elif token.word == "END" and cases:
                cases -= 1
            elif not cases and (token.is_symbol(symbol) or token.word in words):
                break
            self._at += 1
        if start == self._at:
            raise self.error("expected an expression")
        return self.text[self._tokens[start].start : self._tokens[self._at - 1].end]

    def looking_at_symbol(self, symbol: str) -> bool:
        return not self.done and self._tokens[self._at].is_symbol(symbol)

    def bracket_holds(self, *words: str) -> bool:
        """Whether the bracket that comes next begins with one of these keywords."""
        return self._at + 1 < len(self._tokens) and self._tokens[self._at + 1].word in words

    def error(self, what: str) -> ParseError:
        """PARSE_SYNTAX_ERROR at the token that comes next."""
        near = "end of input" if self.done else f"'{self._tokens[self._at].text}'"
        return ParseError.of(
            "PARSE_SYNTAX_ERROR",
            f"Syntax error at or near {near}: {what}.\n\n== SQL ==\n{self.text}\n",
            sql_state="42601",
            error=near,
            hint=what,
        )

    def _split_brackets(self) -> list[tuple[int, int]]:
        if self.done or not self._tokens[self._at].is_symbol("("):
            raise self.error("expected '('")
        end = closing(self._tokens, self._at)
        if end >= len(self._tokens):
            raise self.error("this bracket is never closed")
        parts: list[tuple[int, int]] = []
        start = position = self._at + 1
        while position <= end:
            token = self._tokens[position]
            if position == end or token.is_symbol(","):
                if position > start:
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
        part = Cursor.__new__(Cursor)
        part.text = self.text
        part._tokens = self._tokens[start:end]  # noqa: SLF001 (its own kind)
        part._at = 0  # noqa: SLF001
        return part


def _closing_angle(tokens: list[Token], at: int, end: int) -> int:
    """Where the `<` of a type at `at` is closed; `at` itself if it is a comparison."""
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
