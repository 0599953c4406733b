"""Finds the types in the expressions of plans, and changes the expressions as the rules say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from riacho import types
from riacho.errors import SparkError
from riacho.identifiers import column_parts
from riacho.protos import pb
from riacho.server.engine.sail.typed import avro, clocks, json, numbers
from riacho.server.engine.sail.typed.arithmetic import DAYS, MONTHS, TIME, is_checked
from riacho.server.engine.sail.typed.names import type_named
from riacho.server.engine.sail.typed.rules import checked_sum, decide, has_rule, lambda_types
from riacho.server.engine.sail.typed.scope import Scope, field_of
from riacho.server.engine.sail.typed.text import TextTyper
from riacho.server.engine.sail.typed.values import Result, Typed, special_cast
from riacho.server.plan import build
from riacho.server.plan.literals import string_of

Expression = pb.Expression
Ask = Callable[[Expression], "pa.DataType | None"]

_LITERALS = {
    "null": pa.null(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": types.TIMESTAMP,
    "timestamp_ntz": types.TIMESTAMP_NTZ,
    "year_month_interval": MONTHS,
}
_DAY_US = 86_400_000_000


@dataclass
class ExpressionTyper:
    """Types and rewrites the expressions of one node.

    `scope`: the columns of its input. `ask`: the type of an expression according to the engine, None if it has none.
    `streams`: whether the input is a stream; then riacho computes aggregate functions, with a correct `sum`.
    """

    scope: Scope
    ask: Ask
    streams: bool = False
    variables: dict[str, pa.DataType | None] = field(default_factory=dict)

    def typed(self, expression: Expression) -> Typed:  # noqa: C901, PLR0911
        """`expression` with its type, changed where a rule says so: the same object if none does."""
        kind = expression.WhichOneof("expr_type") or ""
        match kind:
            case "literal":
                return Typed(expression, _literal(expression.literal))
            case "unresolved_attribute":
                return Typed(expression, self._attribute(expression.unresolved_attribute))
            case "unresolved_function" | "call_function":
                return self._call(expression)
            case "common_inline_user_defined_function":
                return self._users_own(expression)
            case "cast":
                return self._cast(expression)
            case "alias":
                inner = self.typed(expression.alias.expr)
                return self._around(expression, inner, expression.alias.expr)
            case "expression_string":
                return self._text(expression)
            case "unresolved_extract_value":
                return self._extract(expression)
            case "window":
                return self._window(expression)
            case "sort_order":
                inner = self.typed(expression.sort_order.child)
                if inner.expression is expression.sort_order.child:
                    return Typed(expression, inner.type)
                changed = _copy(expression)
                changed.sort_order.child.CopyFrom(inner.expression)
                return Typed(changed, inner.type)
            case "lambda_function":
                return self._lambda(expression, ())
            case "unresolved_named_lambda_variable":
                parts = expression.unresolved_named_lambda_variable.name_parts
                return Typed(expression, self.variables.get(parts[0]) if len(parts) == 1 else None)
            case _:
                return Typed(expression, None)

    def _attribute(self, attribute: Expression.UnresolvedAttribute) -> pa.DataType | None:
        return self.scope.kind(column_parts(attribute.unparsed_identifier))

    def _around(self, expression: Expression, inner: Typed, place: Expression) -> Typed:
        """An alias around a value."""
        if inner.expression is place:
            return Typed(expression, inner.type)
        changed = _copy(expression)
        changed.alias.expr.CopyFrom(inner.expression)
        return Typed(changed, inner.type)

    def _call(self, expression: Expression, *, whole: bool = True) -> Typed:
        """`whole`: False for the function of a window of rows, which must remain a call of that function."""
        kind = expression.WhichOneof("expr_type")
        function = getattr(expression, kind or "")
        name = function.function_name.lower()
        if is_checked(expression):
            first = function.arguments[0].unresolved_function
            return Typed(expression, self.typed(first.arguments[0]).type if first.arguments else None)
        known = types.TIMESTAMP if clocks.is_by_calendar(expression) else numbers.made_type(expression)
        if known is not None:
            return Typed(expression, known)
        values: list[Typed] = []
        for argument in function.arguments:
            is_lambda = argument.HasField("lambda_function")
            kinds = lambda_types(name, [value.type for value in values]) if is_lambda else ()
            values.append(self._lambda(argument, kinds) if is_lambda else self.typed(argument))
        current = expression
        if any(value.expression is not old for value, old in zip(values, function.arguments, strict=True)):
            current = _copy(expression)
            arguments = getattr(current, kind or "").arguments
            for place, value in zip(arguments, values, strict=True):
                place.CopyFrom(value.expression)
        if has_rule(name) and any(value.type is None for value in values):
            values = [self._known(value) for value in values]
        distinct = kind == "unresolved_function" and function.is_distinct
        if name == avro.NAME and values:
            alone = self._alone(function.arguments, values)
            made: Result | None = avro.to_avro(values, alone, function.arguments[0], self.scope)
        elif name == json.NAME and values:
            made = json.to_json(values, self._alone(function.arguments, values))
        else:
            made = decide(name, values)
        if name == "sum" and whole and not distinct and not self.streams:
            made = checked_sum(values) or made
        if made is None or made.expression is None:
            return Typed(current, None if made is None else made.type)
        if distinct:
            made.expression.unresolved_function.is_distinct = True
        return Typed(made.expression, made.type, made.plain)

    def _users_own(self, expression: Expression) -> Typed:
        """A function of the user's own: its arguments are expressions like any other."""
        function = expression.common_inline_user_defined_function
        values = [self.typed(argument) for argument in function.arguments]
        kind = _from_proto(function.python_udf.output_type) if function.HasField("python_udf") else None
        if all(value.expression is old for value, old in zip(values, function.arguments, strict=True)):
            return Typed(expression, kind)
        changed = _copy(expression)
        for place, value in zip(changed.common_inline_user_defined_function.arguments, values, strict=True):
            place.CopyFrom(value.expression)
        return Typed(changed, kind)

    def _alone(self, given: Sequence[Expression], values: Sequence[Typed]) -> pa.DataType | None:
        """The type of a struct of the first argument, best as it was given: rules make more nullable than Spark."""
        if not given or self.variables or _is_hopeless(given[0]):
            return None
        return self.ask(build.call("struct", given[0])) or self.ask(build.call("struct", values[0].expression))

    def _lambda(self, expression: Expression, kinds: Sequence[pa.DataType | None]) -> Typed:
        """A lambda whose first variables have these types."""
        function = expression.lambda_function
        names = [variable.name_parts[0] for variable in function.arguments if variable.name_parts]
        before = self.variables
        self.variables = before | dict.fromkeys(names) | dict(zip(names, kinds, strict=False))
        inner = self.typed(function.function)
        self.variables = before
        if inner.expression is function.function:
            return Typed(expression, None)
        changed = _copy(expression)
        changed.lambda_function.function.CopyFrom(inner.expression)
        return Typed(changed, None)

    def _known(self, value: Typed) -> Typed:
        """The value with the type that the engine finds, if it is not known."""
        if value.type is not None or self.variables or _is_hopeless(value.expression):
            return value
        return Typed(value.expression, self.ask(value.expression), value.plain)

    def _cast(self, expression: Expression) -> Typed:
        cast = expression.cast
        inner = self.typed(cast.expr)
        kind = type_named(cast.type_str) if cast.HasField("type_str") else _from_proto(cast.type)
        if numbers.needs_source(kind):
            inner = self._known(inner)
        lenient = cast.eval_mode == cast.EVAL_MODE_TRY
        made = special_cast(inner.expression, inner.type, kind, lenient=lenient)
        if made is not None:
            return Typed(made, kind)
        if inner.expression is cast.expr:
            return Typed(expression, kind)
        changed = _copy(expression)
        changed.cast.expr.CopyFrom(inner.expression)
        return Typed(changed, kind)

    def _extract(self, expression: Expression) -> Typed:
        extract = expression.unresolved_extract_value
        child = self.typed(extract.child)
        kind, name = child.type, string_of(extract.extraction)
        found = None
        if kind is not None:
            found = kind.value_type if pa.types.is_list(kind) and name is None else field_of(kind, name or "")
        if child.expression is extract.child:
            return Typed(expression, found)
        changed = _copy(expression)
        changed.unresolved_extract_value.child.CopyFrom(child.expression)
        return Typed(changed, found)

    def _window(self, expression: Expression) -> Typed:
        function = expression.window.window_function
        if function.WhichOneof("expr_type") not in ("unresolved_function", "call_function"):
            return Typed(expression, None)
        inner = self._call(function, whole=False)
        if inner.expression is function:
            return Typed(expression, inner.type)
        changed = _copy(expression)
        changed.window.window_function.CopyFrom(inner.expression)
        return Typed(changed, inner.type)

    def _text(self, expression: Expression) -> Typed:
        typer = TextTyper(self.scope, self.ask, streams=self.streams)
        text, kind = typer.expression(expression.expression_string.expression)
        if text == expression.expression_string.expression:
            return Typed(expression, kind)
        return Typed(Expression(expression_string=Expression.ExpressionString(expression=text)), kind)


def _copy(expression: Expression) -> Expression:
    copy = Expression()
    copy.CopyFrom(expression)
    return copy


def _literal(literal: Expression.Literal) -> pa.DataType | None:
    kind = literal.WhichOneof("literal_type") or ""
    if kind == "decimal":
        return _decimal(literal)
    if kind == "day_time_interval":
        return TIME if literal.day_time_interval % _DAY_US else DAYS
    return _LITERALS.get(kind)


def _decimal(literal: Expression.Literal) -> pa.DataType | None:
    text = literal.decimal
    if text.HasField("precision") and text.HasField("scale"):
        return pa.decimal128(text.precision, text.scale)
    return type_named("") if not text.value else _digits(text.value)


def _digits(value: str) -> pa.DataType | None:
    whole, _, behind = value.lstrip("+-").partition(".")
    if not (whole + behind).isdigit():
        return None
    digits = len((whole + behind).lstrip("0"))
    return pa.decimal128(max(digits, len(behind), 1), len(behind)) if digits <= 38 else None


def _from_proto(message: pb.DataType) -> pa.DataType | None:
    if message.HasField("unparsed"):
        return type_named(message.unparsed.data_type_string)
    try:
        return types.from_proto(message)
    except SparkError:
        return None


def _is_hopeless(expression: Expression) -> bool:
    """Whether this has a meaning only inside what encloses it, so that the engine cannot be asked about it alone."""
    kind = expression.WhichOneof("expr_type")
    return kind in ("unresolved_named_lambda_variable", "lambda_function", "unresolved_star", "sort_order")


__all__ = ["ExpressionTyper", "Result"]
