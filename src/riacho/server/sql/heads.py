"""The kind of a SQL statement, as far as riacho must know it before handing the text to the engine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from riacho.server.sql.cursor import Cursor
from riacho.server.sql.parse_create import view_head
from riacho.server.sql.references import TableReference, table_references
from riacho.server.sql.tokens import Token, closing, has_word, tokenize
from riacho.server.sql.words import QUERY_STARTS, words

_STREAMING_WORDS = words("STREAM WATERMARK CHANGES READ_FILES READ_KAFKA")
_QUERY_WORDS = QUERY_STARTS - {"WITH"}


@dataclass(frozen=True)
class ViewDefinition:
    """`CREATE [OR REPLACE] [GLOBAL] TEMPORARY VIEW [IF NOT EXISTS] name [(columns)] AS query`."""

    parts: tuple[str, ...]
    query: str
    columns: tuple[str, ...] = ()
    replace: bool = False
    is_global: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class SqlFacts:
    """What `read_sql` found out.

    `kind`: a query returns rows and changes nothing; anything else is a command. `tables`: what the text reads,
    excluding the names of its own WITH clauses. `view`: set for `CREATE TEMPORARY VIEW … AS query`.
    """

    kind: Literal["query", "command"]
    tables: list[TableReference]
    view: ViewDefinition | None = None

    @property
    def streaming(self) -> bool:
        """Whether the text itself marks a stream; it may also read a streaming view."""
        return any(table.streaming for table in self.tables)


def may_stream(text: str, views: Collection[str] = ()) -> bool:
    """A cheap test that rules out plain batch SQL: the text has a word of streams' own, or names one of `views`.

    `views`: names of temporary views that only riacho knows. False is certain; True is not.
    """
    if has_word(text, _STREAMING_WORDS):
        return True
    lower = text.lower()
    return any(view.lower() in lower for view in views)


def read_sql(text: str) -> SqlFacts:
    """Read a statement. Raises PARSE_SYNTAX_ERROR for an invalid stream clause or temporary view."""
    tokens = tokenize(text)
    return SqlFacts(_kind(tokens), table_references(text, tokens), _view(text, tokens))


def _kind(tokens: list[Token]) -> Literal["query", "command"]:
    """Decided by the first word; after WITH, by the first word outside brackets that opens a statement."""
    at = 0
    while at < len(tokens) and tokens[at].is_symbol("("):
        at += 1
    if at < len(tokens) and tokens[at].word == "WITH":
        while at < len(tokens) and tokens[at].word not in _QUERY_WORDS | words("INSERT MERGE UPDATE DELETE"):
            at = closing(tokens, at) + 1 if tokens[at].is_symbol("(") else at + 1
    return "query" if at < len(tokens) and tokens[at].word in _QUERY_WORDS else "command"


def _view(text: str, tokens: list[Token]) -> ViewDefinition | None:
    cursor = Cursor(text, tokens)
    if not cursor.accept("CREATE"):
        return None
    replace, is_global = cursor.accept("OR", "REPLACE"), cursor.accept("GLOBAL")
    cursor.accept("LOCAL")
    if not cursor.accept_any("TEMP", "TEMPORARY") or not cursor.accept("VIEW"):
        return None
    head = view_head(cursor)
    if head is None:
        return None
    return ViewDefinition(head.name, cursor.query(), head.columns, replace, is_global, head.if_not_exists)
