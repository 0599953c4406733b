"""Rewrites SQL text for the engine: a few pieces are replaced, and the rest stays as it was written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from riacho.errors import UnsupportedOperationError
from riacho.protos import pb
from riacho.server.engine.sail.dialect import java_regex, lambdas
from riacho.server.engine.sail.dialect.avro import NEEDS_TYPES
from riacho.server.engine.sail.dialect.branches import typed_branches
from riacho.server.engine.sail.dialect.functions import (
    AGGREGATES,
    FUNCTIONS,
    LISTS,
    NAMED,
    has_cast,
    named_apart,
    not_over_rows,
    without_nulls,
)
from riacho.server.plan import build
from riacho.server.plan.from_sql.expressions import read_expression, text_expression
from riacho.server.plan.from_sql.grouping import AGGREGATES as ALL_AGGREGATES
from riacho.server.plan.from_sql.select_items import Call, Role, name_columns
from riacho.server.plan.literals import int_literal
from riacho.server.plan.notation import sql
from riacho.server.plan.text import column_name
from riacho.server.sql.pieces import items
from riacho.server.sql.tokens import Edit, Token, closing, splice, string_literal, string_value, tokenize

_MATCHES = ("RLIKE", "REGEXP")
_WITH_NULLS = "UNPIVOT /* INCLUDE NULLS */"
SUSPECTS = "|".join(
    (
        rf"\b(?:{'|'.join(sorted({*FUNCTIONS, *LISTS, 'extract'}))})\s*\(",
        r"\b(?:(?:try_)?cast|double|float|(?:big|small|tiny)?int|decimal|boolean|date|binary)\s*\(|::",
        r"\b(?:case|rlike|regexp|unpivot)\b",
        "''",
        '""',
    )
)
"""Lower-case text that may have to change contains one of these."""

_SUSPECTS = re.compile(SUSPECTS)


def in_engine_words(
    text: str, role: Role = "query", *, aggregates: bool = True, in_aggregate: bool = False, streams: bool = False
) -> str:
    """`text` rewritten for the engine; the same object if nothing has to change.

    `aggregates`: whether aggregate functions are rewritten too. `in_aggregate`: whether the text is part of an
    aggregation. `streams`: whether it is about a stream. Raises UnsupportedOperationError.
    """
    if _SUSPECTS.search(text.lower()) is None:
        return text
    edits, calls = _Replacements(text, aggregates=aggregates, in_aggregate=in_aggregate, streams=streams).changes()
    if not edits:
        return text
    return splice(text, [*edits, *name_columns(text, calls, role)])


class _Replacements:
    """The pieces of one text that change. They never nest, because a piece is rewritten with everything inside it."""

    def __init__(self, text: str, *, aggregates: bool, in_aggregate: bool, streams: bool) -> None:
        self._text = text
        self._streams = streams
        self._tokens = tokenize(text)
        self._aggregates = aggregates
        self._bare = frozenset(range(len(self._tokens))) if in_aggregate else _in_aggregates(self._tokens)
        """The tokens inside aggregate functions."""

    def changes(self) -> tuple[list[Edit], list[Call]]:
        """All edits, and those among them that would change the name of a column."""
        edits = self._edits(0, len(self._tokens))
        calls = [
            Call(edit.start, edit.end, shown(self._text[edit.start : edit.end]))
            for edit in edits
            if self._text[edit.start] not in "'\"" and edit.text != _WITH_NULLS
        ]
        return edits, calls

    def _edits(self, start: int, end: int) -> list[Edit]:
        """What changes among the tokens from `start` up to `end`."""
        edits: list[Edit] = []
        at = start
        while at < end:
            behind, new = self._piece(at, end)
            if new is not None:
                edits.append(Edit(self._tokens[at].start, self._tokens[behind - 1].end, new))
            at = behind
        return edits

    def _piece(self, at: int, end: int) -> tuple[int, str | None]:
        """The token after the piece that begins at token `at`, and its replacement, if any."""
        token = self._tokens[at]
        if token.kind == "string":
            return at + 1, self._string(at)
        follows_dot = at > 0 and self._tokens[at - 1].is_symbol(".")
        if token.kind == "word" and not follows_dot:
            if token.word == "UNPIVOT":
                return self._unpivot(at, end)
            if token.word == "CASE" and (piece := self._case(at, end)) is not None:
                return piece
            if at + 1 < end and self._tokens[at + 1].is_symbol("("):
                behind = closing(self._tokens, at + 1) + 1
                if behind <= end:
                    return self._call(at, behind)
        return at + 1, None

    def _unpivot(self, at: int, end: int) -> tuple[int, str | None]:
        """`UNPIVOT INCLUDE NULLS (…)` is what the engine's UNPIVOT does; it has no other form."""
        words = [token.word for token in self._tokens[at + 1 : min(at + 3, end)]]
        if words == ["INCLUDE", "NULLS"]:
            return at + 3, _WITH_NULLS
        if self._text.startswith(_WITH_NULLS, self._tokens[at].start):
            return at + 1, None
        if words[:1] == ["EXCLUDE"] or (at + 1 < end and self._tokens[at + 1].is_symbol("(")):
            raise UnsupportedOperationError(
                "UNPIVOT without nulls is not supported: the engine would keep the nulls. Write UNPIVOT INCLUDE NULLS, "
                "and filter the result with WHERE … IS NOT NULL."
            )
        return at + 1, None

    def _string(self, at: int) -> str | None:
        """A string: a pattern after RLIKE, or one that contains a doubled quote."""
        token = self._tokens[at]
        if at and self._tokens[at - 1].word in _MATCHES:
            pattern = java_regex.pattern(string_value(token))
            return None if pattern == string_value(token) else string_literal(pattern)
        quote = token.text[0]
        if quote in "rR" or quote * 2 not in token.text[1:-1]:
            return None
        return quote + _escaped_quotes(token.text[1:-1], quote) + quote

    def _call(self, at: int, behind: int) -> tuple[int, str | None]:
        """A call, up to the token `behind` its closing bracket, or behind that of its window of rows."""
        name = self._tokens[at].text.lower()
        following = self._tokens[behind].word if behind < len(self._tokens) else ""
        if following == "OVER" and name in LISTS:
            return self._list_over_rows(at, behind)
        if name == "extract":
            new = self._extract(at, behind)
            return (at + 1, None) if new is None else (behind, sql(new))
        if name in NAMED and self._aggregates:
            return self._of_cast(at, behind)
        entry = FUNCTIONS.get(name)
        if entry is None or (name in AGGREGATES and not self._aggregates) or (name in NEEDS_TYPES and self._streams):
            return at + 1, None
        has_lambda = any(token.text == "->" for token in self._tokens[at:behind])
        if name in lambdas.NAMES and (at in self._bare or not has_lambda):
            return at + 1, None  # perhaps EXISTS (SELECT …) or FILTER (WHERE …)
        if name in AGGREGATES and following == "OVER":
            raise not_over_rows(name)
        places = self._arguments(at + 2, behind - 1)
        arguments = [self._argument(first, last) for first, last in places]
        filtered = behind
        if name in AGGREGATES and following == "FILTER":
            filtered = self._filter(behind, arguments)
        new = entry(arguments)
        if new is not None:
            return filtered, sql(lambdas.bare(new) if at in self._bare else new)
        edits = self._changed(places, arguments)
        return behind, self._spliced(at, behind, edits) if edits else None

    def _of_cast(self, at: int, behind: int) -> tuple[int, str | None]:
        """An aggregate function, perhaps with casts in its arguments."""
        start = at + 2 + (at + 2 < behind and self._tokens[at + 2].word in ("DISTINCT", "ALL"))
        places = self._arguments(start, behind - 1)
        arguments = [self._argument(first, last) for first, last in places]
        if not any(map(has_cast, arguments)):
            return at + 1, None
        new = [named_apart(argument) if has_cast(argument) else argument for argument in arguments]
        return behind, self._spliced(at, behind, self._changed(places, new))

    def _filter(self, at: int, arguments: list[pb.Expression]) -> int:
        """`FILTER (WHERE c)` at token `at`, which becomes part of the first argument; returns the token after it."""
        behind = closing(self._tokens, at + 1) + 1
        if behind <= len(self._tokens) and at + 3 < behind - 1:
            condition = self._argument(at + 3, behind - 1)
            arguments[0] = build.call("if", condition, arguments[0], build.null())
        return behind

    def _list_over_rows(self, at: int, behind: int) -> tuple[int, str | None]:
        """`collect_list(x) OVER (…)`, or over a named window."""
        has_name = behind + 1 < len(self._tokens) and not self._tokens[behind + 1].is_symbol("(")
        end = behind + 2 if has_name else closing(self._tokens, behind + 1) + 1
        if end > len(self._tokens) or (at > 1 and self._tokens[at - 2].text == "filter"):
            return at + 1, None
        return end, sql(without_nulls(text_expression(self._spliced(at, end, self._edits(at + 1, end)))))

    def _extract(self, at: int, behind: int) -> pb.Expression | None:
        """`extract(field FROM x)`."""
        tokens = self._tokens[at:behind]
        if len(tokens) < 6 or tokens[3].word != "FROM" or tokens[2].kind not in ("word", "string"):
            return None
        field = string_literal(tokens[2].text.strip("'\""))
        return FUNCTIONS["date_part"]([text_expression(field), self._argument(at + 4, behind - 1)])

    def _case(self, at: int, end: int) -> tuple[int, str | None] | None:
        """`CASE … END`; None if it has no END."""
        marks = _marks(self._tokens, at, end)
        if marks is None:
            return None
        last = marks[-1]
        values = [(mark + 1, behind) for mark, behind in pairwise(marks) if self._tokens[mark].word != "WHEN"]
        between = pairwise([(at, at + 1), *values, (last, last + 1)])
        edits = [edit for (_, first), (behind, _) in between for edit in self._edits(first, behind)]
        arguments = [self._argument(first, behind) for first, behind in values]
        edits += self._changed(values, typed_branches(arguments) or arguments)
        return last + 1, self._spliced(at, last + 1, edits) if edits else None

    def _changed(self, places: Sequence[tuple[int, int]], new: Sequence[pb.Expression]) -> list[Edit]:
        """The edits that replace arguments with new ones."""
        spans = [
            (self._tokens[first].start, self._tokens[behind - 1].end) for first, behind in places if first < behind
        ]
        texts = [sql(argument) for argument, (first, behind) in zip(new, places, strict=True) if first < behind]
        return [Edit(*span, text) for span, text in zip(spans, texts, strict=True) if text != self._text[slice(*span)]]

    def _arguments(self, start: int, end: int) -> list[tuple[int, int]]:
        """Where each argument of a call begins and ends; its brackets enclose the tokens `start` up to `end`."""
        return items(self._tokens, start, end) if start < end else []

    def _argument(self, first: int, behind: int) -> pb.Expression:
        """One argument, rewritten: a literal as a literal, `array(…)` as a call, anything else as text."""
        if first >= behind:
            return text_expression("")
        opens = self._tokens[first].word == "ARRAY" and first + 1 < behind and self._tokens[first + 1].is_symbol("(")
        if opens and closing(self._tokens, first + 1) == behind - 1:
            elements = self._arguments(first + 2, behind - 1)
            return build.call("array", *(self._argument(*element) for element in elements))
        number = _integer(self._tokens[first:behind])
        return number or text_expression(self._spliced(first, behind, self._edits(first, behind)))

    def _spliced(self, first: int, behind: int, edits: Sequence[Edit]) -> str:
        start, end = self._tokens[first].start, self._tokens[behind - 1].end
        return splice(self._text[start:end], [Edit(e.start - start, e.end - start, e.text) for e in edits])


def _escaped_quotes(inner: str, quote: str) -> str:
    """The inside of a string, with each doubled quote written as a backslash and a quote."""
    pieces, at = [], 0
    while at < len(inner):
        piece = inner[at : at + 2] if inner[at] in ("\\", quote) else inner[at]
        pieces.append("\\" + quote if piece == quote * 2 else piece)
        at += len(piece)
    return "".join(pieces)


def _in_aggregates(tokens: Sequence[Token]) -> frozenset[int]:
    """The tokens inside the brackets of aggregate functions and of the FILTER clauses that follow them."""
    inside: set[int] = set()
    if not any(token.text == "->" or token.word == "INITCAP" for token in tokens):
        return frozenset()
    for at, (token, following) in enumerate(pairwise(tokens)):
        if token.word.lower() in ALL_AGGREGATES and following.is_symbol("("):
            behind = closing(tokens, at + 1)
            if behind + 2 < len(tokens) and tokens[behind + 1].word == "FILTER":
                behind = closing(tokens, behind + 2)
            inside.update(range(at + 2, behind))
    return frozenset(inside)


def _integer(tokens: Sequence[Token]) -> pb.Expression | None:
    """The literal of an integer, with or without a minus sign."""
    negative = len(tokens) == 2 and tokens[0].is_symbol("-")
    if not tokens[-1].text.isdigit() or len(tokens) > 1 + negative:
        return None
    value = -int(tokens[-1].text) if negative else int(tokens[-1].text)
    return int_literal(value) if abs(value) < 1 << 31 else None


def shown(text: str) -> str:
    """A piece of text as the name of a column shows it."""
    tokens = tokenize(text)
    if tokens[0].word != "CASE":
        return column_name(read_expression(text))
    marks = _marks(tokens, 0, len(tokens))
    if marks is None:
        return text

    def name(first: int, behind: int) -> str:
        return column_name(read_expression(text[tokens[first].start : tokens[behind - 1].end]))

    operand = name(1, marks[0]) if marks[0] > 1 else None
    shown = ["CASE"]
    for mark, following in pairwise(marks):
        part = name(mark + 1, following)
        is_compared = operand is not None and tokens[mark].word == "WHEN"
        shown += [tokens[mark].word, f"({operand} = {part})" if is_compared else part]
    return " ".join([*shown, "END"])


def _marks(tokens: Sequence[Token], at: int, end: int) -> list[int] | None:
    """The positions of WHEN, THEN, ELSE and END of the CASE at token `at`; None if it has no END."""
    marks, depth, position = [], 0, at + 1
    while position < end:
        token = tokens[position]
        if token.is_symbol("("):
            position = closing(tokens, position)
        elif token.word == "CASE":
            depth += 1
        elif token.word == "END" and depth:
            depth -= 1
        elif not depth and token.word in ("WHEN", "THEN", "ELSE", "END"):
            marks.append(position)
            if token.word == "END":
                return marks
        position += 1
    return None
