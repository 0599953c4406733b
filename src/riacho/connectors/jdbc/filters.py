"""Spark's filters as SQL.

A condition that is sent lets through at least the rows that Spark's filter lets through: the filter itself stays above
the read. So what a database finds equal and Spark does not (case, accents, blanks at the end) does no harm, and where
it could be the other way round nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pyspark.sql.datasource import (
    EqualNullSafe,
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    IsNotNull,
    IsNull,
    LessThan,
    LessThanOrEqual,
    Not,
    StringContains,
    StringEndsWith,
    StringStartsWith,
)

_ORDERS: Mapping[type[Filter], str] = {
    GreaterThan: ">",
    GreaterThanOrEqual: ">=",
    LessThan: "<",
    LessThanOrEqual: "<=",
}
MOST_VALUES = 1000
"""A longer IN list is not sent."""


class Comparable(Protocol):
    """A column as a database compares it, by values that are those of Spark."""

    @property
    def presence(self) -> str:
        """The column, to be asked whether it is null."""

    @property
    def exact(self) -> str | None:
        """An expression whose comparisons are Spark's; None if it has none."""

    @property
    def quick(self) -> str | None:
        """Likewise, but it may also find values equal that Spark does not; indexes know it."""

    @property
    def is_padded(self) -> bool:
        """Whether blanks at the end do not count: then the database's answer is the one that Spark gives."""

    def literal(self, value: Any) -> str | None:
        """A value of the column's type as SQL; None if it cannot be told."""

    def matches(self, kind: type[Filter], value: str) -> str | None:
        """Whether the text begins, ends or is somewhere with `value`."""


def condition(filters: Sequence[Filter], column: Callable[[str], Comparable | None]) -> str | None:
    """What of these filters can be sent, joined by AND; None if nothing can."""
    parts = [found for each in filters if (found := _compiled(each, column, exact=False)) is not None]
    return " AND ".join(f"({part})" for part in parts) or None


def _compiled(given: Filter, column: Callable[[str], Comparable | None], *, exact: bool) -> str | None:
    """One filter. `exact`: the condition must be Spark's, no more and no less, for it will be negated."""
    if isinstance(given, Not):
        inner = _compiled(given.child, column, exact=True)
        return None if inner is None else f"NOT ({inner})"
    path: tuple[str, ...] = getattr(given, "attribute", ())
    found = column(path[0]) if len(path) == 1 else None
    if found is None:
        return None
    if isinstance(given, IsNull):
        return f"{found.presence} IS NULL"
    if isinstance(given, IsNotNull):
        return f"{found.presence} IS NOT NULL"
    return _compared(given, found, exact=exact)


def _compared(given: Filter, column: Comparable, *, exact: bool) -> str | None:
    operand = column.exact if exact else column.quick
    if operand is None:
        return None
    if isinstance(given, In):
        values = [column.literal(value) for value in given.value if value is not None]
        if None in values or not values or len(values) > MOST_VALUES or (exact and len(values) != len(given.value)):
            return None
        return f"{operand} IN ({', '.join(value for value in values if value is not None)})"
    value: Any = getattr(given, "value", None)
    if isinstance(given, StringStartsWith | StringEndsWith | StringContains):
        return column.matches(type(given), value) if isinstance(value, str) else None
    told = None if value is None else column.literal(value)
    if told is None:
        return None
    if isinstance(given, EqualTo):
        return f"{operand} = {told}"
    if isinstance(given, EqualNullSafe):
        return f"{operand} IS NOT NULL AND {operand} = {told}"
    order = _ORDERS.get(type(given))
    return None if order is None or column.exact is None else f"{column.exact} {order} {told}"
