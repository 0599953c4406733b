"""INSERT, DELETE, UPDATE and MERGE. Conditions, expressions and queries are kept as the user wrote them."""

from __future__ import annotations

from riacho.errors import AnalysisError
from riacho.server.sql.cursor import Cursor
from riacho.server.sql.errors import refused
from riacho.server.sql.statements import (
    Delete,
    Insert,
    InsertDirectory,
    Merge,
    MergeClause,
    Name,
    Set,
    Statement,
    Update,
)
from riacho.server.sql.words import IN_BRACKETS


def insert(cursor: Cursor) -> Statement | None:
    """None for a PARTITION clause, which the engine refuses."""
    cursor.expect("INSERT")
    how = cursor.accept_any("INTO", "OVERWRITE")
    if not how:
        raise cursor.error()
    overwrite = how == "OVERWRITE"
    if overwrite and (cursor.accept("LOCAL", "DIRECTORY") or cursor.accept("DIRECTORY")):
        return _directory(cursor)
    cursor.accept("TABLE")
    table = cursor.name()
    if cursor.word == "PARTITION":
        return None
    if cursor.accept("REPLACE", "WHERE"):
        where = cursor.text_until(*IN_BRACKETS)
        return Insert(table, cursor.query(), overwrite=True, where=where, by_name=True)
    by_name = cursor.accept("BY", "NAME")
    columns = _column_list(cursor)
    by_name = by_name or cursor.accept("BY", "NAME")
    return Insert(table, cursor.query(), columns, by_name, overwrite)


def _directory(cursor: Cursor) -> InsertDirectory:
    path = "" if cursor.word == "USING" else cursor.string()
    if not cursor.accept("USING"):
        raise AnalysisError.of(
            "NOT_SUPPORTED_COMMAND_WITHOUT_HIVE_SUPPORT",
            "INSERT OVERWRITE DIRECTORY with the Hive format is not supported: say USING and a format.",
            sql_state="0A000",
            cmd="INSERT OVERWRITE DIRECTORY with the Hive format",
        )
    kind = ".".join(cursor.name())
    options = cursor.options() if cursor.accept("OPTIONS") else {}
    return InsertDirectory(path or options.pop("path", ""), kind, cursor.query(), options)


def _column_list(cursor: Cursor) -> tuple[str, ...]:
    """`(a, b)` before the query; brackets around the query itself are not a list of columns."""
    if not cursor.looking_at_symbol("(") or cursor.bracket_holds(IN_BRACKETS):
        return ()
    return cursor.identifiers()


def delete(cursor: Cursor) -> Statement:
    cursor.expect("DELETE", "FROM", then="name")
    table, alias = _aliased(cursor)
    where = cursor.rest() if cursor.accept("WHERE") else None
    cursor.expect_end()
    return Delete(table, where, alias)


def update(cursor: Cursor) -> Statement:
    cursor.expect("UPDATE")
    table, alias = _aliased(cursor)
    cursor.expect("SET")
    assignments = _assignments(cursor, "WHERE")
    where = cursor.rest() if cursor.accept("WHERE") else None
    cursor.expect_end()
    return Update(table, assignments, where, alias)


def merge(cursor: Cursor) -> Statement:
    cursor.expect("MERGE")
    evolve = cursor.accept("WITH", "SCHEMA", "EVOLUTION")
    cursor.expect("INTO")
    table, alias = _aliased(cursor)
    cursor.expect("USING")
    source = cursor.bracketed_text() if cursor.looking_at_symbol("(") else cursor.name()
    source_alias = _alias(cursor)
    cursor.expect("ON")
    condition = cursor.text_until("WHEN")
    clauses: list[MergeClause] = []
    while cursor.accept("WHEN"):
        clauses.append(_merge_clause(cursor))
    cursor.expect_end()
    if not clauses:
        raise refused(
            cursor.text,
            "MERGE_WITHOUT_WHEN",
            "There must be at least one WHEN clause in a MERGE statement.",
            sql_state="42601",
        )
    return Merge(table, alias, source, source_alias, condition, tuple(clauses), evolve)


def _merge_clause(cursor: Cursor) -> MergeClause:
    if cursor.accept("MATCHED"):
        match = "matched"
    else:
        cursor.expect("NOT", "MATCHED")
        match = "not_matched_by_source" if cursor.accept("BY", "SOURCE") else "not_matched"
        cursor.accept("BY", "TARGET")
    condition = cursor.text_until("THEN") if cursor.accept("AND") else None
    cursor.expect("THEN")
    action = cursor.accept_any("UPDATE", "INSERT", "DELETE").lower()
    assignments: Set | None = None
    if action == "update":
        cursor.expect("SET")
        if not cursor.accept_symbol("*"):
            assignments = _assignments(cursor, "WHEN")
    elif action == "insert":
        if not cursor.accept_symbol("*"):
            names = [part.name() for part in cursor.brackets()]
            cursor.expect("VALUES")
            values = [part.rest() for part in cursor.brackets()]
            if len(names) != len(values):
                raise refused(
                    cursor.text,
                    "MERGE_INSERT_VALUE_COUNT_MISMATCH",
                    f"The number of provided values ({len(values)}) must match the number of expected columns "
                    f"({len(names)}) in the INSERT clause of MERGE.",
                    sql_state="21S01",
                    numValues=str(len(values)),
                    numColumns=str(len(names)),
                )
            assignments = tuple(zip(names, values, strict=True))
    elif not action:
        raise cursor.error()
    return MergeClause(match, action, condition, assignments)


def _assignments(cursor: Cursor, *ends: str) -> Set:
    """`a = x, t.b = y, …`."""
    found: list[tuple[Name, str]] = []
    while True:
        column = cursor.name()
        if not cursor.accept_symbol("=="):
            cursor.expect_symbol("=")
        found.append((column, cursor.text_until_symbol(",", *ends)))
        if not cursor.accept_symbol(","):
            return tuple(found)


def _aliased(cursor: Cursor) -> tuple[Name, str | None]:
    return cursor.name(), _alias(cursor)


def _alias(cursor: Cursor) -> str | None:
    if cursor.accept("AS"):
        return cursor.identifier()
    if cursor.done or cursor.word in {"WHERE", "SET", "USING", "ON", "WHEN"}:
        return None
    return cursor.identifier()
