"""How a block of JSON spells the values of its columns, where the schema allows several ways.

Two ways are so common that whole files would go the slow path: numbers and booleans in a STRING column (which takes
their text), and seconds since the epoch in a TIMESTAMP column. The strict parser stumbles over the first; for the
second a look at the first records tells, and it refuses what it then does not expect.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import pyarrow as pa

from riacho.server.formats.content import Lines
from riacho.server.formats.json_tokens import JsonParser, MalformedJsonError, Number, Pairs, decode_utf8
from riacho.types import TIMESTAMP

_LOOKED_AT: Final = 8
"""Records, because the first one may lack what others have."""


def columns_of_seconds(schema: pa.Schema, lines: Lines, parser: JsonParser) -> frozenset[str]:
    """The TIMESTAMP columns whose first value is a whole number."""
    open_yet = {field.name for field in schema if field.type == TIMESTAMP}
    seconds = set()
    for i in range(min(len(lines), _LOOKED_AT) if open_yet else 0):
        try:
            node = parser.parse(decode_utf8(lines.line(i)))
        except MalformedJsonError:
            continue
        for name, value in node if isinstance(node, Pairs) else ():
            if name in open_yet and value is not None:
                open_yet.remove(name)
                if isinstance(value, Number) and value.is_integer:
                    seconds.add(name)
        if not open_yet:
            break
    return frozenset(seconds)


def quoted(lines: Lines, name: str) -> Lines:
    """The same lines with quotes around the numbers and booleans of fields of that name, their text unchanged.

    Only whole, well-formed tokens are quoted, so nothing malformed becomes well-formed. A field of the same name inside
    another object is quoted too; if that changes its meaning, the strict parser refuses the line.
    """
    return Lines.of(_bare_value(name).sub(rb'\1"\2"', lines.data))


@lru_cache(maxsize=64)
def _bare_value(name: str) -> re.Pattern[bytes]:
    """A field of this name with a number or boolean. Inside text the quotes of a name would be escaped."""
    number = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    return re.compile(
        rb'("' + re.escape(name.encode()) + rb'"[ \t]*:[ \t]*)(' + number + rb"|true|false)(?=[ \t]*[,}])"
    )
