"""How a block of JSON spells the values of its columns, where the schema allows several ways.

Two ways are so common that whole files would go the slow path: numbers and booleans in a STRING column (which takes
their text), and seconds since the epoch in a TIMESTAMP column. A look at the first record tells; that it holds for the
others is checked by the strict parser, which refuses what it does not expect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from riacho.server.formats.content import Lines
from riacho.server.formats.json_tokens import JsonParser, MalformedJsonError, Number, Pairs, decode_utf8
from riacho.types import TIMESTAMP


@dataclass(frozen=True)
class Spelling:
    """What the first record shows.

    `bare`: STRING columns whose values stand without quotes. `seconds`: TIMESTAMP columns that hold whole numbers.
    """

    bare: frozenset[str] = frozenset()
    seconds: frozenset[str] = frozenset()


def spelling(schema: pa.Schema, lines: Lines, parser: JsonParser) -> Spelling:
    """How the first line of a block spells its top-level values."""
    try:
        node = parser.parse(decode_utf8(lines.line(0)))
    except MalformedJsonError:
        return Spelling()
    if not isinstance(node, Pairs):
        return Spelling()
    kinds = {field.name: field.type for field in schema}
    bare = [name for name, value in node if kinds.get(name) == pa.string() and isinstance(value, Number | bool)]
    seconds = [
        name for name, value in node if kinds.get(name) == TIMESTAMP and isinstance(value, Number) and value.is_integer
    ]
    return Spelling(frozenset(bare), frozenset(seconds))


def quoted(lines: Lines, names: frozenset[str]) -> Lines:
    """The same lines with quotes around the numbers and booleans of these columns, their text unchanged.

    Only whole, well-formed tokens are quoted, so nothing malformed becomes well-formed. A field of the same name inside
    another object is quoted too; if that changes its meaning, the strict parser refuses the line.
    """
    return Lines.of(_bare_value(names).sub(rb'\1"\2"', lines.data)) if names else lines


@lru_cache(maxsize=64)
def _bare_value(names: frozenset[str]) -> re.Pattern[bytes]:
    """A field of one of these names with a number or boolean. Inside text the quotes of a name would be escaped."""
    either = b"|".join(re.escape(name.encode()) for name in sorted(names))
    number = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    return re.compile(rb'("(?:' + either + rb')"[ \t]*:[ \t]*)(' + number + rb"|true|false)(?=[ \t]*[,}])")
