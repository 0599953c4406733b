"""Fields that follow from others: `price * quantity`, `f"{ascii(name)}@example.com"`, `1 if hour(at) < 6 else 0`.

Expressions have Python's grammar, and a few functions; they are computed a column at a time.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from riacho.errors import IllegalArgumentError

Value = Any
"""An Arrow array, or a scalar."""


def _text(value: Value) -> Value:
    if isinstance(value, pa.Scalar | pa.Array) and pa.types.is_timestamp(value.type):
        return pc.binary_join_element_wise(pc.strftime(value, format="%Y-%m-%dT%H:%M:%S"), "Z", "")
    return pc.cast(value, pa.string())


def _ascii(value: Value) -> Value:
    """Without accents, and without anything that is no letter of English then."""
    plain = pc.replace_substring_regex(pc.utf8_normalize(value, "NFKD"), r"[^\x00-\x7f]", "")
    return pc.replace_substring(plain, " ", ".")


def _ratio(one: Value, other: Value) -> Value:
    return pc.divide(pc.cast(one, pa.float64()), pc.cast(other, pa.float64()))


def _floor_ratio(one: Value, other: Value) -> Value:
    """Rounded down, as Python does; Arrow rounds whole numbers towards 0."""
    quotient = pc.divide(one, other)
    if not pa.types.is_integer(quotient.type):
        return pc.floor(quotient)
    rest = pc.subtract(one, pc.multiply(quotient, other))
    down = pc.and_(pc.not_equal(rest, 0), pc.xor(pc.less(rest, 0), pc.less(other, 0)))
    return pc.if_else(down, pc.subtract(quotient, 1), quotient)


_BINARY: Final[dict[type, Callable[[Value, Value], Value]]] = {
    ast.Sub: pc.subtract_checked,
    ast.Mult: pc.multiply_checked,
    ast.Div: _ratio,
    ast.FloorDiv: _floor_ratio,
    ast.Mod: lambda one, other: pc.subtract(one, pc.multiply(_floor_ratio(one, other), other)),
    ast.Pow: pc.power_checked,
}
"""Whole numbers that get too large are an error: without the check they would begin anew at the other end."""
_COMPARED: Final[dict[type, Callable[[Value, Value], Value]]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_FUNCTIONS: Final[dict[str, Callable[..., Value]]] = {
    "abs": pc.abs_checked,
    "ascii": _ascii,
    "coalesce": pc.coalesce,
    "concat": lambda *parts: pc.binary_join_element_wise(*map(_text, parts), ""),
    "day": pc.day,
    "float": lambda value: pc.cast(value, pa.float64()),
    "hour": pc.hour,
    "int": lambda value: pc.cast(pc.trunc(value) if pa.types.is_floating(value.type) else value, pa.int64()),
    "len": pc.utf8_length,
    "lower": pc.utf8_lower,
    "max": pc.max_element_wise,
    "min": pc.min_element_wise,
    "minute": pc.minute,
    "month": pc.month,
    "replace": lambda value, old, new: pc.replace_substring(value, old.as_py(), new.as_py()),
    "round": lambda value, *digits: pc.round(value, digits[0].as_py() if digits else 0),
    "str": _text,
    "strip": pc.utf8_trim_whitespace,
    "title": pc.utf8_title,
    "upper": pc.utf8_upper,
    "weekday": pc.day_of_week,
    "year": pc.year,
}


class Expression:
    """One expression, checked when it is made. Raises IllegalArgumentError for what is not understood."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self._where = where
        self.names: set[str] = set()
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise IllegalArgumentError(f"{where}: the expression {text!r} is not understood: {error.msg}") from None
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", "?")
                if name not in _FUNCTIONS or node.keywords:
                    raise self._not_understood(f"there is no function {name}; there are {', '.join(_FUNCTIONS)}")
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        self.names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called}

    def evaluate(self, column: Callable[[str], pa.Array], count: int) -> pa.Array:
        """Its values for `count` rows, of which `column` gives a field. Raises IllegalArgumentError."""
        try:
            value = self._of(ast.parse(self.text.strip(), mode="eval").body, column)
        except AttributeError:
            raise self._not_understood("a field stands where it may have a constant only") from None
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise self._not_understood(str(error).splitlines()[0]) from None
        if isinstance(value, pa.Scalar):
            return pa.repeat(value, count)
        return value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value

    def _not_understood(self, why: str) -> IllegalArgumentError:
        return IllegalArgumentError(f"{self._where}: the expression {self.text!r} cannot be computed: {why}")

    def _of(self, node: ast.expr, column: Callable[[str], pa.Array]) -> Value:  # noqa: C901, PLR0911 - one line a kind
        match node:
            case ast.Constant(value=value):
                return pa.scalar(value)
            case ast.Name(id=name):
                return column(name)
            case ast.Attribute(value=inner, attr=name):
                return pc.struct_field(self._of(inner, column), name)
            case ast.JoinedStr(values=parts):
                return pc.binary_join_element_wise(*(_text(self._of(part, column)) for part in parts), "")
            case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
                return self._of(inner, column)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self._of(left, column), self._of(right, column))
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return pc.negate_checked(self._of(inner, column))
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return pc.invert(self._of(inner, column))
            case ast.BoolOp(op=op, values=parts):
                combine = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
                whole = self._of(parts[0], column)
                for part in parts[1:]:
                    whole = combine(whole, self._of(part, column))
                return whole
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
                return _COMPARED[type(op)](self._of(left, column), self._of(right, column))
            case ast.IfExp(test=test, body=body, orelse=other):
                return pc.if_else(self._of(test, column), self._of(body, column), self._of(other, column))
            case ast.Call(func=ast.Name(id=name), args=args):
                return _FUNCTIONS[name](*(self._of(arg, column) for arg in args))
            case ast.Subscript(value=inner, slice=ast.Slice(lower=lower, upper=upper, step=None)):
                ends = [None if end is None else self._of(end, column).as_py() for end in (lower, upper)]
                return pc.utf8_slice_codeunits(self._of(inner, column), ends[0] or 0, ends[1])
        raise self._not_understood(f"{ast.unparse(node)} is nothing that it may have")

    def _binary(self, op: ast.operator, left: Value, right: Value) -> Value:
        if isinstance(op, ast.Add):
            if pa.types.is_string(left.type) or pa.types.is_string(right.type):
                return pc.binary_join_element_wise(_text(left), _text(right), "")
            return pc.add_checked(left, right)
        if type(op) not in _BINARY:
            raise self._not_understood(f"{type(op).__name__} is no operator that it may have")
        return _BINARY[type(op)](left, right)
