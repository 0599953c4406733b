"""What the condition of a join says about the two sides: equal keys, bounds between their times, and the rest.

A stream-stream join may forget a row of one side once no row of the other can match it any more. Equal keys that carry
event time tell that, and so do bounds such as `l.ts >= r.ts - INTERVAL 1 HOUR`, which here have the form

    low <= left time - right time <= high        (microseconds; either may be missing)

Source: `StreamingJoinHelper` and `ExtractEquiJoinKeys`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from riacho.identifiers import column_parts, last_part
from riacho.intervals import UNIT_US
from riacho.protos import pb
from riacho.server.plan import build
from riacho.server.plan.event_time import EventTimes
from riacho.server.plan.from_sql.expressions import conjuncts, structured
from riacho.server.plan.walk import children, expressions, walk
from riacho.server.sql.interval_literals import read_interval
from riacho.server.sql.tokens import tokenize

_EQUALS = frozenset({"==", "=", "<=>"})
_ORDERS = {"<": (-1, True), "<=": (-1, False), ">": (1, True), ">=": (1, False)}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Side(Enum):
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True)
class Key:
    """Two expressions that must be equal. `null_safe`: nulls are equal too (`<=>`)."""

    left: pb.Expression
    right: pb.Expression
    null_safe: bool = False


@dataclass(frozen=True)
class Bound:
    """`low_us <= left - right <= high_us`, of two columns by lower-case name; one of the limits is None.

    `strict`: the limit itself is excluded.
    """

    left: str
    right: str
    low_us: int | None
    high_us: int | None
    strict: bool


@dataclass(frozen=True)
class JoinCondition:
    """The parts of a condition, in order. `rest`: conditions that are neither keys nor bounds."""

    keys: Sequence[Key] = ()
    bounds: Sequence[Bound] = ()
    rest: Sequence[pb.Expression] = ()


@dataclass
class Sides:
    """Tells which side of a join a column comes from. `columns`: the names of a relation's columns."""

    join: pb.Join
    columns: Callable[[pb.Relation], list[str]]
    _names: dict[Side, set[str]] = field(default_factory=dict)

    def of(self, expression: pb.Expression) -> Side | None:
        """The side that all columns of `expression` come from; None if from both, none, or nobody can tell."""
        attributes = [e for e in [expression, *expressions(expression)] if e.HasField("unresolved_attribute")]
        if any(e.HasField("expression_string") for e in [expression, *expressions(expression)]):
            return None
        found = {self._of_column(e.unresolved_attribute) for e in attributes}
        return found.pop() if len(found) == 1 else None

    def _of_column(self, column: pb.Expression.UnresolvedAttribute) -> Side | None:
        if column.HasField("plan_id"):
            return self._only(lambda side: column.plan_id in {node.common.plan_id for node in walk(side)})
        parts = column_parts(column.unparsed_identifier)
        if len(parts) > 1:
            qualified = self._only(lambda side: parts[0].lower() in aliases(side))
            if qualified is not None:
                return qualified
        name = parts[0].lower() if parts else ""
        return self._only(lambda side: name in {known.lower() for known in self.columns(side)})

    def _only(self, has: Callable[[pb.Relation], bool]) -> Side | None:
        left, right = has(self.join.left), has(self.join.right)
        return None if left == right else Side.LEFT if left else Side.RIGHT


def read_condition(join: pb.Join, columns: Callable[[pb.Relation], list[str]]) -> JoinCondition:
    """Take the condition of `join` apart. Columns of USING are keys."""
    sides = Sides(join, columns)
    keys = [Key(build.col(name), build.col(name)) for name in join.using_columns]
    bounds: list[Bound] = []
    rest: list[pb.Expression] = []
    for part in conjuncts(join.join_condition) if join.HasField("join_condition") else ():
        if key := _key(part, sides):
            keys.append(key)
        elif bound := _bound(part, sides):
            bounds.append(bound)
        else:
            rest.append(part)
    return JoinCondition(keys, bounds, rest)


def bounded(condition: JoinCondition, side: Side, other_marks: Mapping[str, str]) -> bool:
    """Whether rows of `side` are forgotten one day: a bound holds them below a time of the other side with a watermark.

    `other_marks`: the marked columns of the other side.
    """
    for bound in condition.bounds:
        if side is Side.LEFT and bound.low_us is not None and bound.right in other_marks:
            return True
        if side is Side.RIGHT and bound.high_us is not None and bound.left in other_marks:
            return True
    return False


def keys_have_event_time(join: pb.Join, condition: JoinCondition, event_times: EventTimes) -> bool:
    """Whether a key of either side is a column with a watermark."""
    left, right = event_times.of(join.left), event_times.of(join.right)
    return any(_name(key.left) in left or _name(key.right) in right for key in condition.keys)


def _key(part: pb.Expression, sides: Sides) -> Key | None:
    """The equality of one expression of each side that `part` is."""
    function = part.unresolved_function
    if function.function_name not in _EQUALS or len(function.arguments) != 2:
        return None
    first, second = (structured(argument) for argument in function.arguments)
    match sides.of(first), sides.of(second):
        case Side.LEFT, Side.RIGHT:
            return Key(first, second, function.function_name == "<=>")
        case Side.RIGHT, Side.LEFT:
            return Key(second, first, function.function_name == "<=>")
        case _:
            return None


def _bound(part: pb.Expression, sides: Sides) -> Bound | None:
    """The bound that `part` is: a comparison of `column ± interval` of one side with the same of the other."""
    function = part.unresolved_function
    if function.function_name not in _ORDERS or len(function.arguments) != 2:
        return None
    first, second = (_shifted(argument) for argument in function.arguments)
    if first is None or second is None:
        return None
    name = function.function_name
    match sides.of(first[0]), sides.of(second[0]):
        case Side.LEFT, Side.RIGHT:
            (left, left_us), (right, right_us) = first, second
        case Side.RIGHT, Side.LEFT:
            (right, right_us), (left, left_us) = first, second
            name = _MIRRORED[name]
        case _:
            return None
    direction, strict = _ORDERS[name]
    # left + left_us  <op>  right + right_us   ⇔   left - right  <op>  right_us - left_us
    limit = right_us - left_us
    low, high = (limit, None) if direction > 0 else (None, limit)
    return Bound(_name(left), _name(right), low, high, strict)


def _shifted(expression: pb.Expression) -> tuple[pb.Expression, int] | None:
    """`column`, `column + interval` or `column - interval`, as the column and microseconds."""
    expression = structured(expression)
    if expression.HasField("unresolved_attribute"):
        return expression, 0
    function = expression.unresolved_function
    if function.function_name not in ("+", "-") or len(function.arguments) != 2:
        return None
    base = _shifted(function.arguments[0])
    shift = _interval_us(function.arguments[1])
    if base is None and function.function_name == "+":
        base, shift = _shifted(function.arguments[1]), _interval_us(function.arguments[0])
    if base is None or shift is None:
        return None
    return base[0], base[1] + (shift if function.function_name == "+" else -shift)


def _interval_us(expression: pb.Expression) -> int | None:
    """Microseconds of an interval, as a literal or as text; None if it is none or has months."""
    literal = expression.literal
    if literal.HasField("day_time_interval"):
        return literal.day_time_interval
    if literal.HasField("calendar_interval"):
        interval = literal.calendar_interval
        return None if interval.months else interval.days * UNIT_US["day"] + interval.microseconds
    tokens = tokenize(expression.expression_string.expression)
    if not tokens or tokens[0].word != "INTERVAL":
        return None
    found, behind = read_interval(tokens, 1)
    if found is None or found.value is None or found.value[0] or behind < len(tokens):
        return None
    return found.value[1]


def aliases(relation: pb.Relation) -> set[str]:
    """The names by which the columns of `relation` may be qualified."""
    found: set[str] = set()
    pending = [relation]
    while pending:
        node = pending.pop()
        match node.WhichOneof("rel_type"):
            case "subquery_alias":
                found.add(node.subquery_alias.alias.lower())
            case "project" | "aggregate" | "set_op" | "to_df":
                pass  # columns get new owners
            case "read" if node.read.HasField("named_table"):
                found.add(last_part(node.read.named_table.unparsed_identifier))
            case _:
                pending += children(node)
    return found


def _name(expression: pb.Expression) -> str:
    """The lower-case name of a column; an empty string for anything else."""
    if not expression.HasField("unresolved_attribute"):
        return ""
    return last_part(expression.unresolved_attribute.unparsed_identifier)
