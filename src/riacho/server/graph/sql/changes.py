"""The clauses of AUTO CDC in SQL, as Lakeflow has them:

    … FROM source KEYS (k, …) [IGNORE NULL UPDATES] [APPLY AS DELETE WHEN condition] [APPLY AS TRUNCATE WHEN condition]
      SEQUENCE BY expression [COLUMNS {c, … | * EXCEPT (c, …)}] [STORED AS SCD TYPE {1 | 2}]
      [TRACK HISTORY ON {c, … | * EXCEPT (c, …)}]

Their order is fixed. Spark 4.2 has none of it: there such flows are defined in Python.
"""

from __future__ import annotations

from riacho.protos import pb
from riacho.server.graph.cdc.definition import EVERY, AutoCdc, ColumnSelection, ScdType, single_name
from riacho.server.graph.names import Identifier
from riacho.server.sql.cursor import Cursor

_BEHIND_EITHER = (("IGNORE", "NULL", "UPDATES"), ("APPLY", "AS"), ("STORED", "AS"), ("TRACK", "HISTORY"))
_BEHIND_CONDITION = (("SEQUENCE", "BY"), *_BEHIND_EITHER)
_BEHIND_SEQUENCE = (("COLUMNS",), *_BEHIND_EITHER)
_ORDER = (
    "the clauses of AUTO CDC are, each once and in this order: FROM, KEYS, [IGNORE NULL UPDATES], [APPLY AS DELETE "
    "WHEN], [APPLY AS TRUNCATE WHEN], SEQUENCE BY, [COLUMNS], [STORED AS SCD TYPE], [TRACK HISTORY ON]"
)


def auto_cdc(cursor: Cursor, *, once: bool = False) -> AutoCdc:
    """The clauses from FROM to the end of the statement.

    Raises PARSE_SYNTAX_ERROR, AUTOCDC_MULTIPART_COLUMN_IDENTIFIER, and what `AutoCdc` raises.
    """
    cursor.expect("FROM", then="name")
    source = _source(cursor)
    if not cursor.accept("KEYS"):
        raise cursor.error(f": missing 'KEYS'; {_ORDER}")
    keys = _names(cursor)
    ignore_nulls = EVERY if cursor.accept("IGNORE", "NULL", "UPDATES") else None
    deletes = _when(cursor, "DELETE")
    truncates = _when(cursor, "TRUNCATE")
    if not cursor.accept("SEQUENCE", "BY"):
        raise cursor.error(f": missing 'SEQUENCE BY'; {_ORDER}")
    sequence = _expression(cursor, *_BEHIND_SEQUENCE)
    columns = _columns(cursor) if cursor.accept("COLUMNS") else None
    stored_as = _stored_as(cursor) if cursor.accept("STORED", "AS") else ScdType.TYPE_1
    track_history = _columns(cursor) if cursor.accept("TRACK", "HISTORY", "ON") else None
    if cursor.token is not None:
        raise cursor.error(f": {_ORDER}")
    return AutoCdc(
        source=source,
        keys=keys,
        sequence_by=sequence,
        stored_as=stored_as,
        apply_as_deletes=deletes,
        apply_as_truncates=truncates,
        columns=columns,
        ignore_nulls=ignore_nulls,
        track_history=track_history,
        once=once,
    )


def _source(cursor: Cursor) -> Identifier:
    """`name`, `STREAM name` or `STREAM(name)`: it is read as a stream either way."""
    if cursor.word == "STREAM" and cursor.word_ahead(1) != "KEYS":
        cursor.expect("STREAM")
        if cursor.looking_at_symbol("("):
            inside, *more = cursor.brackets()
            name = inside.name()
            inside.expect_end()
            if more:
                raise cursor.error()
            return Identifier(name)
    return Identifier(cursor.name())


def _when(cursor: Cursor, event: str) -> pb.Expression | None:
    if not cursor.accept("APPLY", "AS", event):
        return None
    cursor.expect("WHEN")
    return _expression(cursor, *_BEHIND_CONDITION)


def _expression(cursor: Cursor, *behind: tuple[str, ...]) -> pb.Expression:
    text = cursor.text_until_words(*behind)
    return pb.Expression(expression_string=pb.Expression.ExpressionString(expression=text))


def _stored_as(cursor: Cursor) -> ScdType:
    cursor.expect("SCD", "TYPE")
    token = cursor.token
    if token is None or token.text not in ("1", "2"):
        raise cursor.error()
    return ScdType(cursor.number())


def _columns(cursor: Cursor) -> ColumnSelection:
    """`a, b`, `(a, b)` or `* EXCEPT (a, b)`."""
    if cursor.accept_symbol("*"):
        cursor.expect("EXCEPT", then="bracket")
        return ColumnSelection(_names(cursor), excluded=True)
    if cursor.looking_at_symbol("("):
        return ColumnSelection(_names(cursor))
    names = [single_name(cursor.name())]
    while cursor.accept_symbol(","):
        names.append(single_name(cursor.name()))
    return ColumnSelection(tuple(names))


def _names(cursor: Cursor) -> tuple[str, ...]:
    names = []
    for part in cursor.brackets():
        names.append(single_name(part.name()))
        part.expect_end()
    return tuple(names)
