"""Types as SQL writes them, where there is no server to ask: `BIGINT NOT NULL`, `ARRAY<STRUCT<a: INT>>`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

_SIMPLE: Final = {
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "tinyint": pa.int8(),
    "short": pa.int16(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "real": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ltz": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}
_TOKEN: Final = re.compile(r"\s*(`(?:[^`]|``)+`|\w+|[<>(),:])")


def schema_of(columns: Mapping[str, str]) -> pa.Schema:
    """Columns by name, with types as text. Raises ValueError that names the column."""
    fields = []
    for name, text in columns.items():
        try:
            kind, nullable = parsed(text)
        except ValueError as error:
            raise ValueError(f"column {name}: {error}") from None
        fields.append(pa.field(name, kind, nullable))
    return pa.schema(fields)


def parsed(text: str) -> tuple[pa.DataType, bool]:
    """A type, and whether it may be null. Raises ValueError for what is none."""
    reader = _TypeReader(text)
    kind = reader.kind()
    nullable = reader.nullable()
    if reader.peek():
        raise ValueError(f"{text!r} is no type: {reader.peek()!r} stands behind it")
    return kind, nullable


class _TypeReader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"{text!r} is no type")
            self._tokens.append(match[1])
            at = match.end()
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def kind(self) -> pa.DataType:
        word = self._next().lower()
        if word in {"decimal", "dec", "numeric"}:
            return self._decimal()
        if word == "array":
            self._expect("<")
            element = self.kind()
            self._expect(">")
            return pa.list_(pa.field("element", element))
        if word == "map":
            self._expect("<")
            key = self.kind()
            self._expect(",")
            item = self.kind()
            self._expect(">")
            return pa.map_(key, item)
        if word == "struct":
            return self._struct()
        if word not in _SIMPLE:
            raise ValueError(f"{self._text!r} is no type: {word!r} is not known")
        return _SIMPLE[word]

    def nullable(self) -> bool:
        if self.peek().lower() != "not":
            return True
        self._next()
        if self._next().lower() != "null":
            raise ValueError(f"{self._text!r} is no type: NULL is missing behind NOT")
        return False

    def _decimal(self) -> pa.DataType:
        if self.peek() != "(":
            return pa.decimal128(10, 0)
        self._next()
        precision, scale = self._number(), 0
        if self.peek() == ",":
            self._next()
            scale = self._number()
        self._expect(")")
        if not 1 <= precision <= 38 or scale > precision:
            raise ValueError(f"{self._text!r} is no type: DECIMAL has 1 to 38 digits")
        return pa.decimal128(precision, scale)

    def _struct(self) -> pa.DataType:
        self._expect("<")
        fields = []
        while True:
            name = self._next().strip("`").replace("``", "`")
            if self.peek() == ":":
                self._next()
            kind = self.kind()
            fields.append(pa.field(name, kind, self.nullable()))
            if self.peek() != ",":
                break
            self._next()
        self._expect(">")
        return pa.struct(fields)

    def _number(self) -> int:
        word = self._next()
        if not word.isdigit():
            raise ValueError(f"{self._text!r} is no type: {word!r} is no number")
        return int(word)

    def _next(self) -> str:
        token = self.peek()
        if not token:
            raise ValueError(f"{self._text!r} is no type: it ends too early")
        self._at += 1
        return token

    def _expect(self, sign: str) -> None:
        if (token := self._next()) != sign:
            raise ValueError(f"{self._text!r} is no type: {sign!r} is expected, not {token!r}")
