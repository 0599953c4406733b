"""Which columns expressions mention, from both sides: those that they surely do, and those that they may.

An expression tree names its columns. SQL text that nobody has taken apart does too: a column that it uses stands in it
as a word, unless it is meant by a star, or by something that means all columns without saying so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from operator import or_

from riacho.identifiers import column_parts, last_part
from riacho.protos import pb
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.walk import expressions
from riacho.server.sql.references import table_references
from riacho.server.sql.tokens import Token, tokenize
from riacho.server.sql.words import NO_ALIAS, words


@dataclass(frozen=True)
class Names:
    """Columns by name, as written: those `named`, and unless `all_but` is None all others but those in it.

    `beneath`: names that may mean a column further down, though another one of that name was made above it: `t.a` and
    `df["a"]` do so after `withColumn("a", …)`.

    Two names that differ in case may mean one column or two, as the session has it. So a column is in here if it is so
    under one of both readings.
    """

    named: frozenset[str] = frozenset()
    all_but: frozenset[str] | None = None
    beneath: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._lower or (self.all_but is not None and name not in self.all_but)

    @cached_property
    def _lower(self) -> frozenset[str]:
        return frozenset(name.lower() for name in self.named | self.beneath)

    def __or__(self, other: Names) -> Names:
        both = [names.all_but for names in (self, other) if names.all_but is not None]
        all_but = frozenset.intersection(*both) if both else None
        return Names(self.named | other.named, all_but, self.beneath | other.beneath)

    @property
    def asked_for(self) -> Names:
        """Those that stand there by name."""
        return Names(self.named, beneath=self.beneath)

    def without(self, names: Iterable[str]) -> Names:
        gone = frozenset(names)
        return Names(self.named - gone, None if self.all_but is None else self.all_but | gone, self.beneath)


EVERY = Names(all_but=frozenset())


@dataclass(frozen=True)
class Usage:
    """What is known of the columns that are used: those in `surely` are, those outside of `perhaps` are not.

    Names in `surely` are in lower case.
    """

    surely: frozenset[str] = frozenset()
    perhaps: Names = Names()

    def __or__(self, other: Usage) -> Usage:
        return Usage(self.surely | other.surely, self.perhaps | other.perhaps)

    def without(self, names: Iterable[str]) -> Usage:
        gone = frozenset(names)
        return Usage(self.surely - {name.lower() for name in gone}, self.perhaps.without(gone))

    @property
    def doubtful(self) -> Usage:
        """The same columns, none of them for sure."""
        return Usage(frozenset(), self.perhaps)


def mentioned(given: Iterable[pb.Expression]) -> Usage:
    """The columns that expressions mention. A star among them, but that of `count(*)`, may mean all."""
    whole = [part for top in given for part in [top, *expressions(top)]]
    read = [part for text in map(structured, whole) for part in [text, *expressions(text)]]
    surely = (last_part(e.unresolved_attribute.unparsed_identifier) for e in read if e.HasField("unresolved_attribute"))
    stars = sum(e.HasField("unresolved_star") for e in whole) - sum(map(counts_rows, whole))
    perhaps = reduce(or_, map(_own_columns, whole), EVERY if stars else Names())
    return Usage(frozenset(surely), perhaps)


def named(*identifiers: str) -> Usage:
    """The columns of these names, as a client wrote them."""
    return Usage(frozenset(map(last_part, identifiers)), Names(frozenset().union(*map(_parts, identifiers))))


def named_in_text(sql: str) -> Names:
    """The columns that SQL text may use, be it an expression or a whole query."""
    tokens = tokenize(sql)
    if any(token.word in _MEANS_OTHERS or token.is_symbol("|>") for token in tokens) or _has_bare_from(tokens):
        return EVERY
    if _names_columns_anew(sql, tokens):
        return EVERY
    if any(_is_star(tokens, at) for at, token in enumerate(tokens) if token.is_symbol("*")):
        return EVERY
    # With `spark.sql.ansi.doubleQuotedIdentifiers` what stands in double quotes is a name.
    quoted = (token.text[1:-1] for token in tokens if token.kind == "string" and token.text.startswith('"'))
    every = frozenset([*quoted, *(token.name for token in tokens if token.name is not None)])
    behind_dots = (token.name for dot, token in pairwise(tokens) if dot.is_symbol("."))
    return Names(every, beneath=frozenset(name for name in behind_dots if name is not None))


_MAKERS_OF_ROWS = words(
    "EXPLODE EXPLODE_OUTER POSEXPLODE POSEXPLODE_OUTER INLINE INLINE_OUTER STACK JSON_TUPLE VARIANT_EXPLODE "
    "VARIANT_EXPLODE_OUTER UNNEST WINDOW SESSION_WINDOW"
)


def makes_rows(expression: pb.Expression) -> bool:
    """Whether a column decides how many rows there are, be it used or not: `explode(items)`, a sliding `window(ts)`."""
    return any(not function_names(e).isdisjoint(_MAKERS_OF_ROWS) for e in [expression, *expressions(expression)])


def function_names(expression: pb.Expression) -> set[str]:
    """The functions that this very expression calls, not those inside it, in upper case; of text all words."""
    match expression.WhichOneof("expr_type"):
        case "unresolved_function":
            return {expression.unresolved_function.function_name.rpartition(".")[2].upper()}
        case "call_function":
            return {expression.call_function.function_name.rpartition(".")[2].upper()}
        case "expression_string":
            return {token.word for token in tokenize(expression.expression_string.expression)}
        case _:
            return set()


_WORD = re.compile(r"\w+")
"""What else a name may be taken for, such as `items[0]`."""

_PLAIN = words(
    "literal unresolved_function alias cast sort_order lambda_function window unresolved_extract_value update_fields "
    "unresolved_named_lambda_variable common_inline_user_defined_function call_function named_argument_expression "
    "unresolved_star"
)
"""Expressions that use no column but by the expressions inside them."""


def _own_columns(expression: pb.Expression) -> Names:
    """What this very expression may use, not those inside it; stars aside."""
    match expression.WhichOneof("expr_type"):
        case "unresolved_attribute":
            attribute = expression.unresolved_attribute
            parts = _parts(attribute.unparsed_identifier)
            is_plain = len(parts) == 1 and not attribute.HasField("plan_id")
            return Names(parts, beneath=frozenset() if is_plain else parts)
        case "expression_string":
            return named_in_text(expression.expression_string.expression)
        case kind if kind in _PLAIN:
            return Names()
        case _:
            return EVERY


def _parts(identifier: str) -> frozenset[str]:
    """Each part of `a.b.c` may be the column: the others are then a table's name, or fields of a struct."""
    return frozenset([*column_parts(identifier), *_WORD.findall(identifier)])


def counts_rows(expression: pb.Expression) -> bool:
    """Whether this is `count(*)`."""
    function = expression.unresolved_function
    return (
        function.function_name.lower() == "count"
        and not function.is_distinct
        and len(function.arguments) == 1
        and function.arguments[0].HasField("unresolved_star")
    )


_MEANS_OTHERS = words("NATURAL PIVOT UNPIVOT TABLE IDENTIFIER")
"""Words by which text may use columns that it does not name."""

_BEFORE_STAR = words("SELECT DISTINCT ALL")


def _has_bare_from(tokens: list[Token]) -> bool:
    """Whether there may be a query that is `FROM t` and nothing else: it gives all columns."""
    froms = [at for at, token in enumerate(tokens) if token.word == "FROM"]
    selects = sum(token.word == "SELECT" for token in tokens)
    return len(froms) > selects or any(at == 0 or tokens[at - 1].is_symbol("(") for at in froms)


_TYPES = words("DECIMAL DEC NUMERIC CHAR CHARACTER VARCHAR TIMESTAMP TIME")
"""Types that may have something in brackets: `CAST(a AS DECIMAL(9, 2))`."""


def _names_columns_anew(sql: str, tokens: list[Token]) -> bool:
    """Whether the columns of a table get names by their number, as in `FROM t AS x(a, b)`."""
    if any(token.word == "AS" and _is_called(tokens, at + 1, _TYPES) for at, token in enumerate(tokens)):
        return True
    if not any(token.word == "FROM" for token in tokens):
        return False
    behind = {reference.behind for reference in table_references(sql, tokens)}
    starts = (at for at in range(1, len(tokens)) if tokens[at - 1].end in behind)
    return any(_is_called(tokens, at, NO_ALIAS) for at in starts)


def _is_called(tokens: list[Token], at: int, not_by: frozenset[str]) -> bool:
    """Whether a name, none of these words, stands there before a bracket."""
    if at + 1 >= len(tokens) or not tokens[at + 1].is_symbol("("):
        return False
    return tokens[at].name is not None and tokens[at].word not in not_by


def _is_star(tokens: list[Token], at: int) -> bool:
    """Whether the `*` there stands for columns: it does not multiply, nor count rows."""
    before = tokens[at - 1] if at else None
    if before is None or before.word in _BEFORE_STAR:
        return True
    if before.kind != "symbol" or before.text in (")", "]"):
        return False
    behind = tokens[at + 1] if at + 1 < len(tokens) else None
    counts = at > 1 and tokens[at - 2].word == "COUNT" and before.is_symbol("(")
    return not (counts and behind is not None and behind.is_symbol(")"))
