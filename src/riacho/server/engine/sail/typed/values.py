"""An expression together with its type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

from riacho.protos import pb
from riacho.server.engine.sail.typed import clocks, coercion, numbers
from riacho.server.plan import build
from riacho.server.plan.literals import integer_of

Expression = pb.Expression


@dataclass(frozen=True)
class Typed:
    """An expression and its type, None if that is not known.

    `plain`: the same without overflow checks, for testing whether it is null; the expression itself if it has none.
    """

    expression: Expression
    type: pa.DataType | None
    plain: Expression | None = None

    @property
    def unchecked(self) -> Expression:
        return self.expression if self.plain is None else self.plain

    @property
    def is_text(self) -> bool:
        return self.type is not None and coercion.is_text(self.type)

    @property
    def number(self) -> int | None:
        """The whole number that this is a literal of."""
        return integer_of(self.expression)


Values = Sequence[Typed]


@dataclass(frozen=True)
class Result:
    """What a rule returns for a call: the replacement (None: keep the call) and its type (None: unknown)."""

    expression: Expression | None
    type: pa.DataType | None
    plain: Expression | None = None


Rule = Callable[[str, Values], Result | None]
"""Takes a call's name and arguments; None if it does not apply. Raises SparkError for what Spark refuses."""


def special_cast(
    value: Expression, old: pa.DataType | None, new: pa.DataType | None, *, lenient: bool = False
) -> Expression | None:
    """The replacement for a cast, or for a TRY_CAST if `lenient`; None if the engine's own means the same."""
    made = None if lenient else clocks.cast(value, old, new)
    return made or numbers.cast(value, old, new, lenient=lenient)


def to(value: Typed, kind: pa.DataType) -> Typed:
    """The value cast to that type; unchanged if it has that type already."""
    if value.type == kind or value.type == pa.null():
        return value
    if value.number is not None and kind == pa.int64():
        return Typed(build.integer(value.number), kind)
    plain = None if value.plain is None else build.cast(value.plain, kind)
    made = special_cast(value.expression, value.type, kind) or build.cast(value.expression, kind)
    return Typed(made, kind, plain)


def decimal_of(value: Typed) -> Typed:
    """A decimal, or a whole number as one: a literal as small as it is."""
    assert value.type is not None
    if coercion.is_decimal(value.type):
        return value
    number = value.number
    if number is not None:
        digits = len(Decimal(number).as_tuple().digits)
        return to(value, pa.decimal128(digits, 0))
    return to(value, coercion.as_decimal(value.type))
