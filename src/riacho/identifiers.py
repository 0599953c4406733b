"""Identifiers as text: quoted, and taken apart again.

Names of tables are SQL (`server.sql.cursor.dotted_name`). Names of columns in plans are not: they are split at dots
outside backticks, and whatever else stands in them is part of the name, as in `col("my column")`. Source: Spark's
`QuotingUtils`, `AttributeNameParser`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def quote(name: str) -> str:
    """A name between backticks."""
    return "`" + name.replace("`", "``") + "`"


def quote_if_needed(name: str) -> str:
    """A name as Spark's SQL wants it: bare when it is plain ASCII, else between backticks."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and not name[:1].isdigit()
    return name if plain and name else quote(name)


def quoted(parts: Sequence[str]) -> str:
    """A dotted name, each part between backticks, as Spark's messages print it."""
    return ".".join(map(quote, parts))


def column_parts(text: str) -> tuple[str, ...]:
    """The parts of a column's name in a plan, such as ``a.`b c`.d``; none of no text."""
    parts = text.split(".") if "`" not in text else _parts(text)
    return tuple(part for part in parts if part)


def last_part(text: str) -> str:
    """The column that a name such as ``a.`b c` `` means, in lower case."""
    if "`" not in text:
        return text.rsplit(".", 1)[-1].lower()
    return "".join(column_parts(text)[-1:]).lower()


def _parts(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        if text[at] == "`":
            end = at + 1
            while (end := text.find("`", end)) >= 0 and text[end + 1 : end + 2] == "`":
                end += 2
            end = len(text) if end < 0 else end
            yield text[at + 1 : end].replace("``", "`")
            at = end + 1
        else:
            end = text.find(".", at)
            end = len(text) if end < 0 else end
            yield text[at:end]
            at = end
        at += text[at : at + 1] == "."
