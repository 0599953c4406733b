"""Conditions as the filters that a reader is given: comparisons of a column with a constant, in Spark's classes.

What Spark pushes, and how it writes it, is known from asking it (`tests/spec/test_push_down.py`): conditions joined by
AND stand alone, a column that may not be null is said to be so first, constants have the column's type. What is not
known for sure to mean the same is not pushed. Sources: `DataSourceStrategy.translateFilter`,
`InferFiltersFromConstraints`.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from riacho.protos import pb
from riacho.server.batch.constants import INTEGERS, NO_CONSTANT, constant, target_of
from riacho.server.plan.above_reads import ColumnPath, Condition
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.literals import string_of
from riacho.zones import Zone

_COMPARED: Final = {
    "==": "EqualTo", "=": "EqualTo", "<=>": "EqualNullSafe", ">": "GreaterThan", ">=": "GreaterThanOrEqual",
    "<": "LessThan", "<=": "LessThanOrEqual",
}  # fmt: skip
_MIRRORED: Final = {
    "GreaterThan": "LessThan", "LessThan": "GreaterThan",
    "GreaterThanOrEqual": "LessThanOrEqual", "LessThanOrEqual": "GreaterThanOrEqual",
}  # fmt: skip
_OPPOSITE: Final = {
    "GreaterThan": "LessThanOrEqual", "LessThanOrEqual": "GreaterThan",
    "GreaterThanOrEqual": "LessThan", "LessThan": "GreaterThanOrEqual",
    "IsNull": "IsNotNull", "IsNotNull": "IsNull",
}  # fmt: skip
_OF_TEXT: Final = {"startswith": "StringStartsWith", "endswith": "StringEndsWith", "contains": "StringContains"}
_NULL_SAFE: Final = frozenset({"EqualNullSafe", "In", "IsNull", "IsNotNull"})
"""Filters that say nothing of nulls, or say it themselves."""


@dataclass(frozen=True)
class ReadFilter:
    """One of Spark's filters. `name`: its class; `value`: as Python has it, for `In` a list, for `IsNull` None."""

    name: str
    column: ColumnPath
    value: Any = None
    negated: bool = False


Made = tuple[ReadFilter, pb.Expression]


@dataclass(frozen=True)
class Pushed:
    """What a condition says in filters, each with its column as it is called where the condition stands.

    `whole`: whether they say all of it; else the condition stays, whoever does the filters.
    """

    condition: Condition
    filters: Sequence[Made]
    whole: bool = True


def pushed(conditions: Iterable[Condition], zone: Zone) -> list[Pushed]:
    """Those of the conditions that say something in filters."""
    found = (_FiltersOf(condition, zone).pushed() for condition in conditions)
    return [each for each in found if each is not None]


def in_order(found: Sequence[Pushed]) -> list[ReadFilter]:
    """All filters once, as Spark orders them: first what may not be null."""
    every = dict.fromkeys(made for each in found for made, _ in each.filters)
    return sorted(every, key=lambda made: made.name != "IsNotNull")


class _NoFilterError(Exception):
    """The condition is not one that a filter can say."""


class _FiltersOf:
    def __init__(self, condition: Condition, zone: Zone) -> None:
        self._condition = condition
        self._visible = condition.visible
        self._zone = zone
        self._whole = True

    def pushed(self) -> Pushed | None:
        try:
            found = list(self._filters(self._condition.expression, negated=False))
        except _NoFilterError:
            return None
        return Pushed(self._condition, found, self._whole) if found else None

    def _filters(self, expression: pb.Expression, *, negated: bool) -> Iterator[Made]:
        """Raises _NoFilterError."""
        expression = structured(expression)
        function = expression.unresolved_function
        name = function.function_name.lower()
        arguments = list(function.arguments)
        if not expression.HasField("unresolved_function"):
            column = self._column(expression)
            if not pa.types.is_boolean(self._visible.type_of(column)):
                raise _NoFilterError
            yield from self._both(ReadFilter("EqualTo", column, True, negated), expression)
        elif name in ("not", "!") and len(arguments) == 1:
            yield from self._filters(arguments[0], negated=not negated)
        elif name == ("or" if negated else "and") and len(arguments) == 2:
            for argument in arguments:
                yield from self._filters(argument, negated=negated)
        elif name in ("isnull", "isnotnull") and len(arguments) == 1:
            kind = "IsNull" if (name == "isnull") != negated else "IsNotNull"
            yield ReadFilter(kind, self._column(arguments[0])), arguments[0]
        elif name == "in" and len(arguments) > 1:
            yield from self._in(arguments, negated=negated)
        elif len(arguments) == 2:
            yield from self._of_two(name, arguments, negated=negated)
        else:
            raise _NoFilterError

    def _of_two(self, name: str, arguments: Sequence[pb.Expression], *, negated: bool) -> Iterator[Made]:
        if name in _OF_TEXT:
            column, text = self._column(arguments[0]), string_of(arguments[1])
            if text is None or not pa.types.is_string(self._visible.type_of(column)):
                raise _NoFilterError
            yield from self._both(ReadFilter(_OF_TEXT[name], column, text, negated), arguments[0])
        elif name == "like":
            yield from self._like(arguments[0], string_of(arguments[1]), negated=negated)
        elif name in ("!=", "<>"):
            yield from self._comparison("EqualTo", arguments, negated=not negated)
        elif name in _COMPARED:
            yield from self._comparison(_COMPARED[name], arguments, negated=negated)
        else:
            raise _NoFilterError

    def _both(self, made: ReadFilter, column: pb.Expression) -> Iterator[Made]:
        """A filter, before it that its column may not be null if it follows."""
        if made.name not in _NULL_SAFE:
            yield ReadFilter("IsNotNull", made.column), column
        yield made, column

    def _column(self, expression: pb.Expression) -> ColumnPath:
        found = self._visible.of(structured(expression))
        if found is None:
            raise _NoFilterError
        return found

    def _comparison(self, kind: str, arguments: Sequence[pb.Expression], *, negated: bool) -> Iterator[Made]:
        first, second = (self._uncast(structured(argument)) for argument in arguments)
        if self._visible.of(first) is None:
            first, second, kind = second, first, _MIRRORED.get(kind, kind)
        column = self._column(first)
        value = self._value(second, column)
        if value is None:
            if kind != "EqualNullSafe":
                raise _NoFilterError
            kind = "IsNull"
        if kind == "EqualTo" and value is False:
            value, negated = True, not negated
        if negated and kind in _OPPOSITE:
            kind, negated = _OPPOSITE[kind], False
        yield from self._both(ReadFilter(kind, column, value, negated), first)

    def _uncast(self, expression: pb.Expression) -> pb.Expression:
        """A column without a cast to a wider type, which compares as the column does."""
        inner = structured(expression.cast.expr)
        path = self._visible.of(inner) if expression.HasField("cast") else None
        if path is None:
            return expression
        kind, target = self._visible.type_of(path), target_of(expression.cast)
        wider = pa.types.is_signed_integer(kind) and INTEGERS.get(target, 0) >= kind.bit_width
        return inner if wider or (pa.types.is_floating(kind) and target == "DOUBLE") else expression

    def _in(self, arguments: Sequence[pb.Expression], *, negated: bool) -> Iterator[Made]:
        column = self._column(arguments[0])
        values = tuple(dict.fromkeys(self._value(argument, column) for argument in arguments[1:]))
        if None in values and (negated or len(values) == 1):
            raise _NoFilterError  # it holds for no row
        made = ("EqualTo", values[0]) if len(values) == 1 else ("In", values)
        yield from self._both(ReadFilter(made[0], column, made[1], negated), arguments[0])

    def _like(self, column: pb.Expression, pattern: str | None, *, negated: bool) -> Iterator[Made]:
        path = self._column(column)
        if pattern is None or not pa.types.is_string(self._visible.type_of(path)) or set(pattern) & {"_", "\\"}:
            raise _NoFilterError
        match pattern.split("%"):
            case [text] if not negated:
                made = [("EqualTo", text)]
                self._whole = False  # blanks at the end count here, and in a comparison they may not
            case [text, ""] if text:
                made = [("StringStartsWith", text)]
            case ["", text] if text:
                made = [("StringEndsWith", text)]
            case ["", text, ""] if text:
                made = [("StringContains", text)]
            case [start, end] if start and end and not negated:
                made = [("StringStartsWith", start), ("StringEndsWith", end)]
                self._whole = False  # they may not overlap
            case _:
                raise _NoFilterError
        for kind, text in made:
            yield from self._both(ReadFilter(kind, path, text, negated), column)

    def _value(self, expression: pb.Expression, column: ColumnPath) -> Any:
        """A constant as a value of the column's type; None for null. Raises _NoFilterError for what is none."""
        given = constant(structured(expression), self._zone)
        if given is NO_CONSTANT:
            raise _NoFilterError
        return None if given is None else _as(given, self._visible.type_of(column))


_HOLDS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "EqualTo": operator.eq,
    "EqualNullSafe": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
    "In": lambda value, values: value in values,
    "StringStartsWith": str.startswith,
    "StringEndsWith": str.endswith,
    "StringContains": operator.contains,
}


def may_hold(made: ReadFilter, values: Mapping[str, pa.Scalar]) -> bool:
    """Whether there may be rows that meet a filter where columns have these values; other columns are not known."""
    if len(made.column) > 1 or made.column[0] not in values:
        return True
    value = values[made.column[0]].as_py()
    if isinstance(value, float) and math.isnan(value):
        return True  # Spark orders it, and Python does not
    if made.name in ("IsNull", "IsNotNull"):
        return bool((value is None) == (made.name == "IsNull"))
    if value is None:
        return made.name == "EqualNullSafe" and made.negated
    try:
        return bool(_HOLDS[made.name](value, made.value) != made.negated)
    except TypeError:  # a value of another type than was thought
        return True


def _as(given: Any, kind: pa.DataType) -> Any:
    """A constant as a value of a type, if the comparison means the same with it. Raises _NoFilterError."""
    for fits, convert in _CONVERT:
        if fits(kind):
            value = convert(given, kind)
            if value is None:
                break
            return value
    raise _NoFilterError


def _integer(given: Any, kind: pa.DataType) -> int | None:
    if isinstance(given, bool) or not isinstance(given, int | Decimal) or given != int(given):
        return None
    value, limit = int(given), 1 << (kind.bit_width - 1)
    return value if -limit <= value < limit else None


def _decimal(given: Any, kind: pa.DataType) -> Decimal | None:
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        return None
    scaled = Decimal(given).scaleb(kind.scale)
    if scaled != scaled.to_integral_value() or abs(scaled) >= Decimal(10) ** kind.precision:
        return None
    return Decimal(given).quantize(Decimal(1).scaleb(-kind.scale))


def _float(given: Any, kind: pa.DataType) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float | Decimal):
        return None
    value = float(given)
    if not math.isfinite(value) or (isinstance(given, int) and int(value) != given):
        return None
    if kind.bit_width == 32 and struct.unpack("f", struct.pack("f", value))[0] != value:
        return None  # it is compared as a DOUBLE
    return value


def _exactly(*types: type) -> Callable[[Any, pa.DataType], Any]:
    return lambda given, _: given if type(given) in types else None


def _timestamp(given: Any, kind: pa.DataType) -> datetime | None:
    zoned = kind.tz is not None
    return given if isinstance(given, datetime) and (given.tzinfo is not None) == zoned else None


_CONVERT: Final[Sequence[tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.DataType], Any]]]] = (
    (pa.types.is_boolean, _exactly(bool)),
    (pa.types.is_signed_integer, _integer),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_floating, _float),
    (pa.types.is_string, _exactly(str)),
    (pa.types.is_date32, _exactly(date)),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_binary, _exactly(bytes)),
)
