"""Parses SQL text to a statement about names, or None for the engine's. Pure. Grammar: Spark's `SqlBaseParser.g4`."""

from __future__ import annotations

from collections.abc import Callable

from riacho.server.sql.cursor import Cursor
from riacho.server.sql.errors import empty_statement
from riacho.server.sql.parse_alter import alter
from riacho.server.sql.parse_create import create, replace
from riacho.server.sql.parse_rows import delete, insert, merge, update
from riacho.server.sql.statements import (
    Comment,
    DescribeDatabase,
    DescribeDetail,
    DescribeHistory,
    DescribeTable,
    Drop,
    DropDatabase,
    Optimize,
    Refresh,
    Repair,
    Restore,
    ShowColumns,
    ShowCreateTable,
    ShowDatabases,
    ShowProperties,
    ShowTables,
    Statement,
    Truncate,
    Use,
    Vacuum,
)
from riacho.server.sql.words import DATABASE_WORDS, DATABASES_WORDS


def parse(text: str) -> Statement | None:
    """The statement that `text` contains, or None if it is not about names.

    Raises PARSE_SYNTAX_ERROR, and PARSE_EMPTY_STATEMENT for a blank text.
    """
    if not text.strip():
        raise empty_statement(text)
    cursor = Cursor(text)
    if cursor.done:
        raise cursor.error()
    rule = _RULES.get(cursor.word)
    return None if rule is None else rule(cursor)


def _drop(cursor: Cursor) -> Statement | None:
    cursor.expect("DROP")
    if cursor.accept_any(*DATABASE_WORDS):
        if_exists = cursor.accept("IF", "EXISTS")
        name = cursor.name()
        cascade = cursor.accept("CASCADE")
        cursor.accept("RESTRICT")
        cursor.expect_end()
        return DropDatabase(name, if_exists, cascade)
    kind = cursor.accept_any("TABLE", "VIEW")
    if not kind:
        return None
    if_exists = cursor.accept("IF", "EXISTS")
    name = cursor.name()
    cursor.accept("PURGE")
    cursor.expect_end()
    return Drop(name, kind == "VIEW", if_exists)


def _use(cursor: Cursor) -> Statement | None:
    cursor.expect("USE")
    if cursor.word == "CATALOG":
        return None
    cursor.accept_any(*DATABASE_WORDS)
    name = cursor.name()
    cursor.expect_end()
    return Use(name)


def _show(cursor: Cursor) -> Statement | None:
    cursor.expect("SHOW")
    if cursor.accept_any(*DATABASES_WORDS):
        if cursor.accept_any("IN", "FROM"):
            cursor.name()
        return ShowDatabases(_pattern(cursor))
    kind = cursor.accept_any("TABLES", "VIEWS")
    if kind:
        database = cursor.name() if cursor.accept_any("IN", "FROM") else None
        return ShowTables(database, _pattern(cursor), views_only=kind == "VIEWS")
    if cursor.accept("TBLPROPERTIES"):
        table = cursor.name()
        key = cursor.brackets()[0].key() if cursor.looking_at_symbol("(") else None
        cursor.expect_end()
        return ShowProperties(table, key)
    if cursor.accept("COLUMNS"):
        table = _table_in(cursor)
        cursor.expect_end()
        return ShowColumns(table)
    if cursor.accept("CREATE", "TABLE"):
        table = cursor.name()
        cursor.accept("AS", "SERDE")
        cursor.expect_end()
        return ShowCreateTable(table)
    return None


def _table_in(cursor: Cursor) -> tuple[str, ...]:
    """`IN table [IN database]`."""
    if not cursor.accept_any("IN", "FROM"):
        raise cursor.error()
    table = cursor.name()
    return (*cursor.name(), table[-1]) if cursor.accept_any("IN", "FROM") else table


def _pattern(cursor: Cursor) -> str | None:
    """`[LIKE] 'pattern'`, the last part of a SHOW statement."""
    like = cursor.accept("LIKE")
    pattern = cursor.string() if like or cursor.at_kind("string") else None
    cursor.expect_end()
    return pattern


def _describe(cursor: Cursor) -> Statement | None:
    cursor.accept_any("DESCRIBE", "DESC")
    if cursor.accept_any(*DATABASE_WORDS):
        extended = cursor.accept("EXTENDED")
        name = cursor.name()
        cursor.expect_end()
        return DescribeDatabase(name, extended)
    if cursor.accept("DETAIL"):
        name = cursor.name_or_path()
        cursor.expect_end()
        return DescribeDetail(name)
    if cursor.accept("HISTORY"):
        name = cursor.name_or_path()
        limit = cursor.number() if cursor.accept("LIMIT") else None
        cursor.expect_end()
        return DescribeHistory(name, limit)
    if cursor.word in {"QUERY", "FUNCTION", "SELECT", "WITH", "VALUES", "FROM", "CATALOG"}:
        return None
    cursor.accept("TABLE")
    extended = bool(cursor.accept_any("EXTENDED", "FORMATTED"))
    name = cursor.name()
    # DESCRIBE of one column or one partition is left to the engine.
    return DescribeTable(name, extended) if cursor.done else None


def _truncate(cursor: Cursor) -> Statement:
    cursor.expect("TRUNCATE", "TABLE", then="name")
    name = cursor.name()
    cursor.expect_end()
    return Truncate(name)


def _comment(cursor: Cursor) -> Statement | None:
    cursor.expect("COMMENT", "ON")
    database = bool(cursor.accept_any(*DATABASE_WORDS))
    if not database and not cursor.accept("TABLE"):
        return None
    name = cursor.name()
    cursor.expect("IS", then="string")
    comment = "" if cursor.accept("NULL") else cursor.string()
    cursor.expect_end()
    return Comment(name, comment, database)


def _optimize(cursor: Cursor) -> Statement:
    cursor.expect("OPTIMIZE")
    name = cursor.name_or_path()
    columns = cursor.identifiers() if cursor.accept("ZORDER", "BY") else ()
    cursor.expect_end()
    return Optimize(name, columns)


def _vacuum(cursor: Cursor) -> Statement:
    cursor.expect("VACUUM")
    name = cursor.name_or_path()
    hours = None
    if cursor.accept("RETAIN"):
        hours = cursor.number()
        cursor.expect("HOURS")
    dry_run = cursor.accept("DRY", "RUN")
    cursor.expect_end()
    return Vacuum(name, hours, dry_run)


def _fsck(cursor: Cursor) -> Statement:
    cursor.expect("FSCK", "REPAIR", "TABLE")
    name = cursor.name()
    dry_run = cursor.accept("DRY", "RUN")
    cursor.expect_end()
    return Repair(name, dry_run)


def _restore(cursor: Cursor) -> Statement:
    cursor.expect("RESTORE")
    cursor.accept("TABLE")
    name = cursor.name()
    cursor.expect("TO")
    if cursor.accept("VERSION"):
        cursor.expect("AS", "OF")
        found = Restore(name, version=cursor.number())
    else:
        cursor.expect("TIMESTAMP", "AS", "OF")
        found = Restore(name, timestamp=cursor.string())
    cursor.expect_end()
    return found


def _refresh(cursor: Cursor) -> Statement | None:
    cursor.expect("REFRESH")
    if not cursor.accept("TABLE"):
        return None
    name = cursor.name()
    cursor.expect_end()
    return Refresh(name)


_RULES: dict[str, Callable[[Cursor], Statement | None]] = {
    "CREATE": create,
    "REPLACE": replace,
    "DROP": _drop,
    "USE": _use,
    "SHOW": _show,
    "DESCRIBE": _describe,
    "DESC": _describe,
    "ALTER": alter,
    "TRUNCATE": _truncate,
    "COMMENT": _comment,
    "INSERT": insert,
    "DELETE": delete,
    "UPDATE": update,
    "MERGE": merge,
    "OPTIMIZE": _optimize,
    "VACUUM": _vacuum,
    "RESTORE": _restore,
    "REFRESH": _refresh,
    "FSCK": _fsck,
}
