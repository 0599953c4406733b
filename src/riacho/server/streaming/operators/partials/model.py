"""What it is to take an aggregate function apart, and how two columns of numbers kept become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from riacho.server.plan.build import Expression, cast
from riacho.server.state.run import Mask

Merge = Callable[[pa.Array, pa.Array, Mask], pa.Array]
"""merge(state, batch, known): aligned rows; where `known` is false there was no state for the group, and its row in
`state` is null."""

ArrayFunction = Callable[[pa.Array], pa.Array]
"""One column made of another, row by row."""


def _unchanged(column: pa.Array) -> pa.Array:
    return column


@dataclass(frozen=True)
class Partial:
    """One column kept per group.

    `expression`: what the engine computes for the rows of a batch. `update`: turns that into what is kept, where the
    engine has no function for it. `merge`: combines it with what is kept already; None if that is impossible, so that
    the rows are kept instead. `finalize`: turns what is kept into the column that the result is computed from. `grows`:
    what is kept grows with each row. `ordered`: what is kept depends on the order of the rows.
    """

    expression: Expression
    merge: Merge | None
    update: ArrayFunction = _unchanged
    finalize: ArrayFunction = _unchanged
    grows: bool = False
    ordered: bool = False

    @property
    def identity(self) -> object:
        """Equal for partials that keep the same, however it is finalized: functions of one query share them."""
        return self.expression.SerializeToString(deterministic=True), self.update, self.merge


@dataclass(frozen=True)
class Decomposition:
    """A function call taken apart. `evaluate` computes its result from the finalized columns of its partials."""

    partials: Sequence[Partial]
    evaluate: Callable[[Sequence[Expression]], Expression]


Maker = Callable[[Expression.UnresolvedFunction, pa.DataType], Decomposition | None]
"""maker(call, type of its result): the call taken apart, or None if these arguments cannot be."""


def single(partial: Partial, result: pa.DataType) -> Decomposition:
    """A function whose result is its only partial."""
    return Decomposition([partial], lambda columns: cast(columns[0], result))


def opaque(expression: Expression) -> Partial:
    """An aggregate expression that the engine computes from all rows of a group."""
    return Partial(expression, merge=None)
