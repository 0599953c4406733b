"""Names and texts within SQL."""

from __future__ import annotations


def name(text: str) -> str:
    """A name in quotes, so that it means exactly itself."""
    return '"' + text.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text literal. Backslashes are plain characters, as PostgreSQL and SQLite have them by default."""
    return "'" + value.replace("'", "''") + "'"
