"""`CHANGES` behind a table's name: its change feed from one version or time to another.

    name CHANGES FROM {VERSION | TIMESTAMP} from [INCLUSIVE | EXCLUSIVE]
        [TO {VERSION | TIMESTAMP} to [INCLUSIVE | EXCLUSIVE]] [WITH (option = value, …)]
    STREAM name CHANGES [FROM {VERSION | TIMESTAMP} from [INCLUSIVE | EXCLUSIVE]] [WITH (option = value, …)]

The grammar is Spark 4.2's (`changesClause`, `streamChangesClause`), and what Spark asks its catalog for is what Delta's
change feed gives: the table's columns, `_change_type`, `_commit_version` and `_commit_timestamp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from riacho.errors import UnsupportedOperationError
from riacho.server.sql.cursor import Cursor

_KINDS: Final = {
    "VERSION": "Version",
    "SYSTEM_VERSION": "Version",
    "TIMESTAMP": "Timestamp",
    "SYSTEM_TIME": "Timestamp",
}
_NET: Final = "netchanges"


def read_changes(cursor: Cursor, *, streaming: bool) -> dict[str, str] | None:
    """The clause that comes next, as options of a read of the table; None if `CHANGES` is the table's alias.

    Raises ParseError; UnsupportedOperationError for what a change feed cannot tell.
    """
    has_start = cursor.word_ahead(1) == "FROM" and cursor.word_ahead(2) in _KINDS
    if cursor.word != "CHANGES" or not (streaming or has_start):
        return None
    cursor.expect("CHANGES")
    options = {"readChangeFeed": "true"}
    if has_start:
        cursor.expect("FROM")
        kind = _point(cursor, "starting", options)
        if not streaming and cursor.accept("TO"):
            _point(cursor, "ending", options, kind)
    behind = cursor.ahead(1)
    if cursor.word == "WITH" and behind is not None and behind.is_symbol("("):
        cursor.expect("WITH")
        options.update(checked(cursor.options()))
    return options


def checked(options: Mapping[str, str]) -> dict[str, str]:
    """The options without those that say how Spark makes changes of what a catalog gives it.

    A change feed has rows that changed only, and says of updates what they were. Raises UnsupportedOperationError for
    net changes.
    """
    rest = {}
    for key, value in options.items():
        match key.lower():
            case "computeupdates":
                continue
            case "deduplicationmode":
                if value.lower() == _NET:
                    raise UnsupportedOperationError(
                        "deduplicationMode 'netChanges' is not supported: a change feed has every change of a row. "
                        "Keep the last one of each key in the query."
                    )
            case _:
                rest[key] = value
    return rest


def _point(cursor: Cursor, end: str, options: dict[str, str], wanted: str = "") -> str:
    """`VERSION 3 EXCLUSIVE` as an option of the change feed; the kind of the point."""
    kind = _KINDS.get(cursor.word, "")
    if not kind or (wanted and kind != wanted):
        raise cursor.error()
    cursor.accept_any(*_KINDS)
    if kind == "Version":
        version = int(cursor.string()) if cursor.at_kind("string") else cursor.number()
        if cursor.accept("EXCLUSIVE"):
            version += 1 if end == "starting" else -1
        else:
            cursor.accept("INCLUSIVE")
        options[f"{end}Version"] = str(version)
        return kind
    if not cursor.at_kind("string"):
        raise UnsupportedOperationError("CHANGES … TIMESTAMP takes a time as text: write it as '2024-01-31 12:00:00'.")
    options[f"{end}Timestamp"] = cursor.string()
    if cursor.accept("EXCLUSIVE"):
        raise UnsupportedOperationError(
            "CHANGES … TIMESTAMP … EXCLUSIVE is not supported: a change feed begins and ends with the commits of that "
            "time. Leave EXCLUSIVE out, and choose another time."
        )
    cursor.accept("INCLUSIVE")
    return kind
