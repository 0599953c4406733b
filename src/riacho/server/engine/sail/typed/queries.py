"""SQL queries: each SELECT's expressions, with the types of the columns of its FROM.

Inner queries come first, so that the input of an outer one can be analysed. Everything else stays as it was written:
names, clauses, and every expression that is not understood.

    SELECT s * 2 FROM t WHERE n > '1'       SELECT (CAST(s AS BIGINT) * 2) AS `(s * 2)` FROM t WHERE (n > CAST('1' AS …
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.identifiers import quote
from riacho.protos import pb
from riacho.server.engine.sail.typed import clocks
from riacho.server.engine.sail.typed.naming import shown
from riacho.server.engine.sail.typed.rules import NAMES
from riacho.server.engine.sail.typed.scope import Scope
from riacho.server.engine.sail.typed.text import TextTyper
from riacho.server.plan.notation import sql
from riacho.server.sql.pieces import items, outside
from riacho.server.sql.select_lists import has_alias
from riacho.server.sql.tokens import Edit, Token, closing, splice, tokenize
from riacho.server.sql.words import BEHIND_SELECT, JOIN_WORDS, SET_OPERATIONS, words

SchemaOf = Callable[[str], "pa.Schema | None"]
"""The columns of a query; None if it cannot be analysed."""

_QUERY = words("SELECT WITH VALUES")
_BEFORE_WITH = words("AS EXPLAIN EXTENDED FORMATTED CODEGEN COST")
_ENDS_CONDITION = JOIN_WORDS | words("LATERAL PIVOT UNPIVOT TABLESAMPLE USING ON")
_SUSPECTS = re.compile(
    r"[-+*/%<>=&|^]|\b(?:case|between|in|div|"
    + "|".join(sorted(name for name in NAMES if name.isidentifier()))
    + r")\b",
    re.IGNORECASE,
)
_CASTS = re.compile(r"\b(?:try_)?cast\b|::", re.IGNORECASE)
_CLOCKS = re.compile(r"\b(?:timestamp|date_?|try_)(?:add|diff)", re.IGNORECASE)
"""What else depends on the session's time zone."""
_ORDER_WORDS = words("ASC DESC NULLS FIRST LAST")


def is_suspect(text: str) -> bool:
    """Whether something in it may have to change, whatever the types."""
    if _SUSPECTS.search(text) is not None or _CASTS.search(text) is not None:
        return True
    return not clocks.is_utc() and _CLOCKS.search(text) is not None


def typed_query(text: str, schema_of: SchemaOf, *, streams: bool = False) -> str:
    """`text`, a query, rewritten for the engine; the same object if nothing has to change."""
    if not is_suspect(text):
        return text
    tokens = tokenize(text)
    start = _start(tokens)
    return text if start is None else text[:start] + _TypedQuery(text[start:], "", schema_of, streams).changed()


def _start(tokens: Sequence[Token]) -> int | None:
    """Where a query begins, or the one that a statement ends with: `CREATE VIEW v AS …`, `EXPLAIN …`."""
    if tokens and (tokens[0].word in _QUERY or tokens[0].is_symbol("(")):
        return 0
    for at in outside(tokens, 0, len(tokens), words("SELECT WITH")):
        if tokens[at].word == "SELECT" or (at > 0 and tokens[at - 1].word in _BEFORE_WITH):
            return tokens[at].start
    return None


@dataclass
class _TypedQuery:
    """One query with everything inside it. `prefix`: the WITH clauses around it."""

    text: str
    prefix: str
    schema_of: SchemaOf
    streams: bool

    def changed(self) -> str:
        tokens = tokenize(self.text)
        start = 0
        if tokens and tokens[0].word == "WITH":
            if len(tokens) > 1 and tokens[1].word == "RECURSIVE":
                return self.text
            body = self._with(tokens)
            if body is None:
                return self.text
            tokens, start = body
        self._inner_queries(tokens, start)
        tokens = tokenize(self.text)
        if start:
            start = self._body(tokens)
        inline = [
            edit for at in outside(tokens, start, len(tokens), words("VALUES")) for edit in self._rows(tokens, at)
        ]
        if inline:
            self.text = splice(self.text, inline)
            tokens = tokenize(self.text)
            start = self._body(tokens) if start else start
        edits = [edit for select in _selects(tokens, start) for edit in self._select(tokens, *select)]
        self.text = splice(self.text, edits) if edits else self.text
        return self.text

    def _with(self, tokens: list[Token]) -> tuple[list[Token], int] | None:
        """Change the queries of a WITH clause in order; returns the resulting tokens and where the body begins."""
        at, outer = 0, self.prefix
        known: list[str] = [outer.strip().removeprefix("WITH ")] if outer else []
        while at == 0 or (at < len(tokens) and tokens[at].is_symbol(",")):
            first = at = at + 1
            while at < len(tokens) and tokens[at].word != "AS":
                at += 1
            if at + 1 >= len(tokens) or not tokens[at + 1].is_symbol("("):
                return None
            behind = closing(tokens, at + 1)
            if behind >= len(tokens):
                return None
            begin, end = tokens[at + 1].end, tokens[behind].start
            prefix = "WITH " + ", ".join(known) + " " if known else ""
            inner = _TypedQuery(self.text[begin:end], prefix, self.schema_of, self.streams).changed()
            self.text = self.text[:begin] + inner + self.text[end:]
            tokens = tokenize(self.text)
            behind = closing(tokens, at + 1)
            known.append(self.text[tokens[first].start : tokens[behind].end])
            at = behind + 1
        self.prefix = "WITH " + ", ".join(known) + " "
        return tokens, at

    def _body(self, tokens: Sequence[Token]) -> int:
        """Where the body begins after the WITH clause."""
        at = 0
        while at == 0 or (at < len(tokens) and tokens[at].is_symbol(",")):
            while not tokens[at].is_symbol("(") or tokens[at - 1].word != "AS":
                at += 1
            at = closing(tokens, at) + 1
        return at

    def _inner_queries(self, tokens: Sequence[Token], start: int) -> None:
        """Change the queries in brackets."""
        edits, at = [], start
        while at < len(tokens):
            if tokens[at].is_symbol("(") and at + 1 < len(tokens) and self._opens_query(tokens, at):
                behind = closing(tokens, at)
                if behind < len(tokens):
                    begin, end = tokens[at].end, tokens[behind].start
                    inner = _TypedQuery(self.text[begin:end], self.prefix, self.schema_of, self.streams).changed()
                    edits.append(Edit(begin, end, inner))
                    at = behind
            at += 1
        self.text = splice(self.text, edits)

    def _opens_query(self, tokens: Sequence[Token], at: int) -> bool:
        while at + 1 < len(tokens) and tokens[at + 1].is_symbol("("):
            at += 1
        return at + 1 < len(tokens) and tokens[at + 1].word in _QUERY

    def _select(self, tokens: Sequence[Token], start: int, end: int) -> list[Edit]:
        found = outside(tokens, start, end, BEHIND_SELECT)
        clauses = [at for at in found if tokens[at].word != "WINDOW" or _opens_windows(tokens, at)]
        places = {tokens[at].word: (at, behind) for at, behind in zip(clauses, [*clauses, end][1:], strict=True)}
        if len(places) < len(clauses):
            return []
        first = places.get("FROM", (end, end))
        listed_end = clauses[0] if clauses else end
        source = self._text(tokens, *first)
        if not is_suspect(self._text(tokens, start, listed_end) + self._text(tokens, first[1], end) + " " + source):
            return []
        conditions = list(_conditions(tokens, *first))
        source = self._without_conditions(tokens, first, conditions)
        typer = self._typer(source)
        if typer is None:
            return []
        aliases: dict[str, pa.DataType | None] = {}
        edits = list(self._listed(tokens, start + 1, listed_end, typer, aliases))
        listed_at = _positions(tokens, start + 1, listed_end)
        for word, (at, behind) in places.items():
            match word:
                case "FROM":
                    both = self._without_conditions(tokens, first, conditions, widened=True)
                    joined = typer if both == source else self._typer(both)
                    for span in conditions if joined is not None else ():
                        edits += self._one(tokens, *span, joined or typer)
                case "WHERE":
                    edits += self._one(tokens, at + 1, behind, typer)
                case "GROUP":
                    edits += self._several(tokens, at + 2, behind, typer)
                case "HAVING" | "QUALIFY":
                    own = TextTyper(typer.scope.with_aliases(aliases), typer.ask, streams=self.streams)
                    edits += self._one(tokens, at + 1, behind, own)
                case "ORDER" | "SORT":
                    own = TextTyper(typer.scope.with_aliases(aliases), typer.ask, streams=self.streams)
                    found_edits = self._several(tokens, at + 2, behind, own)
                    edits += [self._by_position(tokens, edit, listed_at) for edit in found_edits]
        return edits

    def _by_position(self, tokens: Sequence[Token], edit: Edit, positions: Mapping[tuple[str, ...], int]) -> Edit:
        """What rows are sorted by, as a position in the SELECT list if it stands there: the engine may lose track of
        long expressions in a sort.
        """
        words_of = tuple(token.text for token in tokens if edit.start <= token.start < edit.end)
        position = positions.get(words_of)
        return edit if position is None else Edit(edit.start, edit.end, str(position))

    def _listed(
        self, tokens: Sequence[Token], start: int, end: int, typer: TextTyper, aliases: dict[str, pa.DataType | None]
    ) -> Iterator[Edit]:
        """The columns of a SELECT list; one that changes keeps its name."""
        if start < end and tokens[start].word in ("DISTINCT", "ALL"):
            start += 1
        for first, behind in _columns(tokens, start, end):
            changed, kind = typer.part(self.text, tokens, first, behind)
            named = has_alias(tokens[first:behind])
            if named:
                aliases[tokens[behind - 1].name or ""] = kind
            if changed is not None:
                text = self._text(tokens, first, behind)
                alias = "" if named else f" AS {quote(shown(text, typer.scope.has))}"
                yield Edit(tokens[first].start, tokens[behind - 1].end, changed + alias)

    def _one(self, tokens: Sequence[Token], start: int, end: int, typer: TextTyper) -> Iterator[Edit]:
        if start >= end:
            return
        changed, _ = typer.part(self.text, tokens, start, end)
        if changed is not None:
            yield Edit(tokens[start].start, tokens[end - 1].end, changed)

    def _several(self, tokens: Sequence[Token], start: int, end: int, typer: TextTyper) -> Iterator[Edit]:
        for first, item_end in _columns(tokens, start, end):
            behind = item_end
            while behind > first and tokens[behind - 1].word in _ORDER_WORDS:
                behind -= 1
            yield from self._one(tokens, first, behind, typer)

    def _rows(self, tokens: Sequence[Token], at: int) -> Iterator[Edit]:
        """The values of an inline table, whose VALUES is token `at`."""
        typer = TextTyper(Scope(None), lambda e: self._ask(e, ""), streams=self.streams)
        while at + 1 < len(tokens) and tokens[at + 1].is_symbol("("):
            behind = closing(tokens, at + 1)
            for item in _columns(tokens, at + 2, behind):
                yield from self._one(tokens, *item, typer)
            at = behind + 1
            if at >= len(tokens) or not tokens[at].is_symbol(","):
                return

    def _typer(self, source: str) -> TextTyper | None:
        """The typer for expressions over a FROM clause; None if the clause cannot be analysed."""
        schema = self._schema(source) if source else None
        if source and schema is None:
            return None
        return TextTyper(Scope(schema), lambda e: self._ask(e, source), streams=self.streams)

    def _without_conditions(
        self,
        tokens: Sequence[Token],
        place: tuple[int, int],
        conditions: Sequence[tuple[int, int]],
        *,
        widened: bool = False,
    ) -> str:
        """A FROM clause that can be analysed, whatever the conditions of its joins; `widened`: with all columns."""
        if place[0] >= place[1]:
            return ""
        begin, end = tokens[place[0]].start, tokens[place[1] - 1].end
        edits = [Edit(tokens[first].start, tokens[behind - 1].end, "true") for first, behind in conditions]
        if widened:
            edits += [
                Edit(tokens[at].start, tokens[at].end, "")
                for at in outside(tokens, *place, words("SEMI ANTI"))
                if not any(first <= at < behind for first, behind in conditions)
            ]
        edits = sorted((Edit(e.start - begin, e.end - begin, e.text) for e in edits), key=lambda edit: edit.start)
        return splice(self.text[begin:end], edits)

    def _schema(self, source: str) -> pa.Schema | None:
        return self.schema_of(f"{self.prefix}SELECT * {source}")

    def _ask(self, expression: pb.Expression, source: str) -> pa.DataType | None:
        schema = self.schema_of(f"{self.prefix}SELECT {sql(expression)} AS x {source}")
        return None if schema is None else schema[0].type

    def _text(self, tokens: Sequence[Token], start: int, end: int) -> str:
        return self.text[tokens[start].start : tokens[end - 1].end] if start < end else ""


def _positions(tokens: Sequence[Token], start: int, end: int) -> dict[tuple[str, ...], int]:
    """The texts of the items of a SELECT list without their aliases, with their positions; none if one may be many."""
    if start < end and tokens[start].word in ("DISTINCT", "ALL"):
        start += 1
    found: dict[tuple[str, ...], int] = {}
    for position, (first, behind) in enumerate(_columns(tokens, start, end), start=1):
        if tokens[behind - 1].is_symbol("*"):
            return {}
        named = has_alias(tokens[first:behind])
        end_of_value = behind - (named and 1 + (tokens[behind - 2].word == "AS"))
        found.setdefault(tuple(token.text for token in tokens[first:end_of_value]), position)
    return found


def _opens_windows(tokens: Sequence[Token], at: int) -> bool:
    """Whether the WINDOW at `at` is the clause, not a function or column of that name."""
    return at + 2 < len(tokens) and tokens[at + 2].word == "AS"


def _conditions(tokens: Sequence[Token], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the join conditions begin and end."""
    for at in outside(tokens, start, end, words("ON")):
        behind = next(outside(tokens, at + 1, end, _ENDS_CONDITION, calls=False), end)
        yield at + 1, next((i for i in outside(tokens, at + 1, behind, None) if tokens[i].is_symbol(",")), behind)


def _selects(tokens: Sequence[Token], start: int) -> Iterator[tuple[int, int]]:
    """Each SELECT outside brackets: its position, and the end of what belongs to it."""
    ends = [*outside(tokens, start, len(tokens), SET_OPERATIONS), len(tokens)]
    for at in outside(tokens, start, len(tokens), words("SELECT")):
        end = next(found for found in ends if found > at)
        while end > at and tokens[end - 1].is_symbol(";"):
            end -= 1
        yield at, end


def _columns(tokens: Sequence[Token], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The items of a list, none of them empty."""
    return ((first, behind) for first, behind in items(tokens, start, end) if first < behind)
