"""SQL expressions as trees that know the position of each part in the text.

`sql_expressions` turns an expression into messages, for code that needs its content. Here the text stays and only a few
places in it change, so unknown syntax need not be understood: it becomes a part without a name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from riacho.server.engine.sail.typed.arithmetic import DAYS, MONTHS, TIME
from riacho.server.engine.sail.typed.names import type_named
from riacho.server.sql.interval_literals import read_interval
from riacho.server.sql.tokens import Token, closing, identifier
from riacho.server.sql.words import IN_BRACKETS, words
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ

NodeKind = Literal["column", "literal", "call", "infix", "case", "cast", "field", "lambda", "group", "opaque"]


@dataclass
class Node:
    """A part of an expression, from token `start` up to `end`.

    `name`: of a call or an operator, in lower case. `parts`: of a column or a field, or the names of a lambda. `fixed`:
    a call with DISTINCT or something after its brackets, which must remain a call of that function. `kind_of`: the type
    of a literal or a cast. `condition`: that of a FILTER.
    """

    kind: NodeKind
    start: int
    end: int
    name: str = ""
    children: list[Node] = field(default_factory=list)
    parts: tuple[str, ...] = ()
    fixed: bool = False
    kind_of: pa.DataType | None = None
    condition: Node | None = None


class UnknownSyntaxError(Exception):
    """Not an expression that this reader knows."""


_COMPARISONS = {"=": "==", "==": "==", "<=>": "<=>", "<>": "!=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_LEVELS: tuple[dict[str, str], ...] = (
    {"|": "|"},
    {"^": "^"},
    {"&": "&"},
    {"+": "+", "-": "-", "||": "concat"},
    {"*": "*", "/": "/", "%": "%", "DIV": "div"},
)
"""Binary operators, from the lowest precedence to the highest."""

_TYPED = {"DATE": pa.date32(), "TIMESTAMP": TIMESTAMP, "TIMESTAMP_NTZ": TIMESTAMP_NTZ, "TIMESTAMP_LTZ": TIMESTAMP,
          "X": pa.binary()}  # fmt: skip
_SUFFIXES = {"L": pa.int64(), "S": pa.int16(), "Y": pa.int8(), "D": pa.float64(), "F": pa.float32()}
_TIMES = words("hour minute second millisecond microsecond")
_CALENDAR = words("month year")
_WITHOUT_BRACKETS = words("CURRENT_DATE CURRENT_TIMESTAMP LOCALTIMESTAMP CURRENT_USER")
_RESERVED = words(
    "AND OR NOT WHEN THEN ELSE END IN IS LIKE ILIKE RLIKE REGEXP BETWEEN SELECT FROM WHERE AS DISTINCT GROUP ORDER "
    "HAVING LIMIT UNION EXCEPT INTERSECT JOIN ON USING OVER FILTER ESCAPE"
)
_TAILS = words("FILTER OVER WITHIN IGNORE RESPECT")
_LONG_LIMIT = 1 << 63
_INT_LIMIT = 1 << 31
_MOST_DIGITS = 38


def number_type(text: str) -> pa.DataType | None:
    """The type of a number, as written in SQL text."""
    upper = text.upper()
    if upper.isdigit():
        value = int(upper)
        if value < _INT_LIMIT:
            return pa.int32()
        return pa.int64() if value < _LONG_LIMIT else _decimal(upper)
    if upper.endswith("BD"):
        return _decimal(upper[:-2])
    if upper[-1] in _SUFFIXES:
        return _SUFFIXES[upper[-1]]
    return pa.float64() if "E" in upper else _decimal(upper)


def _decimal(text: str) -> pa.DataType | None:
    whole, _, behind = text.partition(".")
    if not (whole + behind).isdigit():
        return None
    digits = max(len((whole + behind).lstrip("0")), len(behind), 1)
    return pa.decimal128(digits, len(behind)) if digits <= _MOST_DIGITS else None


class Reader:
    """Reads the expression in `tokens[start:end]`."""

    def __init__(self, tokens: Sequence[Token], start: int, end: int) -> None:
        self._tokens = tokens
        self._at = start
        self._end = end

    def whole(self) -> Node:
        """The expression up to the end. Raises UnknownSyntaxError."""
        node = self._or()
        if self._at != self._end:
            raise UnknownSyntaxError
        return node

    def _or(self) -> Node:
        return self._joined("OR", self._and)

    def _and(self) -> Node:
        return self._joined("AND", self._not)

    def _joined(self, word: str, inner: Callable[[], Node]) -> Node:
        left = inner()
        while self._word() == word:
            self._at += 1
            right = inner()
            left = Node("infix", left.start, self._at, word.lower(), [left, right])
        return left

    def _not(self) -> Node:
        if self._word() == "NOT" or self._symbol() == "!":
            start = self._at
            self._at += 1
            inner = self._not()
            return Node("group", start, self._at, "not", [inner])
        return self._predicate()

    def _predicate(self) -> Node:
        left = self._binary(0)
        while True:
            if (name := _COMPARISONS.get(self._symbol())) is not None:
                self._at += 1
                right = self._binary(0)
                left = Node("infix", left.start, self._at, name, [left, right])
                continue
            negated = self._word() == "NOT"
            word = self._word(1) if negated else self._word()
            if word not in ("BETWEEN", "IN", "LIKE", "ILIKE", "RLIKE", "REGEXP", "IS"):
                return left
            self._at += 1 + negated
            found = self._rest_of_predicate(word, left)
            if negated and found.kind == "infix":
                found.name = f"not {found.name}"
            left = found

    def _rest_of_predicate(self, word: str, left: Node) -> Node:
        match word:
            case "BETWEEN":
                low = self._binary(0)
                if self._word() != "AND":
                    raise UnknownSyntaxError
                self._at += 1
                high = self._binary(0)
                return Node("infix", left.start, self._at, "between", [left, low, high])
            case "IN":
                if self._symbol() != "(":
                    raise UnknownSyntaxError
                behind = self._closing()
                if self._word(1) in IN_BRACKETS:
                    self._at = behind
                    return Node("group", left.start, behind, "in_query", [left])
                items = self._list(behind)
                return Node("infix", left.start, self._at, "in", [left, *items])
            case "IS":
                self._at += self._word() == "NOT"
                if self._word() == "DISTINCT":
                    self._at += 2
                    right = self._binary(0)
                    return Node("group", left.start, self._at, "distinct", [left, right])
                self._at += 1
                return Node("group", left.start, self._at, "is", [left])
            case _:
                if self._word() in ("ANY", "ALL", "SOME"):
                    self._at += 1
                    self._at = self._closing()
                    return Node("group", left.start, self._at, "like", [left])
                right = self._binary(0)
                if self._word() == "ESCAPE":
                    self._at += 2
                return Node("group", left.start, self._at, "like", [left, right])

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._sign()
        left = self._binary(level + 1)
        while (name := _LEVELS[level].get(self._symbol() or self._word())) is not None:
            self._at += 1
            right = self._binary(level + 1)
            left = Node("infix", left.start, self._at, name, [left, right])
        return left

    def _sign(self) -> Node:
        symbol = self._symbol()
        if symbol not in ("-", "+", "~"):
            return self._postfix()
        start = self._at
        self._at += 1
        inner = self._sign()
        name = {"-": "negative", "+": "positive"}.get(symbol, "bitwise_not")
        return Node("infix", start, self._at, name, [inner])

    def _postfix(self) -> Node:
        node = self._primary()
        while True:
            symbol = self._symbol()
            if symbol == "[":
                behind = self._closing_square()
                index = self._list(behind)
                node = Node("field", node.start, behind, "[]", [node, *index])
            elif symbol == "." and self._at + 1 < self._end and self._tokens[self._at + 1].name is not None:
                name = self._tokens[self._at + 1].name or ""
                self._at += 2
                node = Node("field", node.start, self._at, ".", [node], (name,))
            elif symbol == "::":
                first = self._at + 1
                self._at += 2
                if self._symbol() == "<":
                    raise UnknownSyntaxError
                if self._symbol() == "(":
                    self._at = self._closing()
                kind = type_named(" ".join(token.text for token in self._tokens[first : self._at]))
                node = Node("cast", node.start, self._at, "::", [node], kind_of=kind)
            else:
                return node

    def _primary(self) -> Node:
        if self._at >= self._end:
            raise UnknownSyntaxError
        token, start = self._tokens[self._at], self._at
        if token.kind == "number":
            self._at += 1
            return Node("literal", start, self._at, kind_of=number_type(token.text))
        if token.kind == "string":
            self._at += 1
            while self._at < self._end and self._tokens[self._at].kind == "string":
                self._at += 1
            return Node("literal", start, self._at, kind_of=pa.string())
        if token.is_symbol("("):
            return self._bracket()
        if token.is_symbol("*"):
            self._at += 1
            return Node("opaque", start, self._at)
        if token.name is None:
            raise UnknownSyntaxError
        behind = self._tokens[start + 1] if start + 1 < self._end else None
        is_call = behind is not None and behind.is_symbol("(")
        if not is_call:
            return self._word_or_column(token, behind)
        match token.word:
            case "CAST" | "TRY_CAST":
                return self._cast()
            case "EXTRACT" | "TRIM" | "POSITION":
                return self._opaque_call(token)
            case word if word in _RESERVED:
                raise UnknownSyntaxError
        return self._overlay(token) if token.word == "OVERLAY" else self._call(token)

    def _word_or_column(self, token: Token, behind: Token | None) -> Node:
        start = self._at
        if token.word == "CASE":
            return self._case()
        if token.word == "INTERVAL" and behind is not None and behind.text != ".":
            return self._interval()
        if token.word in _TYPED and behind is not None and behind.kind == "string":
            self._at += 2
            return Node("literal", start, self._at, kind_of=_TYPED[token.word])
        if token.word in ("TRUE", "FALSE", "NULL"):
            self._at += 1
            return Node("literal", start, self._at, kind_of=pa.null() if token.word == "NULL" else pa.bool_())
        if token.word in _WITHOUT_BRACKETS:
            self._at += 1
            return Node("call", start, self._at, token.word.lower())
        if token.word in _RESERVED:
            raise UnknownSyntaxError
        parts, position = identifier(self._tokens[: self._end], start)
        self._at = position
        if self._symbol() == "(":  # a function of a database
            self._at = self._closing()
            return Node("opaque", start, self._at)
        if self._symbol() == "." and self._tokens[self._at + 1].is_symbol("*"):
            self._at += 2
            return Node("opaque", start, self._at)
        if self._symbol() == "->":
            self._at += 1
            body = self._or()
            return Node("lambda", start, self._at, "", [body], parts)
        return Node("column", start, self._at, parts=parts)

    def _bracket(self) -> Node:
        start, behind = self._at, self._closing()
        if self._word(1) in IN_BRACKETS:
            self._at = behind
            return Node("opaque", start, behind, "query")
        items = self._list(behind)
        if self._symbol() == "->":
            self._at += 1
            body = self._or()
            return Node("lambda", start, self._at, "", [body], tuple(".".join(item.parts) for item in items))
        return Node("group", start, behind, "()" if len(items) == 1 else "row", items)

    def _overlay(self, token: Token) -> Node:
        """`OVERLAY(a PLACING b FROM position [FOR length])`, or as an ordinary call."""
        start = self._at
        self._at += 1
        behind = self._closing()
        self._at = start + 2
        children = [self._or()]
        for word in ("PLACING", "FROM", "FOR"):
            if self._word() == word:
                self._at += 1
                children.append(self._or())
        if len(children) < 3 or self._at != behind - 1:
            self._at = start
            return self._call(token)
        self._at = behind
        return Node("call", start, behind, "overlay", children)

    def _call(self, token: Token) -> Node:
        start, opening = self._at, self._at + 1
        self._at = opening
        behind = self._closing()
        distinct = self._word(1) in ("DISTINCT", "ALL")
        try:
            self._at = opening + distinct
            children = self._list(behind)
        except UnknownSyntaxError:
            self._at = behind
            return self._tail(Node("opaque", start, behind, token.text.strip("`").lower()))
        node = Node("call", start, behind, token.text.strip("`").lower(), children, fixed=distinct)
        return self._tail(node)

    def _tail(self, node: Node) -> Node:
        """What follows the brackets of an aggregate or window function."""
        while self._word() in _TAILS:
            node.fixed = True
            word = self._word()
            if word in ("IGNORE", "RESPECT"):
                self._at += 2
                continue
            self._at += 2 if word == "WITHIN" else 1
            if word == "FILTER" and self._symbol() == "(":
                node.condition = self._filter()
            elif self._symbol() == "(":
                self._at = self._closing()
            elif word == "OVER":
                self._at += 1  # a named window
            else:
                raise UnknownSyntaxError
        node.end = self._at
        return node

    def _filter(self) -> Node | None:
        """The condition between the brackets of a FILTER; None if it is not understood."""
        behind = self._closing()
        outer, self._end = self._end, behind - 1
        self._at += 2  # the bracket, WHERE
        try:
            condition = self._or()
            return condition if self._at == self._end else None
        except UnknownSyntaxError:
            return None
        finally:
            self._end, self._at = outer, behind

    def _opaque_call(self, token: Token) -> Node:
        start = self._at
        self._at += 1
        self._at = self._closing()
        return Node("opaque", start, self._at, token.word.lower())

    def _cast(self) -> Node:
        start = self._at
        self._at += 1
        behind = self._closing()
        self._at += 1
        inner = self._or()
        if self._word() != "AS":
            raise UnknownSyntaxError
        first, self._at = self._at + 1, behind
        text = " ".join(token.text for token in self._tokens[first : behind - 1])
        name = "try_cast" if self._tokens[start].word == "TRY_CAST" else "cast"
        return Node("cast", start, behind, name, [inner], kind_of=type_named(text))

    def _case(self) -> Node:
        """Children: condition, value, condition, value, …, the value of ELSE; `parts`: ("operand",) if it has one."""
        start = self._at
        self._at += 1
        children: list[Node] = []
        operand: list[Node] = []
        if self._word() != "WHEN":
            operand = [self._or()]
        while self._word() == "WHEN":
            self._at += 1
            children.append(self._or())
            if self._word() != "THEN":
                raise UnknownSyntaxError
            self._at += 1
            children.append(self._or())
        if self._word() == "ELSE":
            self._at += 1
            children.append(self._or())
        if self._word() != "END" or not children:
            raise UnknownSyntaxError
        self._at += 1
        if operand:
            return Node("case", start, self._at, "case", children, ("operand",))
        return Node("case", start, self._at, "case", children)

    def _interval(self) -> Node:
        start = self._at
        found, self._at = read_interval(self._tokens, start + 1, self._end)
        if found is None:
            raise UnknownSyntaxError
        calendar, times = bool(found.units & _CALENDAR), bool(found.units - _CALENDAR)
        kind = None
        if calendar != times:
            kind = MONTHS if calendar else TIME if found.units & _TIMES else DAYS
        return Node("literal", start, self._at, "interval", kind_of=kind)

    def _list(self, behind: int) -> list[Node]:
        """The items between the bracket at the current position and the one before token `behind`."""
        self._at += 1
        outer, self._end = self._end, behind - 1
        items: list[Node] = []
        try:
            while self._at < self._end:
                if items:
                    if self._symbol() != ",":
                        raise UnknownSyntaxError
                    self._at += 1
                items.append(self._or())
        finally:
            self._end = outer
        self._at = behind
        return items

    def _closing(self) -> int:
        """The token after the bracket that closes the one at the current position."""
        found = closing(self._tokens, self._at) + 1
        if found > self._end:
            raise UnknownSyntaxError
        return found

    def _closing_square(self) -> int:
        depth = 0
        for position in range(self._at, self._end):
            depth += self._tokens[position].is_symbol("[") - self._tokens[position].is_symbol("]")
            if depth == 0:
                return position + 1
        raise UnknownSyntaxError

    def _word(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at].word if at < self._end else ""

    def _symbol(self) -> str:
        token = self._tokens[self._at] if self._at < self._end else None
        return token.text if token is not None and token.kind == "symbol" else ""
