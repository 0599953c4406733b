"""JSON text to a tree, as Jackson reads it.

The tree keeps what Spark's conversion needs and Python's `json` throws away: numbers as they are written, pairs in
their order with repeated names, and (from the slow parser) the source text of arrays and objects.

    None · True · False · str · Number (text of a number) · Items (an array) · Pairs (an object)

Two parsers make the same tree. The fast one is Python's own C scanner, which accepts a part of what Jackson accepts;
what it refuses, and what needs source text at any depth, goes to `_JsonScanner`, which knows Jackson's leniencies. A
malformed record has no tree at all: Spark keeps no field of it either. Sources: Jackson's `UTF8StreamJsonParser`,
Spark's `JSONOptions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any, Final, TypeAlias

Node: TypeAlias = Any
"""One of the kinds above; spelled `Any` because a recursive type would only cost casts."""


class MalformedJsonError(ValueError):
    """The text is not JSON in Jackson's sense."""


class Number(str):
    """A number as it is written, `NaN` and the infinities included."""

    __slots__ = ()

    @property
    def is_integer(self) -> bool:
        return self.removeprefix("-").isdigit()


class Pairs(list[tuple[str, Node]]):
    """An object: its (name, value) pairs in order. `text`: its source, if the slow parser made it."""

    text: str | None = None


class Items(list[Node]):
    """An array that knows its source text."""

    text: str | None = None


class NoTokens:
    """What a record of nothing but white space (and comments, where allowed) gives: no row at all."""


NO_TOKENS: Final = NoTokens()


@dataclass(frozen=True)
class Leniency:
    """What the reader accepts beyond the JSON standard; named like the reader's options."""

    comments: bool = False
    unquoted_names: bool = False
    single_quotes: bool = True
    leading_zeros: bool = False
    non_numeric_numbers: bool = True
    any_escape: bool = False
    control_chars: bool = False


_WHITE: Final = re.compile(r"[ \t\n\r]*")
_ESCAPED_BYTES: Final = re.compile("[\udc80-\udcff]")
MAX_DEPTH: Final = 1000
"""Jackson's `StreamReadConstraints.DEFAULTMAX_DEPTH`. Python's own limit may be reached before."""


def decode_utf8(data: bytes) -> str:
    """Text of a record; bytes that are not UTF-8 become lone surrogates, which `JsonParser` refuses."""
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


class JsonParser:
    """Parses one record after another with the same leniency."""

    def __init__(self, leniency: Leniency) -> None:
        self.leniency = leniency
        self._scan = JSONDecoder(
            parse_float=Number,
            parse_int=Number,
            parse_constant=Number if leniency.non_numeric_numbers else _refuse,
            object_pairs_hook=Pairs,
        ).scan_once  # type: ignore[attr-defined]

    def parse(self, text: str) -> Node:
        """The first value in `text`; what follows it is ignored, as Spark ignores it.

        Returns NO_TOKENS if there is none. Raises MalformedJsonError. Arrays and objects may lack their source text.
        """
        try:
            node, end = self._scan(text, _after_white(text, 0))
        except (StopIteration, ValueError, RecursionError):
            return self.parse_with_source(text)
        _check_bytes(text, end)
        return node

    def parse_with_outer_source(self, text: str) -> Node:
        """Like `parse`, but in an object every array and object that is a value of its own has its source text.

        Many times as fast as `parse_with_source`. Raises MalformedJsonError.
        """
        try:
            pairs, end = self._fields(text, _after_white(text, 0))
        except (StopIteration, ValueError, IndexError, RecursionError):
            return self.parse_with_source(text)
        _check_bytes(text, end)
        return pairs

    def _fields(self, text: str, at: int) -> tuple[Pairs, int]:
        """The object that begins there, and where it ends. Raises ValueError, IndexError, StopIteration."""
        pairs = Pairs()
        closed = text[at] == "{" and text[_after_white(text, at + 1)] == "}"
        if closed:
            return pairs, _after_white(text, at + 1) + 1
        between = "{"
        while text[at] == between:
            at = _after_white(text, at + 1)
            if text[at] != '"':
                break
            name, end = self._scan(text, at)
            at = _after_white(text, end)
            if text[at] != ":":
                break
            at = _after_white(text, at + 1)
            node, end = self._scan(text, at)
            if isinstance(node, list):
                node = node if isinstance(node, Pairs) else Items(node)
                node.text = text[at:end]
            pairs.append((name, node))
            at = _after_white(text, end)
            if text[at] == "}":
                return pairs, at + 1
            between = ","
        raise ValueError(text)

    def parse_with_source(self, text: str) -> Node:
        """Like `parse`, but every array and object has its source text. Raises MalformedJsonError."""
        scanner = _JsonScanner(text, self.leniency)
        try:
            node = scanner.document()
        except RecursionError:
            raise MalformedJsonError("nested too deeply") from None
        _check_bytes(text, scanner.position)
        return node


def _after_white(text: str, at: int) -> int:
    return _WHITE.match(text, at).end()  # type: ignore[union-attr]


def _check_bytes(text: str, end: int) -> None:
    """Raises MalformedJsonError if what was read holds bytes that are not UTF-8."""
    if not text.isascii() and _ESCAPED_BYTES.search(text, 0, end):
        raise MalformedJsonError("invalid UTF-8")


def _refuse(constant: str) -> Node:
    raise MalformedJsonError(f"non-numeric number {constant}")


_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LOOSE_NUMBER: Final = re.compile(r"(-?)0*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_NON_NUMERIC: Final = re.compile(r"NaN|[+-]?Infinity|[+-]INF")
_LITERAL: Final = re.compile(r"(?:true|false|null)(?![A-Za-z0-9_$\x80-\uffff])")
_LITERALS: Final = {"true": True, "false": False, "null": None}
_NAME: Final = re.compile(r"[A-Za-z0-9_$@#*+\-\x80-\uffff]+")
_COMMENT: Final = re.compile(r"/\*.*?\*/|//[^\n\r]*", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_SURROGATES: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_PLAIN_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_QUOTED: Final = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL),
}
_CONTROL: Final = re.compile(r"[\x00-\x1f]")


class _JsonScanner:
    """A recursive-descent parser over one record. `position` stands behind the last token read."""

    def __init__(self, text: str, leniency: Leniency) -> None:
        self._text = text
        self._leniency = leniency
        self.position = 0
        self._depth = 0

    def document(self) -> Node:
        self._skip()
        return NO_TOKENS if self.position == len(self._text) else self._value()

    def _skip(self) -> None:
        """White space, and comments where they are allowed."""
        while True:
            self.position = _WHITE.match(self._text, self.position).end()  # type: ignore[union-attr]
            comment = _COMMENT.match(self._text, self.position) if self._leniency.comments else None
            if comment is None:
                return
            self.position = comment.end()

    def _peek(self) -> str:
        return self._text[self.position : self.position + 1]

    def _take(self, char: str) -> bool:
        """Step over `char` if it comes next after white space."""
        self._skip()
        if self._peek() != char:
            return False
        self.position += 1
        return True

    def _expect(self, char: str) -> None:
        if not self._take(char):
            raise MalformedJsonError(f"expected {char!r} at {self.position}")

    def _match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        match = expression.match(self._text, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def _value(self) -> Node:
        self._skip()
        char = self._peek()
        if char in {"{", "["}:
            return self._container(char)
        if char in _QUOTED and (char == '"' or self._leniency.single_quotes):
            return self._string(char)
        if literal := self._match(_LITERAL):
            return _LITERALS[literal.group()]
        if self._leniency.non_numeric_numbers and (word := self._match(_NON_NUMERIC)):
            return Number(word.group())
        if self._leniency.leading_zeros and (loose := self._match(_LOOSE_NUMBER)):
            return Number(loose[1] + loose[2])
        if number := self._match(_NUMBER):
            return Number(number.group())
        raise MalformedJsonError(f"no value at {self.position}")

    def _container(self, opening: str) -> Node:
        start = self.position
        self.position += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise MalformedJsonError(f"nested deeper than {MAX_DEPTH}")
        node = self._object() if opening == "{" else self._array()
        self._depth -= 1
        node.text = self._text[start : self.position]
        return node

    def _object(self) -> Pairs:
        pairs = Pairs()
        if self._take("}"):
            return pairs
        while True:
            self._skip()
            name = self._name()
            self._expect(":")
            pairs.append((name, self._value()))
            if self._take("}"):
                return pairs
            self._expect(",")

    def _array(self) -> Items:
        items = Items()
        if self._take("]"):
            return items
        while True:
            items.append(self._value())
            if self._take("]"):
                return items
            self._expect(",")

    def _name(self) -> str:
        char = self._peek()
        if char in _QUOTED and (char == '"' or self._leniency.single_quotes):
            return self._string(char)
        if self._leniency.unquoted_names and (name := self._match(_NAME)):
            return name.group()
        raise MalformedJsonError(f"no field name at {self.position}")

    def _string(self, quote: str) -> str:
        match = self._match(_QUOTED[quote])
        if match is None:
            raise MalformedJsonError(f"text without end at {self.position}")
        inner = match[1]
        if not self._leniency.control_chars and _CONTROL.search(inner):
            raise MalformedJsonError(f"control character in text at {match.start()}")
        if "\\" not in inner:
            return inner
        return _SURROGATES.sub(_join_surrogates, _ESCAPE.sub(self._unescape, inner))

    def _unescape(self, match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        char = match[2]
        if char in _PLAIN_ESCAPES:
            return _PLAIN_ESCAPES[char]
        if (self._leniency.any_escape and char != "u") or (self._leniency.single_quotes and char == "'"):
            return char
        raise MalformedJsonError(f"unknown escape \\{char}")


def _join_surrogates(match: re.Match[str]) -> str:
    return match.group().encode("utf-16", "surrogatepass").decode("utf-16")
