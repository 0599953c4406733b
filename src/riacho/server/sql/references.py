"""Which tables a piece of Spark SQL reads, and exactly where it names them.

This is a scan, not a parser: it follows brackets and the few words that open or close a FROM clause. That is enough to
know where a table name can appear, and it also works on syntax that it does not know. Text that the engine cannot parse
is refused by the engine, which shows the user's original text.

What may follow a table name in a streaming query (`relationPrimary` in `SqlBaseParser.g4`):

    [STREAM] name [CHANGES …] | STREAM(name) | [STREAM] function(…) | STREAM(function(…))
        [WITH (option = value, …)] [IDENTIFIED BY source] [WATERMARK expression [AS name] DELAY OF INTERVAL …]
        [[AS] alias]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from riacho.errors import ParseError
from riacho.identifiers import quote
from riacho.intervals import interval_text, unparsable
from riacho.server.sql.changes_clause import read_changes
from riacho.server.sql.cursor import Cursor
from riacho.server.sql.errors import missing, syntax_error
from riacho.server.sql.interval_literals import read_interval
from riacho.server.sql.tokens import Edit, Token, closing, identifier, splice, tokenize
from riacho.server.sql.words import ENDS_FROM, NO_ALIAS, QUERY_STARTS, SET_OPERATIONS, words

_VERSIONS = {"VERSION": True, "SYSTEM_VERSION": True, "TIMESTAMP": False, "SYSTEM_TIME": False}
"""The words before AS OF, each with whether a single literal must follow."""


@dataclass(frozen=True)
class Watermark:
    """`WATERMARK expression [AS name] DELAY OF INTERVAL delay`. `name` is None if the expression is a bare column."""

    expression: str
    name: str | None
    delay: str


@dataclass(frozen=True)
class TableReference:
    """A table name in a SQL text.

    `parts`: the name without quotes. `start`, `end`: its range, with STREAM and all clauses up to its alias, which is
    not included. `version_end`: the end of the clause that names a version, such as `VERSION AS OF 3`; `end` if there
    is none. `behind`: where its alias is or would be, after that clause and a TABLESAMPLE. `aliased`:
    whether an alias follows, or none may. `streaming`: whether STREAM marks it.
    """

    parts: tuple[str, ...]
    start: int
    end: int
    version_end: int
    behind: int
    streaming: bool = False
    options: dict[str, str] = field(default_factory=dict)
    source_name: str = ""
    watermark: Watermark | None = None
    aliased: bool = False
    changes: bool = False
    """Whether the CHANGES of the table are read; `options` says which."""


@dataclass(frozen=True)
class FunctionReference:
    """A table function that STREAM marks, or one that only riacho has. The rest is as in `TableReference`.

    `call`: the range of its name and arguments. `arguments`: see `function_arguments`.
    """

    name: str
    start: int
    end: int
    call: tuple[int, int]
    streaming: bool
    watermark: Watermark | None = None
    aliased: bool = False


READ_FUNCTIONS = frozenset({"read_files", "read_kafka"})
"""The table functions that the engine does not have."""


def function_references(sql: str) -> list[FunctionReference]:
    """The table functions of `sql` that the engine cannot run as they stand. Raises as `table_references`."""
    scan = _Scan(sql, tokenize(sql))
    scan.run()
    return scan.functions


def table_references(sql: str, tokens: Sequence[Token] | None = None) -> list[TableReference]:
    """The tables that `sql` reads, in the order of the text; names of its own WITH clauses are left out.

    `tokens`: those of `sql`, if they are known already. Raises ParseError for an incomplete STREAM or WATERMARK
    clause.
    """
    return _Scan(sql, tokenize(sql) if tokens is None else tokens).run()


Spelling = Callable[[tuple[str, ...]], str | None]
"""The name as SQL text, in another spelling; None if it can stay as it is."""


def respelled(sql: str, spelling: Spelling) -> str:
    """`sql`, a query or a statement, with its tables as `spelling` writes them; the same object if nothing changes.

    Besides the tables it reads, these are the ones that INSERT, UPDATE, MERGE and DESCRIBE name. A name of its own
    WITH clauses is spelled as it is there, for engines that distinguish case. Streams are left alone. Raises what
    `table_references` raises.
    """
    scan = _Scan(sql, tokenize(sql))
    scan.run()
    found = [*scan.found, *_target(scan.tokens)]
    edits = {
        reference.start: Edit(reference.start, reference.end, name)
        for reference in found
        if not reference.streaming and (name := spelling(reference.parts)) is not None
    }
    for edit in scan.of_with:
        edits[edit.start] = edit
    return splice(sql, list(edits.values())) if edits else sql


_BEFORE_TABLE = SET_OPERATIONS | words("ALL DISTINCT AS")
"""What may precede `TABLE name` as a query."""


def _target(tokens: Sequence[Token]) -> list[TableReference]:
    """The table that a statement changes or describes."""
    at = 0
    if at < len(tokens) and tokens[at].word in ("INSERT", "MERGE"):
        while at < len(tokens) and tokens[at].word not in ("INTO", "OVERWRITE"):
            at += 1
    elif at >= len(tokens) or tokens[at].word not in ("UPDATE", "DESCRIBE", "DESC"):
        return []
    at += 1
    while at < len(tokens) and tokens[at].word in ("TABLE", "EXTENDED", "FORMATTED"):
        at += 1
    parts, behind = identifier(tokens, at)
    return [_bare(parts, tokens[at:behind])] if parts else []


def _bare(parts: tuple[str, ...], tokens: Sequence[Token]) -> TableReference:
    """A name with nothing after it; `tokens` are its own."""
    end = tokens[-1].end
    return TableReference(parts, tokens[0].start, end, end, end, aliased=True)


@dataclass
class _Frame:
    """A pair of brackets, or the whole text. `in_from`: whether a comma here is followed by a relation."""

    is_query: bool
    in_from: bool = False
    in_with: bool = False
    ctes: dict[str, str] = field(default_factory=dict)
    pending_cte: str | None = None


class _Scan:
    """`found`: what the text reads; `of_with`: edits for WITH names written in a different case."""

    def __init__(self, sql: str, tokens: Sequence[Token]) -> None:
        self._sql = sql
        self.tokens = self._tokens = tokens
        self._frames = [_Frame(is_query=True)]
        self.found: list[TableReference] = []
        self.functions: list[FunctionReference] = []
        self.of_with: list[Edit] = []

    def run(self) -> list[TableReference]:
        at = 0
        while at < len(self._tokens):
            if self._word(at) == "TABLE":
                self._table_query(at)
            at = self._step(at)
        return self.found

    def _step(self, at: int) -> int:
        """Process the token at `at`; returns the position of the next one."""
        token, frame = self._tokens[at], self._frames[-1]
        if token.is_symbol("("):
            opens_query = self._word(at + 1) in QUERY_STARTS
            self._frames.append(_Frame(is_query=opens_query))
            return at + 1
        if token.is_symbol(")"):
            if len(self._frames) > 1:
                self._frames.pop()
                frame = self._frames[-1]
                if frame.pending_cte:  # a WITH name is known after its own brackets
                    frame.ctes[frame.pending_cte.lower()] = frame.pending_cte
                    frame.pending_cte = None
            return at + 1
        if token.is_symbol(","):
            return self._relation(at + 1) if frame.in_from else at + 1
        match token.word:
            case "WITH" if self._tokens[at + 1 : at + 2] and not self._tokens[at + 1].is_symbol("("):
                frame.in_with = True
            case "AS" if frame.in_with and self._symbol(at + 1, "("):
                frame.pending_cte = self._cte_name(at)
            case "FROM" if frame.is_query and self._word(at - 1) != "DISTINCT":
                frame.in_from = True
                return self._relation(at + 1)
            case "JOIN":
                return self._relation(at + 1)
            case "USING" if not self._symbol(at + 1, "(") and not frame.in_from:  # MERGE INTO … USING source
                return self._relation(at + 1)
            case word if word in ENDS_FROM:
                frame.in_from = frame.in_with = False
        return at + 1

    def _relation(self, at: int) -> int:
        """Process what is where a relation must be; returns the position after it."""
        if self._word(at) == "LATERAL":
            at += 1
        if self._symbol(at, "("):
            if self._word(at + 1) in QUERY_STARTS:
                return at
            self._frames.append(_Frame(is_query=False, in_from=True))  # FROM (a JOIN b)
            return self._relation(at + 1)
        reference, behind = self._reference(at)
        if reference is not None and not self._is_cte(reference):
            self.found.append(reference)
        return behind

    def _table_query(self, at: int) -> None:
        """`TABLE name` as a query, or as the argument of a table function, where it cannot have an alias."""
        opens = at == 0 or self._symbol(at - 1, "(") or self._symbol(at - 1, ")")
        parts, behind = identifier(self._tokens, at + 1)
        names_one = bool(parts) and self._word(at + 1) not in NO_ALIAS
        if names_one and (opens or self._word(at - 1) in _BEFORE_TABLE):
            reference = _bare(parts, self._tokens[at + 1 : behind])
            if not self._is_cte(reference):
                self.found.append(reference)

    def _reference(self, at: int) -> tuple[TableReference | None, int]:
        """The table reference at `at` and the position after its clauses."""
        first = at
        streaming = self._is_stream_mark(at)
        bracketed = streaming and self._symbol(at + 1, "(")
        at += streaming + bracketed
        if self._word(at) in QUERY_STARTS or self._word(at) in NO_ALIAS:
            return None, at
        parts, at = identifier(self._tokens, at)
        if parts and self._symbol(at, "(") and (streaming or parts[-1].lower() in READ_FUNCTIONS):
            return None, self._function(first, at, parts, streaming=streaming, bracketed=bracketed)
        if not parts or self._symbol(at, "("):
            return None, at  # a table function, a literal, or nothing
        if bracketed:
            if not self._symbol(at, ")"):
                raise self._error(at)
            at += 1
        cursor = Cursor(self._sql, self._tokens, at)
        changes = None if bracketed else read_changes(cursor, streaming=streaming)
        options, at = changes or {}, cursor.at
        source_name = ""
        if changes is None and streaming and self._word(at) == "WITH" and self._symbol(at + 1, "("):
            cursor = Cursor(self._sql, self._tokens, at + 1)
            options, at = cursor.options(), cursor.at
        if streaming and (self._word(at), self._word(at + 1)) == ("IDENTIFIED", "BY"):
            source_name, at = self._name(at + 2), at + 3
        watermark = None
        if self._word(at) == "WATERMARK":
            watermark, at = self._watermark(at)
        version = self._version(at)
        behind = self._sample(version)
        reference = TableReference(
            parts,
            start=self._tokens[first].start,
            end=self._tokens[at - 1].end,
            version_end=self._tokens[version - 1].end,
            behind=self._tokens[behind - 1].end,
            streaming=streaming,
            options=options,
            source_name=source_name,
            watermark=watermark,
            aliased=self._has_alias(behind),
            changes=changes is not None,
        )
        return reference, at

    def _function(self, first: int, at: int, parts: tuple[str, ...], *, streaming: bool, bracketed: bool) -> int:
        """Note the table function whose arguments begin at `at`; the position after its clauses."""
        opens = at
        at = min(closing(self._tokens, at) + 1, len(self._tokens))
        call = (self._tokens[first + streaming + bracketed].start, self._tokens[at - 1].end)
        if bracketed:
            if not self._symbol(at, ")"):
                raise self._error(at)
            at += 1
        watermark = None
        own = parts[-1].lower() in READ_FUNCTIONS
        if own and self._word(at) == "WATERMARK":
            watermark, at = self._watermark(at)
        self.functions.append(
            FunctionReference(
                name=parts[-1].lower() if len(parts) == 1 else "",
                start=self._tokens[first].start,
                end=self._tokens[at - 1].end,
                call=call,
                streaming=streaming,
                watermark=watermark,
                aliased=self._has_alias(at),
            )
        )
        return opens if not own else at

    def _version(self, at: int) -> int:
        """The position after `[FOR] VERSION AS OF version` or `[FOR] TIMESTAMP AS OF expression`, if it is at `at`."""
        first = at
        at += self._word(at) == "FOR"
        kind = self._word(at)
        if kind not in _VERSIONS or (self._word(at + 1), self._word(at + 2)) != ("AS", "OF"):
            return first
        at += 3
        behind = self._tokens[at + 1] if at + 1 < len(self._tokens) else None
        if _VERSIONS[kind] or behind is None or (self._tokens[at].kind == "string" and behind.kind != "symbol"):
            return min(at + 1, len(self._tokens))
        while at < len(self._tokens):
            token = self._tokens[at]
            if token.word in NO_ALIAS - {"TIMESTAMP"} or token.word == "AS" or token.is_symbol(","):
                break
            if token.is_symbol(")") or token.is_symbol(";"):
                break
            at = closing(self._tokens, at) + 1 if token.is_symbol("(") else at + 1
        return min(at, len(self._tokens))

    def _sample(self, at: int) -> int:
        """The position after `TABLESAMPLE (…) [REPEATABLE (…)]`, if it is at `at`."""
        for word in ("TABLESAMPLE", "REPEATABLE"):
            if self._word(at) == word and self._symbol(at + 1, "("):
                at = min(closing(self._tokens, at + 1) + 1, len(self._tokens))
        return at

    def _is_stream_mark(self, at: int) -> bool:
        """Whether the word STREAM at `at` is the keyword, and not the name of a table."""
        if self._word(at) != "STREAM" or at + 1 >= len(self._tokens):
            return False
        behind = self._tokens[at + 1]
        return behind.is_symbol("(") or (behind.name is not None and behind.word not in NO_ALIAS | {"AS"})

    def _watermark(self, at: int) -> tuple[Watermark, int]:
        """The WATERMARK clause at `at` and the position after it."""
        first = at + 1
        while (self._word(at), self._word(at + 1)) != ("DELAY", "OF"):
            at += 1
            if at >= len(self._tokens):
                raise self._error(at)
        column, name = self._tokens[first:at], None
        if len(column) > 2 and column[-2].word == "AS":
            name, column = column[-1].name, column[:-2]
        if not column:
            raise self._error(first)
        at += 2
        if self._word(at) != "INTERVAL":
            raise self._error(at, missing("INTERVAL") if at < len(self._tokens) else "")
        delay, at = self._delay(at + 1)
        text = self._sql[column[0].start : column[-1].end]
        return Watermark(text, name, delay), at

    def _delay(self, at: int) -> tuple[str, int]:
        """The interval at `at`, as Spark shows it, and the position after it. Text without a unit is not one here."""
        found, behind = read_interval(self._tokens, at)
        if found is None or not found.units or self._tokens[behind - 1].kind == "string":
            raise self._error(behind)
        if found.value is None:
            raise unparsable(self._sql[self._tokens[at].start : self._tokens[behind - 1].end])
        return interval_text(*found.value), behind

    def _has_alias(self, at: int) -> bool:
        if at >= len(self._tokens):
            return False
        token = self._tokens[at]
        return token.word == "AS" or (token.name is not None and token.word not in NO_ALIAS)

    def _cte_name(self, at: int) -> str | None:
        """The name before the AS at `at`, in `name AS (` or `name (columns) AS (`."""
        before = at - 1
        if self._symbol(before, ")"):
            while before >= 0 and not self._symbol(before, "("):
                before -= 1
            before -= 1
        name = self._tokens[before].name if before >= 0 else None
        return name or None

    def _is_cte(self, reference: TableReference) -> bool:
        if len(reference.parts) != 1:
            return False
        name = reference.parts[0]
        known = [frame.ctes[name.lower()] for frame in reversed(self._frames) if name.lower() in frame.ctes]
        written = known[0] if known else None
        if written is not None and written != name:
            self.of_with.append(Edit(reference.start, reference.end, quote(written)))
        return written is not None

    def _word(self, at: int) -> str:
        return self._tokens[at].word if 0 <= at < len(self._tokens) else ""

    def _symbol(self, at: int, text: str) -> bool:
        return 0 <= at < len(self._tokens) and self._tokens[at].is_symbol(text)

    def _name(self, at: int) -> str:
        name = self._tokens[at].name if at < len(self._tokens) else None
        if name is None:
            raise self._error(at)
        return name

    def _error(self, at: int, hint: str = "") -> ParseError:
        """PARSE_SYNTAX_ERROR at the token at `at`, or at the end."""
        return syntax_error(self._sql, self._tokens[at] if at < len(self._tokens) else None, hint)
