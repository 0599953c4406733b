"""`schemaHints`: types of fields as Spark's JSON or DDL, read where there is no server to ask what DDL means.

name STRING, `address.zip` INT, tags ARRAY<STRING>, extra STRUCT<a: INT, b: MAP<STRING, DECIMAL(10,2)>>
"""

from __future__ import annotations

import re
from typing import Final

from pyspark.sql import types as t

from riacho.errors import IllegalArgumentError

_TOKEN: Final = re.compile(r"\s*(`(?:[^`]|``)*`|[\w$.\-]+|[<>(),:])")
_SIMPLE: Final[dict[str, t.DataType]] = {
    "boolean": t.BooleanType(), "tinyint": t.ByteType(), "byte": t.ByteType(), "smallint": t.ShortType(),
    "short": t.ShortType(), "int": t.IntegerType(), "integer": t.IntegerType(), "bigint": t.LongType(),
    "long": t.LongType(), "float": t.FloatType(), "real": t.FloatType(), "double": t.DoubleType(),
    "string": t.StringType(), "binary": t.BinaryType(), "date": t.DateType(), "timestamp": t.TimestampType(),
    "timestamp_ltz": t.TimestampType(), "timestamp_ntz": t.TimestampNTZType(), "void": t.NullType(),
}  # fmt: skip


def hinted(text: str) -> t.StructType:
    """The fields that the option speaks of. Raises IllegalArgumentError."""
    stripped = text.strip()
    if not stripped:
        return t.StructType()
    try:
        kind = t._parse_datatype_json_string(stripped) if stripped.startswith("{") else _Ddl(stripped).table()  # noqa: SLF001
    except Exception:  # noqa: BLE001 - of several kinds, all about the text
        kind = None
    if not isinstance(kind, t.StructType):
        raise IllegalArgumentError(f"Invalid schemaHints configuration: '{text}'")
    return kind


class _Ddl:
    """The words of a text, one after the other. Everything raises ValueError."""

    def __init__(self, text: str) -> None:
        self._words: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(text[at:])
            self._words.append(found[1])
            at = found.end()
        self._words.reverse()

    def table(self) -> t.DataType:
        """All of it: fields with commas between, or one type."""
        if len(self._words) > 1 and self._words[-1].lower() == "struct" and self._words[-2] == "<":
            kind = self._type()
        else:
            kind = self._fields("")
        if self._words:
            raise ValueError(self._words[-1])
        return kind

    def _fields(self, end: str) -> t.StructType:
        fields: list[t.StructField] = []
        while True:
            name = self._next()
            name = name[1:-1].replace("``", "`") if name.startswith("`") else name
            if self._peek() == ":":
                self._next()
            kind = self._type()
            nullable = True
            if self._peek().lower() == "not":
                self._next()
                self._take("null")
                nullable = False
            fields.append(t.StructField(name, kind, nullable))
            if self._peek() != ",":
                break
            self._next()
        if end:
            self._take(end)
        return t.StructType(fields)

    def _type(self) -> t.DataType:
        name = self._next().lower()
        if name in ("decimal", "dec", "numeric"):
            if self._peek() != "(":
                return t.DecimalType(10, 0)
            self._next()
            precision, scale = int(self._next()), 0
            if self._peek() == ",":
                self._next()
                scale = int(self._next())
            self._take(")")
            return t.DecimalType(precision, scale)
        if name == "array":
            self._take("<")
            element = self._type()
            self._take(">")
            return t.ArrayType(element, True)
        if name == "map":
            self._take("<")
            key = self._type()
            self._take(",")
            value = self._type()
            self._take(">")
            return t.MapType(key, value, True)
        if name == "struct":
            self._take("<")
            return self._fields(">")
        if name in ("char", "varchar"):
            self._take("(")
            self._next()
            self._take(")")
            return t.StringType()
        if name not in _SIMPLE:
            raise ValueError(name)
        return _SIMPLE[name]

    def _peek(self) -> str:
        return self._words[-1] if self._words else ""

    def _next(self) -> str:
        if not self._words:
            raise ValueError("the text ends too early")
        return self._words.pop()

    def _take(self, word: str) -> None:
        if self._next().lower() != word:
            raise ValueError(word)
