"""`ALTER TABLE …`."""

from __future__ import annotations

from typing import TypeVar

from riacho.errors import UnsupportedOperationError
from riacho.server.sql.cursor import Cursor
from riacho.server.sql.parse_create import column
from riacho.server.sql.statements import (
    AddColumns,
    AlterColumn,
    Constrain,
    CreateView,
    Name,
    RenameTable,
    SetProperties,
    Statement,
)

S = TypeVar("S", bound=Statement)


def alter(cursor: Cursor) -> Statement | None:
    """What ALTER TABLE changes; ALTER VIEW replaces the view. None for forms that the engine may know."""
    cursor.expect("ALTER")
    if cursor.accept("VIEW"):
        name = cursor.name()
        cursor.expect("AS")
        return CreateView(name, cursor.query(), replace=True)
    if not cursor.accept("TABLE"):
        return None
    table = cursor.name()
    if cursor.accept("SET", "TBLPROPERTIES"):
        return _ended(cursor, SetProperties(table, set=cursor.properties()))
    if cursor.accept("UNSET", "TBLPROPERTIES"):
        cursor.accept("IF", "EXISTS")
        return _ended(cursor, SetProperties(table, unset=tuple(part.key() for part in cursor.brackets())))
    if cursor.accept("ADD", "CONSTRAINT"):
        name_of = cursor.identifier()
        cursor.expect("CHECK")
        return _ended(cursor, Constrain(table, name_of, cursor.bracketed_text()))
    if cursor.accept("DROP", "CONSTRAINT"):
        if_exists = cursor.accept("IF", "EXISTS")
        return _ended(cursor, Constrain(table, cursor.identifier(), None, if_exists))
    if cursor.accept("ADD"):
        return _add_columns(cursor, table)
    if cursor.word == "RENAME" and cursor.word_ahead(1) != "COLUMN":
        cursor.expect("RENAME", "TO")
        return _ended(cursor, RenameTable(table, cursor.name()))
    if cursor.accept_any("ALTER", "CHANGE"):
        cursor.accept("COLUMN")
        return _alter_column(cursor, table)
    raise _unsupported(cursor)


def _add_columns(cursor: Cursor, table: Name) -> AddColumns:
    plural = cursor.accept_any("COLUMNS", "COLUMN")
    if not plural:
        raise cursor.error()
    parts = cursor.brackets() if cursor.looking_at_symbol("(") else [cursor]
    columns = tuple(column(part) for part in parts)
    return _ended(cursor, AddColumns(table, columns))


def _alter_column(cursor: Cursor, table: Name) -> Statement:
    name = ".".join(cursor.name())
    if cursor.accept("COMMENT"):
        return _ended(cursor, AlterColumn(table, name, comment=cursor.string()))
    if cursor.accept("DROP", "NOT", "NULL"):
        return _ended(cursor, AlterColumn(table, name, drop_not_null=True))
    raise _unsupported(cursor)


def _ended(cursor: Cursor, statement: S) -> S:
    cursor.expect_end()
    return statement


def _unsupported(cursor: Cursor) -> UnsupportedOperationError:
    return UnsupportedOperationError(
        f"This form of ALTER TABLE is not supported by riacho: {cursor.text.strip()}. Supported are SET and "
        "UNSET TBLPROPERTIES, ADD COLUMNS, ALTER COLUMN … COMMENT and … DROP NOT NULL, ADD and DROP CONSTRAINT, and "
        "RENAME TO. For other changes, rewrite the table with the option overwriteSchema."
    )
