"""The name that Spark gives to a column that is an expression without an alias."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from riacho.server.engine.sail.typed.syntax import Node, Reader, UnknownSyntaxError
from riacho.server.plan.from_sql.expressions import text_expression
from riacho.server.plan.text import call_name, column_name
from riacho.server.sql.tokens import Token, string_value, tokenize

WINDOWS = frozenset({"window", "session_window"})
"""Functions whose columns are named after the function alone."""


def shown(text: str, is_column: Callable[[str], bool]) -> str:
    """The name for an expression's text; the text itself if it is not understood. `is_column`: against table names."""
    tokens = tokenize(text)
    try:
        node = Reader(tokens, 0, len(tokens)).whole()
    except UnknownSyntaxError:
        return text
    if node.name in WINDOWS:
        return node.name
    inner = node.children[0] if node.kind == "cast" and len(node.children) == 1 else node
    if inner is not node and inner.kind == "column":
        name = column_of(inner.parts, is_column)
        if name is not None:
            return name
    return _Namer(text, tokens, is_column).name(node)


def column_of(parts: Sequence[str], is_column: Callable[[str], bool]) -> str | None:
    """The column that `parts` name, perhaps behind names of tables: a cast of it is called so. None for a field."""
    rest = list(parts)
    while len(rest) > 1 and not is_column(rest[0]):
        del rest[0]
    return rest[0] if len(rest) == 1 else None


class _Namer:
    def __init__(self, text: str, tokens: Sequence[Token], is_column: Callable[[str], bool]) -> None:
        self._text = text
        self._tokens = tokens
        self._is_column = is_column

    def name(self, node: Node) -> str:  # noqa: C901, PLR0911, PLR0912
        children = [self.name(child) for child in node.children]
        match node.kind:
            case "column":
                parts = list(node.parts)
                while len(parts) > 1 and not self._is_column(parts[0]):
                    del parts[0]
                return ".".join(parts)
            case "literal":
                return self._literal(node)
            case "infix" | "call" if not node.fixed and node.name != "negative":
                if node.name.startswith("not "):
                    return f"(NOT {call_name(node.name.removeprefix('not '), children)})"
                return call_name(node.name, children)
            case "infix" if node.name == "negative":
                return call_name("negative", children)
            case "call" if self._tokens[node.end - 1].is_symbol(")") and self._is_distinct(node):
                return call_name(node.name, children, distinct=True)
            case "group" if node.name == "()":
                return children[0]
            case "group" if node.name == "not":
                return f"(NOT {children[0]})"
            case "group" if node.name == "is":
                words = " ".join(token.word for token in self._tokens[node.children[0].end : node.end])
                return f"({children[0]} {words})"
            case "case" if not node.parts:
                return call_name("when", children)
            case "cast" if node.name != "::":
                first, last = self._tokens[node.children[0].end + 1], self._tokens[node.end - 2]
                kind = self._text[first.start : last.end].upper()
                return f"{node.name.upper()}({children[0]} AS {kind})"
            case "cast":
                return f"CAST({children[0]} AS {self._tokens[node.end - 1].text.upper()})"
            case "field":
                return f"{children[0]}.{node.parts[0]}" if node.parts else f"{children[0]}[{', '.join(children[1:])}]"
            case "opaque" if self._piece(node) == "*":
                return "1"
            case "group" if node.name == "like":
                return self._like(node, children)
            case _:
                return self._piece(node)

    def _like(self, node: Node, children: Sequence[str]) -> str:
        """`a LIKE b` and similar operators, which may be negated."""
        between = [token.word for token in self._tokens[node.children[0].end : node.end]]
        operator = next((word for word in between if word != "NOT"), "")
        if len(children) != 2 or "ESCAPE" in between:
            return self._piece(node)
        made = call_name("rlike" if operator in ("RLIKE", "REGEXP") else "like", list(children))
        made = made.replace(" LIKE ", f" {operator} ", 1) if operator in ("LIKE", "ILIKE") else made
        if operator == "ILIKE":
            made = f"ilike({', '.join(children)})"
        return f"(NOT {made})" if between[0] == "NOT" else made

    def _is_distinct(self, node: Node) -> bool:
        """Whether a call must remain a call only because of its DISTINCT."""
        tokens = self._tokens[node.start : node.end]
        return tokens[2].word == "DISTINCT" and not any(t.word in ("FILTER", "OVER", "WITHIN") for t in tokens)

    def _literal(self, node: Node) -> str:
        token = self._tokens[node.start]
        if token.kind == "string" and node.end == node.start + 1:
            return string_value(token)
        if token.word == "NULL":
            return "NULL"
        if token.word in ("TRUE", "FALSE"):
            return token.text.lower()
        return column_name(text_expression(self._piece(node)))

    def _piece(self, node: Node) -> str:
        return self._text[self._tokens[node.start].start : self._tokens[node.end - 1].end]
