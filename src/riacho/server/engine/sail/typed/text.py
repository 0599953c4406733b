"""Finds the types in SQL expressions, and changes the expressions as the rules say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from riacho.protos import pb
from riacho.server.engine.sail.typed import avro, clocks, json, numbers
from riacho.server.engine.sail.typed.arithmetic import CHECKED_TEXT
from riacho.server.engine.sail.typed.rules import RESULTS, checked_sum, decide, has_rule, lambda_types
from riacho.server.engine.sail.typed.scope import Scope, field_of
from riacho.server.engine.sail.typed.syntax import Node, Reader, UnknownSyntaxError
from riacho.server.engine.sail.typed.values import Result, Typed, special_cast
from riacho.server.plan import build
from riacho.server.plan.from_sql.expressions import text_expression
from riacho.server.plan.notation import sql
from riacho.server.sql.select_lists import has_alias
from riacho.server.sql.tokens import Edit, Token, splice, tokenize
from riacho.types import TIMESTAMP

_BOOLEAN = frozenset({"not", "is", "like", "distinct", "in_query"})


@dataclass
class TextTyper:
    """See `expressions.ExpressionTyper`."""

    scope: Scope
    ask: Callable[[pb.Expression], pa.DataType | None]
    streams: bool = False
    _shadowed: dict[str, pa.DataType | None] = field(default_factory=dict)
    _text: str = ""
    _tokens: Sequence[Token] = ()

    def expression(self, text: str) -> tuple[str, pa.DataType | None]:
        """The text of an expression, rewritten for the engine, and its type."""
        tokens = tokenize(text)
        changed, kind = self.part(text, tokens, 0, len(tokens))
        if not tokens or changed is None:
            return text, kind
        return text[: tokens[0].start] + changed + text[tokens[-1].end :], kind

    def part(self, text: str, tokens: Sequence[Token], start: int, end: int) -> tuple[str | None, pa.DataType | None]:
        """The replacement for an expression that is part of a text, if it needs one, and its type.

        An alias at its end is kept.
        """
        self._text, self._tokens = text, tokens
        at = _alias(tokens, start, end)
        try:
            node = Reader(tokens, start, at).whole()
        except UnknownSyntaxError:
            return None, None
        value, changed = self._typed(node)
        if not changed:
            return None, value.type
        return sql(value.expression) + text[tokens[at - 1].end : tokens[end - 1].end], value.type

    def _typed(self, node: Node) -> tuple[Typed, bool]:
        """The value of a node, and whether it differs from the text; the methods for each kind return the same."""
        match node.kind:
            case "literal":
                return self._literal(node), False
            case "column":
                return self._same(node, self._column(node.parts)), False
            case "opaque":
                return self._same(node, RESULTS.get(node.name)), False
            case "lambda":
                with self._shadowing(dict.fromkeys(node.parts)):
                    return self._inside(node, None)
            case "group":
                kind = pa.bool_() if node.name in _BOOLEAN else None
                return self._inside(node, kind, as_child=node.name == "()")
            case "cast":
                return self._cast(node)
            case "field":
                return self._field(node)
            case _:
                return self._call(node)

    def _cast(self, node: Node) -> tuple[Typed, bool]:
        inner = [(child, *self._typed(child)) for child in node.children]
        if len(inner) == 1:
            value = inner[0][1]
            if numbers.needs_source(node.kind_of):
                value = self._known(value)
            made = special_cast(value.expression, value.type, node.kind_of, lenient=node.name == "try_cast")
            if made is not None:
                return Typed(made, node.kind_of), True
        return self._spliced(node, inner, node.kind_of)

    def _literal(self, node: Node) -> Typed:
        text = self._piece(node)
        if node.kind_of == pa.int32():
            return Typed(pb.Expression(literal=pb.Expression.Literal(integer=int(text))), node.kind_of)
        if node.kind_of == pa.int64() and text.isdigit():
            return Typed(build.integer(int(text)), node.kind_of)
        return self._same(node, node.kind_of)

    def _field(self, node: Node) -> tuple[Typed, bool]:
        inner = [(part, *self._typed(part)) for part in node.children]
        child = inner[0][1]
        found = None
        if child.type is not None:
            if node.parts:
                found = field_of(child.type, node.parts[0])
            elif pa.types.is_list(child.type):
                found = child.type.value_type
            elif pa.types.is_map(child.type):
                found = child.type.item_type
        return self._spliced(node, inner, found)

    def _inside(self, node: Node, kind: pa.DataType | None, *, as_child: bool = False) -> tuple[Typed, bool]:
        """A node that remains, with its content changed."""
        inner = [(child, *self._typed(child)) for child in node.children]
        if as_child:
            _, value, changed = inner[0]
            made, _ = self._spliced(node, inner, value.type)
            number = value.number
            expression = value.expression if number is not None and not changed else made.expression
            return Typed(expression, value.type, value.plain), changed
        return self._spliced(node, inner, kind)

    def _call(self, node: Node) -> tuple[Typed, bool]:
        if node.name == "coalesce" and CHECKED_TEXT in self._piece(node):
            return self._same(node, self._checked_type(node)), False
        if node.name == "if" and clocks.CALENDAR_TEXT in self._piece(node.children[0]):
            return self._same(node, TIMESTAMP), False
        if node.name == "if" and (kind := numbers.type_in_text(self._piece(node.children[0]))) is not None:
            return self._same(node, kind), False
        inner = self._arguments(node)
        values = [value for _, value, _ in inner]
        negated = node.name.startswith("not ")
        name = node.name.removeprefix("not ")
        if name == "negative" and values[0].number is not None:
            return _negative(values[0]), False
        rule = "when" if node.kind == "case" else name
        if has_rule(rule) and node.kind != "opaque":
            values = [self._known(value) for value in values]
            inner = [(child, value, changed) for (child, _, changed), value in zip(inner, values, strict=True)]
        if rule == avro.NAME and inner:
            given = text_expression(self._piece(inner[0][0]))
            made: Result | None = avro.to_avro(values, self._alone(inner), given, self.scope)
        elif rule == json.NAME and inner:
            made = json.to_json(values, self._alone(inner))
        else:
            made = decide(rule, values)
        if name == "sum" and not node.fixed and not self.streams:
            made = checked_sum(values) or made
        if made is None or made.expression is None:
            return self._spliced(node, inner, None if made is None else made.type)
        return self._changed(node, inner, made, rule, negated=negated)

    def _alone(self, inner: Sequence[tuple[Node, Typed, bool]]) -> pa.DataType | None:
        """See `ExpressionTyper._alone`."""
        if not inner or self._shadowed:
            return None
        child, value, _ = inner[0]
        given = self.ask(build.call("struct", text_expression(self._piece(child))))
        return given or self.ask(build.call("struct", value.expression))

    def _arguments(self, node: Node) -> list[tuple[Node, Typed, bool]]:
        """The children of a call; the variables of a lambda have the types of the values that it is called with."""
        inner: list[tuple[Node, Typed, bool]] = []
        for child in node.children:
            kinds = lambda_types(node.name, [value.type for _, value, _ in inner])
            if child.kind == "lambda" and kinds:
                names = dict(zip(child.parts, kinds, strict=False))
                with self._shadowing(dict.fromkeys(child.parts) | names):
                    inner.append((child, *self._inside(child, None)))
            else:
                inner.append((child, *self._typed(child)))
        return inner

    def _changed(
        self, node: Node, inner: Sequence[tuple[Node, Typed, bool]], made: Result, rule: str, *, negated: bool
    ) -> tuple[Typed, bool]:
        """A node that a rule changes: it gets other arguments, or another expression takes its place."""
        assert made.expression is not None
        function = made.expression.unresolved_function
        same = function.function_name == rule and len(function.arguments) == len(inner)
        if same and node.kind in ("call", "case"):
            edited = [
                (child, Typed(argument, value.type), changed or argument != value.expression)
                for (child, value, changed), argument in zip(inner, function.arguments, strict=True)
            ]
            value, changed = self._spliced(node, edited, made.type)
            return Typed(value.expression, made.type, made.plain), changed
        if node.fixed:
            return self._spliced(node, inner, None)
        expression = build.call("not", made.expression) if negated else made.expression
        return Typed(expression, made.type, None if negated else made.plain), True

    def _checked_type(self, node: Node) -> pa.DataType | None:
        first = node.children[0]
        return self._typed(first.children[0])[0].type if first.children else None

    def _known(self, value: Typed) -> Typed:
        if value.type is not None or self._shadowed:
            return value
        return Typed(value.expression, self.ask(value.expression), value.plain)

    def _spliced(
        self, node: Node, inner: Sequence[tuple[Node, Typed, bool]], kind: pa.DataType | None
    ) -> tuple[Typed, bool]:
        """The text of a node, with the texts of its children in place."""
        begin = self._tokens[node.start].start
        if node.condition is not None:
            inner = [*inner, (node.condition, *self._typed(node.condition))]
        edits = [
            Edit(
                self._tokens[child.start].start - begin,
                self._tokens[child.end - 1].end - begin,
                sql(value.expression),
            )
            for child, value, changed in inner
            if changed
        ]
        if not edits:
            return self._same(node, kind), False
        return Typed(text_expression(splice(self._piece(node), edits)), kind), True

    def _same(self, node: Node, kind: pa.DataType | None) -> Typed:
        return Typed(text_expression(self._piece(node)), kind)

    def _piece(self, node: Node) -> str:
        return self._text[self._tokens[node.start].start : self._tokens[node.end - 1].end]

    def _column(self, parts: Sequence[str]) -> pa.DataType | None:
        """The type of a column, or of a lambda variable, which hides columns with the same name."""
        name = parts[0].lower()
        if name not in self._shadowed:
            return self.scope.kind(parts)
        kind = self._shadowed[name]
        return kind if kind is None else Scope(pa.schema([pa.field(name, kind)])).kind(parts)

    @contextmanager
    def _shadowing(self, names: Mapping[str, pa.DataType | None]) -> Iterator[None]:
        before = self._shadowed
        self._shadowed = before | {name.lower(): kind for name, kind in names.items()}
        yield
        self._shadowed = before


def _negative(value: Typed) -> Typed:
    number, kind = -(value.number or 0), value.type
    literal = pb.Expression.Literal(integer=number) if kind == pa.int32() else pb.Expression.Literal(long=number)
    return Typed(pb.Expression(literal=literal), kind)


def _alias(tokens: Sequence[Token], start: int, end: int) -> int:
    """Where the expression ends if an alias follows it, otherwise `end`."""
    if end - start > 1 and has_alias(tokens[start:end]):
        return end - 2 if tokens[end - 2].word == "AS" else end - 1
    return end
