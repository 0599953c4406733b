"""What a SQL statement is, as far as riacho must know before it hands the text to the engine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from riacho.server.sql.references import TableReference, table_references
from riacho.server.sql.tokens import Token, closing, has_word, identifier, tokenize
from riacho.server.sql.words import QUERY_STARTS, words

_STREAMING_WORDS = words("STREAM WATERMARK")
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

    `kind`: a query gives rows and changes nothing; all else is a command. `tables`: what the text reads, without the
    names of its own WITH clauses. `view`: set for `CREATE TEMPORARY VIEW … AS query`.
    """

    kind: Literal["query", "command"]
    tables: list[TableReference]
    view: ViewDefinition | None = None

    @property
    def streaming(self) -> bool:
        """Whether the text itself says that it streams; it may also read a streaming view."""
        return any(table.streaming for table in self.tables)


def may_stream(text: str, views: Collection[str] = ()) -> bool:
    """A cheap test that plain batch SQL fails: the text has the word STREAM or WATERMARK, or names one of `views`.

    `views`: names of temporary views that only riacho knows. False is certain, True is not.
    """
    if has_word(text, _STREAMING_WORDS):
        return True
    lower = text.lower()
    return any(view.lower() in lower for view in views)


def read_sql(text: str) -> SqlFacts:
    """Read a statement. Raises ParseError for an incomplete STREAM or WATERMARK clause, for nothing else."""
    tokens = tokenize(text)
    return SqlFacts(_kind(tokens), table_references(text, tokens), _view(text, tokens))


def _kind(tokens: list[Token]) -> Literal["query", "command"]:
    """By the first word; behind WITH, by the first word that opens a statement outside brackets."""
    at = 0
    while at < len(tokens) and tokens[at].is_symbol("("):
        at += 1
    if at < len(tokens) and tokens[at].word == "WITH":
        while at < len(tokens) and tokens[at].word not in _QUERY_WORDS | words("INSERT MERGE UPDATE DELETE"):
            at = closing(tokens, at) + 1 if tokens[at].is_symbol("(") else at + 1
    return "query" if at < len(tokens) and tokens[at].word in _QUERY_WORDS else "command"


def _view(text: str, tokens: list[Token]) -> ViewDefinition | None:
    words = [token.word for token in tokens[:9]] + [""] * 9
    if words[0] != "CREATE":
        return None
    at = 1
    if replace := words[at : at + 2] == ["OR", "REPLACE"]:
        at += 2
    if is_global := words[at] == "GLOBAL":
        at += 1
    at += words[at] == "LOCAL"
    if words[at] not in ("TEMP", "TEMPORARY") or words[at + 1] != "VIEW":
        return None
    at += 2
    if if_not_exists := words[at : at + 3] == ["IF", "NOT", "EXISTS"]:
        at += 3
    parts, at = identifier(tokens, at)
    columns: tuple[str, ...] = ()
    if at < len(tokens) and tokens[at].is_symbol("("):
        end = closing(tokens, at)
        columns, at = _column_names(tokens[at + 1 : end]), end + 1
    while at < len(tokens) and tokens[at].word != "AS":  # COMMENT, TBLPROPERTIES
        at = closing(tokens, at) + 1 if tokens[at].is_symbol("(") else at + 1
    if not parts or at + 1 >= len(tokens):
        return None
    last = next(token for token in reversed(tokens) if not token.is_symbol(";"))
    query = text[tokens[at + 1].start : last.end]
    return ViewDefinition(parts, query, columns, replace, is_global, if_not_exists)


def _column_names(tokens: list[Token]) -> tuple[str, ...]:
    """The names in `a, b COMMENT 'x', c`: the first word of each item."""
    starts = [0] + [at + 1 for at, token in enumerate(tokens) if token.is_symbol(",")]
    return tuple(name for at in starts if at < len(tokens) and (name := tokens[at].name) is not None)
