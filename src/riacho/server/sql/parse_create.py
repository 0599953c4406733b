"""`CREATE …` and `REPLACE TABLE …`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from riacho.errors import UnsupportedOperationError
from riacho.server.sql.cursor import Cursor
from riacho.server.sql.statements import (
    ColumnDefinition,
    CreateDatabase,
    CreateFileView,
    CreateTable,
    CreateView,
    Name,
    Statement,
)
from riacho.server.sql.words import DATABASE_WORDS, QUERY_STARTS

_AFTER_TYPE = ("NOT", "COMMENT", "DEFAULT", "GENERATED", "PRIMARY", "CONSTRAINT", "CHECK", "FIRST", "AFTER")


def create(cursor: Cursor) -> Statement | None:
    """What CREATE creates; None for temporary views, functions and other things that are not in the catalog."""
    cursor.expect("CREATE")
    or_replace = cursor.accept("OR", "REPLACE")
    if cursor.accept_any(*DATABASE_WORDS):
        return _database(cursor)
    if cursor.accept("VIEW"):
        return _view(cursor, or_replace)
    is_global = cursor.accept("GLOBAL")
    if cursor.accept_any("TEMP", "TEMPORARY"):
        return _file_view(cursor, is_global=is_global, replace=or_replace) if cursor.accept("VIEW") else None
    cursor.accept("EXTERNAL")
    if cursor.accept("TABLE"):
        return _table(cursor, replace=or_replace)
    return None


def replace(cursor: Cursor) -> Statement | None:
    """`REPLACE TABLE …`."""
    cursor.expect("REPLACE")
    return _table(cursor, replace=True, must_exist=True) if cursor.accept("TABLE") else None


def column(cursor: Cursor) -> ColumnDefinition:
    """`name type [NOT NULL] [COMMENT text]`. Raises UnsupportedOperationError for generated and default values."""
    name = cursor.identifier()
    type_text = cursor.text_until(*_AFTER_TYPE)
    nullable, comment = True, None
    while not cursor.done:
        if cursor.accept("NOT"):
            if not cursor.accept("NULL"):
                raise cursor.missing("NULL")
            nullable = False
        elif cursor.accept("COMMENT"):
            comment = cursor.string()
        elif cursor.word in _AFTER_TYPE:
            raise UnsupportedOperationError(
                f"{cursor.word} for column {name} is not supported by riacho's CREATE TABLE. Compute the value in "
                "the query that writes the table."
            )
        else:
            raise cursor.error()
    return ColumnDefinition(name, type_text, nullable, comment)


def _database(cursor: Cursor) -> CreateDatabase:
    if_not_exists = cursor.accept("IF", "NOT", "EXISTS")
    name = cursor.name()
    comment = None
    while not cursor.done:
        if cursor.accept("COMMENT"):
            comment = cursor.string()
        elif cursor.accept("LOCATION"):
            cursor.string()
            raise UnsupportedOperationError(
                f"Database {'.'.join(name)} cannot have a LOCATION of its own: riacho keeps each database in a folder "
                "of the warehouse. Omit LOCATION, or specify it for the tables instead."
            )
        elif cursor.accept("WITH", "DBPROPERTIES") or cursor.accept("WITH", "PROPERTIES"):
            cursor.properties()
        else:
            cursor.expect_end()
    return CreateDatabase(name, if_not_exists, comment)


@dataclass(frozen=True)
class ViewHead:
    """The clauses between VIEW and the query of a view."""

    name: Name
    columns: tuple[str, ...] = ()
    comment: str | None = None
    if_not_exists: bool = False


def view_head(cursor: Cursor) -> ViewHead | None:
    """Reads up to the query after AS; for a view of files, None and an arbitrary position."""
    if_not_exists = cursor.accept("IF", "NOT", "EXISTS")
    name = cursor.name()
    columns = tuple(part.identifier() for part in cursor.brackets()) if cursor.looking_at_symbol("(") else ()
    if cursor.word == "USING":
        return None
    comment = None
    while not cursor.accept("AS"):
        if cursor.accept("COMMENT"):
            comment = cursor.string()
        elif cursor.accept("TBLPROPERTIES"):
            cursor.properties()
        elif cursor.accept("WITH", "SCHEMA"):
            cursor.identifier()
        else:
            raise cursor.error()
    return ViewHead(name, columns, comment, if_not_exists)


def _view(cursor: Cursor, or_replace: bool) -> CreateView:
    head = view_head(cursor)
    if head is None:
        raise cursor.error()
    return CreateView(head.name, cursor.query(), head.columns, head.comment, head.if_not_exists, or_replace)


def _file_view(cursor: Cursor, *, is_global: bool, replace: bool) -> CreateFileView | None:
    """A temporary view of files; None for a view of a query."""
    name = cursor.name()
    columns = cursor.bracketed_text() if cursor.looking_at_symbol("(") else ""
    if not cursor.accept("USING"):
        return None
    kind = ".".join(cursor.name())
    options = cursor.options() if cursor.accept("OPTIONS") else {}
    cursor.expect_end()
    return CreateFileView(name[-1], kind, columns, options, is_global, replace)


def _table(cursor: Cursor, *, replace: bool, must_exist: bool = False) -> CreateTable:
    if_not_exists = cursor.accept("IF", "NOT", "EXISTS")
    name = cursor.name()
    found: dict[str, Any] = {"if_not_exists": if_not_exists, "replace": replace, "must_exist": must_exist}
    if cursor.accept("LIKE"):
        found["like"] = cursor.name()
    elif cursor.looking_at_symbol("("):
        found |= _columns(cursor)
    while not cursor.done and cursor.word not in QUERY_STARTS | {"AS"}:
        _clause(cursor, found)
    query = cursor.query() if cursor.accept("AS") or not cursor.done else None
    return CreateTable(name, query=query, **found)


def _columns(cursor: Cursor) -> dict[str, Any]:
    columns: list[ColumnDefinition] = []
    constraints: dict[str, str] = {}
    for part in cursor.brackets():
        if part.accept("CONSTRAINT"):
            name = part.identifier()
            part.expect("CHECK")
            constraints[name] = part.bracketed_text()
        elif part.word in {"PRIMARY", "FOREIGN", "UNIQUE"}:
            raise UnsupportedOperationError(
                f"{part.word} KEY constraints are not supported by riacho. Omit the constraint; expectations of "
                "a pipeline can check for duplicates."
            )
        else:
            columns.append(column(part))
    return {"columns": tuple(columns), "constraints": constraints}


def _clause(cursor: Cursor, found: dict[str, Any]) -> None:
    """One clause between a table's columns and its query."""
    if cursor.accept("USING"):
        found["format"] = ".".join(cursor.name()).lower()
    elif cursor.accept("PARTITIONED"):
        cursor.expect("BY", then="bracket")
        found["partition_by"] = tuple(_partition(part, found) for part in cursor.brackets())
    elif cursor.accept("COMMENT"):
        found["comment"] = cursor.string()
    elif cursor.accept("TBLPROPERTIES"):
        found["properties"] = cursor.properties()
    elif cursor.accept("OPTIONS"):
        found["options"] = cursor.options()
    elif cursor.accept("LOCATION"):
        found["location"] = cursor.string()
    elif cursor.accept("CLUSTER", "BY") or cursor.accept("CLUSTERED", "BY"):
        raise UnsupportedOperationError(
            "Clustered and bucketed tables are not supported by riacho. Omit the clause, or partition the table."
        )
    else:
        cursor.expect_end()


def _partition(part: Cursor, found: dict[str, Any]) -> str:
    """A partition column: a name or, as in Hive, a column defined right here."""
    name = part.identifier()
    if part.done:
        return name
    if part.looking_at_symbol("("):
        raise UnsupportedOperationError(
            f"Tables can be partitioned by columns, but not by functions of them such as {name}(…). Add a column with "
            "the function's value and partition by that."
        )
    found["columns"] = (*found.get("columns", ()), ColumnDefinition(name, part.rest()))
    return name
