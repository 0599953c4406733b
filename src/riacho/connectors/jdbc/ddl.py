"""Columns as users write them in `customSchema` and `createTableColumnTypes`: names and Spark's types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pyspark.sql import types as spark

from riacho.errors import ParseError

_TOKEN: Final = re.compile(r"\s*(`(?:[^`]|``)+`|[\w$]+|[(),<>:]|'(?:[^'\\]|\\.)*'|\S)")
_SIMPLE: Final[dict[str, spark.DataType]] = {
    "boolean": spark.BooleanType(),
    "byte": spark.ByteType(),
    "tinyint": spark.ByteType(),
    "short": spark.ShortType(),
    "smallint": spark.ShortType(),
    "int": spark.IntegerType(),
    "integer": spark.IntegerType(),
    "long": spark.LongType(),
    "bigint": spark.LongType(),
    "float": spark.FloatType(),
    "real": spark.FloatType(),
    "double": spark.DoubleType(),
    "date": spark.DateType(),
    "timestamp": spark.TimestampType(),
    "timestamp_ltz": spark.TimestampType(),
    "timestamp_ntz": spark.TimestampNTZType(),
    "string": spark.StringType(),
    "binary": spark.BinaryType(),
    "void": spark.NullType(),
}
_DECIMALS: Final = ("decimal", "dec", "numeric")


def fields(text: str) -> list[spark.StructField]:
    """The columns of `name TYPE, name: TYPE NOT NULL COMMENT 'x', …`. Raises ParseError."""
    return _ColumnsParser(text).fields()


class _ColumnsParser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: Sequence[str] = _TOKEN.findall(text)
        self._next = 0

    def fields(self) -> list[spark.StructField]:
        found = [self._field()]
        while self._take(","):
            found.append(self._field())
        if self._next < len(self._tokens):
            raise self._wrong()
        return found

    def _field(self) -> spark.StructField:
        name = self._word()
        self._take(":")
        kind = self._type()
        nullable = True
        if self._take("not"):
            self._expect("null")
            nullable = False
        if self._take("comment"):
            self._word()
        return spark.StructField(name.strip("`").replace("``", "`"), kind, nullable)

    def _type(self) -> spark.DataType:
        word = self._word()
        name = word.lower()
        if name == "array":
            self._expect("<")
            element = self._type()
            self._expect(">")
            return spark.ArrayType(element)
        if name in _DECIMALS:
            numbers = self._numbers()
            return spark.DecimalType(*numbers) if numbers else spark.DecimalType(10, 0)
        if name in ("char", "character", "varchar"):
            (length,) = self._numbers() or [0]
            if not length:
                raise ParseError.of(
                    "DATATYPE_MISSING_SIZE",
                    f'DataType "{word.upper()}" requires a length parameter, for example "{word.upper()}"(10). Please '
                    "specify the length.",
                    sql_state="42K01",
                    type=f'"{word.upper()}"',
                )
            return spark.VarcharType(length) if name == "varchar" else spark.CharType(length)
        if name not in _SIMPLE:
            raise ParseError.of(
                "UNSUPPORTED_DATATYPE",
                f'Unsupported data type "{word.upper()}".',
                sql_state="0A000",
                typeName=f'"{word.upper()}"',
            )
        return _SIMPLE[name]

    def _numbers(self) -> list[int]:
        if not self._take("("):
            return []
        found = [self._number()]
        while self._take(","):
            found.append(self._number())
        self._expect(")")
        return found

    def _number(self) -> int:
        word = self._word()
        if not word.isdigit():
            raise self._wrong(back=1)
        return int(word)

    def _word(self) -> str:
        if self._next >= len(self._tokens):
            raise self._wrong()
        self._next += 1
        return self._tokens[self._next - 1]

    def _take(self, token: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next].lower() == token:
            self._next += 1
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._wrong()

    def _wrong(self, back: int = 0) -> ParseError:
        place = self._next - back
        found = f"'{self._tokens[place]}'" if place < len(self._tokens) else "end of input"
        return ParseError.of(
            "PARSE_SYNTAX_ERROR",
            f"Syntax error at or near {found} in the columns {self._text!r}.",
            sql_state="42601",
            error=found,
            hint="",
        )
