"""Extended JSON as people and MongoDB's Java driver write it: names without quotes, `ISODate("…")`, `/a+/i`.

What MongoDB's shell takes for a value is one: single quotes, a comma too many at the end, numbers that begin with
zeros. Documents such as `{"$oid": "…"}` are the values that they stand for. Source: `org.bson.json.JsonReader`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS

OPTIONS: Final = json_util.CANONICAL_JSON_OPTIONS.with_options(document_class=dict, tz_aware=False)
_SPACE: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*")
_NUMBER: Final = re.compile(r"-?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|Infinity)")
_REGEX: Final = re.compile(r"/((?:[^/\\\n]|\\.)*)/([a-z]*)")
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "'": "'", '"': '"', "\\": "\\", "/": "/"}
_WORDS: Final[dict[str, Any]] = {
    "true": True, "false": False, "null": None, "undefined": None, "NaN": math.nan, "Infinity": math.inf,
}  # fmt: skip
_INT_BITS, _LONG_BITS = 31, 63
_FLAGS: Final = {
    "i": re.IGNORECASE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "x": re.VERBOSE,
    "u": re.UNICODE,
    "l": re.LOCALE,
}


def parse(text: str) -> Any:
    """The value that a text stands for. Raises ValueError for a text that is none."""
    reader = _ExtendedJson(text)
    value = reader.value()
    reader.end()
    return value


class _ExtendedJson:
    """A text and how far it is read. Everything raises ValueError."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def end(self) -> None:
        """There is nothing more."""
        if self._peek():
            raise self._wrong()

    def value(self) -> Any:
        char = self._peek()
        if char == "{":
            return self._document()
        if char == "[":
            return self._array()
        if char in ('"', "'"):
            return self._string()
        if char == "/":
            found = self._take(_REGEX)
            return regex(found[1], found[2])
        if char.isdigit() or char == "-":
            return number(self._take(_NUMBER)[0])
        name = self._take(_NAME)[0]
        if name in _WORDS:
            return _WORDS[name]
        if name == "new":
            name = self._take(_NAME)[0]
        make = _CALLS.get(name)
        if make is None or self._peek() != "(":
            raise self._wrong()
        return make(self._list("(", ")"))

    def _document(self) -> Any:
        self._at += 1
        found: dict[str, Any] = {}
        while self._peek() != "}":
            name = self._string() if self._peek() in ('"', "'") else self._take(_NAME)[0]
            if self._peek() != ":":
                raise self._wrong()
            self._at += 1
            found[name] = self.value()
            self._between("}")
        self._at += 1
        try:
            return json_util.object_hook(found, OPTIONS) if any(name.startswith("$") for name in found) else found
        except (TypeError, KeyError) as error:
            raise ValueError(str(error)) from None

    def _array(self) -> list[Any]:
        return self._list("[", "]")

    def _list(self, _start: str, end: str) -> list[Any]:
        self._at += 1
        found = []
        while self._peek() != end:
            found.append(self.value())
            self._between(end)
        self._at += 1
        return found

    def _between(self, end: str) -> None:
        char = self._peek()
        if char == ",":
            self._at += 1
        elif char != end:
            raise self._wrong()

    def _string(self) -> str:
        found = self._take(_STRING)
        text = found[1] if found[1] is not None else found[2]
        if "\\" not in text:
            return text
        plain = _ESCAPE.sub(lambda one: chr(int(one[1], 16)) if one[1] else _unescaped(one[2]), text)
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")

    def _peek(self) -> str:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        self._peek()
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._wrong()
        self._at = found.end()
        return found

    def _wrong(self) -> ValueError:
        rest = self._text[self._at : self._at + 20]
        return ValueError(f"at {self._at} there is {rest!r}" if rest else "the text ends too early")


def _unescaped(char: str) -> str:
    if char not in _ESCAPED:
        raise ValueError(f"Invalid escape sequence in JSON string '\\{char}'")
    return _ESCAPED[char]


def number(text: str) -> Any:
    """A number as BSON has it: 32 bits if that is enough, 64 if not; what is larger, or has a point, is a double."""
    if "Infinity" in text:
        return -math.inf if text.startswith("-") else math.inf
    if any(char in text for char in ".eE"):
        return float(text)
    value = int(text)
    if -(1 << _INT_BITS) <= value < 1 << _INT_BITS:
        return value
    return Int64(value) if -(1 << _LONG_BITS) <= value < 1 << _LONG_BITS else float(text)


def regex(pattern: str, options: str) -> Regex[str]:
    """A regular expression with the options that MongoDB writes behind it."""
    flags = 0
    for letter in options:
        flags |= _FLAGS.get(letter, 0)
    return Regex(pattern, flags)


def _date(given: list[Any]) -> DatetimeMS:
    if not given:
        raise ValueError("a date without a value is no value that stays the same")
    first = given[0]
    if isinstance(first, str):
        return DatetimeMS(datetime.fromisoformat(first))
    return DatetimeMS(int(first))


_CALLS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "ObjectId": lambda given: ObjectId(*given),
    "ISODate": _date,
    "Date": _date,
    "NumberLong": lambda given: Int64(given[0]),
    "NumberInt": lambda given: int(given[0]),
    "NumberDecimal": lambda given: Decimal128(str(given[0])),
    "Timestamp": lambda given: Timestamp(*given),
    "UUID": lambda given: Binary.from_uuid(UUID(given[0])),
    "GUID": lambda given: Binary.from_uuid(UUID(given[0])),
    "RegExp": lambda given: regex(given[0], "".join(given[1:])),
    "MinKey": lambda _: MinKey(),
    "MaxKey": lambda _: MaxKey(),
}
